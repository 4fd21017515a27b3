"""Moves a source into a line of threads, in legs that run in the camera's worker thread."""

from __future__ import annotations

from dockd.clock import Clock
from dockd.dock.transfer.contracts import RunBlocking
from dockd.dock.transfer.line import Line
from dockd.dock.transfer.settings import CopySettings
from dockd.dock.transfer.source import OpenSource, SourceWalk
from dockd.errors import DriverTimeout

DISK_WAIT_SECONDS = 1.0
"""How long a leg waits for a free buffer: the camera's time-out must not run while the disk is slow."""


class Pump:
    """Reads `source` from `start` to its listed end into the buffers of `line`.

    `leg` blocks and belongs to the camera's thread; everything else may be asked from any thread.
    """

    def __init__(
        self,
        source: OpenSource,
        walk: SourceWalk,
        line: Line,
        *,
        start: int,
        size_bytes: int,
        leg_seconds: float,
        clock: Clock,
    ) -> None:
        self._source = source
        self._walk = walk
        self._line = line
        self._offset = start
        self._is_from_zero = start == 0
        self._size_bytes = size_bytes
        self._leg_seconds = leg_seconds
        self._clock = clock
        self._buffer: memoryview | None = None
        self._length = 0
        self._is_waiting_for_line = False

    @property
    def is_waiting_for_line(self) -> bool:
        """The last leg ended because no buffer came free: the disk is slower than the camera."""
        return self._is_waiting_for_line

    def leg(self) -> bool:
        """Read on for a few seconds; true when there is no more to read.

        That is: the last byte was read, the source proved unchanged and was closed; or a step of the
        line has failed, which the caller asks the line about.
        """
        until_monotonic = self._clock.monotonic() + self._leg_seconds
        self._is_waiting_for_line = False
        while self._offset < self._size_bytes:
            if self._line.has_failed:
                return True
            if self._buffer is None and not self._begin_buffer():
                return False
            if not self._walk.advance(until_monotonic):
                return False
            self._pass_on()
        self._source.check_ends()
        self._source.close()
        return True

    def _begin_buffer(self) -> bool:
        self._buffer = self._line.take(DISK_WAIT_SECONDS)
        if self._buffer is None:
            self._is_waiting_for_line = True
            return False
        self._length = min(len(self._buffer), self._size_bytes - self._offset)
        self._walk.begin(self._offset, self._buffer[: self._length])
        return True

    def _pass_on(self) -> None:
        if self._buffer is None:
            raise RuntimeError("no buffer is being filled")
        is_only = self._is_from_zero and self._length == self._size_bytes
        self._line.give(self._offset, self._buffer, self._length, is_only=is_only)
        self._offset += self._length
        self._buffer = None


def leg_limit_seconds(settings: CopySettings) -> float:
    """Time-out of one leg: what it may take, and then a stall."""
    return settings.checkpoint_interval_seconds + DISK_WAIT_SECONDS + settings.stall_timeout_seconds


async def close_source(source: OpenSource, run_blocking: RunBlocking, settings: CopySettings) -> None:
    """Leave the source in order: nobody goes in any more, whoever hangs inside closes it when it comes out."""
    source.leave()
    if source.is_closed:
        return
    try:
        await run_blocking(source.close, timeout_seconds=leg_limit_seconds(settings))
    except DriverTimeout:
        source.close()  # the thread that hangs inside does it when it comes out
