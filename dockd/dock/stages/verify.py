"""Read a staged copy back from the disk itself and compare it with what the camera gave.

One pass past the page cache gives the digest of the whole and of every upload part; the two are hashed
in threads of their own beside the reading. Must not know the camera, the journal or the network.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

from dockd.dock.transfer.contracts import Progress, RunBlocking, StagingArea
from dockd.dock.transfer.line import Line
from dockd.dock.transfer.patience import DiskFailed, on_disk
from dockd.dock.transfer.settings import CopySettings
from dockd.dock.transfer.uncached import UncachedFile
from dockd.errors import DigestMismatch, DriverTimeout, StagingSuspect
from dockd.model.ids import Digest, RecordingId
from dockd.model.recording import (
    PART_SIZE_BYTES,
    ReadBackMethod,
    StagedRecording,
    VerifiedRecording,
    part_count,
)

_LEG_BYTES = 256 * 1024 * 1024
"""Read in one call to the thread; a disk that needs longer than the time-out for this much has failed."""


async def read_back(
    staged: StagedRecording,
    *,
    staging: StagingArea,
    run_blocking: RunBlocking,
    progress: Progress,
    part_size_bytes: int = PART_SIZE_BYTES,
    settings: CopySettings | None = None,
) -> VerifiedRecording:
    """Return `staged` as verified, with its part digests and how the page cache was passed.

    Raises DigestMismatch when the disk gives back other bytes, fewer, more or no file at all;
    StagingSuspect (and marks the disk) when it fails or does not answer.
    """
    staging.check_usable()
    reading = _ReadBack(
        staged,
        staging=staging,
        run_blocking=run_blocking,
        progress=progress,
        part_size_bytes=part_size_bytes,
        settings=settings or CopySettings(),
    )
    try:
        return await reading.run()
    except (DiskFailed, DriverTimeout) as error:
        reason = f"The dock's disk failed while the copy of {staged.recording} was read back: {error}."
        staging.mark_suspect(reason)
        raise StagingSuspect(reason) from error


class PartDigests:
    """SHA-256 of the whole and of every part, each byte hashed twice but never by one thread alone.

    `whole` and `parts` are the two steps of a line. The first part is a prefix of the whole: its
    digest falls out of `whole`, so a recording of one part is hashed once.
    """

    def __init__(self, part_size_bytes: int) -> None:
        self._part_size_bytes = part_size_bytes
        self._whole = hashlib.sha256()
        self._first: Digest | None = None
        self._hashed_bytes = 0
        self._part = hashlib.sha256()
        self._later: list[Digest] = []

    def whole(self, offset: int, buffer: memoryview, length: int) -> None:
        """Hash a block into the whole."""
        left_of_first = self._part_size_bytes - offset
        if 0 < left_of_first <= length:
            self._whole.update(buffer[:left_of_first])
            self._first = Digest(self._whole.hexdigest())
            self._whole.update(buffer[left_of_first:length])
        else:
            self._whole.update(buffer[:length])
        self._hashed_bytes = offset + length

    def parts(self, offset: int, buffer: memoryview, length: int) -> None:
        """Hash a block into the second and later parts."""
        start = max(0, self._part_size_bytes - offset)
        while start < length:
            left_of_part = self._part_size_bytes - (offset + start) % self._part_size_bytes
            end = min(length, start + left_of_part)
            self._part.update(buffer[start:end])
            if end - start == left_of_part:
                self._later.append(Digest(self._part.hexdigest()))
                self._part = hashlib.sha256()
            start = end

    def digest(self) -> Digest:
        """Of the whole."""
        return Digest(self._whole.hexdigest())

    def part_digests(self) -> tuple[Digest, ...]:
        """Of all parts, the last one as far as it was hashed; () for an empty recording."""
        count = part_count(self._hashed_bytes, self._part_size_bytes)
        if count == 0:
            return ()
        parts = [self._first or self.digest(), *self._later]
        if len(parts) < count:
            parts.append(Digest(self._part.hexdigest()))
        return tuple(parts)


class _ReadBack:
    """One reading of one staged file."""

    def __init__(
        self,
        staged: StagedRecording,
        *,
        staging: StagingArea,
        run_blocking: RunBlocking,
        progress: Progress,
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
        has_later_parts = staged.size_bytes > part_size_bytes
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
        return VerifiedRecording(
            staged=self._staged,
            method=self._file.method if self._file else ReadBackMethod.O_DIRECT,
            part_size_bytes=self._part_size_bytes,
            part_digests=self._digests.part_digests(),
        )

    def _mismatch(self, how: str) -> DigestMismatch:
        return DigestMismatch(f"The copy of {self._staged.recording} is not what was written: {how}.")
