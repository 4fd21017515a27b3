"""Where a database stands among the revisions, and the everyday way to the newest one.

Nearly every start finds the newest schema. So alembic, which costs a process 12 MB for as long as it runs, is loaded
only where there is something to migrate (`runner`). Knows the names of the revisions' files and alembic's table.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

from sqlalchemy import Connection, inspect, text

Kind: TypeAlias = Literal["dock", "central"]

FOLDER = Path(__file__).resolve().parent


class NewerSchema(Exception):
    """The database stands at a revision that this version does not have: a newer dockd wrote it."""

    def __init__(self, kind: Kind, revision: str) -> None:
        super().__init__(f"the {kind} database stands at revision {revision!r}, which this version does not know")
        self.kind = kind
        self.revision = revision


def bring_up_to_date(connection: Connection, kind: Kind) -> None:
    """Bring the database to the newest revision, inside the caller's transaction: all steps or none.

    Use it as `with engine.begin() as connection: bring_up_to_date(connection, "dock")`, or through an async
    connection's `run_sync`. Raises NewerSchema when a newer version wrote it; nothing is changed then.
    """
    revision = current(connection)
    if revision == head(kind):
        return
    from migrations.runner import upgrade  # noqa: PLC0415 - loads alembic: see above

    upgrade(connection, kind)


def current(connection: Connection) -> str | None:
    """The revision the database stands at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    standing = connection.execute(text("SELECT version_num FROM alembic_version ORDER BY version_num")).scalars().all()
    return "+".join(standing) or None


def head(kind: Kind) -> str:
    """The newest revision of `kind` that this version has."""
    return revisions(kind)[-1]


@cache
def revisions(kind: Kind) -> tuple[str, ...]:
    """Every revision of `kind`, oldest first: there are no branches, and a file is named `<revision>_<words>.py`."""
    files = sorted((FOLDER / kind / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))
    return tuple(file.name.partition("_")[0] for file in files)


def refuse_newer(connection: Connection, kind: Kind) -> None:
    """Raises NewerSchema."""
    revision = current(connection)
    if revision is not None and revision not in revisions(kind):
        raise NewerSchema(kind, revision)
