"""Brings a database to the newest schema, for both kinds: the dock's journal and the centre's tables.

Knows alembic and where the revisions lie; needs no `alembic.ini` and works from an installed package.
Knows neither dockd nor what is in the tables. Revisions never change retention, holds or policies.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text

Kind: TypeAlias = Literal["dock", "central"]

NAMING_CONVENTION = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""For the `MetaData` of both kinds: SQLite's batch mode can only drop constraints that have a name."""

_MIGRATION_LOCK = 0x646F636B64  # "dockd": the number of an advisory lock is anybody's choice

_HERE = Path(__file__).resolve().parent
_one_at_a_time = threading.Lock()
_busy_thread: int | None = None


class NewerSchema(Exception):
    """The database stands at a revision that this version does not have: a newer dockd wrote it."""

    def __init__(self, kind: Kind, revision: str) -> None:
        super().__init__(f"the {kind} database stands at revision {revision!r}, which this version does not know")
        self.kind = kind
        self.revision = revision


def upgrade(connection: Connection, kind: Kind, revision: str = "head") -> None:
    """Bring the database to `revision`, inside the caller's transaction: all steps or none.

    Use it as `with engine.begin() as connection: upgrade(connection, "dock")`, or through an async
    connection's `run_sync`. Alembic keeps its context in module globals, so calls wait for each other;
    two at once in one thread (two `run_sync` on one event loop) are refused with RuntimeError.

    Raises NewerSchema when the database was written by a newer version; nothing is changed then.
    """
    if connection.dialect.name == "postgresql":
        _alone_on_postgresql(connection)
    _refuse_newer(connection, kind)
    if connection.dialect.name == "sqlite":
        _begin_on_sqlite(connection)
    with _alone():
        config = _config(kind)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def current(connection: Connection) -> str | None:
    """The revision the database stands at; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def head(kind: Kind) -> str:
    """The newest revision of `kind` that this version has."""
    revision = ScriptDirectory.from_config(_config(kind)).get_current_head()
    if revision is None:
        raise LookupError(f"there are no migrations for {kind!r}")
    return revision


def revisions(kind: Kind) -> tuple[str, ...]:
    """Every revision of `kind`, oldest first."""
    walk = ScriptDirectory.from_config(_config(kind)).walk_revisions()
    return tuple(reversed([script.revision for script in walk]))


def differences(connection: Connection, metadata: MetaData) -> list[Any]:
    """What the migrated database and the tables in code do not agree on; empty when they do."""
    return cast(list[Any], compare_metadata(MigrationContext.configure(connection), metadata))


def _config(kind: Kind) -> Config:
    config = Config()
    # Config interpolates `%`; a folder may hold one.
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(_HERE / kind / "versions").replace("%", "%%"))
    return config


def _refuse_newer(connection: Connection, kind: Kind) -> None:
    revision = current(connection)
    if revision is not None and revision not in revisions(kind):
        raise NewerSchema(kind, revision)


def _begin_on_sqlite(connection: Connection) -> None:
    # Python's sqlite3 begins no transaction before CREATE TABLE, so half a migration could stay.
    raw = cast(Any, connection.connection.driver_connection)
    if not raw.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _alone_on_postgresql(connection: Connection) -> None:
    # Held until the caller's transaction ends: of several processes that start at once one migrates, and the
    # others then find nothing left to do. SQLite's BEGIN IMMEDIATE does the same there.
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})


@contextmanager
def _alone() -> Iterator[None]:
    global _busy_thread  # noqa: PLW0603 - alembic's own context is global; this guards it
    if _busy_thread == threading.get_ident():
        raise RuntimeError("a migration already runs in this thread; start one after the other")
    with _one_at_a_time:
        _busy_thread = threading.get_ident()
        try:
            yield
        finally:
            _busy_thread = None
