"""How copies lie on the staging disk: their paths, their publishing and their removal.

Paths are made of recording ids only; nothing that a camera said becomes part of one. Every method is a
small blocking call and lets OSError through: what an error means, the caller decides.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dockd.dock.disk import Disk
from dockd.model.ids import ID_PATTERN, RecordingId, parse_id

_COPIES = "copies"
# A leading dot: no id begins with one, so that an unfinished copy can never be taken for a finished one.
_PARTIAL = re.compile(r"^\.(?P<name>.+)\.partial$")
_NAME = re.compile(ID_PATTERN)
_BLOCK_BYTES = 512  # the unit of st_blocks, stat(2)


class StagedFiles:
    """The files below the staging folder `root`."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._root = root
        self._disk = disk

    def make_folders(self) -> None:
        """Make the folders, for their owner only."""
        for folder in (self._root, self._root / _COPIES):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)

    def partial_path(self, recording: RecordingId) -> Path:
        """Where the unfinished copy grows; its folder is made. Raises BadRequest for what cannot be an id."""
        partial = self._partial(recording)
        if not partial.parent.is_dir():
            partial.parent.mkdir(mode=0o700, exist_ok=True)
            self._disk.sync_folder(partial.parent.parent)
        return partial

    def final_path(self, recording: RecordingId) -> Path:
        """Where the finished copy lies. Raises BadRequest for what cannot be an id."""
        # 256 folders keep each of them small; ids are digests, so they spread evenly.
        return self._root / _COPIES / parse_id(recording, "recording")[:2] / recording

    def publish(self, recording: RecordingId) -> None:
        """Rename the partial file, which the caller has fsynced, to its final place; fsync the folder."""
        final = self.final_path(recording)
        self._disk.rename(self._partial(recording), final)
        self._disk.sync_folder(final.parent)

    def remove(self, recording: RecordingId) -> None:
        """Remove the finished copy, if there is one, durably."""
        self._remove(self.final_path(recording))

    def remove_partial(self, recording: RecordingId) -> None:
        """Remove the unfinished copy, if there is one, durably."""
        self._remove(self._partial(recording))

    def is_present(self, recording: RecordingId, size_bytes: int) -> bool:
        """Whether a finished copy of exactly `size_bytes` lies here. Says nothing of its content."""
        try:
            found = self.final_path(recording).lstat()
        except FileNotFoundError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == size_bytes

    def finished(self) -> tuple[RecordingId, ...]:
        """Every recording with a finished file, wanted or not."""
        return tuple(RecordingId(path.name) for path in self._files() if _NAME.fullmatch(path.name))

    def unfinished(self) -> tuple[RecordingId, ...]:
        """Every recording with an unfinished file."""
        matches = (_PARTIAL.fullmatch(path.name) for path in self._files())
        return tuple(RecordingId(match["name"]) for match in matches if match and _NAME.fullmatch(match["name"]))

    def still_to_write_bytes(self, recording: RecordingId, size_bytes: int) -> int:
        """What a copy of `size_bytes` will yet take from the free space: its size less what it occupies."""
        for path in (self._partial(recording), self.final_path(recording)):
            with suppress(FileNotFoundError):
                return max(0, size_bytes - path.lstat().st_blocks * _BLOCK_BYTES)
        return size_bytes

    def _partial(self, recording: RecordingId) -> Path:
        final = self.final_path(recording)
        return final.with_name(f".{final.name}.partial")

    def _files(self) -> Iterator[Path]:
        for folder in sorted((self._root / _COPIES).iterdir()):
            if folder.is_dir() and not folder.is_symlink():
                yield from sorted(folder.iterdir())

    def _remove(self, path: Path) -> None:
        try:
            path.unlink()
        except FileNotFoundError:
            return
        self._disk.sync_folder(path.parent)
