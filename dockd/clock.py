"""The one place that asks the operating system for the time.

Time is passed in everywhere else, so that tests move it by hand. Knows wall time, monotonic time, the
boot id and the kernel's synchronisation state (`adjtimex(2)`); decides nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Protocol

from dockd.model.moment import ClockSync, Moment

_TIME_ERROR = 5  # adjtimex(2): "The system clock is not synchronized to a reliable server."
_STA_UNSYNC = 0x0040


class Clock(Protocol):
    """Time as dockd uses it."""

    def now(self) -> datetime:
        """Wall time, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back, of this boot."""

    def moment(self) -> Moment:
        """Now, with the evidence of how far the clock can be trusted."""

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""


class SystemClock:
    """The host's clock."""

    def __init__(self) -> None:
        try:
            self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            self._boot_id = "unknown"

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def moment(self) -> Moment:
        return Moment(
            at=self.now(),
            monotonic_milliseconds=int(time.monotonic() * 1000),
            boot_id=self._boot_id,
            clock_sync=host_clock_sync(),
        )

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def host_clock_sync() -> ClockSync:
    """Ask the kernel whether a time service disciplines the clock; UNKNOWN where it cannot be asked."""
    # struct timex is 208 bytes on 64-bit Linux; modes=0 only reads. status is the int at offset 40.
    buffer = (ctypes.c_byte * 256)()
    try:
        state = int(_c_library().adjtimex(ctypes.byref(buffer)))
    except (OSError, AttributeError):
        return ClockSync.UNKNOWN
    if state < 0:
        return ClockSync.UNKNOWN
    status = int.from_bytes(bytes(buffer[40:44]), "little", signed=True)
    if state == _TIME_ERROR or status & _STA_UNSYNC:
        return ClockSync.UNSYNCHRONISED
    return ClockSync.SYNCHRONISED
