"""The centre's database: connections, transactions, and what its failures mean.

Knows SQLAlchemy and the two kinds of database; must not know any table's meaning.

SQLite here: `journal_mode=DELETE` and `synchronous=EXTRA`. WAL would let readers go on beside a
commit, but below SQLite 3.51.3 it has a reset race, and WAL with synchronous=NORMAL can lose commits
that were acknowledged; a transaction here is an acknowledgement to a dock, so it is the slow, sure way. A
writer begins with BEGIN IMMEDIATE: what it reads is what it changes, in every process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from dockd.central.refusals import BUSY, STORE_FULL, STORE_SUSPECT
from dockd.errors import CentreUnusable
from dockd.web.problems import Refusal
from migrations.runner import NewerSchema, upgrade

_WRITES = "dockd_writes"
_BUSY_MILLISECONDS = 20_000


def sqlite_url(file: Path) -> str:
    """The address of the embedded database in `file`, without a driver."""
    return f"sqlite:///{file}"


class Database:
    """One database and its transactions. Open it once per process."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._engine: AsyncEngine | None = None
        # Not the truth (BEGIN IMMEDIATE is): it only spares writers of one process the busy-waiting.
        self._one_writer = asyncio.Lock()

    async def open(self) -> None:
        """Bring the schema up to date and connect. Raises CentreUnusable."""
        await asyncio.to_thread(self._migrate)
        driver = "aiosqlite" if self._is_sqlite else "psycopg"
        engine = create_async_engine(self._url.set(drivername=f"{self._url.get_backend_name()}+{driver}"))
        if self._is_sqlite:
            _prepare_sqlite(engine.sync_engine)
        self._engine = engine

    async def close(self) -> None:
        """Disconnect; safe when never opened."""
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """One consistent view. Raises Refusal (503, 507)."""
        with _failures():
            async with self._opened().connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, durable when the block is left in order. Raises Refusal (503, 507)."""
        with _failures():
            async with self._one_writer, self._opened().execution_options(**{_WRITES: True}).begin() as connection:
                yield connection

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    def _opened(self) -> AsyncEngine:
        if self._engine is None:
            raise RuntimeError("the database is not open")
        return self._engine

    def _migrate(self) -> None:
        engine = create_engine(self._url)
        if self._is_sqlite:
            _prepare_sqlite(engine)
        try:
            with engine.execution_options(**{_WRITES: True}).begin() as connection:
                upgrade(connection, "central")
        except NewerSchema as error:
            raise CentreUnusable(
                f"The centre's database was written by a newer dockd (revision {error.revision}).",
                action="Install the newer dockd again.",
            ) from error
        except DatabaseError as error:
            raise CentreUnusable(f"The centre's database cannot be opened: {error.orig}.") from error
        finally:
            engine.dispose()


async def insert_new(connection: AsyncConnection, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert `rows`; a row whose key (or unique constraint) is there already is left as it is."""
    given = [dict(row) for row in rows]
    if given:
        await connection.execute(_dialect_insert(connection, table).on_conflict_do_nothing(), given)


async def insert_or_replace(connection: AsyncConnection, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert `rows`, each with the same columns; a row with the same primary key gets the new values."""
    given = [dict(row) for row in rows]
    if not given:
        return
    statement = _dialect_insert(connection, table)
    keys = [column.name for column in table.primary_key.columns]
    changed = {name: statement.excluded[name] for name in given[0] if name not in keys}
    await connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), given)


def _dialect_insert(connection: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _configure(raw: Any, _record: object) -> None:
        raw.isolation_level = None  # we begin transactions ourselves, below
        cursor = raw.cursor()
        for pragma in (
            f"busy_timeout={_BUSY_MILLISECONDS}",
            "journal_mode=DELETE",
            "synchronous=EXTRA",
            "trusted_schema=OFF",
            "cell_size_check=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _failures() -> Iterator[None]:
    """Turn the database's failures into what the caller should do; all of them pass, later."""
    try:
        yield
    except DatabaseError as error:
        if not (isinstance(error, OperationalError) or type(error) is DatabaseError):
            raise  # a broken constraint or statement is a bug of ours, and nobody else's "later"
        said = str(error.orig).lower()
        if "full" in said or "no space" in said:
            raise Refusal(STORE_FULL, "The centre's disk is full.", retry_after_seconds=60) from error
        if "locked" in said or "busy" in said:
            raise Refusal(BUSY, "The centre's database is busy.", retry_after_seconds=2) from error
        raise Refusal(STORE_SUSPECT, "The centre's database cannot be used now.", retry_after_seconds=60) from error
