"""The queue of read-backs: each to one worker, back when its worker died, and an outcome stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio

from dockd.central.database import Database, sqlite_url
from dockd.central.verifier_queue import LEASE, Outcome, ReadBack, Standing, VerifierQueue
from tests.support.clock import ManualClock
from tests.support.store_site import digest_of

JOB = ReadBack("objects/a", "v1", digest_of(b"a"), 1, 1, (digest_of(b"a"),))
OTHER = ReadBack("objects/b", None, digest_of(b"b"), 1, 1, (digest_of(b"b"),))


@pytest_asyncio.fixture
async def queue(tmp_path: Path, clock: ManualClock) -> AsyncIterator[VerifierQueue]:
    database = Database(sqlite_url(tmp_path / "centre.sqlite"))
    await database.open()
    yield VerifierQueue(database, clock, "footage")
    await database.close()


async def test_each_job_goes_to_one_worker(queue: VerifierQueue) -> None:
    for job in (JOB, OTHER, JOB):
        await queue.ask(job)
    taken = [await queue.take(name) for name in ("one", "two", "three")]
    assert taken.count(None) == 1
    assert {one for one in taken if one} == {JOB, OTHER}


async def test_job_of_a_dead_worker_is_taken_by_another(queue: VerifierQueue, clock: ManualClock) -> None:
    await queue.ask(JOB)
    assert await queue.take("dead") == JOB
    clock.advance(LEASE.total_seconds() / 2)
    await queue.renew(JOB, "dead")
    clock.advance(LEASE.total_seconds() * 0.75)
    assert await queue.take("next") is None
    clock.advance(LEASE.total_seconds())
    assert await queue.take("next") == JOB


async def test_trouble_is_told_and_tried_again_later(queue: VerifierQueue, clock: ManualClock) -> None:
    await queue.ask(JOB)
    await queue.take("one")
    await queue.postpone(JOB, "one", "The object store is busy.", 15)
    assert await queue.look(JOB) == Standing(None, "The object store is busy.")
    assert await queue.take("one") is None
    clock.advance(16)
    assert await queue.take("two") == JOB
    assert await queue.look(JOB) == Standing(None, None)


async def test_outcome_stays_until_it_is_forgotten(queue: VerifierQueue, clock: ManualClock) -> None:
    await queue.ask(JOB)
    await queue.take("one")
    await queue.finish(JOB, Outcome.SOUND)
    await queue.finish(JOB, Outcome.DAMAGED)
    await queue.ask(JOB)
    assert await queue.look(JOB) == Standing(Outcome.SOUND, None)
    assert await queue.take("two") is None
    await queue.forget_older_than(clock.now() + timedelta(seconds=1))
    assert await queue.look(JOB) is None
