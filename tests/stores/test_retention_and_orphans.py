"""Retention is believed only when the store confirms it; what nobody finishes is given up, objects never are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from dockd.central.refusals import STORE_SUSPECT
from dockd.central.stores.s3.config import StoreConfig
from dockd.central.stores.s3.store import S3Store
from dockd.clock import SystemClock
from dockd.web.problems import Refusal
from tests.support.ceph_rgw import CephRgw
from tests.support.object_store import make_bucket, s3_client
from tests.support.store_site import PART_BYTES, open_s3_site

CONTENT = os.urandom(PART_BYTES) + os.urandom(10)


async def test_retention_that_the_store_forgets_is_never_signed_for(
    ceph: CephRgw, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> None:
    """Ceph 16 takes the retention of a multipart upload with 200 and does not keep it."""
    await make_bucket(ceph.server, bucket_name, has_lock=True)
    config = configured(ceph.server, bucket_name, retention_days=1)
    async with open_s3_site(tmp_path, config, SystemClock()) as site:
        with pytest.raises(Refusal) as refused:
            await site.keep(b"to be kept")
        assert refused.value.kind is STORE_SUSPECT
        assert "retention" in refused.value.what


async def test_confirmed_retention_is_in_the_receipt(
    ceph: CephRgw, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> None:
    """An empty recording is put whole, and there Ceph keeps what was asked."""
    await make_bucket(ceph.server, bucket_name, has_lock=True)
    config = configured(ceph.server, bucket_name, retention_days=1)
    async with open_s3_site(tmp_path, config, SystemClock()) as site:
        stored = await site.keep(b"")
        assert stored.object_version
        assert stored.retain_until is not None
        assert stored.retain_until > site.clock.now() + timedelta(hours=23)


async def test_orphaned_uploads_are_aborted_and_living_ones_are_not(
    ceph: CephRgw, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> None:
    await make_bucket(ceph.server, bucket_name)
    async with s3_client(ceph.server) as client:
        orphan = await client.create_multipart_upload(Bucket=bucket_name, Key="objects/or/ph/an")
        async with open_s3_site(tmp_path, configured(ceph.server, bucket_name), SystemClock()) as site:
            assert isinstance(site.store, S3Store)
            plan = await site.plan(CONTENT)
            await site.store.begin(plan)
            assert await site.store.give_up_orphans(timedelta(days=7)) == 0
            await asyncio.sleep(1.1)
            assert await site.store.give_up_orphans(timedelta(seconds=1)) == 1
            left = await client.list_multipart_uploads(Bucket=bucket_name)
            assert orphan["UploadId"] not in [one["UploadId"] for one in left["Uploads"]]
            await site.send(plan, CONTENT)
            assert (await site.get((await site.place(plan)).object_key))[1] == CONTENT


async def test_store_killed_in_the_middle_of_a_part_and_started_again(
    ceph: CephRgw, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> None:
    """The part that was under way is not there; the finished one is, and the upload goes on."""
    await make_bucket(ceph.server, bucket_name)
    async with open_s3_site(tmp_path, configured(ceph.server, bucket_name), SystemClock()) as site:
        plan = await site.plan(CONTENT)
        await site.store.begin(plan)
        await site.send(plan, CONTENT, 2)
        address = site.address(plan, 1)

        async def slowly() -> AsyncIterator[bytes]:
            yield CONTENT[: PART_BYTES // 2]
            await asyncio.to_thread(ceph.kill_gateway)
            yield CONTENT[PART_BYTES // 2 : PART_BYTES]

        status = await site.put_pieces(address, slowly())
        assert status is None
        with pytest.raises(Refusal) as refused:
            await site.store.begin(plan)
        assert refused.value.kind is STORE_SUSPECT
        await asyncio.to_thread(ceph.start_gateway)
        assert await site.store.begin(plan) == {2}
        await site.send(plan, CONTENT, 1)
        assert (await site.get((await site.place(plan)).object_key))[1] == CONTENT
