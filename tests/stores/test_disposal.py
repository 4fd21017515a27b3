"""Deleting on a permit, over a folder and real S3 servers: gone for good, or kept and told."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete

from dockd.central.stores import KeptByStore, StoredObject
from dockd.central.stores.s3.config import StoreConfig
from dockd.central.tables import uploads
from dockd.clock import SystemClock
from dockd.web.problems import Refusal
from tests.support.ceph_rgw import CephRgw
from tests.support.object_store import make_bucket, s3_client
from tests.support.permits import permit_for
from tests.support.store_site import PART_BYTES, StoreSite, digest_of, open_s3_site

CONTENT = os.urandom(PART_BYTES) + os.urandom(10)


async def dispose(site: StoreSite, stored: StoredObject, content: bytes) -> None:
    async with site.store.disposing():
        await site.store.dispose(permit_for(stored, digest_of(content), len(content), site.clock.now()))


async def test_permitted_object_is_gone_and_no_other(site: StoreSite) -> None:
    stored, other = await site.keep(CONTENT), await site.keep(b"another recording")
    assert await site.store.has_object(stored.object_key, stored.object_version)
    await dispose(site, stored, CONTENT)
    assert not await site.store.has_object(stored.object_key, stored.object_version)
    assert (await site.get(stored.object_key))[0] == 404
    assert (await site.get(other.object_key))[1] == b"another recording"
    with pytest.raises(KeptByStore, match="does not hold it"):
        await dispose(site, stored, CONTENT)


async def test_deleted_recording_can_be_kept_again(site: StoreSite) -> None:
    await dispose(site, await site.keep(b"footage"), b"footage")
    async with site.database.writing() as connection:  # as `retention.disposal` does with the fact that it is done
        await connection.execute(delete(uploads).where(uploads.c.digest == digest_of(b"footage")))
    again = await site.keep(b"footage")
    assert (await site.get(again.object_key))[1] == b"footage"


async def test_permit_of_other_bytes_deletes_nothing(site: StoreSite) -> None:
    stored = await site.keep(b"footage")
    for content in (b"foot", b"feetage"):
        with pytest.raises(KeptByStore):
            await dispose(site, stored, content)
    assert (await site.get(stored.object_key))[1] == b"footage"


async def test_two_that_delete_the_same_at_once_leave_it_gone(site: StoreSite) -> None:
    stored = await site.keep(b"footage")
    ends = await asyncio.gather(*(dispose(site, stored, b"footage") for _ in range(2)), return_exceptions=True)
    assert sum(end is None for end in ends) >= 1
    assert not await site.store.has_object(stored.object_key, stored.object_version)


async def test_version_is_gone_for_good_and_no_marker_hides_it(
    ceph: CephRgw, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> None:
    await make_bucket(ceph.server, bucket_name, has_lock=True)
    async with open_s3_site(tmp_path, configured(ceph.server, bucket_name), SystemClock()) as site:
        stored = await site.keep(b"footage")
        assert stored.object_version
        unversioned = StoredObject(stored.object_key, None)
        with pytest.raises(KeptByStore, match="only hide"):
            await dispose(site, unversioned, b"footage")
        await dispose(site, stored, b"footage")
        async with s3_client(ceph.server) as client:
            listed = await client.list_object_versions(Bucket=bucket_name, Prefix=stored.object_key)
        assert not listed.get("Versions")
        assert not listed.get("DeleteMarkers")


async def test_lock_of_the_store_is_told_before_it_is_asked_and_refused_when_it_is(
    ceph: CephRgw, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> None:
    """An empty recording is put whole, and there Ceph keeps the retention that was asked for."""
    await make_bucket(ceph.server, bucket_name, has_lock=True)
    config = configured(ceph.server, bucket_name, retention_days=1, retention_mode="COMPLIANCE")
    async with open_s3_site(tmp_path, config, SystemClock()) as site:
        stored = await site.keep(b"")
        with pytest.raises(KeptByStore, match="locked until") as told:
            await dispose(site, stored, b"")
        assert told.value.until == stored.retain_until
        assert site.service is not None
        with pytest.raises(KeptByStore, match="403"):
            await site.service._bucket.dispose(permit_for(stored, digest_of(b""), 0, site.clock.now()))
        assert await site.store.has_object(stored.object_key, stored.object_version)


async def test_bucket_that_is_not_there_is_trouble_and_no_success(
    ceph: CephRgw, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> None:
    await make_bucket(ceph.server, bucket_name)
    async with open_s3_site(tmp_path, configured(ceph.server, f"{bucket_name}-other"), SystemClock()) as site:
        with pytest.raises(Refusal):
            await site.store.has_object("objects/ab/cd/x", None)
