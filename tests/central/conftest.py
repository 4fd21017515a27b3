"""A real centre on loopback with real files, its clock moved by hand, and a dock's voice to speak to it.

Whatever uses `folder` or `config` runs twice: on the embedded SQLite and on a real PostgreSQL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.config import CentreConfig
from tests.support.clock import ManualClock
from tests.support.dock_voice import DockVoice
from tests.support.made_centres import MadeCentres


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def where(request: pytest.FixtureRequest, made_centres: MadeCentres) -> Iterator[dict[str, Any]]:
    """The keys of the configuration that say where the database is. With `folder` it is that centre's, else empty."""
    is_made = "folder" in request.fixturenames
    if request.param == "sqlite":
        if is_made:
            made_centres.on_sqlite()
        yield {}
        return
    server = request.getfixturevalue("postgres")
    name = made_centres.on_postgresql(server) if is_made else server.new_database()
    yield {"database_url": server.address(name)}
    server.drop_database(name)


@pytest.fixture
def folder(tmp_path: Path, where: dict[str, Any], made_centres: MadeCentres) -> Path:
    """A centre's folder, set up."""
    folder = tmp_path / "centre"
    made_centres.copy_to(folder, "postgresql" if where else "sqlite")
    return folder


@pytest.fixture
def config(folder: Path, where: dict[str, Any]) -> CentreConfig:
    """Small limits, so that tests reach them; no floor, so that a full test machine does not matter."""
    return CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0, part_idle_seconds=1, **where)


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
