"""A staging disk whose room and whose faults a test decides; everything else is the real disk's doing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from dockd.dock.disk import Disk

BLOCK_BYTES = 4096


class FailingDisk(Disk):
    """The real calls, except those named in `failing` (method names), which raise OSError(EIO)."""

    def __init__(self, *failing: str) -> None:
        super().__init__()
        self.failing = set(failing)
        self.calls: list[str] = []

    def _may_fail(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def write(self, descriptor: int, content: memoryview, offset: int) -> int:
        self._may_fail("write")
        return super().write(descriptor, content, offset)

    def read(self, descriptor: int, buffer: memoryview, offset: int) -> int:
        self._may_fail("read")
        return super().read(descriptor, buffer, offset)

    def sync(self, descriptor: int) -> None:
        self._may_fail("sync")
        super().sync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        self._may_fail("rename")
        super().rename(source, target)

    def sync_folder(self, folder: Path) -> None:
        self._may_fail("sync_folder")
        super().sync_folder(folder)


class ForgetfulDisk(Disk):
    """Takes every write and gives back something else: a disk with a broken cache."""

    def read(self, descriptor: int, buffer: memoryview, offset: int) -> int:
        count = super().read(descriptor, buffer, offset)
        if count:
            buffer[0] ^= 1
        return count


class Room:
    """Answers `statvfs` for a disk of `total_bytes`, on which only the files below `folder` take room."""

    def __init__(self, folder: Path, total_bytes: int) -> None:
        self.folder = folder
        self.total_bytes = total_bytes
        self.failing = False

    def __call__(self, _path: Path) -> os.statvfs_result:
        if self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        used = sum(one.lstat().st_blocks * 512 for one in self.folder.rglob("*") if one.is_file())
        free = max(0, self.total_bytes - used) // BLOCK_BYTES
        blocks = self.total_bytes // BLOCK_BYTES
        return os.statvfs_result((BLOCK_BYTES, BLOCK_BYTES, blocks, free, free, 0, 0, 0, 0, 255))
