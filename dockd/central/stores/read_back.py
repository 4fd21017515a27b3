"""Reads a file as the disk has it and hashes what comes. Blocking; knows nothing of uploads.

The page cache would give back what was written even where the disk did not take it. O_DIRECT passes it;
where a file system has no O_DIRECT (tmpfs), the cached pages are dropped first (posix_fadvise(2),
DONTNEED), which works for pages that are clean, so the file must have been fsynced before.
Some threads read ahead while one hashes: a disk that is asked for one block at a time gives half its rate.
A handful of buffers, whatever the file's size.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import mmap
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from dockd.model.ids import Digest

BLOCK_BYTES = 2 * 1024 * 1024
"""A multiple of ALIGNMENT_BYTES."""
ALIGNMENT_BYTES = 4096
"""Offsets, lengths and addresses of O_DIRECT calls are multiples of this (open(2), NOTES)."""
_READS_AHEAD = 3


def digest_on_disk(path: Path, *, whole: hashlib._Hash | None = None, start: int = 0) -> tuple[Digest, int]:
    """SHA-256 and size in bytes of the file as it lies on the disk. Raises OSError.

    `whole` is the digest of its first `start` bytes (a multiple of ALIGNMENT_BYTES), when they were read before;
    it goes on from there.
    """
    whole = whole or hashlib.sha256()
    size_bytes = start
    with opened_past_cache(path) as descriptor:
        for block in blocks_on_disk(descriptor, start, os.fstat(descriptor).st_size):
            whole.update(block)
            size_bytes += len(block)
    return Digest(whole.hexdigest()), size_bytes


def part_digests_on_disk(path: Path, part_size_bytes: int) -> list[Digest]:
    """SHA-256 of each consecutive part of `part_size_bytes`, the last one shorter. Raises OSError."""
    digests = []
    size_bytes = path.stat().st_size
    for start in range(0, size_bytes, part_size_bytes):
        one = hashlib.sha256()
        end = min(start + part_size_bytes, size_bytes)
        # A part may begin anywhere; O_DIRECT may not. What this reads was dropped from the cache before.
        with _opened(path, 0) as descriptor:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            for block in blocks_on_disk(descriptor, start, end):
                one.update(block)
        digests.append(Digest(one.hexdigest()))
    return digests


@contextmanager
def opened_past_cache(path: Path) -> Iterator[int]:
    """A descriptor whose reads come from the disk. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
    except OSError:
        with _opened(path, 0) as descriptor:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            yield descriptor
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def blocks_on_disk(descriptor: int, start: int, end: int) -> Iterator[memoryview]:
    """The bytes from `start` to `end`; each view is valid until the next is taken. Raises OSError."""
    block_count = -(-(end - start) // BLOCK_BYTES)
    if block_count == 0:
        return
    # Anonymous maps are page-aligned. A small recording, of which there may be ten thousand, needs but one.
    buffers = [mmap.mmap(-1, BLOCK_BYTES) for _ in range(min(block_count, _READS_AHEAD + 1))]
    turns = itertools.cycle(buffers)
    offsets = iter(range(start, end, BLOCK_BYTES))
    coming: deque[tuple[mmap.mmap, Future[int]]] = deque()

    def read(buffer: mmap.mmap, offset: int) -> int:
        count = min(os.preadv(descriptor, [buffer], offset), end - offset)
        if count < min(BLOCK_BYTES, end - offset):
            raise OSError(errno.EIO, "the file ended early")
        return count

    if block_count == 1:
        count = read(buffers[0], start)
        with memoryview(buffers[0]) as whole, whole[:count] as view:
            yield view
        buffers[0].close()
        return
    with ThreadPoolExecutor(_READS_AHEAD, thread_name_prefix="read-ahead") as ahead:

        def ask_for_more() -> None:
            offset = next(offsets, None)
            if offset is not None:
                buffer = next(turns)
                coming.append((buffer, ahead.submit(read, buffer, offset)))

        try:
            for _ in range(_READS_AHEAD):
                ask_for_more()
            while coming:
                buffer, reading = coming.popleft()
                count = reading.result()
                ask_for_more()  # into the buffer that was handed out before this one
                with memoryview(buffer) as whole, whole[:count] as view:
                    yield view
        finally:
            ahead.shutdown(wait=True, cancel_futures=True)
            for buffer in buffers:
                buffer.close()
