"""The staging disk: where copies lie until the centre has accepted them, how much room there is, and trust.

Must not know the journal, the centre, or which copies are still needed: `eviction.py` asks that.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from weakref import WeakValueDictionary

from pydantic import Field

from dockd.dock.disk import Disk
from dockd.dock.staged_files import StagedFiles
from dockd.errors import StagingBelowFloor, StagingFull, StagingSuspect
from dockd.model.camera import SpaceReading
from dockd.model.ids import RecordingId
from dockd.section import Section

_GIB = 1024**3
_PROBE_BYTES = 64 * 1024


class StagingConfig(Section):
    """Section `[staging]`."""

    folder: str = Field(
        default="/var/lib/dockd/staging",
        description="Folder for copies that the centre has not accepted yet; on a disk of its own where possible.",
    )
    floor_bytes: int = Field(
        default=2 * _GIB,
        ge=0,
        description="Free space on the staging disk that is never used; below it the dock does not start.",
    )


class Staging:
    """The staging folder. Methods that are not `async` are small blocking calls, safe from any thread."""

    def __init__(
        self,
        config: StagingConfig,
        *,
        disk: Disk | None = None,
        statvfs: Callable[[Path], os.statvfs_result] = os.statvfs,
    ) -> None:
        """Take the section. `disk` and `statvfs` are the system calls, passed in so that a test can fail them."""
        self._root = Path(config.folder)
        self._floor_bytes = config.floor_bytes
        self._disk = disk or Disk()
        self._statvfs = statvfs
        self._files = StagedFiles(self._root, self._disk)
        self._lock = threading.Lock()
        self._reserved: dict[object, tuple[RecordingId, int]] = {}
        self._turns: WeakValueDictionary[RecordingId, asyncio.Lock] = WeakValueDictionary()
        self._suspect_reason: str | None = None

    async def open(self) -> None:
        """Make the folders (0700) and try the disk: room above the floor, a write, an fsync, a read-back.

        Removes nothing. Raises StagingBelowFloor, and StagingSuspect for a disk that is read-only or
        fails the trial.
        """
        await asyncio.to_thread(self._open)

    def turn(self, recording: RecordingId) -> asyncio.Lock:
        """The turn at one recording's copy, for `async with`: one at a time makes it, gives it up or sends it.

        What the ledger says of the copy holds as long as the turn does, and has to be asked again with each turn.
        Nobody takes a second turn while holding one.
        """
        return self._turns.setdefault(recording, asyncio.Lock())

    # --- files ------------------------------------------------------------------------------------

    @property
    def disk(self) -> Disk:
        """The file calls to use on these paths."""
        return self._disk

    def partial_path(self, recording: RecordingId) -> Path:
        """Where the unfinished copy grows; its folder exists. Raises BadRequest, OSError."""
        return self._files.partial_path(recording)

    def final_path(self, recording: RecordingId) -> Path:
        """Where the finished copy lies. Raises BadRequest for what cannot be an id."""
        return self._files.final_path(recording)

    def publish(self, recording: RecordingId) -> None:
        """Move the partial file, which the caller has fsynced, to its final place, durably.

        Replaces only a final file that no journal row vouches for: a crash fell between rename and row.
        Raises OSError; the caller decides what it means. An fsync is never tried again.
        """
        self._files.publish(recording)

    def discard(self, recording: RecordingId) -> None:
        """Remove the finished copy, if there is one, durably. Raises OSError."""
        self._files.remove(recording)

    def discard_partial(self, recording: RecordingId) -> None:
        """Remove the unfinished copy, if there is one, durably. Raises OSError."""
        self._files.remove_partial(recording)

    async def present(self, recording: RecordingId, size_bytes: int) -> bool:
        """Whether a finished copy of exactly `size_bytes` lies here; nothing of its content. Raises OSError."""
        return await asyncio.to_thread(self._files.is_present, recording, size_bytes)

    def copies(self) -> tuple[RecordingId, ...]:
        """Every recording of which a finished file lies here, wanted or not. Raises OSError."""
        return self._files.finished()

    def partial_copies(self) -> tuple[RecordingId, ...]:
        """Every recording of which an unfinished file lies here. Raises OSError."""
        return self._files.unfinished()

    # --- room -------------------------------------------------------------------------------------

    def measure(self) -> SpaceReading:
        """Room on the staging disk now, as the kernel tells. Raises OSError."""
        reading = self._statvfs(self._root)
        return SpaceReading(
            total_bytes=reading.f_blocks * reading.f_frsize, free_bytes=reading.f_bavail * reading.f_frsize
        )

    def available_bytes(self) -> int:
        """What may still be reserved: free, less what reservations will yet need, less the floor.

        Never below 0. Raises OSError.
        """
        with self._lock:
            return max(0, self._spare_bytes())

    def reserve(self, recording: RecordingId, size_bytes: int) -> AbstractContextManager[None]:
        """Keep room for a copy of `size_bytes` while the context lasts.

        Entering raises StagingFull when free space, less what others have reserved and not yet written,
        less `size_bytes`, would fall below the floor; StagingSuspect once the disk has been marked, or when
        it cannot be asked. What an unfinished copy already occupies is not asked for twice.
        """
        return self._reserving(recording, size_bytes)

    # --- trust ------------------------------------------------------------------------------------

    @property
    def suspect_reason(self) -> str | None:
        """Why the disk may not be trusted, in words; None while it may."""
        return self._suspect_reason

    def mark_suspect(self, reason: str) -> None:
        """A write, an fsync or a read-back failed: nothing more is taken until the next start tries the disk."""
        if self._suspect_reason is None:
            self._suspect_reason = reason

    def check_usable(self) -> None:
        """Raises StagingSuspect once the disk has been marked."""
        if self._suspect_reason is not None:
            raise StagingSuspect(self._suspect_reason)

    def _open(self) -> None:
        try:
            self._files.make_folders()
            free_bytes = self.measure().free_bytes
        except OSError as error:
            self.mark_suspect(f"The staging folder {self._root} cannot be used: {error.strerror or error}.")
        else:
            if free_bytes < self._floor_bytes:
                raise StagingBelowFloor(
                    f"The staging disk has {free_bytes} bytes free; its floor is {self._floor_bytes} bytes."
                )
            try:
                try_disk(self._disk, self._root)
            except OSError as error:
                self.mark_suspect(f"The staging disk failed its trial: {error.strerror or error}.")
        self.check_usable()

    def _spare_bytes(self) -> int:
        owed = sum(self._files.still_to_write_bytes(*reserved) for reserved in self._reserved.values())
        return self.measure().free_bytes - owed - self._floor_bytes

    @contextmanager
    def _reserving(self, recording: RecordingId, size_bytes: int) -> Iterator[None]:
        self.check_usable()
        token = object()
        with self._lock:
            try:
                spare_bytes = self._spare_bytes()
                needed_bytes = self._files.still_to_write_bytes(recording, size_bytes)
            except OSError as error:
                self.mark_suspect(f"The staging disk cannot tell its free space: {error.strerror or error}.")
                self.check_usable()
                raise
            if needed_bytes > spare_bytes:
                raise StagingFull(
                    f"The recording needs {needed_bytes} bytes, but only {max(0, spare_bytes)} bytes are free "
                    "for footage on the dock's disk."
                )
            self._reserved[token] = (recording, size_bytes)
        try:
            yield
        finally:
            with self._lock:
                del self._reserved[token]


def try_disk(disk: Disk, folder: Path) -> None:
    """Write a small file in `folder`, fsync it, read it back, remove it.

    Raises OSError, also when other bytes come back than were written.
    """
    path = folder / f".probe-{os.getpid()}"
    content = hashlib.shake_256(os.urandom(32)).digest(_PROBE_BYTES)
    untrusted_back = bytearray(_PROBE_BYTES)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        done = 0
        while done < len(content):
            done += disk.write(descriptor, memoryview(content)[done:], done)
        disk.sync(descriptor)
        disk.drop_pages(descriptor)
        done = 0
        while read := disk.read(descriptor, memoryview(untrusted_back)[done:], done):
            done += read
    finally:
        disk.close(descriptor)
        with suppress(OSError):
            path.unlink()
    if bytes(untrusted_back) != content:
        raise OSError("it gave back other bytes than were written to it")
    disk.sync_folder(folder)
