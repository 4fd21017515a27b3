"""Real object stores, started once for each test process, and every kind of `ObjectStore` over them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from dockd.central.stores.s3.config import StoreConfig
from dockd.clock import SystemClock
from tests.support.ceph_rgw import CephRgw, running_ceph
from tests.support.object_store import ObjectStoreServer, make_bucket
from tests.support.store_site import StoreSite, open_folder_site, open_s3_site
from tests.support.swift_store import running_swift


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here starts servers."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.stores)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CephRgw]:
    """A Ceph with its gateway."""
    with running_ceph(tmp_path_factory.mktemp("ceph") / "cluster") as running:
        yield running


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStoreServer]:
    """A Swift with s3api."""
    with running_swift(tmp_path_factory.mktemp("swift") / "cluster") as running:
        yield running.server


@pytest.fixture
def server(request: pytest.FixtureRequest) -> ObjectStoreServer:
    """One S3 server after the other."""
    if request.param == "swift":
        return request.getfixturevalue("swift")
    return request.getfixturevalue("ceph").server


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., StoreConfig]:
    """Makes the `[store]` section for a server and a bucket."""

    def make(server: ObjectStoreServer, bucket: str, **changes: object) -> StoreConfig:
        credentials = server.write_credentials(tmp_path / "credentials.ini")
        given = {"kind": "s3", "endpoint": server.endpoint, "bucket": bucket, "credentials_file": str(credentials)}
        return StoreConfig.model_validate(given | {"timeout_seconds": 10} | changes)

    return make


@pytest.fixture
def bucket_name() -> str:
    """A name that no other test uses."""
    return f"test-{os.urandom(6).hex()}"


@pytest_asyncio.fixture(params=["folder", "ceph", "ceph-locked", "swift"])
async def site(
    request: pytest.FixtureRequest, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> AsyncIterator[StoreSite]:
    """Every kind of store, opened over a fresh database."""
    clock = SystemClock()
    if request.param == "folder":
        async with open_folder_site(tmp_path, clock) as opened:
            yield opened
        return
    server = request.getfixturevalue("swift") if request.param == "swift" else request.getfixturevalue("ceph").server
    is_locked = request.param == "ceph-locked"
    await make_bucket(server, bucket_name, has_lock=is_locked)
    async with open_s3_site(tmp_path, configured(server, bucket_name), clock) as opened:
        yield opened
