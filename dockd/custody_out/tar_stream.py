"""Writes a tar archive piece by piece: the same files give the same bytes, and none is ever held as a whole.

POSIX.1-2001 (pax), plain files only; owner, times and modes are always the same.
"""

from __future__ import annotations

import tarfile

_BLOCK_BYTES = 512
END = bytes(2 * _BLOCK_BYTES)
"""The end of an archive; without it the archive is cut off."""


def tar_header(name: str, size_bytes: int) -> bytes:
    """What stands before a file of `size_bytes`."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size_bytes, 0o644
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def tar_padding(size_bytes: int) -> bytes:
    """What stands after it."""
    return bytes(-size_bytes % _BLOCK_BYTES)
