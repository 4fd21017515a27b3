"""The canary on real stores: what each was measured to refuse, kept, compared and believed no longer than a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from dockd.central.canary import FRESH_FOR, CanaryRecords, CanaryReport, Check
from dockd.central.stores.s3.config import StoreConfig
from dockd.clock import SystemClock
from tests.support.ceph_rgw import CephRgw
from tests.support.object_store import ObjectStoreServer, make_bucket, s3_client
from tests.support.store_site import StoreSite, open_s3_site


async def _tried(site: StoreSite) -> CanaryReport:
    assert site.service is not None
    return await site.service.canary.check()


async def test_ceph_ignores_checksum_headers_and_is_not_trusted(
    ceph: CephRgw, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> None:
    await make_bucket(ceph.server, bucket_name, has_lock=True)
    async with open_s3_site(tmp_path, configured(ceph.server, bucket_name), SystemClock()) as site:
        report = await _tried(site)
    bad = {check for check, one in report.findings.items() if not one.is_good}
    assert bad == {Check.WRONG_SHA256_HEADER, Check.WRONG_SHA256_IN_LATER_PART, Check.OVERWRITING}, report
    assert not report.is_trusted
    async with s3_client(ceph.server) as client:
        left = await client.list_object_versions(Bucket=bucket_name)
        uploads = await client.list_multipart_uploads(Bucket=bucket_name)
    assert "Versions" not in left
    assert "DeleteMarkers" not in left
    assert "Uploads" not in uploads


async def test_swift_refuses_every_wrong_digest_and_is_not_read_back(
    swift: ObjectStoreServer, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> None:
    await make_bucket(swift, bucket_name)
    async with open_s3_site(tmp_path, configured(swift, bucket_name), SystemClock(), is_verifying=False) as site:
        report = await _tried(site)
        assert report.is_trusted, report
        assert not report.findings[Check.OBJECT_LOCK].is_good
        stored = await site.keep(b"nobody reads this back")
        assert (await site.get(stored.object_key))[1] == b"nobody reads this back"
        records = CanaryRecords(site.database, configured(swift, bucket_name).place, site.clock)
        assert await records.is_trusted(site.clock.now())
        assert not await records.is_trusted(site.clock.now() + FRESH_FOR + timedelta(seconds=1))
