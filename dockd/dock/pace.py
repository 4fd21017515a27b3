"""How fast the dock may send, and how fast it does.

`Pace` is a token bucket in bytes: whoever sends asks before every piece, and pieces are let through in
the order of asking, so that every transfer gets its share. `RateMeter` measures. Time is passed in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from dockd.clock import Clock

SMALLEST_PIECE_BYTES = 16 * 1024
LARGEST_PIECE_BYTES = 1024 * 1024
_WINDOW_SECONDS = 8.0


class Pace(Protocol):
    """Lets pieces through."""

    @property
    def piece_bytes(self) -> int:
        """How large a piece to ask for."""

    async def take(self, size_bytes: int) -> None:
        """Return when `size_bytes` may be sent."""


class NoPace:
    """As fast as the network takes it."""

    piece_bytes = LARGEST_PIECE_BYTES

    async def take(self, size_bytes: int) -> None:  # noqa: ARG002 - the signature is Pace's
        return


class CappedPace:
    """At most `bytes_per_second`, all transfers together.

    A piece is about a quarter of a second of sending, so that a slow line is shared smoothly. The first
    piece goes at once; each one is paid for by waiting before the next.
    """

    def __init__(self, bytes_per_second: int, clock: Clock) -> None:
        if bytes_per_second <= 0:
            raise ValueError("a cap must be above zero")
        self._rate = bytes_per_second
        self._clock = clock
        self._free_monotonic = clock.monotonic()
        self._turn = asyncio.Lock()
        self.piece_bytes = min(max(bytes_per_second // 4, SMALLEST_PIECE_BYTES), LARGEST_PIECE_BYTES)

    async def take(self, size_bytes: int) -> None:
        async with self._turn:  # asyncio.Lock is first come, first served
            wait_seconds = self._free_monotonic - self._clock.monotonic()
            if wait_seconds > 0:
                await self._clock.sleep(wait_seconds)
            self._free_monotonic = max(self._free_monotonic, self._clock.monotonic()) + size_bytes / self._rate


def pace_for(bytes_per_second: int | None, clock: Clock) -> Pace:
    """The pace for a cap in bytes per second; None is no cap."""
    return NoPace() if bytes_per_second is None else CappedPace(bytes_per_second, clock)


class RateMeter:
    """Bytes per second over the last few seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: deque[tuple[int, int]] = deque()

    def count(self, size_bytes: int) -> None:
        """`size_bytes` have just been sent."""
        second = int(self._clock.monotonic())
        if self._slots and self._slots[-1][0] == second:
            self._slots[-1] = (second, self._slots[-1][1] + size_bytes)
        else:
            self._slots.append((second, size_bytes))
            self._forget(second)

    def bytes_per_second(self) -> int:
        """The rate now; 0 when nothing was sent lately."""
        now = self._clock.monotonic()
        self._forget(int(now))
        if not self._slots:
            return 0
        seconds = max(now - self._slots[0][0], 1.0)
        return int(sum(size for _, size in self._slots) / seconds)

    def _forget(self, second: int) -> None:
        while self._slots and self._slots[0][0] < second - _WINDOW_SECONDS:
            self._slots.popleft()
