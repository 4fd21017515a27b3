"""The container check labels what is not whole, never raises, and never works without bound."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockd.model.recording import ContainerVerdict
from dockd.rules.container import inspect_container

GIB4 = 1 << 32


class Content:
    """A file as its pieces, zeros between them, so that files over 4 GiB cost nothing. Counts reads."""

    def __init__(self, *pieces: tuple[int, bytes], size_bytes: int | None = None) -> None:
        self._pieces = pieces
        self.size_bytes = size_bytes if size_bytes is not None else max(at + len(piece) for at, piece in pieces)
        self.reads = 0
        self.bytes_read = 0

    def read_at(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        self.reads += 1
        length = max(0, min(length, self.size_bytes - offset))
        self.bytes_read += length
        content = bytearray(length)
        for at, piece in self._pieces:
            start, end = max(at, offset), min(at + len(piece), offset + length)
            if start < end:
                content[start - offset : end - offset] = piece[start - at : end - at]
        return bytes(content)

    def verdict(self) -> ContainerVerdict:
        return inspect_container(self.read_at, self.size_bytes)


def whole(content: bytes) -> ContainerVerdict:
    return Content((0, content)).verdict()


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def wide_box(kind: bytes, body_bytes: int) -> bytes:
    """The 16-byte head of a box with a 64-bit size."""
    return struct.pack(">I4sQ", 1, kind, 16 + body_bytes)


FTYP = box(b"ftyp", b"isom\0\0\2\0isomavc1")
FOOTAGE = bytes(range(1, 256)) * 40


def moov(*offsets: int, width: int = 4) -> bytes:
    kind, letter = (b"stco", "I") if width == 4 else (b"co64", "Q")
    table = box(kind, struct.pack(f">II{len(offsets)}{letter}", 0, len(offsets), *offsets))
    stbl = box(b"stbl", box(b"stsd", b"\0" * 8) + table)
    trak = box(b"trak", box(b"tkhd", b"\0" * 84) + box(b"mdia", box(b"minf", stbl)))
    return box(b"moov", box(b"mvhd", b"\0" * 100) + trak)


INDEX_LAST = FTYP + box(b"mdat", FOOTAGE) + moov(len(FTYP) + 8, len(FTYP) + 5000)
INDEX_FIRST = FTYP + moov(500, 5000) + box(b"mdat", FOOTAGE)

# --- MP4 and MOV ------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [INDEX_LAST, INDEX_FIRST], ids=["index last", "index first"])
def test_whole_mp4_is_complete(content):
    assert whole(content) is ContainerVerdict.COMPLETE


@pytest.mark.parametrize("content", [INDEX_LAST, INDEX_FIRST], ids=["index last", "index first"])
def test_every_truncation_of_an_mp4_is_found(content):
    for length in range(8, len(content)):
        assert whole(content[:length]) is not ContainerVerdict.COMPLETE, length
    for length in range(len(FTYP), len(content)):
        assert whole(content[:length]) is ContainerVerdict.TRUNCATED, length


def test_chunk_offsets_behind_the_end_are_a_truncation():
    content = FTYP + moov(500, 50_000_000) + box(b"mdat", FOOTAGE)
    assert whole(content) is ContainerVerdict.TRUNCATED
    content = FTYP + moov(500, 1 << 40, width=8) + box(b"mdat", FOOTAGE)
    assert whole(content) is ContainerVerdict.TRUNCATED


def test_chunk_table_longer_than_its_box_is_a_truncation():
    index = moov(500).replace(struct.pack(">II", 0, 1), struct.pack(">II", 0, 0xFFFFFFFF))
    assert whole(FTYP + index + box(b"mdat", FOOTAGE)) is ContainerVerdict.TRUNCATED


def test_footage_to_the_end_of_the_file_is_complete_when_the_index_reaches_it():
    open_mdat = struct.pack(">I4s", 0, b"mdat") + FOOTAGE
    assert whole(FTYP + moov(500, 9000) + open_mdat) is ContainerVerdict.COMPLETE
    assert whole((FTYP + moov(500, 9000) + open_mdat)[:8000]) is ContainerVerdict.TRUNCATED
    assert whole(FTYP + open_mdat) is ContainerVerdict.TRUNCATED


def test_index_that_names_no_footage_is_a_truncation():
    assert whole(FTYP + box(b"mdat", FOOTAGE) + moov()) is ContainerVerdict.TRUNCATED


def test_fragmented_mp4_is_complete_and_its_truncation_found():
    fragment = box(b"moof", box(b"mfhd", b"\0" * 8)) + box(b"mdat", FOOTAGE)
    content = FTYP + moov() + fragment * 3
    assert whole(content) is ContainerVerdict.COMPLETE
    assert whole(content[:-1]) is ContainerVerdict.TRUNCATED


def test_zeros_behind_fragments_are_lost_fragments():
    fragment = box(b"moof", box(b"mfhd", b"\0" * 8)) + box(b"mdat", FOOTAGE)
    assert whole(FTYP + moov() + fragment + bytes(len(fragment))) is ContainerVerdict.TRUNCATED
    assert whole(FTYP + moov() + bytes(len(fragment))) is ContainerVerdict.ZERO_FILLED


def test_mov_without_ftyp_is_recognised():
    content = box(b"wide", b"") + box(b"mdat", FOOTAGE) + moov(16)
    assert whole(content) is ContainerVerdict.COMPLETE


def test_zeros_that_fill_the_last_cluster_do_not_make_a_file_truncated():
    assert whole(INDEX_LAST + bytes(5000)) is ContainerVerdict.COMPLETE
    assert whole(INDEX_LAST + bytes(3)) is ContainerVerdict.COMPLETE
    assert whole(INDEX_LAST + b"garbage!" * 10) is not ContainerVerdict.COMPLETE


@pytest.mark.parametrize("size_bytes", [GIB4, GIB4 - 1])
def test_file_listed_as_exactly_4_gib_of_a_larger_one_is_labelled(size_bytes):
    head = FTYP + wide_box(b"mdat", 5 << 30) + FOOTAGE
    cut = Content((0, head), (GIB4 - 9000, FOOTAGE[:8000]), size_bytes=size_bytes)
    assert cut.verdict() is ContainerVerdict.TRUNCATED


def test_whole_file_over_4_gib_is_complete():
    head = FTYP + wide_box(b"mdat", 5 << 30) + FOOTAGE
    index_at = len(FTYP) + 16 + (5 << 30)
    content = Content((0, head), (index_at, moov(len(FTYP) + 16, 5 << 30, width=8)))
    assert content.verdict() is ContainerVerdict.COMPLETE


def test_whole_file_of_exactly_4_gib_is_complete():
    index = moov(len(FTYP) + 16, 3 << 30)
    head = FTYP + wide_box(b"mdat", GIB4 - len(FTYP) - 16 - len(index)) + FOOTAGE
    content = Content((0, head), (GIB4 - len(index), index), size_bytes=GIB4)
    assert content.verdict() is ContainerVerdict.COMPLETE


# --- zeros and nothing ------------------------------------------------------------------------


def test_empty_file_is_empty():
    assert inspect_container(lambda _o, _n: b"", 0) is ContainerVerdict.EMPTY


@pytest.mark.parametrize("size_bytes", [1, 7, 512, 4096, 1 << 30])
def test_file_of_zeros_is_zero_filled(size_bytes):
    assert Content(size_bytes=size_bytes).verdict() is ContainerVerdict.ZERO_FILLED


def test_header_and_then_zeros_is_zero_filled():
    assert Content((0, FTYP), size_bytes=1 << 20).verdict() is ContainerVerdict.ZERO_FILLED
    head = FTYP + wide_box(b"mdat", 1 << 30)
    assert Content((0, head), size_bytes=1 << 20).verdict() is ContainerVerdict.ZERO_FILLED


def test_zeros_where_the_footage_should_be_is_zero_filled_although_the_index_is_whole():
    content = FTYP + box(b"mdat", bytes(100_000)) + moov(100, 50_000)
    assert whole(content) is ContainerVerdict.ZERO_FILLED


@pytest.mark.parametrize("content", [b"x", b"hello world, this is a log", b"\xff\xd8\xff\xe0" + b"JFIF" * 99])
def test_other_files_are_not_video(content):
    assert whole(content) is ContainerVerdict.NOT_VIDEO


# --- Matroska, WebM, AVI ------------------------------------------------------------------------

EBML = b"\x1a\x45\xdf\xa3" + b"\x84" + b"\x42\x86\x81\x01"


def segment(body: bytes, size: bytes | None = None) -> bytes:
    return b"\x18\x53\x80\x67" + (size or (b"\x01" + len(body).to_bytes(7, "big"))) + body


def test_whole_matroska_is_complete_and_its_truncation_found():
    content = EBML + segment(FOOTAGE)
    assert whole(content) is ContainerVerdict.COMPLETE
    for length in (len(content) - 1, len(content) // 2, 25, 12, 5):
        assert whole(content[:length]) is ContainerVerdict.TRUNCATED, length


def test_matroska_whose_length_was_never_filled_in_is_truncated():
    assert whole(EBML + segment(FOOTAGE, b"\x01" + b"\xff" * 7)) is ContainerVerdict.TRUNCATED


def test_matroska_of_zeros_is_zero_filled():
    content = EBML + segment(FOOTAGE[:500] + bytes(100_000))
    assert whole(content) is ContainerVerdict.ZERO_FILLED


def riff(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body) + 4 if length is None else length) + kind + body


def test_whole_avi_is_complete_and_its_truncation_found():
    content = riff(b"AVI ", FOOTAGE) + riff(b"AVIX", FOOTAGE)
    assert whole(content) is ContainerVerdict.COMPLETE
    assert whole(content + bytes(600)) is ContainerVerdict.COMPLETE
    for length in (len(content) - 1, len(FOOTAGE), 13):
        assert whole(content[:length]) is ContainerVerdict.TRUNCATED, length


def test_avi_whose_length_was_never_filled_in_is_truncated():
    assert whole(riff(b"AVI ", FOOTAGE, length=0)) is ContainerVerdict.TRUNCATED


# --- hostile ------------------------------------------------------------------------------------


def bounded(content: Content) -> ContainerVerdict:
    verdict = content.verdict()
    assert content.reads <= 20_100
    assert content.bytes_read <= 4 * 1024 * 1024
    return verdict


@pytest.mark.parametrize(
    "content",
    [
        Content((0, (FTYP + box(b"free", b"") * 60_000))),
        Content((0, FTYP + box(b"moov", box(b"trak", b"") * 60_000))),
        Content((0, FTYP + box(b"moov", box(b"stco", struct.pack(">II", 0, 0)) * 30_000) + box(b"mdat", FOOTAGE))),
        Content((0, EBML * 30_000)),
        Content((0, riff(b"AVI ", b"") * 40_000)),
        Content((0, struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1))),
        Content((0, struct.pack(">I4sQ", 1, b"ftyp", 0)), size_bytes=1 << 40),
        Content((0, struct.pack(">I4s", 3, b"ftyp")), size_bytes=1 << 40),
    ],
)
def test_work_is_bounded_whatever_the_file_says(content):
    assert bounded(content) in (ContainerVerdict.TRUNCATED, ContainerVerdict.ZERO_FILLED)


def test_ordinary_recording_needs_few_reads():
    content = Content((0, INDEX_LAST))
    content.verdict()
    assert content.reads < 40


@settings(max_examples=300)
@given(
    st.sampled_from([b"", FTYP, EBML, b"RIFF\x10\0\0\0AVI ", INDEX_FIRST, INDEX_LAST, FTYP + moov(1, 2, width=8)]),
    st.lists(
        st.binary(max_size=40)
        | st.builds(
            lambda size, kind, body: struct.pack(">I", size) + kind + body,
            st.sampled_from([0, 1, 7, 8, 9, 16, 100, 2**31, 2**32 - 1]),
            st.sampled_from([b"ftyp", b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stco", b"co64", b"mdat", b"free"]),
            st.binary(max_size=24),
        ),
        max_size=12,
    ),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
    st.integers(0, 1 << 33),
)
def test_hostile_bytes_never_raise_and_never_work_without_bound(start, pieces, changes, extra_bytes):
    content = bytearray(start + b"".join(pieces))
    for place, value in changes:
        if place < len(content):
            content[place] = value
    bounded(Content((0, bytes(content)), size_bytes=len(content) + extra_bytes))
    bounded(Content((0, bytes(content)), size_bytes=len(content)))
