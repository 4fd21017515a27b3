"""Every driver's rig, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.driver_rigs import RIGS, Rig


@pytest.fixture(params=sorted(RIGS))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """A docked camera; nothing of it may be left open after the test."""
    before = open_descriptors()
    made = RIGS[request.param](tmp_path)
    yield made
    made.close()
    assert made.open_mounts == 0, "left mounted"
    left = open_descriptors() - before
    assert not {one for one in left if str(tmp_path) in one}, "left open"


def open_descriptors() -> set[str]:
    """What this process has open, by descriptor and path."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that lists them
            found.add(f"{entry.name} {entry.readlink()}")
    return found
