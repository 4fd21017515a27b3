"""What the canary found is kept for good, compared, believed for a day, and told in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from dockd.central.canary import FRESH_FOR, NEEDED_FOR_TRUST, CanaryRecords, CanaryReport, Check, Finding
from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database, sqlite_url
from dockd.central.store_checks import LATE_AFTER, BucketRecords, store_checks
from dockd.central.stores import UploadPlan
from dockd.central.stores.s3.store import S3Store
from dockd.central.verifier_queue import Outcome, ReadBack, VerifierQueue
from tests.support.bucket_centres import claim_of
from tests.support.clock import ManualClock
from tests.support.memory_bucket import MemoryBucket
from tests.support.store_site import digest_of

GOOD = {check: Finding(True, "HTTP 400") for check in Check}


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    one = Database(sqlite_url(tmp_path / "centre.sqlite"))
    await one.open()
    yield one
    await one.close()


@pytest.fixture
def bucket(clock: ManualClock) -> MemoryBucket:
    return MemoryBucket(clock)


@pytest.fixture
def records(database: Database, bucket: MemoryBucket, clock: ManualClock) -> CanaryRecords:
    return CanaryRecords(database, bucket.place, clock)


def report(clock: ManualClock, *bad: Check) -> CanaryReport:
    return CanaryReport(clock.now(), GOOD | {check: Finding(False, "HTTP 200") for check in bad})


async def keep(records: CanaryRecords, one: CanaryReport) -> CanaryReport:
    compared = one.compared_with(await records.latest())
    await records.keep(compared)
    return compared


@pytest.mark.parametrize("check", list(Check))
def test_every_wrong_digest_that_is_taken_costs_the_trust_and_nothing_else_does(
    clock: ManualClock, check: Check
) -> None:
    assert report(clock).is_trusted
    assert report(clock, check).is_trusted is (check not in NEEDED_FOR_TRUST)
    untried = {one: finding for one, finding in GOOD.items() if one is not check}
    assert CanaryReport(clock.now(), untried).is_trusted is (check not in NEEDED_FOR_TRUST)


async def test_every_result_is_kept_and_found_newest_first(records: CanaryRecords, clock: ManualClock) -> None:
    kept = []
    for turn in range(12):
        kept.append(await keep(records, report(clock, *([Check.WRONG_MD5] if turn % 3 == 2 else []))))
        clock.advance(86_400)
    found = await records.before(None, 100)
    assert [one.report for one in found] == kept[::-1]
    middle = found[5]
    assert [one.report for one in await records.before(middle.number, 3)] == kept[::-1][6:9]
    assert [one.worse for one in kept[:4]] == [(), (), (Check.WRONG_MD5,), ()]


async def test_results_of_another_bucket_are_not_ours(
    database: Database, records: CanaryRecords, clock: ManualClock
) -> None:
    other = CanaryRecords(database, replace(MemoryBucket(clock).place, bucket="another"), clock)
    await other.keep(report(clock))
    assert await records.latest() is None
    assert not await records.is_trusted(clock.now())


async def test_every_result_is_a_fact_of_the_centre(
    database: Database, records: CanaryRecords, bucket: MemoryBucket, clock: ManualClock
) -> None:
    await keep(records, report(clock))
    clock.advance(86_400)
    await keep(records, report(clock, Check.WRONG_MD5))
    first, second = await CentreFacts(database, clock).read(limit=10, kind="StoreTried")
    assert (first.actor, first.about["bucket"], first.about["is_trusted"]) == ("dockd", bucket.place.bucket, True)
    assert first.about["does"] == {check.name: True for check in Check}
    assert (second.about["is_trusted"], second.about["worse"]) == (False, ["WRONG_MD5"])
    assert second.about["does"] == {check.name: check is not Check.WRONG_MD5 for check in Check}
    assert second.is_whole
    assert second.previous == first.hash


async def test_words_say_whether_recordings_are_read_back_and_why(
    database: Database, records: CanaryRecords, clock: ManualClock
) -> None:
    told = BucketRecords(records, VerifierQueue(database, clock, records.bucket))
    folder = await store_checks(None, clock.now())
    assert (folder.kind, folder.is_read_back, folder.reports) == ("folder", True, ())
    untried = await store_checks(told, clock.now())
    assert untried.is_read_back
    assert "not been tried yet" in untried.words

    await keep(records, report(clock))
    trusted = await store_checks(told, clock.now())
    assert not trusted.is_read_back
    assert "refused every wrong digest" in trusted.words
    assert all(one.is_kept and not one.became_worse for one in trusted.reports[0].findings)

    later = clock.now() + FRESH_FOR + timedelta(seconds=1)
    old = await store_checks(told, later)
    assert old.is_read_back
    assert "too long ago" in old.words

    clock.advance(60)
    await keep(records, report(clock, Check.WRONG_SHA256_HEADER, Check.OBJECT_LOCK))
    worse = await store_checks(told, clock.now(), limit=1)
    assert worse.is_read_back
    assert "does not refuse every wrong digest" in worse.words
    assert worse.reports[0].is_worse_than_before
    became = {one.check: one.is_needed for one in worse.reports[0].findings if one.became_worse}
    assert became == {"wrong-sha256-header": True, "object-lock": False}
    assert worse.next_after == worse.reports[0].number
    (before,) = (await store_checks(told, clock.now(), before=worse.next_after)).reports
    assert before.refuses_every_wrong_digest


async def test_what_waits_to_be_read_back_is_counted_and_called_late(
    database: Database, records: CanaryRecords, clock: ManualClock
) -> None:
    queue = VerifierQueue(database, clock, records.bucket)
    told = BucketRecords(records, queue)
    assert ((await store_checks(told, clock.now())).waiting, (await queue.backlog()).oldest_at) == (0, None)
    began_at = clock.now()
    jobs = [ReadBack(f"objects/{name}", None, digest_of(b"a"), 1, 1, (digest_of(b"a"),)) for name in "ab"]
    for job in jobs:
        await queue.ask(job)
        clock.advance(60)
    checks = await store_checks(told, clock.now())
    assert (checks.waiting, checks.oldest_waiting_since, checks.is_late) == (2, began_at, False)
    clock.advance(LATE_AFTER.total_seconds())
    assert (await store_checks(told, clock.now())).is_late
    await queue.take("one")
    assert (await store_checks(told, clock.now())).waiting == 2  # it is being read, and not proved yet
    await queue.finish(jobs[0], Outcome.SOUND)
    assert (await store_checks(told, clock.now())).waiting == 1


@pytest.mark.slow
async def test_object_is_read_back_unless_the_last_result_is_fresh_and_good(
    database: Database, records: CanaryRecords, bucket: MemoryBucket, clock: ManualClock
) -> None:
    """Nobody reads back here: what is not trusted waits."""
    store = S3Store(bucket, database=database, clock=clock, work_to_do=asyncio.Event())

    async def place(content: bytes) -> str:
        claim = claim_of(content)
        plan = UploadPlan(
            claim.recording, claim.digest, claim.size_bytes, claim.part_size_bytes, tuple(map(digest_of, (content,)))
        )
        await store.begin(plan)
        bucket.put_part(next(one.key for one in bucket.multiparts.values()), 1, content)
        async with asyncio.timeout(1), store.placed(plan) as stored:
            return stored.object_key

    await keep(records, report(clock))
    assert await place(b"first") in bucket.objects
    await keep(records, report(clock, Check.WRONG_SHA256_HEADER))
    with pytest.raises(TimeoutError):
        await place(b"second")
    await keep(records, report(clock))
    clock.advance(FRESH_FOR.total_seconds())
    with pytest.raises(TimeoutError):
        await place(b"third")
