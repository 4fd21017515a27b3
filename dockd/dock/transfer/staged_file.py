"""A file growing on the staging disk, written past the page cache where the file system allows it.

O_DIRECT is chosen for writing because it costs a quarter of the processor time, leaves no dirty pages
for an fsync to stall on, and leaves nothing in the page cache for the read-back to be fooled by.
"""

from __future__ import annotations

import errno
from pathlib import Path

from dockd.dock.disk import DIRECT_ALIGNMENT_BYTES, Disk, refuses_direct
from dockd.dock.transfer.gate import LastOneOut


def round_up(length: int) -> int:
    """`length` rounded up to what O_DIRECT takes."""
    return -(-length // DIRECT_ALIGNMENT_BYTES) * DIRECT_ALIGNMENT_BYTES


class StagedFile:
    """An open partial file. Blocks are written by one thread; `datasync` may run beside it in another.

    Every method lets OSError through. `close` may come from any thread at any time.
    """

    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk = disk
        self._descriptor, self._is_direct = disk.open_to_write(path)
        self._gate = LastOneOut(lambda: disk.close(self._descriptor))

    def size_bytes(self) -> int:
        """Length now (a last block may be padded until `cut`)."""
        with self._gate.inside():
            return self._disk.size_bytes(self._descriptor)

    def write_block(self, offset: int, buffer: memoryview, length: int) -> None:
        """Write the first `length` bytes of the page-aligned `buffer` at `offset`, a multiple of 4096.

        A last, odd block is padded with zeros up to the next multiple of 4096: `cut` afterwards.
        """
        with self._gate.inside():
            padded = round_up(length)
            buffer[length:padded] = bytes(padded - length)
            done = 0
            while done < padded:
                done += self._write_some(buffer[done:padded], offset + done)
            if not self._is_direct:
                self._disk.start_writeback(self._descriptor, offset, padded)

    def _write_some(self, content: memoryview, offset: int) -> int:
        try:
            taken = self._disk.write(self._descriptor, content, offset)
        except OSError as error:
            if not self._is_direct or not refuses_direct(error):
                raise
            self._leave_direct()
            taken = self._disk.write(self._descriptor, content, offset)
        if taken <= 0:
            raise OSError(errno.EIO, "the disk took no bytes")
        if taken % DIRECT_ALIGNMENT_BYTES and self._is_direct:
            self._leave_direct()  # the rest of this block begins at an odd place
        return taken

    def _leave_direct(self) -> None:
        self._disk.leave_direct(self._descriptor)
        self._is_direct = False

    def cut(self, size_bytes: int) -> None:
        """Throw away everything from `size_bytes` on."""
        with self._gate.inside():
            self._disk.truncate(self._descriptor, size_bytes)

    def datasync(self) -> None:
        """Make durable what was written before this call."""
        with self._gate.inside():
            self._disk.datasync(self._descriptor)

    def sync(self) -> None:
        """Make the file and its length durable."""
        with self._gate.inside():
            self._disk.sync(self._descriptor)

    def close(self) -> None:
        """Release the file once no thread is inside."""
        self._gate.close()
