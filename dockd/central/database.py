"""The centre's database: connections, transactions, and what its failures mean.

Knows SQLAlchemy and the two kinds of database (PostgreSQL's own side is in `postgres`); must not know any
table's meaning.

SQLite here: `journal_mode=DELETE` and `synchronous=EXTRA`. WAL would let readers go on beside a
commit, but below SQLite 3.51.3 it has a reset race, and WAL with synchronous=NORMAL can lose commits
that were acknowledged; a transaction here is an acknowledgement to a dock, so it is the slow, sure way. A
writer begins with BEGIN IMMEDIATE: what it reads is what it changes, in every process.

PostgreSQL: writers run beside each other under READ COMMITTED, so whoever reads in order to change locks
the row first (`with_for_update`) or lets a unique constraint decide; readers see one snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Executable, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from dockd.central import postgres
from dockd.central.postgres import DEFAULT_LIMITS, PostgresLimits
from dockd.central.refusals import BUSY, STORE_FULL, STORE_SUSPECT
from dockd.errors import CentreUnusable, DatabaseUnreachable
from dockd.web.problems import Refusal
from migrations.standing import NewerSchema, bring_up_to_date

_WRITES = "dockd_writes"
_BUSY_MILLISECONDS = 20_000
_START_PATIENCE_SECONDS = 15.0
_START_AGAIN_SECONDS = 1.0


def sqlite_url(file: Path) -> str:
    """The address of the embedded database in `file`, without a driver."""
    return f"sqlite:///{file}"


class Database:
    """One database and its transactions. Open it once per process.

    `url` names no driver and no password; `password_file` and `limits` are for PostgreSQL only.
    """

    def __init__(self, url: str, *, password_file: Path | None = None, limits: PostgresLimits = DEFAULT_LIMITS) -> None:
        self._url = make_url(url)
        self._password_file = password_file
        self._limits = limits
        self._engine: AsyncEngine | None = None
        self._writes: AsyncEngine | None = None
        self._snapshots: AsyncEngine | None = None
        self._looks: AsyncEngine | None = None
        # Not the truth (BEGIN IMMEDIATE is): it only spares writers of one process the busy-waiting. On
        # PostgreSQL writers need not wait for each other.
        self._one_writer = asyncio.Lock() if self._is_sqlite else contextlib.nullcontext()

    async def open(self) -> None:
        """Bring the schema up to date and connect.

        Waits a little for a PostgreSQL that is starting too. Raises CentreUnusable, DatabaseUnreachable.
        """
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(DatabaseUnreachable),
            stop=stop_after_delay(_START_PATIENCE_SECONDS),
            wait=wait_fixed(_START_AGAIN_SECONDS),
            reraise=True,
        ):
            with attempt:
                await asyncio.to_thread(self._migrate)
        if self._is_sqlite:
            engine = create_async_engine(self._url.set(drivername="sqlite+aiosqlite"))
            _prepare_sqlite(engine.sync_engine)
            self._snapshots = self._looks = engine
        else:
            url = self._url.set(drivername=postgres.DRIVER)
            engine = create_async_engine(url, **postgres.engine_options(url, self._limits))
            postgres.prepare_engine(engine.sync_engine, self._password_file)
            self._snapshots = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            self._looks = create_async_engine(url, **postgres.look_options(url, self._limits))
            postgres.prepare_engine(self._looks.sync_engine, self._password_file)
        self._engine = engine
        self._writes = engine.execution_options(**{_WRITES: True})

    async def close(self) -> None:
        """Disconnect; safe when never opened."""
        if self._engine is not None:
            await self._engine.dispose()
            if self._looks is not None and self._looks is not self._engine:
                await self._looks.dispose()
            self._engine = self._snapshots = self._looks = self._writes = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """One consistent view. Raises Refusal (503, 507)."""
        with self._failures():
            async with self._patience(), _opened(self._snapshots).connect() as connection:
                yield connection

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[AsyncConnection]:
        """For one question: no view beyond it, so a server is spared the transaction. Raises Refusal (503, 507)."""
        with self._failures():
            async with self._patience(), _opened(self._looks).connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, durable when the block is left in order. Raises Refusal (503, 507).

        A refusal that comes from the commit itself leaves open whether it happened: whatever is written
        here must be fit to be written again.
        """
        with self._failures():
            async with self._one_writer, self._patience(), _opened(self._writes).begin() as connection:
                yield connection

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    @asynccontextmanager
    async def _patience(self) -> AsyncIterator[None]:
        """SQLite waits as long as its disk does; a server that hangs is given up."""
        limit = asyncio.timeout(None if self._is_sqlite else self._limits.transaction_seconds)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise postgres.silence() from None

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn the database's failures into what the caller should do; all of them pass, later."""
        try:
            yield
        except SQLAlchemyError as error:
            refusal = _sqlite_refusal(error) if self._is_sqlite else postgres.refusal_for(error)
            if refusal is None:
                raise  # a broken constraint or statement is a bug of ours, and nobody else's "later"
            raise refusal from error

    def _migrate(self) -> None:
        if self._is_sqlite:
            engine = create_engine(self._url, poolclass=NullPool)
            _prepare_sqlite(engine)
        else:
            if self._password_file is not None:
                postgres.check_password_file(self._password_file)
            url = self._url.set(drivername=postgres.DRIVER)
            engine = create_engine(url, poolclass=NullPool, **postgres.migration_options(url))
            postgres.prepare_engine(engine, self._password_file)
        try:
            with engine.execution_options(**{_WRITES: True}).begin() as connection:
                if not self._is_sqlite:
                    postgres.check_promises(connection)
                bring_up_to_date(connection, "central")
        except NewerSchema as error:
            raise CentreUnusable(
                f"The centre's database was written by a newer dockd (revision {error.revision}).",
                action="Install the newer dockd again.",
            ) from error
        except DBAPIError as error:
            if not self._is_sqlite and postgres.refusal_for(error) is not None:
                raise DatabaseUnreachable(f"The centre's database cannot be used: {error.orig}.") from error
            raise CentreUnusable(f"The centre's database cannot be opened: {error.orig}.") from error
        finally:
            engine.dispose()


