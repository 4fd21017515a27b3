"""The bucket store's own promises over a bucket in memory: what it asks, believes, gives up and never touches."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dockd.central.database import Database, sqlite_url
from dockd.central.refusals import PART_DAMAGED, STORE_SUSPECT
from dockd.central.stores import StoredObject, UploadPlan
from dockd.central.stores.s3.bucket import Bucket, part_headers
from dockd.central.stores.s3.config import StoreConfig
from dockd.central.stores.s3.store import S3Store
from dockd.central.stores.s3.uploads import SMALLEST_PART_BYTES
from dockd.central.verifier import Verifier
from dockd.central.verifier_queue import VerifierQueue
from dockd.web.problems import Refusal
from tests.support.clock import ManualClock
from tests.support.memory_bucket import MemoryBucket
from tests.support.store_site import PART_BYTES, digest_of

CONTENT = os.urandom(1000)
DAY = timedelta(days=1)


def plan_of(content: bytes, name: str = "up-1") -> UploadPlan:
    parts = tuple(digest_of(content[at : at + PART_BYTES]) for at in range(0, len(content), PART_BYTES))
    return UploadPlan(name, digest_of(content), len(content), PART_BYTES, parts)


@asynccontextmanager
async def opened(folder: Path, bucket: MemoryBucket, clock: ManualClock) -> AsyncIterator[S3Store]:
    database = Database(sqlite_url(folder / "centre.sqlite"))
    await database.open()
    work_to_do = asyncio.Event()
    store = S3Store(bucket, database=database, clock=clock, work_to_do=work_to_do)
    queue = VerifierQueue(database, clock, bucket.place.bucket)
    working = asyncio.create_task(Verifier(bucket, queue, work_to_do).run())
    try:
        yield store
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await database.close()


def key_of(bucket: MemoryBucket) -> str:
    return next(iter(bucket.multiparts.values())).key


async def place(store: S3Store, plan: UploadPlan) -> StoredObject:
    async with store.placed(plan) as stored:
        return stored


async def sent(store: S3Store, bucket: MemoryBucket, content: bytes = CONTENT) -> UploadPlan:
    plan = plan_of(content)
    await store.begin(plan)
    if content:
        bucket.put_part(key_of(bucket), 1, content)
    return plan


async def test_object_that_the_disk_damaged_is_kept_and_sent_again_under_another_key(
    tmp_path: Path, clock: ManualClock
) -> None:
    bucket = MemoryBucket(clock)
    async with opened(tmp_path, bucket, clock) as store:
        plan = await sent(store, bucket)
        first = key_of(bucket)
        bucket.damages_next = True
        with pytest.raises(Refusal) as refused:
            await place(store, plan)
        assert refused.value.kind is PART_DAMAGED
        assert list(bucket.objects) == [first]
        await sent(store, bucket)
        stored = await place(store, plan)
    assert stored.object_key != first
    assert bucket.objects[stored.object_key].content == CONTENT
    assert bucket.objects[first].content != CONTENT


async def test_object_that_is_gone_after_the_join_is_not_signed_for(tmp_path: Path, clock: ManualClock) -> None:
    bucket = MemoryBucket(clock)
    async with opened(tmp_path, bucket, clock) as store:
        plan = await sent(store, bucket)
        bucket.loses_next = True
        with pytest.raises(Refusal) as refused:
            await place(store, plan)
        assert refused.value.kind is PART_DAMAGED
        assert "does not hold" in refused.value.what
        await sent(store, bucket)
        assert (await place(store, plan)).object_key in bucket.objects


@pytest.mark.parametrize("content", [CONTENT, b""], ids=["parts", "empty"])
async def test_retention_is_asked_when_the_upload_begins_and_told_when_confirmed(
    tmp_path: Path, clock: ManualClock, content: bytes
) -> None:
    bucket = MemoryBucket(clock, has_lock=True, retention_days=31)
    wanted = clock.now() + 31 * DAY
    async with opened(tmp_path, bucket, clock) as store:
        plan = await sent(store, bucket, content)
        clock.advance(3600)
        stored = await place(store, plan)
        await store.discard(plan)
    assert stored.retain_until == wanted
    assert stored.object_version is not None
    assert bucket.multiparts == {}


async def test_retention_that_the_store_forgets_is_never_signed_for(tmp_path: Path, clock: ManualClock) -> None:
    bucket = MemoryBucket(clock, has_lock=True, retention_days=31)
    bucket.forgets_retention = True
    async with opened(tmp_path, bucket, clock) as store:
        plan = await sent(store, bucket)
        for call in (place(store, plan), store.keep_document("sessions/d/s/manifest.txt", b"x")):
            with pytest.raises(Refusal) as refused:
                await call
            assert refused.value.kind is STORE_SUSPECT
            assert "retention" in refused.value.what


async def test_no_retention_is_asked_of_a_bucket_without_lock(tmp_path: Path, clock: ManualClock) -> None:
    bucket = MemoryBucket(clock, retention_days=31)
    async with opened(tmp_path, bucket, clock) as store:
        assert (await place(store, await sent(store, bucket))).retain_until is None


async def test_only_old_uploads_of_ours_that_no_row_knows_and_no_object_came_of_are_aborted(
    tmp_path: Path, clock: ManualClock
) -> None:
    bucket = MemoryBucket(clock)
    async with opened(tmp_path, bucket, clock) as store:
        living = await sent(store, bucket)
        orphan = await bucket.begin("objects/or/ph/an")
        foreign = await bucket.begin("backups/of/somebody")
        became = await bucket.begin("objects/be/ca/me")
        await bucket.put("objects/be/ca/me", b"an object")
        assert await store.give_up_orphans(7 * DAY) == 0
        clock.advance(8 * DAY.total_seconds())
        young = await bucket.begin("objects/yo/un/g")
        assert await store.give_up_orphans(7 * DAY) == 1
        assert orphan not in bucket.multiparts
        assert {foreign, became, young} < set(bucket.multiparts)
        assert (await place(store, living)).object_key in bucket.objects


async def test_parts_smaller_than_s3_takes_are_refused_at_the_claim(tmp_path: Path, clock: ManualClock) -> None:
    small = SMALLEST_PART_BYTES - 1
    content = bytes(small + 1)
    plan = UploadPlan("up-1", digest_of(content), len(content), small, (digest_of(bytes(small)), digest_of(b"\0")))
    async with opened(tmp_path, MemoryBucket(clock), clock) as store:
        with pytest.raises(Refusal, match="at least") as refused:
            await store.begin(plan)
    assert refused.value.kind.status == 422


@pytest.mark.slow
async def test_address_of_a_part_signs_its_length_and_its_digest_twice_and_no_md5(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The body is bound by SHA-256 alone: Content-MD5 is nowhere."""
    credentials = tmp_path / "credentials.ini"
    credentials.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    credentials.chmod(0o600)
    given = {"kind": "s3", "endpoint": "http://127.0.0.1:9", "bucket": "footage", "credentials_file": str(credentials)}
    bucket = Bucket(StoreConfig.model_validate(given))
    await bucket.open()
    try:
        part = plan_of(CONTENT).part(1)
        headers = part_headers(part)
        url = bucket.part_address("objects/a", "m", 1, headers, now=clock.now(), seconds=900)
        other = headers | {"x-amz-content-sha256": digest_of(b"other")}
        assert bucket.part_address("objects/a", "m", 1, other, now=clock.now(), seconds=900) != url
    finally:
        await bucket.close()
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-SignedHeaders"] == [
        "content-length;content-type;host;x-amz-checksum-sha256;x-amz-content-sha256;x-amz-sdk-checksum-algorithm"
    ]
    assert query["X-Amz-Expires"] == ["900"]
    assert headers["x-amz-content-sha256"] == part.digest
    assert base64.b64decode(headers["x-amz-checksum-sha256"]).hex() == part.digest
    assert headers["Content-Length"] == str(len(CONTENT))
    assert "md5" not in " ".join(headers).lower()
