"""A view of mounts that other programs do not share (mount_namespaces(7)).

Knows two kernel calls and the format of /proc/self/mountinfo (proc(5)); mounts nothing of its own.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18


def enter_own_mount_namespace() -> None:
    """Give this process its own mounts: what is mounted from now on is seen by it and its children only.

    A mount namespace belongs to a thread, so this must come before the first other thread. Needs CAP_SYS_ADMIN.
    Raises OSError.
    """
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        raise OSError(f"{threads} threads run already, and the others would keep the old view")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def is_shared_mount(folder: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether a mount made inside `folder` would be passed on to other mount namespaces.

    It would where the mount that holds the folder is "shared" (an optional field `shared:N`).
    """
    place = os.path.realpath(folder)
    best_length, is_shared = -1, False
    for line in mountinfo.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields = line.split(" ")
        root = _unescape(fields[4])
        holds = root in ("/", place) or place.startswith(f"{root}/")
        # The last of several mounts on one place is the one in sight.
        if holds and len(root) >= best_length:
            optional = fields[6 : fields.index("-", 6)]
            best_length, is_shared = len(root), any(field.startswith("shared:") for field in optional)
    return is_shared


def _unescape(path: str) -> str:
    r"""Undo the kernel's octal escapes of space, tab, newline and backslash."""
    for escaped, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(escaped, plain)
    return path
