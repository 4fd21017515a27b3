"""A bucket that does not delete: locked, forbidden, away, or deleting without a word. Told, kept, never stormed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from dockd.central.database import sqlite_url
from dockd.central.retention.disposal import LOT
from dockd.central.stores.s3.bucket import Bucket
from dockd.central.stores.s3.config import StoreConfig
from dockd.rules.retention import ROUTINE
from tests.support.clock import START, ManualClock
from tests.support.memory_bucket import MemoryBucket
from tests.support.retention_site import RetentionSite, open_retention_site

DAY = timedelta(days=1)


@asynccontextmanager
async def opened(folder: Path, bucket: MemoryBucket, clock: ManualClock) -> AsyncIterator[RetentionSite]:
    (folder / "centre").mkdir(mode=0o700)
    url = sqlite_url(folder / "centre" / "centre.sqlite")
    async with open_retention_site(folder / "centre", url, clock, bucket=bucket) as site:
        yield site


async def routine(site: RetentionSite, *contents: bytes) -> list[str]:
    digests = [await site.bring(one, recorded_at=START) for one in contents]
    await site.retention.decisions.classify(digests, ROUTINE, by="Ann", reason="nothing found")
    return digests


async def test_the_version_of_the_receipt_goes_when_its_lock_has_passed(tmp_path: Path, clock: ManualClock) -> None:
    bucket = MemoryBucket(clock, has_lock=True, retention_days=60)
    async with opened(tmp_path, bucket, clock) as site:
        (digest,) = await routine(site, b"footage")
        receipt = await site.receipt(digest)
        assert receipt.object_version is not None
        assert receipt.retain_until == START + 60 * DAY
        site.pass_days(59)
        assert (await site.retention.runs.run(actor="Ann")).due == 0
        site.pass_days(1)
        assert (await site.retention.runs.run(actor="Ann")).deleted == 1
    assert bucket.objects == {}
    assert bucket.asked_to_delete == [receipt.object_key]


async def test_lock_that_the_receipt_does_not_tell_of_is_found_before_asking(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Somebody lengthened it in the store: it is not asked to delete, and looked at again when the lock has passed."""
    bucket = MemoryBucket(clock, has_lock=True, retention_days=1)
    async with opened(tmp_path, bucket, clock) as site:
        (digest,) = await routine(site, b"footage")
        kept = next(iter(bucket.objects.values()))
        assert kept.retention is not None
        kept.retention = type(kept.retention)(kept.retention.mode, START + 90 * DAY)
        site.pass_days(40)
        for _ in range(5):
            done = await site.retention.runs.run(actor="Ann")
            assert (done.due, done.deleted) == (1, 0)
            site.pass_days(1)
        assert bucket.asked_to_delete == []
        assert len(await site.told("DisposalRefused")) == 1
        found = await site.retention.recording(digest, await site.receipt(digest))
        assert found.refusal is not None
        assert "locked until 2027-02-20" in found.refusal
        site.pass_days(46)
        assert (await site.retention.runs.run(actor="Ann")).deleted == 1


async def test_store_that_forbids_deleting_is_asked_a_few_times_and_then_left_alone_for_days(
    tmp_path: Path, clock: ManualClock
) -> None:
    bucket = MemoryBucket(clock)
    bucket.forbids_deleting = True
    async with opened(tmp_path, bucket, clock) as site:
        digests = await routine(site, *(bytes([place]) for place in range(LOT + 5)))
        site.pass_days(40)
        done = await site.retention.runs.run(actor="Ann")
        assert done.deleted == 0
        assert done.said is not None
        assert "refused 3 times in a row" in done.said
        assert "403" in done.said
        assert len(bucket.asked_to_delete) == 3
        for _ in range(3):
            await site.retention.runs.run(actor="Ann")
        first = [key for key in bucket.asked_to_delete if bucket.asked_to_delete.count(key) > 1]
        assert first == [], "what was refused is not asked again on the same day"
        assert [await site.has(one) for one in digests] == [True] * len(digests)
        # A dock that has it too gets its receipt: it is there.
        assert (await site.claim(bytes([0]), recorded_at=START)).receipt is not None
        bucket.forbids_deleting = False
        for _ in range(8):
            site.pass_days(1)
            await site.retention.runs.run(actor="Ann")
        assert bucket.objects == {}


async def test_store_that_is_away_ends_the_run_and_nothing_is_given_out_that_may_be_gone(
    tmp_path: Path, clock: ManualClock
) -> None:
    bucket = MemoryBucket(clock)
    async with opened(tmp_path, bucket, clock) as site:
        digests = sorted(await routine(site, b"one", b"two", b"three"))
        site.pass_days(40)
        bucket.loses_answers = True
        done = await site.retention.runs.run(actor="Ann")
        assert done.deleted == 0
        assert done.said == "The object store does not answer in time."
        assert [await site.state(one) for one in digests] == ["intended", "withdrawn", "withdrawn"]
        assert len(bucket.asked_to_delete) == 1
        bucket.is_away = bucket.loses_answers = False
        await site.retention.runs.look()
        assert await site.state(digests[0]) == "done"
        assert bucket.objects == {}


async def test_object_that_is_not_there_is_not_called_deleted(tmp_path: Path, clock: ManualClock) -> None:
    """A centre that is set up for another bucket finds nothing there: that is no success."""
    bucket = MemoryBucket(clock)
    async with opened(tmp_path, bucket, clock) as site:
        (digest,) = await routine(site, b"footage")
        site.pass_days(40)
        elsewhere, bucket.objects = bucket.objects, {}
        done = await site.retention.runs.run(actor="Ann")
        assert (done.deleted, done.kept) == (0, 1)
        assert await site.state(digest) == "refused"
        assert "does not hold it" in str((await site.told("DisposalRefused"))[0]["recordings"])
        assert len(elsewhere) == 1


async def test_bucket_with_versions_and_a_receipt_without_one_hides_nothing(tmp_path: Path, clock: ManualClock) -> None:
    bucket = MemoryBucket(clock)
    async with opened(tmp_path, bucket, clock) as site:
        await routine(site, b"footage")
        site.pass_days(40)
        bucket._has_lock = True  # versions were turned on after it was stored
        assert (await site.retention.runs.run(actor="Ann")).deleted == 0
        assert "receipt names none" in str((await site.told("DisposalRefused"))[0]["recordings"])
        assert bucket.asked_to_delete == []


async def test_only_what_the_canary_made_can_be_deleted_without_a_permit() -> None:
    given = {"kind": "s3", "endpoint": "http://127.0.0.1:9", "bucket": "footage", "credentials_file": "/none"}
    with pytest.raises(ValueError, match="not the canary's"):
        await Bucket(StoreConfig.model_validate(given)).delete("objects/ab/cd/x", None)
