"""A real centre on loopback with real files, its clock moved by hand, and a dock's voice to speak to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from dockd.central.app import ServedCentre, initialise_centre, serving_centre
from dockd.central.config import CentreConfig
from tests.support.clock import ManualClock
from tests.support.dock_voice import DockVoice


@pytest_asyncio.fixture
async def folder(tmp_path: Path) -> Path:
    """A centre's folder, set up."""
    folder = tmp_path / "centre"
    await initialise_centre(folder, store="store-test")
    return folder


@pytest.fixture
def config(folder: Path) -> CentreConfig:
    """Small limits, so that tests reach them; no floor, so that a full test machine does not matter."""
    return CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0, part_idle_seconds=1)


@pytest_asyncio.fixture
async def centre(config: CentreConfig, clock: ManualClock) -> AsyncIterator[ServedCentre]:
    """Serving."""
    async with serving_centre(config, clock=clock) as served:
        yield served


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain HTTP client."""
    async with aiohttp.ClientSession() as one:
        yield one


@pytest.fixture
def dock(centre: ServedCentre, session: aiohttp.ClientSession) -> DockVoice:
    """A dock that speaks to the centre."""
    return DockVoice(session, centre.url)
