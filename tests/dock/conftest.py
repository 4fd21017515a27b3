"""A real centre and a whole simulated dock for every test here, in one process over loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dockd.central.app import serving_centre
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from tests.support.dock_rig import DockRig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[DockRig]:
    """A station whose dock is not yet running, beside a centre that is."""
    folder = tmp_path / "centre"
    pinned = await initialise_centre(folder)
    async with serving_centre(CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0)) as centre:
        yield DockRig(tmp_path / "station", centre.url, pinned, folder)
