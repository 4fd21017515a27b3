"""The journal's file: how it is made, checked and opened, and the one connection through which all goes.

Durability, by https://www.sqlite.org/pragma.html: `journal_mode=DELETE` with `synchronous=EXTRA` also
syncs the folder after the rollback journal is unlinked, so that a commit that was acknowledged survives
a power cut. WAL is not used: below SQLite 3.51.3 it has a reset race, and in its usual setting it may
lose acknowledged commits.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect
from sqlalchemy.pool import NullPool

from dockd.dock.journal import integrity, projection
from dockd.dock.journal.failures import DATABASE_ERRORS, journal_error
from dockd.errors import JournalCorrupt, JournalNewer, JournalUnwritable
from dockd.model.ids import Digest, DockId
from dockd.rules.custody import LedgerBreak
from migrations import standing

DATABASE_NAME = "journal.sqlite3"
_NEW_SUFFIX = ".new"
_BUSY_SECONDS = 15.0
"""How long a foreign tool that reads the file may make us wait."""

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


def make_folder(folder: Path) -> None:
    """Make the journal's folder, for its owner only. Raises JournalUnwritable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise JournalUnwritable(f"The folder {folder} cannot be made or kept private: {error.strerror}.") from error


def prepare(folder: Path, dock: DockId) -> tuple[int, Digest]:
    """Make or check the journal in `folder`, bring its schema up to date, and return its head. Blocking.

    The caller holds the folder's lock. Raises JournalCorrupt, JournalNewer, JournalUnwritable, and
    ConfigInvalid when the journal is another dock's.
    """
    path = folder / DATABASE_NAME
    try:
        if not path.exists():
            _create(path)
        return _check_and_upgrade(path, dock)
    except standing.NewerSchema as newer:
        raise JournalNewer(f"The journal in {folder} was written by a newer dockd (schema {newer.revision}).") from None
    except DATABASE_ERRORS as error:
        raise journal_error(error) from error


def _create(path: Path) -> None:
    # Under another name until it is whole: a journal that lost its content is then never taken for a new one.
    new = path.with_name(path.name + _NEW_SUFFIX)
    for leftover in (new, new.with_name(new.name + "-journal")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    engine = _engine(new)
    try:
        with engine.begin() as connection:
            standing.bring_up_to_date(connection, "dock")
    finally:
        engine.dispose()
    _sync(new)
    new.rename(path)
    _sync(path.parent)
    _sync(path.parent.parent)


def _check_and_upgrade(path: Path, dock: DockId) -> tuple[int, Digest]:
    engine = _engine(path)
    try:
        with engine.connect() as connection:
            integrity.check_structure(connection, path)
            if not inspect(connection).has_table("facts"):
                raise JournalCorrupt(f"The file {path} holds no facts; it is not a journal or has lost its content.")
        with engine.begin() as connection:
            standing.bring_up_to_date(connection, "dock")
        with engine.begin() as connection:
            head = integrity.check_tail(connection, dock)
            if not projection.is_current(connection):
                if head[0]:
                    _log.info("journal_projection_rebuilt", facts=head[0])
                projection.rebuild(connection)
    except (LedgerBreak, ValueError) as error:
        # A fact that cannot be read, or that contradicts the facts before it.
        raise JournalCorrupt(f"The journal's facts contradict each other: {error}.") from error
    finally:
        engine.dispose()
    return head


def _engine(path: Path) -> Engine:
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _set_up)
    return engine


def _set_up(raw: Any, _record: object) -> None:
    cursor = raw.cursor()
    try:
        cursor.execute("PRAGMA journal_mode=DELETE")
        mode = cursor.fetchone()[0]
        cursor.execute("PRAGMA synchronous=EXTRA")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA trusted_schema=OFF")
        cursor.execute("PRAGMA temp_store=MEMORY")
    finally:
        cursor.close()
    if mode != "delete":
        raise sqlite3.OperationalError(f"the journal mode stays {mode}; another program has the file open")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Database:
    """The one open connection and the one thread it lives in, which takes one piece of work after the other."""

    def __init__(self, connection: Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread
        self._is_closed = False

    @classmethod
    async def connect(cls, folder: Path) -> Database:
        """Open the prepared journal in `folder`. Raises JournalCorrupt, JournalUnwritable."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        # Transactions are begun and committed by name, in writer.py.
        engine = _engine(folder / DATABASE_NAME).execution_options(isolation_level="AUTOCOMMIT")
        try:
            return cls(await asyncio.wrap_future(thread.submit(engine.connect)), thread)
        except DATABASE_ERRORS as error:
            thread.shutdown()
            raise journal_error(error) from error

    async def run(self, work: Callable[[Connection], _T]) -> _T:
        """Run `work` with the connection, in its thread, and return what it returns.

        A caller that is cancelled leaves, the work goes on to its end: a transaction is never left half done. Raises
        what `work` raises; the database's own errors as JournalCorrupt or JournalUnwritable, and so when it is closed.
        """
        if self._is_closed:
            raise JournalUnwritable("The journal is closed.")
        try:
            return await asyncio.shield(asyncio.wrap_future(self._thread.submit(work, self._connection)))
        except DATABASE_ERRORS as error:
            raise journal_error(error) from error

    async def close(self) -> None:
        """Wait for what runs, then close the connection and its thread. Nothing to do the second time."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.wrap_future(self._thread.submit(self._connection.close))
        self._thread.shutdown()
