"""What a failure of the database means for the dock. Knows SQLite's result codes."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from dockd.errors import DockdError, JournalCorrupt, JournalUnwritable

DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error, OSError)
"""Everything that reading or writing the journal's file may raise."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def journal_error(error: Exception) -> DockdError:
    """Our error for one of DATABASE_ERRORS: JournalCorrupt for a damaged file, else JournalUnwritable.

    Full, read-only, locked by a foreign tool, input/output error: all mean that a fact could not be made
    durable, and that nothing may go on.
    """
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    # The low byte is the primary result code, https://www.sqlite.org/rescode.html.
    code = getattr(cause, "sqlite_errorcode", None)
    if isinstance(code, int) and code & 0xFF in _DAMAGED:
        return JournalCorrupt(f"The journal's file is damaged: {cause}.")
    return JournalUnwritable(f"The journal cannot be written: {cause}.")
