"""The centre's own chain: without gaps whoever writes it, with the deed or not at all, and no change goes unseen."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from dockd.central.centre_facts import CentreFacts
from dockd.central.config import CentreConfig
from dockd.central.database import Database, sqlite_url
from dockd.model.ids import GENESIS
from tests.support.clock import ManualClock


def database_of(config: CentreConfig) -> Database:
    return Database(config.database_url or sqlite_url(Path(config.folder) / "centre.sqlite"))


async def test_two_processes_write_one_chain_without_a_gap(config: CentreConfig, clock: ManualClock) -> None:
    first, second = database_of(config), database_of(config)
    await first.open()
    await second.open()
    try:
        writers = [CentreFacts(database, clock) for database in (first, second)]
        numbers = await asyncio.gather(
            *(
                writer.add(kind="custody-looked-at", actor=f"auditor-{index}", about={"recording": str(number)})
                for index, writer in enumerate(writers)
                for number in range(15)
            )
        )
        held = await writers[0].read(limit=100)
    finally:
        await first.close()
        await second.close()
    assert sorted(numbers) == list(range(1, 31))
    assert [fact.number for fact in held] == list(range(1, 31))
    assert held[0].previous == GENESIS
    assert all(after.previous == before.hash for before, after in pairwise(held))
    assert all(fact.is_whole for fact in held)
    assert {(fact.actor, str(fact.about["recording"])) for fact in held} == {
        (f"auditor-{index}", str(number)) for index in range(2) for number in range(15)
    }


async def test_a_fact_is_gone_with_the_deed_that_did_not_happen(config: CentreConfig, clock: ManualClock) -> None:
    database = database_of(config)
    await database.open()
    try:
        facts = CentreFacts(database, clock)

        async def deed_that_fails() -> None:
            async with database.writing() as connection:
                await facts.add_in(connection, kind="hold-released", actor="auditor", about={"hold": "h-1"})
                raise LookupError("the deed failed")

        with pytest.raises(LookupError, match="the deed failed"):
            await deed_that_fails()
        assert await facts.read(limit=10) == ()
        assert await facts.add(kind="hold-released", actor="auditor", about={"hold": "h-2"}) == 1
        with pytest.raises(TypeError, match="floating-point"):
            await facts.add(kind="hold-released", actor="auditor", about={"share": 0.5})  # type: ignore[dict-item] # the mistake is the point
        assert [fact.about for fact in await facts.read(limit=10)] == [{"hold": "h-2"}]
    finally:
        await database.close()


async def test_whatever_is_changed_in_a_fact_its_hash_tells(config: CentreConfig, clock: ManualClock) -> None:
    database = database_of(config)
    await database.open()
    try:
        facts = CentreFacts(database, clock)
        await facts.add(kind="exported", actor="auditor", about={"camera": "simulated:A", "rows": 3})
        (fact,) = await facts.read(limit=1)
    finally:
        await database.close()
    assert fact.is_whole
    later = replace(fact, at=fact.at.replace(year=fact.at.year + 1))
    for changed in (
        later,
        replace(fact, actor="nobody"),
        replace(fact, kind="looked-at"),
        replace(fact, number=2),
        replace(fact, previous=fact.hash),
        replace(fact, about={"camera": "simulated:A", "rows": 4}),
    ):
        assert not changed.is_whole
