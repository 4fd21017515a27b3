"""Reading a card's file past the page cache, whatever the file system and the caller's buffer allow."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.card_file import UncachedReading

CONTENT = bytes(range(256)) * 100 + b"the odd end"
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "A.MP4").write_bytes(CONTENT)
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def reading(folder: int) -> Iterator[UncachedReading]:
    opened = UncachedReading(b"A.MP4", folder, FLAGS)
    yield opened
    opened.close()


def whole(reading: UncachedReading, buffer: memoryview) -> bytes:
    found = b""
    while count := reading.read_into(len(found), buffer):
        found += bytes(buffer[:count])
    return found


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_every_byte_is_read_in_order_with_an_aligned_buffer(reading: UncachedReading) -> None:
    assert whole(reading, memoryview(mmap.mmap(-1, 8192))) == CONTENT


@given(st.integers(1, 9000), st.integers(0, 4095))
def test_every_byte_is_read_whatever_the_buffer(tmp_path_factory: pytest.TempPathFactory, size: int, at: int) -> None:
    place = tmp_path_factory.getbasetemp() / "card"
    place.mkdir(exist_ok=True)
    (place / "A.MP4").write_bytes(CONTENT)
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    opened = UncachedReading(b"A.MP4", descriptor, FLAGS)
    try:
        assert whole(opened, memoryview(mmap.mmap(-1, 16384))[at : at + size]) == CONTENT
    finally:
        opened.close()
        os.close(descriptor)


def test_file_system_without_o_direct_is_read_through_the_cache(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def no_direct(name: bytes, flags: int, *rest: int, **others: int) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(name, flags, *rest, **others)

    monkeypatch.setattr(os, "open", no_direct)
    opened = UncachedReading(b"A.MP4", folder, FLAGS)
    assert whole(opened, memoryview(mmap.mmap(-1, 8192))) == CONTENT
    opened.close()


def test_what_changed_behind_the_page_cache_is_seen(tmp_path: Path, reading: UncachedReading) -> None:
    """The second reading of a card must not be answered from what the first one left in memory."""
    buffer = memoryview(mmap.mmap(-1, 4096))
    assert reading.read_into(0, buffer) == 4096
    writer = os.open(tmp_path / "A.MP4", os.O_WRONLY | os.O_DIRECT)
    changed = mmap.mmap(-1, 4096)
    changed[:] = b"x" * 4096
    os.pwrite(writer, changed, 0)
    os.close(writer)
    assert reading.read_into(0, buffer) == 4096
    assert bytes(buffer) == b"x" * 4096


def test_no_descriptor_is_left_open_and_closing_may_be_repeated(folder: int) -> None:
    before = open_descriptors()
    opened = UncachedReading(b"A.MP4", folder, FLAGS)
    opened.close()
    opened.close()
    assert open_descriptors() == before
