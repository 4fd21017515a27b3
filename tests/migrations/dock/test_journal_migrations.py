"""The journal's schema, walked from its first revision with facts in it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import setuptools
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, NullPool, create_engine, insert, inspect

from dockd.dock.journal import DATABASE_NAME, Journal, tables
from dockd.dock.journal.rows import fact_row
from dockd.model.facts import Fact, RecordedFact, link
from dockd.model.ids import GENESIS
from migrations import runner, standing
from tests.support.clock import ManualClock
from tests.support.journals import DOCK, SIGNER, ended, footage, intended, started, way_to_the_store, whole_way

FIRST = "0001"
ROOT = Path(runner.__file__).resolve().parents[1]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return create_engine(f"sqlite:///{tmp_path / DATABASE_NAME}", poolclass=NullPool)


def some_facts(clock: ManualClock) -> list[RecordedFact]:
    told: list[Fact] = [
        *whole_way(footage(1), SIGNER),
        *way_to_the_store(footage(2))[:3],
        intended("a1"),
        started("a1"),
        ended("a1"),
        started("a2", officer="PC2"),
    ]
    chain: list[RecordedFact] = []
    for number, fact in enumerate(told, start=1):
        chain.append(link(DOCK, number, chain[-1].hash if chain else GENESIS, clock.moment(), fact))
    return chain


def test_first_revision_stays_the_first() -> None:
    # Journals in the field stand at it; a changed first revision would be no migration for them.
    assert standing.revisions("dock")[0] == FIRST
    assert standing.revisions("dock")[-1] == standing.head("dock")


def test_tables_in_code_are_those_that_the_migrations_make(engine: Engine) -> None:
    with engine.begin() as connection:
        runner.upgrade(connection, "dock")
        assert runner.differences(connection, tables.metadata) == []


async def test_facts_of_the_first_revision_survive_every_step(
    engine: Engine, tmp_path: Path, clock: ManualClock
) -> None:
    chain = some_facts(clock)
    with engine.begin() as connection:
        runner.upgrade(connection, "dock", FIRST)
        connection.execute(insert(tables.facts), [fact_row(one) for one in chain])
    for revision in standing.revisions("dock")[1:]:
        with engine.begin() as connection:
            runner.upgrade(connection, "dock", revision)
        with engine.connect() as connection:
            assert standing.current(connection) == revision
    journal = await Journal.open(tmp_path, dock=DOCK, clock=clock)
    try:
        assert await journal.facts_after(0, 100) == tuple(chain)
        assert await journal.verify_chain() == len(chain)
        assert await journal.projection_differences() == ()
        assert len(await journal.entries()) == 2
        assert len(await journal.assignments()) == 2
    finally:
        await journal.close()


def test_upgrade_of_a_current_journal_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        runner.upgrade(connection, "dock")
    before = (tmp_path / DATABASE_NAME).read_bytes()
    with engine.begin() as connection:
        runner.upgrade(connection, "dock")
    assert (tmp_path / DATABASE_NAME).read_bytes() == before


@pytest.mark.parametrize("kind", ["dock", "central"])
def test_the_files_names_tell_the_revisions_as_alembic_finds_them(kind: standing.Kind) -> None:
    walk = ScriptDirectory.from_config(runner._config(kind)).walk_revisions()
    assert standing.revisions(kind) == tuple(reversed([script.revision for script in walk]))


@pytest.mark.parametrize("kind", ["dock", "central"])
def test_where_nothing_is_to_be_migrated_alembic_is_not_loaded(kind: standing.Kind, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'one.sqlite3'}", poolclass=NullPool)
    with engine.begin() as connection:
        standing.bring_up_to_date(connection, kind)
        assert standing.current(connection) == standing.head(kind)
    script = f"""
import sys
import dockd.cli.run, dockd.cli.central_serve
from sqlalchemy import create_engine
from migrations import standing
with create_engine({str(engine.url)!r}).begin() as connection:
    standing.bring_up_to_date(connection, {kind!r})
assert "alembic" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_upgrade_that_is_cut_short_leaves_nothing(engine: Engine) -> None:
    with engine.connect() as connection:
        runner.upgrade(connection, "dock")
        assert "facts" in inspect(connection).get_table_names()
        connection.rollback()
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
        assert standing.current(connection) is None


def test_upgrades_in_many_threads_wait_for_each_other(tmp_path: Path) -> None:
    def make(number: int) -> str | None:
        one = create_engine(f"sqlite:///{tmp_path / str(number)}.sqlite3", poolclass=NullPool)
        with one.begin() as connection:
            runner.upgrade(connection, "dock")
            return standing.current(connection)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(make, range(8))) == {standing.head("dock")}


def test_schema_of_a_newer_version_is_refused_untouched(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        runner.upgrade(connection, "dock")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = (tmp_path / DATABASE_NAME).read_bytes()
    with engine.begin() as connection, pytest.raises(standing.NewerSchema) as refused:
        standing.bring_up_to_date(connection, "dock")
    assert (refused.value.kind, refused.value.revision) == ("dock", "9999")
    assert (tmp_path / DATABASE_NAME).read_bytes() == before


def test_migrations_are_installed_with_the_package() -> None:
    packages = setuptools.find_packages(str(ROOT), include=["migrations*"])
    assert {"migrations", "migrations.dock", "migrations.dock.versions"} <= set(packages)
