"""A clock that tests move by hand. Implements `dockd.clock.Clock`."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

from dockd.model.moment import ClockSync, Moment

START = datetime(2026, 11, 22, 6, 0, 0, tzinfo=UTC)


class ManualClock:
    """Time stands still until a test moves it.

    `advance` jumps and wakes every sleeper that is due; `run_for` goes from one sleeper to the next and
    lets the event loop run between them, as real time would.
    """

    def __init__(
        self,
        start: datetime = START,
        *,
        monotonic: float = 1000.0,
        boot_id: str = "00000000-0000-4000-8000-000000000001",
        clock_sync: ClockSync = ClockSync.SYNCHRONISED,
    ) -> None:
        self._now = start
        self._monotonic = monotonic
        self.boot_id = boot_id
        self.clock_sync = clock_sync
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def moment(self) -> Moment:
        return Moment(
            at=self._now,
            monotonic_milliseconds=int(self._monotonic * 1000),
            boot_id=self.boot_id,
            clock_sync=self.clock_sync,
        )

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), wake))
        await wake

    @property
    def sleepers(self) -> int:
        """How many tasks wait for this clock."""
        return sum(not wake.done() for _, _, wake in self._sleepers)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once; sleepers that are due run when the event loop next does."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
        while self._sleepers and self._sleepers[0][0] <= self._monotonic:
            _, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)

    async def run_for(self, seconds: float, *, turns: int = 20) -> None:
        """Let `seconds` pass, stopping at each sleeper; `turns` of the event loop at every stop."""
        end = self._monotonic + seconds
        await settle(turns)
        while self._sleepers and self._sleepers[0][0] <= end:
            self.advance(max(0.0, self._sleepers[0][0] - self._monotonic))
            await settle(turns)
        self.advance(max(0.0, end - self._monotonic))
        await settle(turns)

    def jump_wall_clock(self, seconds: float) -> None:
        """Someone, or a time service, sets the host's clock; monotonic time does not notice."""
        self._now += timedelta(seconds=seconds)

    def reboot(self, boot_id: str = "00000000-0000-4000-8000-000000000002") -> None:
        """A new boot: monotonic time begins again."""
        self.boot_id = boot_id
        self._monotonic = 1.0


async def settle(turns: int = 20) -> None:
    """Let everything that can run now run."""
    for _ in range(turns):
        await asyncio.sleep(0)
