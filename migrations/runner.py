"""Brings a database to a newer schema, for both kinds: the dock's journal and the centre's tables.

`standing.bring_up_to_date` is the way here. Knows alembic; needs no `alembic.ini` and works from an installed package.
Knows neither dockd nor what is in the tables. Revisions never change retention, holds or policies.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, text

from migrations.standing import FOLDER, Kind, refuse_newer

_MIGRATION_LOCK = 0x646F636B64  # "dockd": the number of an advisory lock is anybody's choice

_one_at_a_time = threading.Lock()
_busy_thread: int | None = None


def upgrade(connection: Connection, kind: Kind, revision: str = "head") -> None:
    """Bring the database to `revision`, inside the caller's transaction: all steps or none.

    Use it as `with engine.begin() as connection: upgrade(connection, "dock")`, or through an async
    connection's `run_sync`. Alembic keeps its context in module globals, so calls wait for each other;
    two at once in one thread (two `run_sync` on one event loop) are refused with RuntimeError.

    Raises NewerSchema when the database was written by a newer version; nothing is changed then.
    """
    if connection.dialect.name == "postgresql":
        _alone_on_postgresql(connection)
    refuse_newer(connection, kind)
    if connection.dialect.name == "sqlite":
        _begin_on_sqlite(connection)
    with _alone():
        config = _config(kind)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def differences(connection: Connection, metadata: MetaData) -> list[Any]:
    """What the migrated database and the tables in code do not agree on; empty when they do."""
    return cast(list[Any], compare_metadata(MigrationContext.configure(connection), metadata))


def _config(kind: Kind) -> Config:
    config = Config()
    # Config interpolates `%`; a folder may hold one.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(FOLDER / kind / "versions").replace("%", "%%"))
    return config


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
