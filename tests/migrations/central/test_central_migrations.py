"""The centre's schema: migrated with data in it, and the same as the tables in the code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect, select, text

from dockd.central.database import Database, sqlite_url
from dockd.central.schema import METADATA
from dockd.central.tables import docks, receipts
from dockd.errors import CentreUnusable
from migrations.runner import differences, upgrade
from migrations.standing import current, head, revisions
from tests.support.clock import START


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "centre.sqlite"


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    engine = create_engine(sqlite_url(file))
    yield engine
    engine.dispose()


def test_migrated_schema_is_the_one_in_the_code(engine: Engine) -> None:
    with engine.begin() as connection:
        upgrade(connection, "central")
    with engine.connect() as connection:
        assert differences(connection, METADATA) == []
        assert current(connection) == head("central")
        made = {name: inspect(connection).get_pk_constraint(name)["constrained_columns"] for name in METADATA.tables}
    assert made == {name: [column.name for column in table.primary_key] for name, table in METADATA.tables.items()}


def test_every_step_keeps_what_was_there(engine: Engine) -> None:
    """Receipts, retention and chains that the first version wrote are untouched by every later revision."""
    first, *later = revisions("central")
    with engine.begin() as connection:
        upgrade(connection, "central", first)
        connection.execute(
            text(
                "INSERT INTO receipts (digest, size_bytes, object_key, accepted_at, retain_until, receipt) "
                "VALUES ('ab', 7, 'objects/ab', '2026-11-22T06:00:00.000000Z', '2027-11-22T06:00:00.000000Z', '{}')"
            )
        )
        connection.execute(
            text("INSERT INTO docks (dock, facts, head, public_key) VALUES ('dock-7', 3, 'cd', 'the key')")
        )
    for revision in (*later, "head"):
        with engine.begin() as connection:
            upgrade(connection, "central", revision)
        with engine.connect() as connection:
            receipt = connection.execute(select(receipts)).one()
            dock = connection.execute(select(docks)).one()
        assert (receipt.digest, receipt.size_bytes, receipt.receipt) == ("ab", 7, "{}")
        assert (receipt.accepted_at, receipt.retain_until.year) == (START, 2027)
        assert (dock.dock, dock.facts, dock.head, dock.public_key) == ("dock-7", 3, "cd", "the key")


def test_migrating_again_changes_nothing(engine: Engine, file: Path) -> None:
    for _ in range(2):
        with engine.begin() as connection:
            upgrade(connection, "central")
        engine.dispose()
        content = file.read_bytes()
    with engine.begin() as connection:
        upgrade(connection, "central")
    engine.dispose()
    assert file.read_bytes() == content


async def test_database_of_a_newer_version_is_refused_untouched(engine: Engine, file: Path) -> None:
    with engine.begin() as connection:
        upgrade(connection, "central")
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    before = file.read_bytes()
    database = Database(sqlite_url(file))
    with pytest.raises(CentreUnusable, match="newer dockd"):
        await database.open()
    await database.close()
    assert file.read_bytes() == before


async def test_acknowledged_means_synchronised_to_the_disk(file: Path) -> None:
    """2 is FULL, 3 is EXTRA (sqlite.org/pragma.html#pragma_synchronous)."""
    database = Database(sqlite_url(file))
    await database.open()
    try:
        async with database.writing() as connection:
            assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar() == 3
            assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() == "delete"
    finally:
        await database.close()
