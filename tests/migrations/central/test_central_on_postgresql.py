"""The centre's schema on a real PostgreSQL: walked with data, the same as in the code and as on SQLite."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, MetaData, create_engine, func, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from dockd.central.database import Database, sqlite_url
from dockd.central.postgres import DRIVER
from dockd.central.schema import METADATA
from dockd.errors import CentreUnusable
from migrations.runner import differences, upgrade
from migrations.standing import current, head, revisions
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.postgresql

ALL = revisions("central")
ROWS = 3


@pytest.fixture
def address(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.new_database()
    yield postgres.address(name)
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path / "centre.sqlite")
    else:
        url = request.getfixturevalue("address").replace("postgresql", DRIVER, 1)
    engine = create_engine(url, poolclass=NullPool)
    yield engine
    engine.dispose()


def fill(connection: Connection) -> None:
    """Put rows into every table that there is now, whatever revision made it; each value tells its place."""
    there = MetaData()
    there.reflect(connection)
    for table in there.sorted_tables:
        if table.name == "alembic_version":
            continue
        count = 1 if "place" in table.columns else ROWS  # such a table has one row
        rows = [{column.name: value(column, place) for column in table.columns} for place in range(1, count + 1)]
        connection.execute(table.insert(), rows)


def value(column: Any, place: int) -> object:
    """Something of the column's type, never NULL, at its largest where it is a number."""
    kind = column.type.python_type
    if kind is bool:
        return place == 1
    if kind is int:
        is_small = type(column.type).__name__ in ("INTEGER", "Integer")
        return place if is_small or column.primary_key else 2**63 - place
    if column.name.endswith("_at") or column.name in ("at", "retain_until"):
        return f"2026-11-22T06:00:0{place}.000000Z"
    return f"{column.name} é\U0001f4f7 {place}"


def contents(connection: Connection, columns: dict[str, list[str]]) -> dict[str, list[tuple[object, ...]]]:
    """Every row of these tables, in these columns."""
    there = MetaData()
    there.reflect(connection)
    return {
        name: sorted(tuple(row) for row in connection.execute(select(*(there.tables[name].c[c] for c in wanted))))
        for name, wanted in columns.items()
    }


@pytest.mark.parametrize("begin", ALL)
def test_every_step_from_every_revision_keeps_every_row(engine: Engine, begin: str) -> None:
    """Receipts, retention, chains, everything: what an older version wrote is untouched by every later one."""
    with engine.begin() as connection:
        upgrade(connection, "central", begin)
        fill(connection)
        tables = [name for name in inspect(connection).get_table_names() if name != "alembic_version"]
        columns = {name: [one["name"] for one in inspect(connection).get_columns(name)] for name in tables}
        before = contents(connection, columns)
    assert all(len(rows) >= 1 for rows in before.values())
    assert any(2**63 - 1 in row for row in before["receipts"])
    for revision in (*ALL[ALL.index(begin) + 1 :], "head"):
        with engine.begin() as connection:
            upgrade(connection, "central", revision)
        with engine.connect() as connection:
            assert contents(connection, columns) == before
    with engine.connect() as connection:
        assert current(connection) == head("central")
        assert differences(connection, METADATA) == []


def test_both_databases_have_the_same_tables_columns_and_indexes(address: str, tmp_path: Path) -> None:
    shapes = []
    for url in (sqlite_url(tmp_path / "centre.sqlite"), address.replace("postgresql", DRIVER, 1)):
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            upgrade(connection, "central")
        inspector = inspect(engine)
        shapes.append(
            {
                name: (
                    [(one["name"], one["nullable"]) for one in inspector.get_columns(name)],
                    inspector.get_pk_constraint(name)["constrained_columns"],
                    sorted(one["name"] or "" for one in inspector.get_unique_constraints(name)),
                    # PostgreSQL lists the index behind a unique constraint as well.
                    sorted(one["name"] or "" for one in inspector.get_indexes(name) if not one["unique"]),
                )
                for name in inspector.get_table_names()
                if name != "alembic_version"
            }
        )
        engine.dispose()
    assert shapes[0] == shapes[1]
    assert set(shapes[1]) == set(METADATA.tables)


def test_types_are_right_for_postgresql(address: str) -> None:
    engine = create_engine(address.replace("postgresql", DRIVER, 1), poolclass=NullPool)
    with engine.begin() as connection:
        upgrade(connection, "central")
    with engine.connect() as connection:
        question = text(
            "SELECT table_name, column_name, data_type, collation_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
        )
        rows = connection.execute(question).all()
    engine.dispose()
    assert {row.data_type for row in rows} <= {"text", "bigint", "integer", "boolean"}
    # Byte order: the order of times and digests, and what an index must have for it.
    assert {row.collation_name for row in rows if row.data_type == "text"} == {"C"}
    sizes = {row.column_name for row in rows if row.data_type != "bigint" and row.column_name.endswith("_bytes")}
    assert sizes == set(), "a size in bytes may be larger than 2 GiB"


def test_order_of_text_is_that_of_its_bytes_on_both(engine: Engine) -> None:
    names = ["dock-10", "dock-9", "Dock-1", "dock_1", "dock.1", "dock1", "DOCK-2"]
    with engine.begin() as connection:
        upgrade(connection, "central")
        docks = METADATA.tables["docks"]
        connection.execute(docks.insert(), [{"dock": name, "facts": 0, "head": ""} for name in names])
    with engine.connect() as connection:
        assert list(connection.execute(select(docks.c.dock).order_by(docks.c.dock)).scalars()) == sorted(names)
        between = select(func.count()).select_from(docks).where(docks.c.dock >= "dock-", docks.c.dock < "dock.")
        assert connection.execute(between).scalar() == 2


def test_eight_that_start_at_once_migrate_once(address: str, postgres: PostgresServer) -> None:
    def start(_place: int) -> None:
        Database(address)._migrate()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(start, range(8)))
    rows = postgres.query("SELECT version_num FROM alembic_version", str(make_url(address).database))
    assert rows == [(head("central"),)]


async def test_database_of_a_newer_version_is_refused_untouched(address: str) -> None:
    engine = create_engine(address.replace("postgresql", DRIVER, 1), poolclass=NullPool)
    with engine.begin() as connection:
        upgrade(connection, "central")
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database = Database(address)
    with pytest.raises(CentreUnusable, match="newer dockd"):
        await database.open()
    await database.close()
    with engine.connect() as connection:
        assert current(connection) == "9999"
    engine.dispose()


def test_step_that_fails_leaves_nothing_of_itself(address: str) -> None:
    engine = create_engine(address.replace("postgresql", DRIVER, 1), poolclass=NullPool)
    with engine.begin() as connection:
        upgrade(connection, "central", ALL[0])
        before = sorted(inspect(connection).get_table_names())
        # What the next step wants to make is there already, as a view.
        connection.execute(text("CREATE VIEW centre AS SELECT 1 AS place"))
    with pytest.raises(DBAPIError, match="already exists"), engine.begin() as connection:
        upgrade(connection, "central")
    with engine.connect() as connection:
        assert current(connection) == ALL[0]
        assert sorted(inspect(connection).get_table_names()) == before
    engine.dispose()
