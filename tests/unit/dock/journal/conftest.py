"""An open journal in a folder of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dockd.dock.journal import Journal
from tests.support.clock import ManualClock
from tests.support.journals import DOCK


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
async def journal(folder: Path, clock: ManualClock) -> AsyncIterator[Journal]:
    opened = await Journal.open(folder, dock=DOCK, clock=clock)
    yield opened
    await opened.close()
