"""Several centres on one database and one bucket: each read-back goes to one worker, each recording gets one receipt.

On the embedded SQLite, where two processes of one host may share the file, and on a real PostgreSQL.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import func, select

from dockd.central.database import Database, sqlite_url
from dockd.central.identity import create_identity, load_identity
from dockd.central.refusals import DIGEST_DIFFERS, PARTS_MISSING
from dockd.central.tables import read_backs, receipts
from dockd.central.verifier_queue import LEASE, Backlog, Outcome, ReadBack, Standing, VerifierQueue
from dockd.model.recording import Receipt
from dockd.web.problems import Refusal
from tests.support.bucket_centres import BucketCentre, claim_of, open_bucket_centre
from tests.support.clock import START, ManualClock
from tests.support.memory_bucket import MemoryBucket
from tests.support.store_site import PART_BYTES, digest_of

CONTENT = os.urandom(PART_BYTES) + os.urandom(4321)


@pytest.fixture
def url(where: dict[str, Any], tmp_path: Path) -> str:
    return str(where.get("database_url") or sqlite_url(tmp_path / "centre.sqlite"))


# --- the queue ------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def databases(url: str) -> AsyncIterator[Sequence[Database]]:
    """Three processes' connections."""
    opened = [Database(url) for _ in range(3)]
    for one in opened:
        await one.open()
    yield opened
    for one in opened:
        await one.close()


@pytest.fixture
def queues(databases: Sequence[Database], clock: ManualClock) -> list[VerifierQueue]:
    return [VerifierQueue(one, clock, "footage") for one in databases]


def job(number: int) -> ReadBack:
    content = str(number).encode()
    return ReadBack(f"objects/{number:03}", None, digest_of(content), 1, 1, (digest_of(content),))


async def test_many_workers_in_many_processes_take_each_job_once(queues: list[VerifierQueue]) -> None:
    jobs = [job(number) for number in range(30)]
    # Two centres ask for the same proof at the same moment: one row.
    await asyncio.gather(*(queue.ask(one) for one in jobs for queue in queues[:2]))
    assert await queues[2].backlog() == Backlog(len(jobs), START)

    async def work(queue: VerifierQueue, name: str) -> list[ReadBack]:
        taken = []
        while (one := await queue.take(name)) is not None:
            taken.append(one)
            await queue.finish(one, Outcome.SOUND)
        return taken

    names = [(queue, f"{place}:{number}") for place, queue in enumerate(queues) for number in range(3)]
    taken = await asyncio.gather(*(work(*one) for one in names))
    # A worker that came while the only jobs left were being taken may leave early; nobody takes one twice.
    done = [one.object_key for each in taken for one in each]
    assert sorted(done) == [one.object_key for one in jobs]
    assert await queues[2].backlog() == Backlog(0, None)


async def test_worker_in_another_bucket_takes_nothing_and_calls_nothing_lost(
    databases: Sequence[Database], queues: list[VerifierQueue], clock: ManualClock
) -> None:
    await queues[0].ask(job(1))
    assert await VerifierQueue(databases[1], clock, "another").take("stranger") is None
    assert await queues[1].take("own") == job(1)


async def test_job_of_a_dead_worker_passes_on_and_the_dead_one_cannot_postpone_it(
    queues: list[VerifierQueue], clock: ManualClock
) -> None:
    await queues[0].ask(job(1))
    assert await queues[0].take("slow") == job(1)
    clock.advance(LEASE.total_seconds() + 1)
    assert await queues[1].take("next") == job(1)
    await queues[0].renew(job(1), "slow")
    await queues[0].postpone(job(1), "slow", "The object store is away.", 3600)
    assert await queues[2].look(job(1)) == Standing(None, None)
    await queues[1].finish(job(1), Outcome.SOUND)
    await queues[0].finish(job(1), Outcome.DAMAGED)
    assert await queues[2].look(job(1)) == Standing(Outcome.SOUND, None)


@pytest.mark.postgresql
@pytest.mark.parametrize("where", ["postgresql"], indirect=True)
async def test_row_that_somebody_is_about_to_take_is_passed_by_and_not_waited_for(
    databases: Sequence[Database], queues: list[VerifierQueue], clock: ManualClock
) -> None:
    for number in (1, 2):
        await queues[0].ask(job(number))
        clock.advance(1)
    oldest = select(read_backs).order_by(read_backs.c.asked_at).limit(1).with_for_update()
    async with databases[0].writing() as somebody:
        assert (await somebody.execute(oldest)).one().object_key == job(1).object_key
        async with asyncio.timeout(5):
            assert await queues[1].take("one") == job(2)
            assert await queues[2].take("two") is None
    assert await queues[2].take("two") == job(1)


