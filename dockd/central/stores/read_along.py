"""Reads finished parts of an upload back from the disk while its other parts still arrive.

The whole of a recording is read back and hashed before anybody gets a receipt. Done at the very end, this
keeps the dock waiting for as long as the disk needs for the whole recording; most of it can be done before. What
is remembered here is a prefix: the SHA-256 so far of consecutive parts from the first on, each read past the
page cache after it was durable. It is a shortcut and never the truth: it lives in this process only, it is thrown
away whenever its file or one of its parts is not the one that was read, and where the digest of the whole does
not come out, everything is read again before anybody is blamed. What was read long ago is read again too: a proof is
of the time at which the receipt is signed. Knows files and digests, and no rows.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from dockd.central.stores import PlannedPart
from dockd.central.stores.read_back import ALIGNMENT_BYTES, BLOCK_BYTES, blocks_on_disk, opened_past_cache
from dockd.clock import Clock

_AT_ONCE = 16
"""Uploads that are read along; the one that has not moved for longest makes room."""
_FRESH_SECONDS = 600.0
"""A prefix whose first part was read before that is not used: an upload may pause for a night."""
_WORTH_BYTES = 4 * BLOCK_BYTES
"""Below this the end has little to read; ten thousand small recordings need no open file each."""


@dataclass(slots=True)
class Prefix:
    """What was read of one upload's file: `end_bytes` bytes from its start, hashed in `whole`."""

    status: os.stat_result
    whole: hashlib._Hash
    began_monotonic: float
    end_bytes: int = 0
    parts: dict[int, datetime] = field(default_factory=dict)
    """The parts in it, each with the time at which it was finished."""

    def is_of(self, path: Path) -> bool:
        """Whether `path` is still the file that was read. Raises OSError."""
        return os.path.samestat(self.status, path.stat())

    def agrees_with(self, finished: Mapping[int, datetime]) -> bool:
        """Whether every part that was read is still held as it was then; one sent again has another time."""
        return all(finished.get(number) == at for number, at in self.parts.items())


class ReadAlong:
    """The prefixes of the uploads that this process receives into `folder`."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._is_closed = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="read-along")
        self._under_way: dict[str, _UnderWay] = {}

    def part_finished(self, upload: str, part: PlannedPart, finished_at: datetime) -> None:
        """The part's bytes and row are durable. Costs the caller nothing: the reading is done in a thread."""
        one = self._under_way.pop(upload, None)
        if one is None:
            if part.size_bytes % ALIGNMENT_BYTES or part.size_bytes < _WORTH_BYTES:
                return  # small, or of parts that begin where O_DIRECT cannot
            one = _UnderWay(self._folder / upload, self._clock)
        self._under_way[upload] = one  # the newest comes last
        one.waiting[part.offset_bytes] = (part, finished_at)
        self._go_on(one)
        for idle in [name for name in self._under_way if self._under_way[name].reading is None][:-_AT_ONCE]:
            del self._under_way[idle]

    async def take(self, upload: str) -> Prefix | None:
        """What was read so far, once the part being read is done; it is forgotten here."""
        one = self._under_way.pop(upload, None)
        if one is None:
            return None
        one.waiting.clear()
        if one.reading is not None:
            await asyncio.wait({one.reading})
        return one.prefix if one.is_sound and not self._is_stale(one) else None

    def forget(self, upload: str) -> None:
        """The upload is over, or its parts are to be sent again."""
        self._under_way.pop(upload, None)

    def close(self) -> None:
        """Wait for the part being read."""
        self._is_closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _go_on(self, one: _UnderWay) -> None:
        if one.reading is not None or not one.is_sound or self._is_closed:
            return
        if self._is_stale(one):
            one.is_sound = False  # nothing is read for nothing
            return
        end_bytes = one.prefix.end_bytes if one.prefix is not None else 0
        found = one.waiting.pop(end_bytes, None)
        if found is None or end_bytes % ALIGNMENT_BYTES:
            return
        part, finished_at = found
        reading = asyncio.get_running_loop().run_in_executor(self._pool, one.read, part, finished_at)
        one.reading = reading
        reading.add_done_callback(lambda done: self._was_read(one, done))

    def _is_stale(self, one: _UnderWay) -> bool:
        return one.prefix is not None and self._clock.monotonic() - one.prefix.began_monotonic > _FRESH_SECONDS

    def _was_read(self, one: _UnderWay, done: asyncio.Future[None]) -> None:
        one.reading = None
        if done.cancelled() or isinstance(done.exception(), OSError):
            one.is_sound = False  # the end will meet the same trouble, and tells it
            return
        done.result()
        self._go_on(one)


class _UnderWay:
    """One upload's prefix in the making."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self.prefix: Prefix | None = None
        self.waiting: dict[int, tuple[PlannedPart, datetime]] = {}
        self.reading: asyncio.Future[None] | None = None
        self.is_sound = True

    def read(self, part: PlannedPart, finished_at: datetime) -> None:
        """Blocking. Raises OSError."""
        with opened_past_cache(self._path) as descriptor:
            status = os.fstat(descriptor)
            if self.prefix is None:
                self.prefix = Prefix(status, hashlib.sha256(), self._clock.monotonic())
            elif not os.path.samestat(self.prefix.status, status):
                raise FileNotFoundError("the upload's file was made anew")
            for block in blocks_on_disk(descriptor, part.offset_bytes, part.offset_bytes + part.size_bytes):
                self.prefix.whole.update(block)
        self.prefix.end_bytes += part.size_bytes
        self.prefix.parts[part.number] = finished_at
