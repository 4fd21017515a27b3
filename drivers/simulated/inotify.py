"""inotify(7) for one event loop.

Knows the kernel's interface, called through the C library. Must not know bays or cameras.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CLOSE_WRITE = 0x00000008
MOVED_FROM = 0x00000040
MOVED_TO = 0x00000080
CREATE = 0x00000100
DELETE = 0x00000200
DELETE_SELF = 0x00000400
MOVE_SELF = 0x00000800
Q_OVERFLOW = 0x00004000
IGNORED = 0x00008000
_ONLYDIR = 0x01000000
_DONT_FOLLOW = 0x02000000

_EVENT = struct.Struct("iIII")  # inotify(7): struct inotify_event without its name
_BUFFER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class InotifyEvent:
    """One event: the watch it is about (-1 on overflow), its mask, the name inside the watched folder."""

    watch: int
    mask: int
    name: bytes


class Inotify:
    """One inotify instance. Non-blocking; `descriptor` becomes readable when there are events."""

    def __init__(self) -> None:
        """Raises OSError where the kernel gives no instance (limit reached, no inotify)."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def add(self, folder: Path, mask: int) -> int:
        """Watch a folder (never through a symbolic link); return the watch. Raises OSError."""
        wanted = mask | _ONLYDIR | _DONT_FOLLOW
        return self._checked(self._libc.inotify_add_watch(self.descriptor, os.fsencode(folder), wanted))

    def remove(self, watch: int) -> None:
        """End a watch; one that has ended by itself is no error."""
        self._libc.inotify_rm_watch(self.descriptor, watch)

    def read(self) -> Iterator[InotifyEvent]:
        """The events at hand, oldest first; none when there are none."""
        try:
            content = os.read(self.descriptor, _BUFFER_BYTES)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(content):
            watch, mask, _, length = _EVENT.unpack_from(content, offset)
            offset += _EVENT.size
            name = content[offset : offset + length].rstrip(b"\0")
            offset += length
            yield InotifyEvent(watch, mask, name)

    def close(self) -> None:
        """Give the instance back."""
        os.close(self.descriptor)

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
