"""The cap on sending, and the meter."""

from __future__ import annotations

import asyncio

import pytest

from dockd.dock.pace import CappedPace, NoPace, RateMeter, pace_for
from tests.support.clock import ManualClock


async def test_cap_holds_over_time(clock: ManualClock) -> None:
    pace = CappedPace(100_000, clock)
    sent: list[float] = []

    async def send() -> None:
        for _ in range(40):
            await pace.take(pace.piece_bytes)
            sent.append(clock.monotonic())

    start = clock.monotonic()
    task = asyncio.create_task(send())
    await clock.run_for(60.0)
    await task
    seconds = sent[-1] - start
    assert 39 * pace.piece_bytes / seconds == pytest.approx(100_000, rel=0.01)


async def test_all_senders_get_their_share(clock: ManualClock) -> None:
    pace = CappedPace(1_000_000, clock)
    counts = [0, 0, 0]

    async def send(who: int) -> None:
        while True:
            await pace.take(pace.piece_bytes)
            counts[who] += 1

    tasks = [asyncio.create_task(send(who)) for who in range(3)]
    await clock.run_for(30.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert max(counts) - min(counts) <= 1
    assert sum(counts) * pace.piece_bytes == pytest.approx(30_000_000, rel=0.05)


async def test_rest_is_not_saved_up_for_a_burst(clock: ManualClock) -> None:
    pace = CappedPace(100_000, clock)
    await pace.take(1)
    clock.advance(3600.0)
    await pace.take(100_000)
    second = asyncio.create_task(pace.take(1))
    await clock.run_for(0.9)
    assert not second.done()
    await clock.run_for(0.2)
    assert second.done()


async def test_without_a_cap_nothing_waits(clock: ManualClock) -> None:
    pace = pace_for(None, clock)
    assert isinstance(pace, NoPace)
    await pace.take(10**12)
    assert clock.sleepers == 0


def test_meter_tells_the_rate_of_the_last_seconds(clock: ManualClock) -> None:
    meter = RateMeter(clock)
    assert meter.bytes_per_second() == 0
    for _ in range(20):
        meter.count(1_000)
        clock.advance(1.0)
    assert meter.bytes_per_second() == pytest.approx(1_000, rel=0.2)
    clock.advance(60.0)
    assert meter.bytes_per_second() == 0
