"""A real centre and a whole simulated dock for every test here, in one process over loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dockd.central.app import serving_centre
from dockd.central.config import CentreConfig
from tests.support.dock_rig import DockRig
from tests.support.made_centres import MadeCentres


@pytest.fixture
def centre_folder(made_centres: MadeCentres) -> MadeCentres:
    """What a centre's folder is copied from."""
    made_centres.on_sqlite()
    return made_centres


@pytest.fixture
async def rig(tmp_path: Path, centre_folder: MadeCentres) -> AsyncIterator[DockRig]:
    """A station whose dock is not yet running, beside a centre that is."""
    folder = tmp_path / "centre"
    pinned = centre_folder.copy_to(folder)
    async with serving_centre(CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0)) as centre:
        yield DockRig(tmp_path / "station", centre.url, pinned, folder)
