"""The kernel calls of the privilege room: mount(2), umount2(2), BLKROSET and prctl(2), each as a function.

Calls, and nothing else: no policy, no messages for staff, no waiting. All are blocking and raise OSError.
mount(8) is not used because it insists on user 0, whatever capabilities it is given.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# include/uapi/linux/mount.h; an option that has a flag may not be in the text that the file system reads.
_FLAGS = {
    "ro": 1 << 0,
    "rw": 0,
    "nosuid": 1 << 1,
    "nodev": 1 << 2,
    "noexec": 1 << 3,
    "nosymfollow": 1 << 8,
    "noatime": 1 << 10,
}
_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_BLKROSET = 0x125D  # include/uapi/linux/fs.h
_BLKROGET = 0x125E
_PR_CAP_AMBIENT = 47  # include/uapi/linux/prctl.h
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_MOUNT_TABLE = Path("/proc/self/mountinfo")

_libc = ctypes.CDLL(None, use_errno=True)
# Said once, so that nothing is cut to an int on the way.
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)


def split_options(options: Iterable[str]) -> tuple[int, str]:
    """Options as in fstab(5), split into the flags of mount(2) and the text for the file system."""
    flags, words = 0, []
    for option in options:
        if option in _FLAGS:
            flags |= _FLAGS[option]
        else:
            words.append(option)
    return flags, ",".join(words)


def mount(source: Path, target: Path, file_system: str, options: Iterable[str]) -> None:
    """Mount a block device. A device that may not be written is never mounted read-only instead. Raises OSError."""
    flags, words = split_options(options)
    result = _libc.mount(os.fsencode(source), os.fsencode(target), file_system.encode(), flags, words.encode())
    _raise_unless_done(result, source)


def unmount(target: Path, *, lazy: bool = False) -> None:
    """Unmount; `lazy`: out of sight now, for good when the last user has let go. Raises OSError."""
    _raise_unless_done(_libc.umount2(os.fsencode(target), _UMOUNT_NOFOLLOW | (_MNT_DETACH if lazy else 0)), target)


def is_mounted(target: Path) -> bool:
    """Whether something is mounted there; asks the mount table, never the (perhaps dead) file system."""
    wanted = os.fsencode(target)
    return any(line.split(b" ")[4] == wanted for line in _MOUNT_TABLE.read_bytes().splitlines())


def set_block_read_only(device_node: Path, read_only: bool) -> None:
    """Let the block layer refuse writes, or accept them again. Raises OSError."""
    with _opened(device_node) as device:
        fcntl.ioctl(device, _BLKROSET, struct.pack("i", read_only))


def is_block_read_only(device_node: Path) -> bool:
    """Whether the block layer refuses writes. Raises OSError."""
    with _opened(device_node) as device:
        (state,) = struct.unpack("i", fcntl.ioctl(device, _BLKROGET, struct.pack("i", 0)))
    return bool(state)


def disk_of(device_node: Path) -> Path | None:
    """The whole disk that a partition is a part of; None for what is no partition. Raises OSError."""
    number = device_node.stat().st_rdev
    folder = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve(strict=True)
    return Path("/dev", folder.parent.name) if (folder / "partition").exists() else None


def drop_ambient_capabilities() -> None:
    """From now on, programs that this process starts get none of its capabilities (capabilities(7)). Raises OSError."""
    _raise_unless_done(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), None)


@contextmanager
def _opened(device_node: Path) -> Iterator[int]:
    """A device held open for one question, without waiting for a medium."""
    descriptor = os.open(device_node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _raise_unless_done(result: int, place: Path | None) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), None if place is None else str(place))
