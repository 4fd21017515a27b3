"""A sound dock host of folders for every test of the doctor."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.dock_host import DockHost


@pytest.fixture
def host(tmp_path: Path) -> DockHost:
    """A host at which nothing is wrong; a test breaks one thing."""
    return DockHost(tmp_path)
