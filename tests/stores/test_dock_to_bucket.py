"""The whole way from a dock's staging disk to a bucket and back: real client, real centre, real store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from dockd.central.app import serving_centre
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.central.stores.s3.config import StoreConfig
from dockd.rules.custody import Custody
from tests.support.object_store import ObjectStoreServer, make_bucket
from tests.support.upload_site import open_site

LARGE_PART_BYTES = 5 * 1024 * 1024


@pytest.mark.parametrize("server", ["ceph", "swift"], indirect=True)
async def test_dock_sends_straight_to_the_bucket_and_gets_a_receipt(
    server: ObjectStoreServer, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> None:
    await make_bucket(server, bucket_name)
    folder = tmp_path / "centre"
    pinned = await initialise_centre(folder)
    config = CentreConfig(folder=str(folder), port=0)
    content = os.urandom(2 * LARGE_PART_BYTES + 4321)
    async with (
        serving_centre(config, store_config=configured(server, bucket_name)) as served,
        open_site(tmp_path / "dock", served.url, pinned) as site,
        aiohttp.ClientSession() as http,
    ):
        recording = await site.stage(content, part_bytes=LARGE_PART_BYTES)
        empty = await site.stage(b"", b"0002.MP4")
        async with site.uploading():
            entry = await site.reaches(recording, Custody.ACCEPTED, seconds=60)
            await site.reaches(empty, Custody.ACCEPTED, seconds=60)
        async with http.get(f"{served.url}/api/v1/recordings/{entry.digest}/content") as answer:
            assert answer.status == 200
            assert await answer.read() == content
        async with http.get(f"{served.url}/api/v1/recordings/{entry.digest}") as answer:
            receipt = (await answer.json())["receipt"]
        stored = await site.client.put_manifest(site.session, "manifest-sha256.txt", b"abc")
    assert receipt["object_key"].startswith(f"objects/{entry.digest[:2]}/")
    assert stored.size_bytes == 3
    assert not (folder / "objects").exists(), "nothing is kept beside the bucket"
