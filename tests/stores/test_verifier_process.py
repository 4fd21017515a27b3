"""Read-backs done by a process of their own, found through the database that it shares with the centre."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from dockd.central.config import CentreConfig
from dockd.central.database import Database, sqlite_url
from dockd.central.opening import DATABASE_FILE, initialise_centre
from dockd.central.stores.s3.config import StoreConfig
from dockd.clock import SystemClock
from dockd.config.central import CentralConfig
from dockd.config.toml_text import config_text
from tests.support.ceph_rgw import CephRgw
from tests.support.object_store import make_bucket
from tests.support.store_site import open_s3_site


async def test_verifier_process_proves_what_a_centre_asks(
    ceph: CephRgw, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> None:
    await make_bucket(ceph.server, bucket_name)
    folder = tmp_path / "centre"
    await initialise_centre(folder)
    store = configured(ceph.server, bucket_name, verifiers=0)
    file = tmp_path / "centre.toml"
    section = CentreConfig(folder=str(folder))
    file.write_text(config_text(CentralConfig(central=section, store=store), changed_only=True), encoding="utf-8")
    database = Database(sqlite_url(folder / DATABASE_FILE))
    await database.open()
    command = [sys.executable, "-m", "dockd", "central", "verifier", "--config", str(file), "--workers", "2"]
    with (tmp_path / "verifier.log").open("wb") as log:
        verifier = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        async with open_s3_site(tmp_path, store, SystemClock(), database=database, is_verifying=False) as site:
            content = os.urandom(300_000)
            assert await site.get((await site.keep(content)).object_key) == (200, content)
    finally:
        verifier.terminate()
        status = verifier.wait(15)
        await database.close()
    told = (tmp_path / "verifier.log").read_text()
    assert status == 0, told
    assert "object_read_back" in told
    assert ceph.server.secret_key not in told