# --- the receipt ----------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def bucket(clock: ManualClock) -> MemoryBucket:
    return MemoryBucket(clock)


@pytest_asyncio.fixture
async def centres(url: str, tmp_path: Path, bucket: MemoryBucket) -> AsyncIterator[list[BucketCentre]]:
    """Two with the same keys, on one database and one bucket; their clocks differ, and so would their receipts."""
    create_identity(tmp_path / "keys", store="store-test")
    identity = load_identity(tmp_path / "keys")
    async with AsyncExitStack() as stack:
        clocks = [ManualClock(START + timedelta(seconds=seconds)) for seconds in (0, 3)]
        yield [await stack.enter_async_context(open_bucket_centre(url, bucket, identity, clock)) for clock in clocks]


async def receipts_held(centre: BucketCentre) -> list[Receipt]:
    async with centre.database.reading() as connection:
        rows = (await connection.execute(select(receipts.c.receipt))).scalars().all()
    return [Receipt.model_validate_json(one) for one in rows]


def meet(centres: list[BucketCentre]) -> None:
    """Nobody signs before everybody has proved."""
    barrier = asyncio.Barrier(len(centres))
    for one in centres:
        one.store.after = barrier.wait


@pytest.mark.parametrize("content", [CONTENT, b"x", b""], ids=["two parts", "one part", "empty"])
async def test_two_that_prove_one_upload_at_once_write_one_receipt_and_answer_with_it(
    centres: list[BucketCentre], bucket: MemoryBucket, content: bytes
) -> None:
    upload = await centres[0].send(content, bucket)
    meet(centres)
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(one.claims.complete(upload) for one in centres))
    assert answers[0] == answers[1]
    assert await receipts_held(centres[0]) == [answers[0]]
    assert bucket.objects[answers[0].object_key].content == content
    assert bucket.multiparts == {}
    # Whoever asks later is told the same, and a claim of the same bytes too.
    assert await centres[1].claims.complete(upload) == answers[0]
    assert (await centres[1].claims.claim(claim_of(content), "http://x")).receipt == answers[0]


async def test_whoever_finds_the_upload_taken_away_answers_with_the_receipt_of_whoever_took_it(
    centres: list[BucketCentre], bucket: MemoryBucket
) -> None:
    upload = await centres[0].send(CONTENT, bucket)
    has_come, may_go = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        has_come.set()
        await may_go.wait()

    centres[1].store.before = late
    loser = asyncio.create_task(centres[1].claims.complete(upload))
    await has_come.wait()
    winner = await centres[0].claims.complete(upload)
    may_go.set()
    assert await loser == winner
    assert await receipts_held(centres[0]) == [winner]


async def test_receipt_whose_object_is_gone_gives_way_once(centres: list[BucketCentre], bucket: MemoryBucket) -> None:
    upload = await centres[0].send(CONTENT, bucket)
    first = await centres[0].claims.complete(upload)
    del bucket.objects[first.object_key]
    with pytest.raises(Refusal) as refused:
        await centres[1].claims.complete(upload)
    assert refused.value.kind is PARTS_MISSING
    assert await centres[1].send(CONTENT, bucket) == upload
    meet(centres)
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(one.claims.complete(upload) for one in centres))
    assert answers[0] == answers[1] != first
    assert answers[0].object_key != first.object_key
    assert await receipts_held(centres[0]) == [answers[0]]
    assert bucket.objects[answers[0].object_key].content == CONTENT


async def test_bytes_that_contradict_their_claim_are_refused_by_both_and_signed_by_none(
    centres: list[BucketCentre], bucket: MemoryBucket
) -> None:
    """Every part is as claimed, the whole is not."""
    claim = claim_of(CONTENT).model_copy(update={"digest": digest_of(b"other")})
    answer = await centres[0].claims.claim(claim, "http://x")
    assert answer.upload is not None
    for part in answer.upload.parts:
        key = part.url.removeprefix(f"{bucket.place.endpoint}/").partition("?")[0]
        bucket.put_part(key, part.part_number, CONTENT[part.offset_bytes :][: part.size_bytes])
    results = await asyncio.gather(
        *(one.claims.complete(answer.upload.upload) for one in centres), return_exceptions=True
    )
    assert all(isinstance(one, Exception) for one in results)
    assert any(isinstance(one, Refusal) and one.kind is DIGEST_DIFFERS for one in results)
    assert await receipts_held(centres[0]) == []
    async with centres[0].database.reading() as connection:
        assert (await connection.execute(select(func.count()).select_from(receipts))).scalar_one() == 0
