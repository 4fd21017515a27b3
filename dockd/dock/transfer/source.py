"""Reading one recording from a camera, from an offset to its listed end, whatever the card does.

Knows `SourceReader`, short reads, bad places and the listed size and time. Must not know the staging
disk, digests or the journal. Runs in the camera's worker thread in short legs, so that one time-out per
leg tells a camera that hangs from one that is slow.
"""

from __future__ import annotations

from collections.abc import Callable

from dockd.clock import Clock
from dockd.dock.transfer.contracts import Progress
from dockd.dock.transfer.gate import LastOneOut
from dockd.driver_api import SourceReader, SourceUnreadable, Storage
from dockd.errors import CardUnreadable, SourceChanged
from dockd.model.recording import ByteRange, SourceFile

SECTOR_BYTES = 4096
"""The smallest place given up as unreadable: a multiple of every sector size that cards have."""


class OpenSource:
    """One listed file, opened; remembers what was listed and notices when it is no longer that.

    All methods but `leave` and `close` are blocking and belong to the camera's worker thread. Raise
    SourceChanged, CameraGone, DriverTimeout, CardUnreadable.
    """

    def __init__(self, storage: Storage, listed: SourceFile) -> None:
        self._storage = storage
        self._listed = listed
        self._reader: SourceReader | None = None
        self._gate = LastOneOut(self._release)

    @property
    def is_leaving(self) -> bool:
        """The copy is being given up; whoever is inside should return."""
        return self._gate.is_closing

    @property
    def is_closed(self) -> bool:
        """Nothing is open, and nothing will be."""
        return self._gate.is_closed

    def in_leg(self, leg: Callable[[], bool]) -> bool:
        """Run one leg with the file open. Raises OSError (EBADF) after `leave`."""
        with self._gate.inside():
            if self._reader is None:
                self._reader = self._storage.open_reader(self._listed)
                self.check_unchanged()
            return leg()

    def read(self, offset: int, buffer: memoryview) -> int:
        """As `SourceReader.read_into`, but never believed beyond the buffer."""
        count = self._opened().read_into(offset, buffer)
        if not 0 <= count <= len(buffer):
            raise CardUnreadable(f"The driver gave {count} bytes of {self._name} where {len(buffer)} were asked for.")
        return count

    def read_exactly(self, offset: int, length: int) -> bytes | None:
        """`length` bytes from `offset`, or None when they cannot all be read now."""
        content = bytearray(length)
        done = 0
        while done < length:
            try:
                count = self.read(offset + done, memoryview(content)[done:])
            except SourceUnreadable:
                return None
            if count == 0:
                return None
            done += count
        return bytes(content)

    def check_unchanged(self) -> None:
        """Compare size and time with the listing. Raises SourceChanged."""
        try:
            now = self._opened().stat()
        except SourceUnreadable as error:
            raise CardUnreadable(f"The card does not tell size and time of {self._name} any more.") from error
        if now.size_bytes != self._listed.size_bytes:
            raise SourceChanged(
                f"{self._name} was listed with {self._listed.size_bytes} bytes and has {now.size_bytes} now."
            )
        times = (now.modified_ns, self._listed.modified_ns)
        if None not in times and times[0] != times[1]:
            raise SourceChanged(f"{self._name} was written to after it was listed.")

    def check_ends(self) -> None:
        """After the last byte: unchanged, and nothing behind the listed end.

        Some MTP stacks list a larger file as 4 GiB; one that then delivers more must not pass as whole.
        """
        self.check_unchanged()
        try:
            extra = self.read(self._listed.size_bytes, memoryview(bytearray(1)))
        except SourceUnreadable:
            return
        if extra:
            self.check_unchanged()  # it may have grown since it was asked a moment ago
            raise CardUnreadable(
                f"The card lists {self._name} with {self._listed.size_bytes} bytes but gives more; "
                "a copy could not be proved to be whole."
            )

    def leave(self) -> None:
        """Let nobody in any more and ask whoever is inside to return. Never waits, never closes."""
        self._gate.forbid()

    def close(self) -> None:
        """Close the reader, or leave that to the thread that hangs inside. Never raises."""
        self._gate.close()

    @property
    def _name(self) -> str:
        return self._listed.path.text

    def _opened(self) -> SourceReader:
        if self._reader is None:
            raise RuntimeError("the source is read outside of a leg")
        return self._reader

    def _release(self) -> None:
        if self._reader is not None:
            self._reader.close()


