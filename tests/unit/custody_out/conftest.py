"""One archive and its export, made once; every test that tampers works on a copy of its own."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from dockd.custody_out.export import Exporter, Selection
from dockd.model.ids import SessionId
from tests.support.archive import MadeArchive
from tests.support.clock import ManualClock


@pytest.fixture(scope="session")
def archive() -> MadeArchive:
    """Three sessions; the second is the one that is exported."""
    made = MadeArchive()
    made.session("session-1", [b"other footage"])
    made.session("session-2", [b"first " * 900, b"second " * 400, b""])
    made.session("session-3", [b"later footage"])
    return made


@pytest.fixture(scope="session")
def pristine(archive: MadeArchive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of `session-2` that nobody touches."""
    root = tmp_path_factory.mktemp("pristine") / "export"
    asyncio.run(Exporter(archive, root, ManualClock()).export(Selection(session=SessionId("session-2"))))
    return root


@pytest.fixture
def export(pristine: Path, tmp_path: Path) -> Path:
    """A copy to tamper with."""
    return Path(shutil.copytree(pristine, tmp_path / "export"))
