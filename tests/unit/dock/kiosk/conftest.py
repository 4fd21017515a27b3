"""A dock on paper behind the real application."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from dockd.dock.kiosk.app import build_kiosk
from dockd.dock.kiosk.config import KioskConfig
from dockd.web.sse import Streams
from tests.support.kiosk_fakes import DockOnPaper, empty_bay, held_bay, ready_bay


@pytest.fixture
def dock() -> DockOnPaper:
    return DockOnPaper(
        ready_bay("1", percent=85),
        ready_bay("2", percent=97),
        held_bay("3"),
        empty_bay("4"),
        ready_bay("5", percent=None),
    )


@pytest_asyncio.fixture
async def client(dock: DockOnPaper) -> AsyncIterator[TestClient]:
    streams = Streams(maximum=8, heartbeat_seconds=0.2, interval_seconds=0)
    app = build_kiosk(dock, dock, KioskConfig(), streams=streams)
    async with TestClient(TestServer(app)) as client:
        yield client