class SourceWalk:
    """Fills buffers from `start` to the listed end, in order; resumable in the middle of a buffer.

    A place that cannot be read is narrowed down by halving to 4 KiB; the buffer has zeros there and
    `unreadable` says so. After `damage_limit_seconds` spent on reads that failed, everything from
    there to the end is one unreadable range.
    """

    def __init__(
        self,
        source: OpenSource,
        *,
        clock: Clock,
        damage_limit_seconds: float,
        progress: Progress,
    ) -> None:
        self._source = source
        self._clock = clock
        self._patience_seconds = damage_limit_seconds
        self._progress = progress
        self._has_given_up = False
        self._unreadable: list[ByteRange] = []
        self._pending: list[tuple[int, int]] = []
        self._buffer = memoryview(b"")
        self._buffer_start = 0

    @property
    def unreadable(self) -> tuple[ByteRange, ...]:
        """Places given up so far, ascending and merged."""
        return tuple(self._unreadable)

    def begin(self, offset: int, buffer: memoryview) -> None:
        """Set out to fill the whole of `buffer` with what is at `offset`."""
        self._buffer, self._buffer_start = buffer, offset
        self._pending = [(offset, offset + len(buffer))]

    def advance(self, until_monotonic: float) -> bool:
        """Read on; true when the buffer is full, false when the time is over or the copy is left."""
        while self._pending:
            if self._source.is_leaving or self._clock.monotonic() >= until_monotonic:
                return False
            self._read_span(*self._pending.pop())
        self._buffer = memoryview(b"")  # it goes on to others now
        return True

    def _read_span(self, start: int, end: int) -> None:
        if self._has_given_up:
            self._give_up(start, end)
            return
        began = self._clock.monotonic()
        try:
            count = self._source.read(start, self._slice(start, end))
        except SourceUnreadable:
            self._patience_seconds -= self._clock.monotonic() - began
            self._narrow_down(start, end)
            return
        if count == 0:
            # Not the end that was listed. A file that shrank is another file; one that did not has
            # a hole in its chain of clusters, and what lies behind it is lost to us.
            self._source.check_unchanged()
            self._give_up_rest(start, end)
            return
        self._progress(count)
        if start + count < end:
            self._pending.append((start + count, end))

    def _narrow_down(self, start: int, end: int) -> None:
        if self._patience_seconds <= 0:
            self._give_up_rest(start, end)
            return
        middle = (start + end) // 2 // SECTOR_BYTES * SECTOR_BYTES
        if middle <= start:
            middle = start // SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES
        if middle >= end:
            self._give_up(start, end)
            return
        self._pending.append((middle, end))
        self._pending.append((start, middle))

    def _give_up_rest(self, start: int, end: int) -> None:
        self._has_given_up = True
        self._give_up(start, end)

    def _give_up(self, start: int, end: int) -> None:
        self._slice(start, end)[:] = bytes(end - start)
        last = self._unreadable[-1] if self._unreadable else None
        if last is not None and last.end_byte == start:
            self._unreadable[-1] = ByteRange(start_byte=last.start_byte, end_byte=end)
        else:
            self._unreadable.append(ByteRange(start_byte=start, end_byte=end))
        self._progress(end - start)

    def _slice(self, start: int, end: int) -> memoryview:
        return self._buffer[start - self._buffer_start : end - self._buffer_start]
