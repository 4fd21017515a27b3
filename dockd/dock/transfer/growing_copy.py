"""The disk's side of a copy that is being made: the partial file, its digest, how far it has come.

Knows the staging disk. Must not know the camera or the journal: a checkpoint is handed in as found and
handed out as reached. Every method may raise DiskFailed.
"""

from __future__ import annotations

import hashlib
import mmap
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dockd.dock.disk import DIRECT_ALIGNMENT_BYTES, Disk
from dockd.dock.transfer.line import Line
from dockd.dock.transfer.part_digests import KnownParts, PartDigests
from dockd.dock.transfer.patience import DiskFailed
from dockd.dock.transfer.settings import CopySettings
from dockd.dock.transfer.staged_file import StagedFile
from dockd.dock.transfer.uncached import UncachedFile
from dockd.model.ids import Digest
from dockd.model.recording import CopyCheckpoint

if TYPE_CHECKING:
    from hashlib import _Hash

SAMPLE_BYTES = 1024 * 1024
"""How much of the start and of the end of a prefix is compared with the camera after an absence."""


class GrowingCopy:
    """One partial file. Blocks put into `line` are hashed, whole and by parts, then written, in the order given."""

    def __init__(
        self, disk: Disk, path: Path, settings: CopySettings, *, name: str, size_bytes: int, part_size_bytes: int
    ) -> None:
        self._disk = disk
        self._path = path
        self._is_closed = False
        self._sync_error: OSError | None = None
        self._start_bytes = 0
        self._has_parts = size_bytes > part_size_bytes
        self._part_size_bytes = part_size_bytes
        self._digests = PartDigests(part_size_bytes)
        self._hashed: deque[_Hash] = deque()
        self._reached: tuple[int, _Hash] = (0, self._digests.prefix())
        with _disk_calls():
            self._file = StagedFile(disk, path)
        self.line = Line(
            name,
            (self._hash_block, self._hash_part, self._write_block)
            if self._has_parts
            else (self._hash_block, self._write_block),
            buffer_count=settings.buffer_count,
            buffer_size_bytes=settings.buffer_size_bytes,
        )
        self._block_bytes = settings.buffer_size_bytes

    @property
    def start_bytes(self) -> int:
        """Where the copy goes on: 0, or the end of a prefix that proved to be what the camera gave."""
        return self._start_bytes

    @property
    def is_closed(self) -> bool:
        """`close` was called."""
        return self._is_closed

    @property
    def has_failed_sync(self) -> bool:
        """An fsync failed: nothing in this file may be believed any more, a later success included."""
        return self._sync_error is not None

    def digest(self) -> Digest:
        """SHA-256 of everything hashed so far."""
        return self._digests.digest()

    def known_parts(self) -> KnownParts | None:
        """SHA-256 of the upload parts; None when a prefix was taken over, and for a recording of one part."""
        return self._digests.known_parts() if self._has_parts else None

    def reached(self) -> tuple[int, Digest]:
        """How far the file is written (not yet durable), and the digest of that prefix."""
        offset, sha256 = self._reached
        return offset, Digest(sha256.hexdigest())

    def resume(self, checkpoint: CopyCheckpoint | None) -> None:
        """Take over the staged prefix if the disk still gives back what `checkpoint` says, else begin at 0.

        The prefix is read past the page cache and hashed; its digest must be the one that the journal
        kept from when the bytes came from the camera. What lies beyond is cut off.
        """
        self.restart()
        with _disk_calls():
            if checkpoint is not None and self._takes_over(checkpoint):
                self._start_bytes = checkpoint.offset_bytes
            self._file.cut(self._start_bytes)

    def restart(self) -> None:
        """Begin at 0."""
        self._start_bytes = 0
        self._digests = PartDigests(self._part_size_bytes)
        self._reached = (0, self._digests.prefix())

    def _takes_over(self, checkpoint: CopyCheckpoint) -> bool:
        end = checkpoint.offset_bytes
        if end <= 0 or end % DIRECT_ALIGNMENT_BYTES or self._file.size_bytes() < end:
            return False
        sha256 = self._hash_prefix(end)
        if sha256 is None or sha256.hexdigest() != checkpoint.prefix_digest:
            return False
        self._digests = PartDigests(self._part_size_bytes, prefix=sha256)
        self._reached = (end, self._digests.prefix())
        return True

    def _hash_prefix(self, end: int) -> _Hash | None:
        sha256 = hashlib.sha256()
        buffer = memoryview(mmap.mmap(-1, self._block_bytes))
        staged = UncachedFile(self._disk, self._path)
        try:
            offset = 0
            while offset < end:
                wanted = min(self._block_bytes, end - offset)
                if staged.read_block(offset, buffer[:wanted]) < wanted:
                    return None
                sha256.update(buffer[:wanted])
                offset += wanted
        finally:
            staged.close()
        return sha256

    def samples(self) -> Iterator[tuple[int, bytes]]:
        """The first and the last MiB of the taken-over prefix, as (offset, content)."""
        end = self._start_bytes
        for start in sorted({0, max(0, end - SAMPLE_BYTES)}):
            with _disk_calls():
                content = self._read(start, min(SAMPLE_BYTES, end - start))
            yield start, content

    def _read(self, start: int, length: int) -> bytes:
        content = bytearray(length)
        descriptor = self._disk.open_to_read(self._path, direct=False)
        try:
            done = 0
            while done < length:
                got = self._disk.read(descriptor, memoryview(content)[done:], start + done)
                if got == 0:
                    break
                done += got
        finally:
            self._disk.close(descriptor)
        return bytes(content[:done])

    def _hash_block(self, offset: int, buffer: memoryview, length: int) -> None:
        self._digests.whole(offset, buffer, length)
        self._hashed.append(self._digests.prefix())

    def _hash_part(self, offset: int, buffer: memoryview, length: int) -> None:
        self._digests.parts(offset, buffer, length)

    def _write_block(self, offset: int, buffer: memoryview, length: int) -> None:
        sha256 = self._hashed.popleft()
        self._file.write_block(offset, buffer, length)
        if length % DIRECT_ALIGNMENT_BYTES == 0:
            self._reached = (offset + length, sha256)

    def settle(self, timeout_seconds: float) -> None:
        """Wait until every block given is written. Raises DiskFailed also for what failed on the way."""
        is_empty = self.line.drain(timeout_seconds)
        with _disk_calls():
            self.line.check()
            if not is_empty:
                raise TimeoutError(f"it took no data for {timeout_seconds:.0f} s")

    def datasync(self) -> None:
        """Make durable what is written so far. Never succeeds again after it failed once."""
        with self._sync_calls():
            self._file.datasync()

    def seal(self, size_bytes: int) -> None:
        """Cut to `size_bytes` and make durable. Never succeeds again after a sync failed once."""
        with self._sync_calls():
            self._file.cut(size_bytes)
            self._file.sync()

    @contextmanager
    def _sync_calls(self) -> Iterator[None]:
        # After a failed fsync the kernel drops the dirty pages and calls the next fsync a success.
        if self._sync_error is not None:
            raise DiskFailed(self._sync_error)
        try:
            yield
        except OSError as error:
            self._sync_error = error
            raise DiskFailed(error) from error

    def close(self, timeout_seconds: float) -> None:
        """End the threads and release the file; a thread that hangs does the latter when it comes back."""
        self._is_closed = True
        self.line.close(timeout_seconds)
        self._file.close()


@contextmanager
def _disk_calls() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskFailed(error) from error
