"""A plain folder as a camera's card: the fastest camera there is, so that what is measured is the dock."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from dockd.driver_api import Clearance, Eraser, Listing
from dockd.errors import EraseFailed
from dockd.model.camera import SpaceReading
from dockd.model.ids import CardPath
from dockd.model.recording import SourceFile
from drivers.card_tree import CardFile, CardTree


class PlainCard:
    """Implements `driver_api.Storage` over the files directly in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tree = CardTree(folder, lambda: None)

    async def list(self) -> Listing:
        """All files, by name."""
        return Listing(tuple(self.listed(path) for path in sorted(self._folder.iterdir())))

    def listed(self, path: Path) -> SourceFile:
        """One file as listed now."""
        found = path.stat()
        return SourceFile(CardPath((os.fsencode(path.name),)), found.st_size, found.st_mtime_ns)

    def open_reader(self, source: SourceFile) -> CardFile:
        """Open one listed file, as the drivers of file-system cards do."""
        return self._tree.open_file(source)

    def erasing(self) -> AbstractAsyncContextManager[Eraser]:
        """A measurement erases nothing."""

        @asynccontextmanager
        async def refusing() -> AsyncIterator[Eraser]:
            yield _Refusing()

        return refusing()

    async def measure(self) -> SpaceReading:
        """Room on the folder's disk."""
        room = os.statvfs(self._folder)
        return SpaceReading(total_bytes=room.f_blocks * room.f_frsize, free_bytes=room.f_bavail * room.f_frsize)


class _Refusing:
    async def erase(self, clearance: Clearance) -> None:
        raise EraseFailed(f"{clearance.path.text} is not erased by a measurement.")
