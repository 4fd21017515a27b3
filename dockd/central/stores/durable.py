"""The few steps that make files survive a power cut. Blocking; knows no recording and no database.

Linux: a file's name is durable only after its folder was fsynced (fsync(2), NOTES).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from pathlib import Path

_FALLOC_FL_KEEP_SIZE = 0x01  # linux/falloc.h
_FALLOC_FL_PUNCH_HOLE = 0x02
_FALLOC_FL_ZERO_RANGE = 0x10
_LIBC = ctypes.CDLL(None, use_errno=True)
_FLOCK = "hhqqi4x"
"""struct flock on 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid."""


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(root: Path, *names: str) -> Path:
    """Make `root/names[0]/names[1]/…`, each durable, mode 0700, and return the last. `root` exists. Raises OSError."""
    folder = root
    for name in names:
        parent, folder = folder, folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        # Also when it was there already: whoever made it may not have come as far as this yet.
        sync_folder(parent)
    return folder


def write_new(path: Path, content: bytes, *, drafts: Path | None = None) -> None:
    """Write `content` to `path` durably, mode 0600: all of it or no file of that name.

    The draft is made in `drafts` (same file system; None: beside `path`) and stays there after a kill.
    Raises FileExistsError, also when somebody else is first; OSError.
    """
    draft = (drafts or path.parent) / f".{os.urandom(12).hex()}.draft"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike rename, never over an existing file
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def lock_range(descriptor: int, start: int, length: int) -> bool:
    """Try to lock a range of an open file against every other open of it, in all processes.

    An open-file-description lock (fcntl(2), F_OFD_SETLK): it belongs to this open and goes with its
    close, also after a kill. `length` 0 means to the end, wherever that is. Returns whether it is ours.
    """
    request = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
    except (BlockingIOError, PermissionError):
        return False
    return True


def reserve(descriptor: int, size_bytes: int) -> None:
    """Give a file `size_bytes` of the disk now (fallocate(2)); they read as zeros. Raises OSError, when full too.

    Where the file system cannot, the file only gets its length. Writers of ranges that have their place
    already do not wait for one another.
    """
    if _LIBC.fallocate(descriptor, 0, ctypes.c_int64(0), ctypes.c_int64(size_bytes)) == 0:
        return
    failure = ctypes.get_errno()
    if failure not in (errno.EOPNOTSUPP, errno.ENOSYS):
        raise OSError(failure, os.strerror(failure))
    os.ftruncate(descriptor, size_bytes)


def forget_range(descriptor: int, start: int, length: int) -> None:
    """Make a range of a file unwritten again, so that it reads as zeros; its room stays reserved (fallocate(2)).

    Where the file system cannot do that, the room is given back (PUNCH_HOLE); where it cannot do that
    either, nothing happens: nobody believes bytes that no row vouches for.
    """
    for how in (_FALLOC_FL_ZERO_RANGE, _FALLOC_FL_PUNCH_HOLE):
        mode = _FALLOC_FL_KEEP_SIZE | how
        if _LIBC.fallocate(descriptor, mode, ctypes.c_int64(start), ctypes.c_int64(length)) == 0:
            return


def free_bytes(folder: Path) -> int:
    """Room on the disk of `folder` for an ordinary user, bytes. Raises OSError."""
    reading = os.statvfs(folder)
    return reading.f_bavail * reading.f_frsize
