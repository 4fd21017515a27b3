"""Read a staged copy back from the disk itself and compare it with what the camera gave.

One pass past the page cache gives the digest of the whole and, where they were not hashed while it was copied, of
every upload part, in threads beside the reading. Must not know the camera, the journal or the network.
"""

from __future__ import annotations

from contextlib import suppress

from dockd.dock.transfer.contracts import Progress, RunBlocking, StagingArea
from dockd.dock.transfer.line import Line
from dockd.dock.transfer.part_digests import KnownParts, PartDigests
from dockd.dock.transfer.patience import DiskFailed, on_disk
from dockd.dock.transfer.settings import CopySettings
from dockd.dock.transfer.uncached import UncachedFile
from dockd.errors import DigestMismatch, DriverTimeout, StagingSuspect
from dockd.model.ids import RecordingId
from dockd.model.recording import (
    PART_SIZE_BYTES,
    ReadBackMethod,
    StagedRecording,
    VerifiedRecording,
)

_LEG_BYTES = 256 * 1024 * 1024
"""Read in one call to the thread; a disk that needs longer than the time-out for this much has failed."""


async def read_back(
    staged: StagedRecording,
    *,
    staging: StagingArea,
    run_blocking: RunBlocking,
    progress: Progress,
    known_parts: KnownParts | None = None,
    part_size_bytes: int = PART_SIZE_BYTES,
    settings: CopySettings | None = None,
) -> VerifiedRecording:
    """Return `staged` as verified, with its part digests and how the page cache was passed.

    `known_parts` were hashed while the copy was made. They hold for what lies on the disk once the whole of it is
    found to have the very digest that they belong to, and then need not be hashed a second time.

    Raises DigestMismatch when the disk gives back other bytes, fewer, more or no file at all;
    StagingSuspect (and marks the disk) when it fails or does not answer.
    """
    staging.check_usable()
    reading = _ReadBack(
        staged,
        staging=staging,
        run_blocking=run_blocking,
        progress=progress,
        known_parts=known_parts,
        part_size_bytes=part_size_bytes,
        settings=settings or CopySettings(),
    )
    try:
        return await reading.run()
    except (DiskFailed, DriverTimeout) as error:
        reason = f"The dock's disk failed while the copy of {staged.recording} was read back: {error}."
        staging.mark_suspect(reason)
        raise StagingSuspect(reason) from error


class _ReadBack:
    """One reading of one staged file."""

    def __init__(
        self,
        staged: StagedRecording,
        *,
        staging: StagingArea,
        run_blocking: RunBlocking,
        progress: Progress,
        known_parts: KnownParts | None,
        part_size_bytes: int,
        settings: CopySettings,
    ) -> None:
        self._staged = staged
        self._staging = staging
        self._run_blocking = run_blocking
        self._progress = progress
        self._part_size_bytes = part_size_bytes
        self._settings = settings
        self._digests = PartDigests(part_size_bytes)
        is_known = known_parts and (known_parts.whole, known_parts.part_size_bytes) == (staged.digest, part_size_bytes)
        self._known_parts = known_parts if is_known else None
        has_later_parts = staged.size_bytes > part_size_bytes and self._known_parts is None
        self._line = Line(
            f"verify-{staged.recording}",
            (self._digests.whole, self._digests.parts) if has_later_parts else (self._digests.whole,),
            buffer_count=settings.buffer_count,
            buffer_size_bytes=settings.buffer_size_bytes,
        )
        self._file: UncachedFile | None = None
        self._offset = 0
        self._is_left = False

    async def run(self) -> VerifiedRecording:
        """Read, compare, return."""
        try:
            while not await self._run_blocking(self._leg, timeout_seconds=self._settings.disk_timeout_seconds):
                pass
        finally:
            self._is_left = True
            if self._file is not None:
                self._file.close()
            with suppress(DiskFailed):
                await on_disk(lambda: self._line.close(5.0), timeout_seconds=self._settings.disk_timeout_seconds)
        return self._compare()

    def _leg(self) -> bool:
        try:
            return self._read_on()
        except OSError as error:
            raise DiskFailed(error) from error

    def _read_on(self) -> bool:
        if self._file is None:
            self._file = self._open()
        leg_end = self._offset + _LEG_BYTES
        while self._offset < self._staged.size_bytes and not self._is_left:
            if self._offset >= leg_end:
                return False
            self._read_block(self._file)
        self._line.drain(self._settings.disk_timeout_seconds)
        self._line.check()
        return True

    def _open(self) -> UncachedFile:
        try:
            opened = UncachedFile(self._staging.disk, self._staging.final_path(RecordingId(self._staged.recording)))
        except FileNotFoundError as error:
            raise self._mismatch("it is not there any more") from error
        size_bytes = opened.size_bytes()
        if size_bytes != self._staged.size_bytes:
            opened.close()
            raise self._mismatch(f"it has {size_bytes} bytes instead of {self._staged.size_bytes}")
        return opened

    def _read_block(self, opened: UncachedFile) -> None:
        buffer = self._line.take(self._settings.disk_timeout_seconds)
        if buffer is None:
            raise RuntimeError("the hashing threads stand still")
        length = min(len(buffer), self._staged.size_bytes - self._offset)
        got = opened.read_block(self._offset, buffer)
        if got != length:
            raise self._mismatch(f"it ends at byte {self._offset + got}")
        self._line.give(self._offset, buffer, length, is_only=length == self._staged.size_bytes)
        self._offset += length
        self._progress(length)

    def _compare(self) -> VerifiedRecording:
        digest = self._digests.digest()
        if digest != self._staged.digest:
            raise self._mismatch(f"it has the SHA-256 {digest} instead of {self._staged.digest}")
        parts = self._known_parts or self._digests.known_parts()
        return VerifiedRecording(
            staged=self._staged,
            method=self._file.method if self._file else ReadBackMethod.O_DIRECT,
            part_size_bytes=self._part_size_bytes,
            part_digests=parts.digests if parts else (),
        )

    def _mismatch(self, how: str) -> DigestMismatch:
        return DigestMismatch(f"The copy of {self._staged.recording} is not what was written: {how}.")
