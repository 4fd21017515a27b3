"""What a video file's container says of its own completeness: a label for people, never a reason to drop.

Pure: reads through a `read_at` that the caller gives. Every number in the file is hostile: the work is
bounded by `_STEP_LIMIT` reads of at most 8 KiB whatever the file says, and nothing is raised.

Sources: MP4 and MOV boxes, ISO/IEC 14496-12 §4.2 (64-bit sizes, size 0 = to the end of the file), chunk
offsets §8.7.5; Matroska/WebM, RFC 8794 §4 to §6 and RFC 9559; AVI, Microsoft RIFF and OpenDML.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dockd.model.recording import ContainerVerdict

ReadAt = Callable[[int, int], bytes]
"""`read_at(offset, length)`: up to `length` bytes from `offset`, fewer only at the end of the file."""

_STEP_LIMIT = 20_000
"""Boxes looked at before the walk gives up: a 4 h fragmented recording has about 15,000."""
_TABLE_BYTES = 8192
"""How much of each end of a chunk offset table is looked at; writers list chunks in rising order."""
_SAMPLE_COUNT = 16
_SAMPLE_BYTES = 512
_HEADERS_BYTES = 16 * 1024
"""In Matroska and AVI: what may be written before the first footage, and survives where that is zeros."""

_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"uuid"})
_PATH_TO_CHUNKS = frozenset({b"trak", b"mdia", b"minf", b"stbl"})
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


class _GiveUp(Exception):
    """More boxes than any real recording has."""


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    body: int
    end: int


@dataclass(slots=True)
class _File:
    """The file with its budget of reads."""

    untrusted_read_at: ReadAt
    size_bytes: int
    steps: int = 0

    def read(self, offset: int, length: int) -> bytes:
        self.steps += 1
        if self.steps > _STEP_LIMIT:
            raise _GiveUp
        return self.untrusted_read_at(offset, length) if 0 <= offset < self.size_bytes else b""

    def is_zero(self, start: int, end: int) -> bool:
        """Whether samples spread over the range, its ends among them, are all zero; false if it is empty."""
        if start >= end:
            return False
        last = max(start, end - _SAMPLE_BYTES)
        spread = (start + (last - start) * number // (_SAMPLE_COUNT - 1) for number in range(_SAMPLE_COUNT))
        return not any(any(self.read(place, min(_SAMPLE_BYTES, end - place))) for place in spread)


def inspect_container(read_at: ReadAt, size_bytes: int) -> ContainerVerdict:
    """Return what the container of a file of `size_bytes` says. Never raises for what is in the file.

    TRUNCATED: a declared length runs past the end, the index is missing or points past the end, or the
    file has so many boxes that its end cannot be established. ZERO_FILLED: nothing but zeros where the
    footage should be, as far as samples tell.
    """
    if size_bytes <= 0:
        return ContainerVerdict.EMPTY
    file = _File(read_at, size_bytes)
    try:
        return _inspect(file)
    except _GiveUp:
        return ContainerVerdict.TRUNCATED


def _inspect(file: _File) -> ContainerVerdict:
    head = file.read(0, 16)
    if head[:4] == _EBML.to_bytes(4, "big"):
        return _matroska(file)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _avi(file)
    if head[4:8] in _FIRST_BOXES:
        return _mp4(file)
    return ContainerVerdict.ZERO_FILLED if file.is_zero(0, file.size_bytes) else ContainerVerdict.NOT_VIDEO


# --- MP4 and MOV --------------------------------------------------------------------------------


def _mp4(file: _File) -> ContainerVerdict:
    index: _Box | None = None
    is_whole, has_fragments = True, False
    media: list[_Box] = []
    position = 0
    while position < file.size_bytes:
        box = _box(file, position, file.size_bytes)
        if box is None:
            # Zeros behind a whole recording are what a camera fills its last cluster with. Behind the head
            # of one, or behind fragments, of which nobody knows how many there were, they are lost footage.
            rest_is_zero = file.is_zero(position, file.size_bytes)
            if rest_is_zero and not media and file.size_bytes - position >= _SAMPLE_BYTES:
                return ContainerVerdict.ZERO_FILLED
            is_whole = is_whole and rest_is_zero and index is not None and not has_fragments
            break
        if box.kind == b"moov":
            index = box
        elif box.kind == b"mdat":
            media.append(box)
        has_fragments = has_fragments or box.kind == b"moof"
        is_whole = is_whole and box.end <= file.size_bytes
        position = box.end
    if media and all(file.is_zero(box.body, min(box.end, file.size_bytes)) for box in _some(media)):
        return ContainerVerdict.ZERO_FILLED
    if not is_whole or index is None or not media or not _reaches(file, index, has_fragments):
        return ContainerVerdict.TRUNCATED
    return ContainerVerdict.COMPLETE


def _some(boxes: list[_Box]) -> list[_Box]:
    """The largest few: a fragmented file has thousands."""
    return sorted((box for box in boxes if box.end > box.body), key=lambda box: box.body - box.end)[:4]


def _box(file: _File, position: int, limit: int) -> _Box | None:
    """The box at `position`; None where there is none. Its end may lie behind `limit`, never before its body."""
    head = file.read(position, 16)
    if len(head) < 8:
        return None
    size, kind = struct.unpack_from(">I4s", head)
    body = position + 8
    if not all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in kind):
        return None
    if size == 1:
        if len(head) < 16:
            return None
        size, body = struct.unpack_from(">Q", head, 8)[0], position + 16
    end = limit if size == 0 else position + size
    return _Box(kind, body, end) if end >= body else None


def _children(file: _File, parent: _Box) -> Iterator[_Box]:
    position = parent.body
    while position < parent.end:
        box = _box(file, position, parent.end)
        if box is None or box.end > parent.end:
            return
        yield box
        position = box.end


def _reaches(file: _File, index: _Box, has_fragments: bool) -> bool:
    """Whether the index names footage, all of it inside the file."""
    tables = 0
    pending = [index]
    while pending:
        for box in _children(file, pending.pop()):
            if box.kind in _PATH_TO_CHUNKS:
                pending.append(box)
            elif box.kind in (b"stco", b"co64"):
                offsets = _chunk_offsets(file, box)
                tables += bool(offsets)
                if offsets and max(offsets) >= file.size_bytes:
                    return False
    return tables > 0 or has_fragments


def _chunk_offsets(file: _File, table: _Box) -> tuple[int, ...]:
    """The first and last entries of a chunk offset table; a table cut short names a place behind every end."""
    width, letter = (4, "I") if table.kind == b"stco" else (8, "Q")
    head = file.read(table.body, 8)
    if len(head) < 8:
        return (file.size_bytes,)
    count = int.from_bytes(head[4:], "big")
    start, end = table.body + 8, table.body + 8 + count * width
    if end > table.end:
        return (file.size_bytes,)
    edge = min(_TABLE_BYTES, count * width)
    found = file.read(start, edge) + file.read(end - edge, edge)
    return struct.unpack(f">{len(found) // width}{letter}", found[: len(found) // width * width])


# --- Matroska and WebM --------------------------------------------------------------------------


def _matroska(file: _File) -> ContainerVerdict:
    header = _element(file, 0)
    if header is None or header[2] is None:
        return ContainerVerdict.TRUNCATED
    position = header[2]
    while position < file.size_bytes:
        element = _element(file, position)
        if element is None:
            break
        kind, body, end = element
        if kind == _SEGMENT:
            # A length of "unknown" is what a recorder writes before it comes back to fill it in.
            known_end = file.size_bytes if end is None else end
            if file.is_zero(body + _HEADERS_BYTES, min(known_end, file.size_bytes)):
                return ContainerVerdict.ZERO_FILLED
            is_whole = end is not None and body < end <= file.size_bytes
            return ContainerVerdict.COMPLETE if is_whole else ContainerVerdict.TRUNCATED
        if end is None:
            break
        position = end
    is_zero = file.is_zero(header[2], file.size_bytes)
    return ContainerVerdict.ZERO_FILLED if is_zero else ContainerVerdict.TRUNCATED


def _element(file: _File, position: int) -> tuple[int, int, int | None] | None:
    """(id, start of body, end or None for "unknown") of the EBML element at `position`."""
    head = file.read(position, 16)
    if not head or head[0] < 0x10:
        return None
    id_length = 9 - head[0].bit_length()
    rest = head[id_length:]
    if not rest or rest[0] == 0:
        return None
    size_length = 9 - rest[0].bit_length()
    if len(rest) < size_length:
        return None
    unknown = (1 << 7 * size_length) - 1
    size = int.from_bytes(rest[:size_length], "big") & unknown
    body = position + id_length + size_length
    return int.from_bytes(head[:id_length], "big"), body, None if size == unknown else body + size


# --- AVI ----------------------------------------------------------------------------------------


def _avi(file: _File) -> ContainerVerdict:
    position, is_whole = 0, True
    while position < file.size_bytes and is_whole:
        head = file.read(position, 12)
        if head[:4] != b"RIFF" or len(head) < 12:
            # Cameras fill the last cluster with zeros or a JUNK chunk; neither is footage.
            is_whole = head[:4] == b"JUNK" or file.is_zero(position, file.size_bytes)
            break
        length = int.from_bytes(head[4:8], "little")
        # 0 is what a recorder writes before it comes back to fill the length in.
        end = position + 8 + length
        is_whole = length >= 4 and end <= file.size_bytes
        position = end + length % 2
    if file.is_zero(_HEADERS_BYTES, file.size_bytes):
        return ContainerVerdict.ZERO_FILLED
    return ContainerVerdict.COMPLETE if is_whole else ContainerVerdict.TRUNCATED
