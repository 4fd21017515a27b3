"""One open file on a card, read past the page cache.

What is read must come from the card: after an absence the card is read again to prove that it still holds
what was copied, and pages that the kernel kept would prove nothing. So a file is opened with O_DIRECT
(open(2), NOTES) where the card's file system does it, which also costs a third of the processor time and
leaves the host's memory alone. The odd end of a file, and a file system without O_DIRECT, are read through
the page cache, whose pages of the file are dropped (posix_fadvise(2), DONTNEED) when it is opened and closed.

Knows descriptors. Must not know names, folders, cameras or policy.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

_ALIGNMENT_BYTES = 4096
"""Offsets, lengths and addresses of O_DIRECT reads are multiples of the sector, 512 to 4096 bytes (open(2))."""
_REFUSES_DIRECT = (errno.EINVAL, errno.EOPNOTSUPP)


class UncachedReading:
    """A descriptor and how to read from it. Blocking; used by one thread at a time; lets OSError through."""

    def __init__(self, name: bytes, folder: int, flags: int) -> None:
        """Open `name` in the folder with the descriptor `folder`."""
        self.descriptor = os.open(name, flags, dir_fd=folder)
        self._direct = -1
        try:
            self._drop_pages()
            self._direct = self._open_direct(name, folder, flags)
        except BaseException:
            self.close()
            raise

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Read at `offset`; fewer bytes than asked are no end, 0 is."""
        whole_bytes = len(buffer) // _ALIGNMENT_BYTES * _ALIGNMENT_BYTES
        if self._direct >= 0 and whole_bytes and offset % _ALIGNMENT_BYTES == 0:
            try:
                return os.preadv(self._direct, [buffer[:whole_bytes]], offset)
            except OSError as failure:
                if failure.errno not in _REFUSES_DIRECT:
                    raise
            # This file system, or a buffer that is not aligned: the page cache takes anything.
            self._leave_direct()
        return os.preadv(self.descriptor, [buffer], offset)

    def close(self) -> None:
        """Release it; never raises, also after the device has left. May be repeated."""
        self._leave_direct()
        if self.descriptor >= 0:
            self._drop_pages()
            with suppress(OSError):  # the kernel gives the number back also when the device has left
                os.close(self.descriptor)
            self.descriptor = -1

    def _open_direct(self, name: bytes, folder: int, flags: int) -> int:
        try:
            direct = os.open(name, flags | os.O_DIRECT, dir_fd=folder)
        except OSError as failure:
            if failure.errno in _REFUSES_DIRECT:
                return -1
            raise
        # The name may have been given to another file between the two opens.
        if os.path.sameopenfile(direct, self.descriptor):
            return direct
        os.close(direct)
        return -1

    def _leave_direct(self) -> None:
        if self._direct >= 0:
            with suppress(OSError):
                os.close(self._direct)
            self._direct = -1

    def _drop_pages(self) -> None:
        with suppress(OSError):  # only a hint, and a device that has left cannot take it
            os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
