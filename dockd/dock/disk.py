"""The kernel's file calls as staging uses them, in one object, so that tests can make each of them fail.

Knows system calls and the flags that pass the page cache. Must not know recordings, cameras or what an
error means for them: every method lets `OSError` through.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from pathlib import Path

DIRECT_ALIGNMENT_BYTES = 4096
"""Offsets and lengths of O_DIRECT calls are multiples of this (open(2); 4 KiB suits every disk sold today)."""

_SYNC_FILE_RANGE_WRITE = 2  # sync_file_range(2): start writing the dirty pages out, wait for nothing
_NO_DIRECT = frozenset({errno.EINVAL, errno.EOPNOTSUPP})


def refuses_direct(error: OSError) -> bool:
    """Whether `error` is how a file system says that it does not do O_DIRECT (here)."""
    return error.errno in _NO_DIRECT


def is_full(error: OSError) -> bool:
    """Whether `error` says that there is no room, as opposed to a fault of the disk."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


class Disk:
    """The staging disk. Blocking; every method may be called from any thread."""

    def __init__(self) -> None:
        # ctypes releases the GIL during the call.
        self._sync_file_range = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
        if self._sync_file_range is not None:
            self._sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]

    def open_to_write(self, path: Path) -> tuple[int, bool]:
        """Open or create `path` (0600) for writing; return its descriptor and whether it is O_DIRECT."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(path, flags | os.O_DIRECT, 0o600), True
        except OSError as error:
            if not refuses_direct(error):
                raise
        return os.open(path, flags, 0o600), False

    def open_to_read(self, path: Path, *, direct: bool) -> int:
        """Open `path` for reading. With `direct`, EINVAL says that the file system refuses O_DIRECT."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(path, flags | os.O_DIRECT if direct else flags)

    def leave_direct(self, descriptor: int) -> None:
        """Go on through the page cache on this descriptor."""
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~os.O_DIRECT)

    def write(self, descriptor: int, content: memoryview, offset: int) -> int:
        """Write at `offset`; return how many bytes were taken."""
        return os.pwrite(descriptor, content, offset)

    def read(self, descriptor: int, buffer: memoryview, offset: int) -> int:
        """Read into `buffer` from `offset`; return how many bytes there were, 0 at the end."""
        return os.preadv(descriptor, [buffer], offset)

    def size_bytes(self, descriptor: int) -> int:
        """Length of the file now."""
        return os.fstat(descriptor).st_size

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        """Cut (or extend with zeros) the file to `size_bytes`."""
        os.ftruncate(descriptor, size_bytes)

    def start_writeback(self, descriptor: int, offset: int, length: int) -> None:
        """Ask the kernel to begin writing these pages out, so that a later fsync finds little to do.

        Only a hint: its result is not looked at, because only fsync tells whether bytes are durable.
        """
        if self._sync_file_range is not None:
            self._sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)

    def drop_pages(self, descriptor: int) -> None:
        """Drop the file's clean pages from the page cache (POSIX_FADV_DONTNEED)."""
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def datasync(self, descriptor: int) -> None:
        """fdatasync(2). After an error nothing written to this file may be believed."""
        os.fdatasync(descriptor)

    def sync(self, descriptor: int) -> None:
        """fsync(2). After an error nothing written to this file may be believed."""
        os.fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Rename within one file system, replacing `target`."""
        source.replace(target)

    def sync_folder(self, folder: Path) -> None:
        """Make the names in `folder` durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def close(self, descriptor: int) -> None:
        """Release the descriptor."""
        os.close(descriptor)
