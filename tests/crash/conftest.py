"""A centre that runs as a process, and stations beside it, for the tests that kill docks."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.launchers import Nursery, launching
from tests.support.processes import CentreProcess, Town


@pytest.fixture
async def town(tmp_path: Path, seed: int) -> AsyncIterator[Town]:
    """A running centre; stations are made as they are wanted."""
    async with launching(await Nursery.open()) as launcher:
        centre = await CentreProcess.make(tmp_path / "centre", launcher)
        await centre.start()
        yield Town(tmp_path, centre, random.Random(seed))
