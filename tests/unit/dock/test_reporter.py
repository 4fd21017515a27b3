"""Handing facts to the centre: in order, at least once, and never against a record that differs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from dockd.dock.reporter import Reporter, within_bytes
from dockd.dock.sections import ReporterConfig
from dockd.errors import CentreRefused, CentreUnavailable, RecordsDiffer
from dockd.model.facts import DockStarted, DockStopped, RecordedFact, link
from dockd.model.ids import GENESIS, Digest
from dockd.model.moment import ClockSync
from dockd.wire.messages import FactsTaken
from dockd.wire.status import DockStatus
from tests.support.clock import START, ManualClock, settle


class News:
    """Wakes a listener."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def wait(self) -> None:
        await self.event.wait()
        self.event.clear()


class Chain:
    """A dock's journal in memory."""

    def __init__(self, count: int, clock: ManualClock, version: str = "1") -> None:
        self.facts: list[RecordedFact] = []
        self._clock, self._version, self._news = clock, version, News()
        for _ in range(count):
            self.grow()

    def grow(self) -> None:
        body = DockStarted(version=self._version, public_key="") if not self.facts else DockStopped()
        self.facts.append(link("dock-1", len(self.facts) + 1, self.head[1], self._clock.moment(), body))
        self._news.event.set()

    @property
    def head(self) -> tuple[int, Digest]:
        return (len(self.facts), Digest(self.facts[-1].hash)) if self.facts else (0, GENESIS)

    async def facts_after(self, number: int, limit: int) -> tuple[RecordedFact, ...]:
        return tuple(self.facts[number : number + limit])

    @contextmanager
    def changes(self) -> Iterator[News]:
        yield self._news


class Centre:
    """A centre's record of one dock, with scripted trouble."""

    def __init__(self) -> None:
        self.facts: list[RecordedFact] = []
        self.calls = 0
        self.batches: list[int] = []
        self.beats = 0
        self.trouble: list[Exception] = []
        self.loses_answer = False

    async def facts_head(self) -> FactsTaken:
        self.calls += 1
        return FactsTaken(number=len(self.facts), head=self.facts[-1].hash if self.facts else GENESIS)

    async def put_facts(self, facts: tuple[RecordedFact, ...]) -> FactsTaken:
        self.calls += 1
        self.batches.append(len(facts))
        if self.trouble:
            raise self.trouble.pop(0)
        for fact in facts:
            if fact.number == len(self.facts) + 1:
                self.facts.append(fact)
            elif fact.number > len(self.facts):
                raise CentreRefused("gap", status=409, refusal="gap")
        if self.loses_answer:
            self.loses_answer = False
            raise CentreUnavailable("cut")
        return await self.facts_head()

    async def put_status(self, status: DockStatus) -> None:
        self.beats += 1
        if self.beats % 2:
            raise CentreUnavailable("busy")


async def dock_status() -> DockStatus:
    return DockStatus(
        dock="dock-1",
        site="Test",
        version="1",
        at=START,
        clock_sync=ClockSync.UNKNOWN,
        bays=(),
        ready_count=0,
        staging_free_bytes=0,
        staging_total_bytes=0,
        is_centre_reachable=True,
        centre_words="",
        waiting_recordings=0,
        waiting_bytes=0,
        oldest_waiting_since=None,
        facts=0,
        facts_at_centre=0,
    )


@asynccontextmanager
async def reporting(
    chain: Chain, centre: Centre, clock: ManualClock, gather_seconds: float = 0.0
) -> AsyncIterator[Reporter]:
    config = ReporterConfig(gather_seconds=gather_seconds)
    reporter = Reporter(chain, centre, clock=clock, config=config, status=dock_status, jitter=lambda: 1.0)
    task = asyncio.create_task(reporter.run())
    await settle()
    try:
        yield reporter
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_facts_arrive_in_order_and_new_ones_follow(clock: ManualClock) -> None:
    chain, centre = Chain(1203, clock), Centre()
    async with reporting(chain, centre, clock) as reporter:
        await settle(100)
        assert centre.facts == chain.facts
        chain.grow()
        await settle()
        assert centre.facts == chain.facts
        assert reporter.facts_at_centre == 1204
        assert reporter.stopped_words is None


async def test_reporting_begins_where_the_centre_ends(clock: ManualClock) -> None:
    chain, centre = Chain(10, clock), Centre()
    centre.facts = chain.facts[:7]
    async with reporting(chain, centre, clock):
        assert centre.facts == chain.facts


@pytest.mark.parametrize(
    "trouble",
    [
        CentreUnavailable("cut"),
        CentreUnavailable("busy", retry_after_seconds=40),
        CentreRefused("gap", status=409, refusal="gap"),
        CentreRefused("odd", status=422, refusal="invalid-body"),
    ],
)
async def test_trouble_delays_and_loses_nothing(clock: ManualClock, trouble: Exception) -> None:
    chain, centre = Chain(5, clock), Centre()
    centre.trouble = [trouble]
    async with reporting(chain, centre, clock):
        assert not centre.facts
        await clock.run_for(60)
        assert centre.facts == chain.facts


