"""Looking at the video container of a staged file: the rule is pure, the reading is here."""

from __future__ import annotations

from pathlib import Path

from dockd.dock.disk import Disk
from dockd.model.recording import ContainerVerdict
from dockd.rules.container import inspect_container


def container_of(disk: Disk, path: Path) -> ContainerVerdict:
    """What the staged file at `path` says of its own completeness. Lets OSError through."""
    descriptor = disk.open_to_read(path, direct=False)
    try:

        def read_at(offset: int, length: int) -> bytes:
            content = bytearray(length)
            got = disk.read(descriptor, memoryview(content), offset)
            return bytes(content[:got])

        return inspect_container(read_at, disk.size_bytes(descriptor))
    finally:
        disk.close(descriptor)
