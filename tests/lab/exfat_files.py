"""Reads every file of an exFAT volume in an image: the lab's own judge where mtools has none.

Written from Microsoft's "exFAT file system specification" (sections 3.1 boot sector, 4.1 FAT, 6 directory entries, 7.4
to 7.7). Reads only; believes the volume to be sound (fsck.exfat says so first).
"""

from __future__ import annotations

import struct
from pathlib import Path

_ENTRY_BYTES = 32
_FILE, _STREAM, _NAME = 0x85, 0xC0, 0xC1
_IS_FOLDER = 0x10
_HAS_NO_CHAIN = 0x02
_LAST_CLUSTER = 0xFFFFFFF7


def read_exfat(image: Path, offset_bytes: int = 0) -> dict[str, bytes]:
    """Every file by its path below the root."""
    with image.open("rb") as file:
        file.seek(offset_bytes)
        return _Volume(file.read()).files()


class _Volume:
    def __init__(self, content: bytes) -> None:
        assert content[3:11] == b"EXFAT   ", "not an exFAT volume"
        fat_offset, _, heap_offset, _, root = struct.unpack_from("<5I", content, 80)
        self._root = int(root)
        sector_bytes = 1 << content[108]
        self._cluster_bytes: int = sector_bytes << content[109]
        self._fat_bytes = fat_offset * sector_bytes
        self._heap_bytes: int = heap_offset * sector_bytes
        self._content = content

    def files(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        self._walk("", self._chain(self._root), found)
        return found

    def _walk(self, folder: str, content: bytes, found: dict[str, bytes]) -> None:
        at = 0
        while at < len(content) and content[at] != 0:
            if content[at] != _FILE:
                at += _ENTRY_BYTES
                continue
            count = content[at + 1]
            attributes = struct.unpack_from("<H", content, at + 4)[0]
            entries = [content[at + i * _ENTRY_BYTES : at + (i + 1) * _ENTRY_BYTES] for i in range(1, count + 1)]
            stream = next(one for one in entries if one[0] == _STREAM)
            name = b"".join(one[2:] for one in entries if one[0] == _NAME).decode("utf-16-le")[: stream[3]]
            first, size_bytes = struct.unpack_from("<IQ", stream, 20)
            data = self._data(first, size_bytes, has_no_chain=bool(stream[1] & _HAS_NO_CHAIN))
            if attributes & _IS_FOLDER:
                self._walk(f"{folder}{name}/", data, found)
            else:
                found[f"{folder}{name}"] = data[:size_bytes]
            at += (count + 1) * _ENTRY_BYTES

    def _data(self, first: int, size_bytes: int, *, has_no_chain: bool) -> bytes:
        if size_bytes == 0:
            return b""
        if not has_no_chain:
            return self._chain(first)
        start = self._place(first)
        return self._content[start : start + size_bytes]

    def _chain(self, cluster: int) -> bytes:
        parts = []
        while 2 <= cluster < _LAST_CLUSTER:
            start = self._place(cluster)
            parts.append(self._content[start : start + self._cluster_bytes])
            cluster = struct.unpack_from("<I", self._content, self._fat_bytes + 4 * cluster)[0]
        return b"".join(parts)

    def _place(self, cluster: int) -> int:
        return self._heap_bytes + (cluster - 2) * self._cluster_bytes
