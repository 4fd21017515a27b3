"""The deployment that every test here begins with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.support.ceph_rgw import running_ceph
from tests.support.deployment import Deployment, deployed
from tests.support.object_store import ObjectStoreServer
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStoreServer]:
    """The bucket's server."""
    with running_ceph(tmp_path_factory.mktemp("ceph") / "cluster") as running:
        yield running.server


@pytest_asyncio.fixture
async def deployment(tmp_path: Path, postgres: PostgresServer, ceph: ObjectStoreServer) -> AsyncIterator[Deployment]:
    """docs/deploy.md followed to the end of its section 5."""
    async with deployed(tmp_path, postgres, ceph) as one:
        yield one


@pytest_asyncio.fixture
async def session(deployment: Deployment) -> AsyncIterator[aiohttp.ClientSession]:
    """The administrator's script, which believes nginx's certificate."""
    async with deployment.session() as one:
        yield one
