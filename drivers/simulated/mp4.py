"""Boxes of an MP4 file with one video track of JPEG pictures.

Knows ISO/IEC 14496-12 (boxes), -14 (MP4) and -1 §7.2.6 (the ES descriptor). Must not know pictures,
files or cameras. The index (`moov`) is meant to lie after the media data, as cameras write it: a clip
that was cut short has none.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_LANGUAGE_UNDETERMINED = 0x55C4
_JPEG_OBJECT_TYPE = 0x6C
"""ISO/IEC 10918-1 in the MP4 registration authority's table of object types."""

MEDIA_HEADER_BYTES = 16


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """What the index needs: frames of equal duration, `frame_ticks` of `ticks_per_second` each."""

    width_pixels: int
    height_pixels: int
    ticks_per_second: int
    frame_ticks: int
    frame_sizes_bytes: Sequence[int]
    frame_offsets_bytes: Sequence[int]
    started_at: datetime

    @property
    def duration_ticks(self) -> int:
        return self.frame_ticks * len(self.frame_sizes_bytes)


def file_type_box() -> bytes:
    """`ftyp`: the file's brands."""
    return _box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isom", b"iso2", b"mp41")


def media_header(media_bytes: int) -> bytes:
    """The header of a `mdat` box with `media_bytes` of content, always in the 64-bit form."""
    return struct.pack(">I4sQ", 1, b"mdat", media_bytes + MEDIA_HEADER_BYTES)


def index_box(track: VideoTrack) -> bytes:
    """`moov`. Raises ValueError for a start that a 32-bit MP4 time cannot hold (1904 to 2040)."""
    created = int((track.started_at.astimezone(UTC) - _EPOCH).total_seconds())
    if not 0 <= created < 1 << 32:
        raise ValueError("an MP4 creation time lies between 1904 and 2040")
    return _box(b"moov", _movie_header(track, created), _track(track, created))


def _movie_header(track: VideoTrack, created: int) -> bytes:
    times = struct.pack(">4I", created, created, track.ticks_per_second, track.duration_ticks)
    rest = struct.pack(">IHH8x", 0x10000, 0x100, 0) + _MATRIX + bytes(24) + struct.pack(">I", 2)
    return _full_box(b"mvhd", 0, times, rest)


def _track(track: VideoTrack, created: int) -> bytes:
    enabled_in_movie = 3
    header = _full_box(
        b"tkhd",
        enabled_in_movie,
        struct.pack(">5I", created, created, 1, 0, track.duration_ticks),
        struct.pack(">8x4H", 0, 0, 0, 0),
        _MATRIX,
        struct.pack(">2I", track.width_pixels << 16, track.height_pixels << 16),
    )
    media_times = struct.pack(">4I", created, created, track.ticks_per_second, track.duration_ticks)
    media = _box(
        b"mdia",
        _full_box(b"mdhd", 0, media_times, struct.pack(">HH", _LANGUAGE_UNDETERMINED, 0)),
        _full_box(b"hdlr", 0, struct.pack(">I4s12x", 0, b"vide"), b"Camera video\x00"),
        _box(b"minf", _full_box(b"vmhd", 1, bytes(8)), _data_information(), _sample_table(track)),
    )
    return _box(b"trak", header, media)


def _data_information() -> bytes:
    in_this_file = _full_box(b"url ", 1)
    return _box(b"dinf", _full_box(b"dref", 0, struct.pack(">I", 1), in_this_file))


def _sample_table(track: VideoTrack) -> bytes:
    sizes, offsets = track.frame_sizes_bytes, track.frame_offsets_bytes
    count = len(sizes)
    if not offsets or offsets[-1] < 1 << 32:
        chunk_offsets = _full_box(b"stco", 0, struct.pack(f">I{count}I", count, *offsets))
    else:
        chunk_offsets = _full_box(b"co64", 0, struct.pack(f">I{count}Q", count, *offsets))
    return _box(
        b"stbl",
        _full_box(b"stsd", 0, struct.pack(">I", 1), _sample_entry(track)),
        _full_box(b"stts", 0, struct.pack(">3I", 1, count, track.frame_ticks)),
        _full_box(b"stsc", 0, struct.pack(">4I", 1, 1, 1, 1)),
        _full_box(b"stsz", 0, struct.pack(f">2I{count}I", 0, count, *sizes)),
        chunk_offsets,
    )


def _sample_entry(track: VideoTrack) -> bytes:
    """`mp4v` with an ES descriptor that names JPEG: how MP4 (not QuickTime) carries Motion JPEG."""
    largest = max(track.frame_sizes_bytes, default=0)
    decoder = struct.pack(">BB", _JPEG_OBJECT_TYPE, 0x11) + largest.to_bytes(4, "big")[1:] + bytes(8)
    descriptor = _descriptor(0x03, struct.pack(">HB", 1, 0) + _descriptor(0x04, decoder) + _descriptor(0x06, b"\x02"))
    return _box(
        b"mp4v",
        struct.pack(">6xH16x", 1),
        struct.pack(">HHIIIH", track.width_pixels, track.height_pixels, 72 << 16, 72 << 16, 0, 1),
        bytes(32),
        struct.pack(">Hh", 8 + 32, -1),
        _full_box(b"esds", 0, descriptor),
    )


def _descriptor(tag: int, body: bytes) -> bytes:
    return bytes((tag, len(body))) + body


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _full_box(kind: bytes, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", flags), *parts)
