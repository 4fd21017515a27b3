"""One small file is written, flushed and read back past the page cache, and removed: does the disk keep its word?

The only thing that the doctor ever writes. Lets OSError through.
"""

from __future__ import annotations

import mmap
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dockd.dock.disk import Disk, refuses_direct

PROBE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class DiskTrial:
    """How the trial went."""

    wrote_direct: bool
    """Writing passed the page cache (O_DIRECT)."""
    read_direct: bool
    gave_back_same: bool
    fsync_seconds: float


def try_staging_disk(disk: Disk, folder: Path) -> DiskTrial:
    """Try the disk below `folder` with a file that did not exist before. Raises OSError."""
    # Random, so that a disk cannot know it already; page-aligned, as O_DIRECT asks for.
    with mmap.mmap(-1, PROBE_BYTES) as content, mmap.mmap(-1, PROBE_BYTES) as untrusted_back:
        content[:] = os.urandom(PROBE_BYTES)
        path = folder / f".probe-doctor-{os.getpid()}"
        # Exclusive: the caller may be root in a folder of another user, who must not choose what is written to.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        try:
            wrote_direct, fsync_seconds = _write(disk, path, content)
            disk.sync_folder(folder)
            read_direct = _read_back(disk, path, untrusted_back)
            gave_back_same = untrusted_back[:] == content[:]
        finally:
            with suppress(FileNotFoundError):
                path.unlink()
        disk.sync_folder(folder)
    return DiskTrial(wrote_direct, read_direct, gave_back_same, fsync_seconds)


def _write(disk: Disk, path: Path, content: mmap.mmap) -> tuple[bool, float]:
    descriptor, is_direct = disk.open_to_write(path)
    try:
        with memoryview(content) as view:
            try:
                _write_all(disk, descriptor, view)
            except OSError as error:
                if not (is_direct and refuses_direct(error)):
                    raise
                disk.leave_direct(descriptor)
                is_direct = False
                _write_all(disk, descriptor, view)
        before = time.monotonic()
        disk.sync(descriptor)
        return is_direct, time.monotonic() - before
    finally:
        disk.close(descriptor)


def _write_all(disk: Disk, descriptor: int, view: memoryview) -> None:
    done = 0
    while done < len(view):
        with view[done:] as rest:
            done += disk.write(descriptor, rest, done)


def _read_back(disk: Disk, path: Path, buffer: mmap.mmap) -> bool:
    """Fill `buffer` from the file; return whether it came past the page cache."""
    try:
        descriptor = disk.open_to_read(path, direct=True)
        try:
            _read_all(disk, descriptor, buffer)
        finally:
            disk.close(descriptor)
    except OSError as error:
        if not refuses_direct(error):
            raise
    else:
        return True
    descriptor = disk.open_to_read(path, direct=False)
    try:
        disk.drop_pages(descriptor)
        _read_all(disk, descriptor, buffer)
    finally:
        disk.close(descriptor)
    return False


def _read_all(disk: Disk, descriptor: int, buffer: mmap.mmap) -> None:
    done = 0
    with memoryview(buffer) as view:
        while done < len(view):
            with view[done:] as rest:
                got = disk.read(descriptor, rest, done)
            if got == 0:
                return
            done += got