async def test_retry_after_is_honoured(clock: ManualClock) -> None:
    chain, centre = Chain(5, clock), Centre()
    centre.trouble = [CentreUnavailable("busy", retry_after_seconds=40)]
    async with reporting(chain, centre, clock):
        await clock.run_for(39)
        assert not centre.facts
        await clock.run_for(2)
        assert centre.facts == chain.facts


async def test_lost_answer_does_not_lose_or_double_facts(clock: ManualClock) -> None:
    chain, centre = Chain(5, clock), Centre()
    centre.loses_answer = True
    async with reporting(chain, centre, clock):
        await clock.run_for(10)
        assert centre.facts == chain.facts


async def test_dock_restored_from_an_old_copy_stops_and_says_so(clock: ManualClock) -> None:
    chain, centre = Chain(5, clock), Centre()
    centre.facts = Chain(9, clock).facts
    async with reporting(chain, centre, clock) as reporter:
        assert "restored from an old copy" in (reporter.stopped_words or "")
        with pytest.raises(RecordsDiffer, match="restored from an old copy"):
            reporter.check_agrees()
        calls = centre.calls
        await clock.run_for(899)
        assert centre.calls == calls
        assert len(centre.facts) == 9


async def test_other_past_at_the_centre_stops_and_changes_neither_record(clock: ManualClock) -> None:
    chain, centre = Chain(5, clock), Centre()
    centre.facts = Chain(5, clock, version="2").facts
    async with reporting(chain, centre, clock) as reporter:
        assert "is another one at the centre" in (reporter.stopped_words or "")
        before = list(centre.facts)
        chain.grow()
        await clock.run_for(800)
        assert centre.facts == before


async def test_reporting_goes_on_when_the_record_was_mended(clock: ManualClock) -> None:
    chain, centre = Chain(5, clock), Centre()
    centre.facts = Chain(9, clock).facts
    async with reporting(chain, centre, clock) as reporter:
        centre.facts = chain.facts[:2]
        await clock.run_for(901)
        assert centre.facts == chain.facts
        assert reporter.stopped_words is None
        reporter.check_agrees()


@pytest.mark.parametrize(
    ("code", "is_held"), [("other-key", True), ("bad-signature", True), ("invalid-body", False), ("wrong-dock", False)]
)
async def test_facts_that_are_refused_are_told_in_the_centres_words(
    clock: ManualClock, code: str, is_held: bool
) -> None:
    """A key that the centre does not know is another dock's; a centre that is too old for us is no reason to hold."""
    chain, centre = Chain(5, clock), Centre()
    centre.trouble = [CentreRefused("Fact 1 is odd.", status=409, refusal=code)] * 3
    async with reporting(chain, centre, clock) as reporter:
        assert "Fact 1 is odd." in (reporter.stopped_words or "")
        if is_held:
            with pytest.raises(RecordsDiffer, match="Fact 1 is odd"):
                reporter.check_agrees()
        else:
            reporter.check_agrees()
        await clock.run_for(3600)
        assert centre.facts == chain.facts
        assert reporter.stopped_words is None
        reporter.check_agrees()


async def test_refusal_that_stays_is_not_asked_in_a_hot_loop(clock: ManualClock) -> None:
    chain, centre = Chain(5, clock), Centre()
    centre.trouble = [CentreRefused("odd", status=409, refusal="other-key")] * 10_000
    async with reporting(chain, centre, clock):
        await clock.run_for(3600)
    assert centre.calls < 150


async def test_heartbeats_go_on_whatever_happens_to_facts(clock: ManualClock) -> None:
    chain, centre = Chain(5, clock), Centre()
    centre.facts = Chain(9, clock).facts
    async with reporting(chain, centre, clock):
        await clock.run_for(150)
    assert centre.beats >= 10


async def test_facts_wait_for_others_and_are_handed_over_together(clock: ManualClock) -> None:
    chain, centre = Chain(5, clock), Centre()
    async with reporting(chain, centre, clock, gather_seconds=5.0) as reporter:
        assert centre.facts == chain.facts, "what was there at the start does not wait"
        for _ in range(4):
            chain.grow()
            await clock.run_for(1.0)
        assert len(centre.facts) == 5
        await clock.run_for(1.1)
        assert centre.facts == chain.facts
        assert centre.batches == [5, 4]
        assert reporter.facts_at_centre == 9


def test_batches_are_bounded_in_bytes_and_never_empty(clock: ManualClock) -> None:
    facts = tuple(Chain(50, clock).facts)
    size = len(facts[0].model_dump_json())
    assert 0 < len(within_bytes(facts, size * 10)) < 50
    assert within_bytes(facts, 1) == facts[:1]
    assert within_bytes((), 1) == ()


async def test_dock_with_nothing_new_to_tell_finds_that_a_restored_centre_has_forgotten_and_tells_again(
    clock: ManualClock,
) -> None:
    chain, centre = Chain(5, clock), Centre()
    async with reporting(chain, centre, clock):
        assert centre.facts == chain.facts
        del centre.facts[2:]
        await clock.run_for(901)
        assert centre.facts == chain.facts
