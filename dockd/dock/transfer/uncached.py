"""Reading a staged file from the disk itself, not from the page cache that still remembers the writing.

O_DIRECT where the file system does it, else POSIX_FADV_DONTNEED on the fsynced file before and after; says which.
"""

from __future__ import annotations

import os
from pathlib import Path

from dockd.dock.disk import DIRECT_ALIGNMENT_BYTES, Disk, refuses_direct
from dockd.dock.transfer.gate import LastOneOut
from dockd.model.recording import ReadBackMethod


class UncachedFile:
    """An open staged file for reading in order. Lets OSError through. Used by one thread at a time."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk = disk
        self._method = ReadBackMethod.O_DIRECT
        try:
            self._descriptor = disk.open_to_read(path, direct=True)
        except OSError as error:
            if not refuses_direct(error):
                raise
            self._descriptor = disk.open_to_read(path, direct=False)
            self._pass_cache_by_dropping()
        self._gate = LastOneOut(self._close)

    @property
    def method(self) -> ReadBackMethod:
        """How the page cache was passed, as far as the file was read."""
        return self._method

    def size_bytes(self) -> int:
        """Length of the file."""
        with self._gate.inside():
            return self._disk.size_bytes(self._descriptor)

    def read_block(self, offset: int, buffer: memoryview) -> int:
        """Fill the page-aligned `buffer` from `offset`; fewer bytes only at the end of the file.

        `offset` and the buffer's length must be multiples of 4096.
        """
        with self._gate.inside():
            done = 0
            while done < len(buffer):
                got = self._read_some(offset + done, buffer[done:])
                done += got
                if got == 0 or (got % DIRECT_ALIGNMENT_BYTES and self._method is ReadBackMethod.O_DIRECT):
                    break  # O_DIRECT gives an odd number of bytes only where the file ends
            return done

    def _read_some(self, offset: int, buffer: memoryview) -> int:
        try:
            return self._disk.read(self._descriptor, buffer, offset)
        except OSError as error:
            if self._method is not ReadBackMethod.O_DIRECT or not refuses_direct(error):
                raise
        self._disk.leave_direct(self._descriptor)
        self._pass_cache_by_dropping()
        return self._disk.read(self._descriptor, buffer, offset)

    def _pass_cache_by_dropping(self) -> None:
        self._method = ReadBackMethod.FADV_DONTNEED
        self._disk.drop_pages(self._descriptor)

    def close(self) -> None:
        """Release the file once no thread is inside."""
        self._gate.close()

    def _close(self) -> None:
        if self._method is ReadBackMethod.FADV_DONTNEED:
            self._disk.drop_pages(self._descriptor)
        os.close(self._descriptor)