async def insert_new(connection: AsyncConnection, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert `rows`; a row whose key (or unique constraint) is there already is left as it is."""
    given = [dict(row) for row in rows]
    if given:
        await connection.execute(_insert_unless_there(connection.dialect.name, table), given)


async def insert_or_replace(connection: AsyncConnection, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert `rows`, each with the same columns; a row with the same primary key gets the new values."""
    given = [dict(row) for row in rows]
    if given:
        keys = {column.name for column in table.primary_key.columns}
        changed = tuple(name for name in given[0] if name not in keys)
        await connection.execute(_upsert(connection.dialect.name, table, changed), given)


async def insert_or_add(connection: AsyncConnection, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert `rows`, each with the same columns; where the primary key is there already, add the other columns up."""
    given = [dict(row) for row in rows]
    if given:
        await connection.execute(_insert_or_sum(connection.dialect.name, table, tuple(given[0])), given)


def columns_of(row: Any) -> dict[str, Any]:
    """The fields of a slotted dataclass, all of plain values: `dataclasses.asdict` without its deep copies."""
    return {name: getattr(row, name) for name in row.__slots__}


# Statements are built once: SQLAlchemy spends more time on making one than the database on carrying it out.


@cache
def _insert_unless_there(dialect: str, table: Table) -> Executable:
    return _dialect_insert(dialect, table).on_conflict_do_nothing()


@cache
def _upsert(dialect: str, table: Table, changed: tuple[str, ...]) -> Executable:
    statement = _dialect_insert(dialect, table)
    keys = [column.name for column in table.primary_key.columns]
    values = {name: statement.excluded[name] for name in changed}
    return statement.on_conflict_do_update(index_elements=keys, set_=values)


@cache
def _insert_or_sum(dialect: str, table: Table, names: tuple[str, ...]) -> Executable:
    statement = _dialect_insert(dialect, table)
    keys = [column.name for column in table.primary_key.columns]
    sums = {name: table.c[name] + statement.excluded[name] for name in names if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=sums)


def _dialect_insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


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


def _opened(engine: AsyncEngine | None) -> AsyncEngine:
    if engine is None:
        raise RuntimeError("the database is not open")
    return engine


def _sqlite_refusal(error: SQLAlchemyError) -> Refusal | None:
    if not isinstance(error, OperationalError) and type(error) is not DatabaseError:
        return None
    said = str(error.orig).lower()
    if "full" in said or "no space" in said:
        return Refusal(STORE_FULL, "The centre's disk is full.", retry_after_seconds=60)
    if "locked" in said or "busy" in said:
        return Refusal(BUSY, "The centre's database is busy.", retry_after_seconds=2)
    return Refusal(STORE_SUSPECT, "The centre's database cannot be used now.", retry_after_seconds=60)
