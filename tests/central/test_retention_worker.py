"""Deleting by policy: decided, done, read back, written down; and everything that must stop it.

Over a folder and over a bucket, on SQLite and on a real PostgreSQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import insert, update

from dockd.central.database import sqlite_url
from dockd.central.refusals import BUSY, LIST_CHANGED
from dockd.central.retention.config import RetentionConfig
from dockd.central.retention.gate import LEASE
from dockd.central.retention.holds import HoldScope
from dockd.central.retention.tables import worker
from dockd.central.tables import site_docks, sites
from dockd.errors import BadRequest
from dockd.rules.retention import EVIDENCE, ROUTINE, DisposalPermit
from dockd.web.problems import Refusal
from tests.support.clock import START, ManualClock
from tests.support.memory_bucket import MemoryBucket
from tests.support.retention_site import ON, RetentionSite, open_retention_site

DAY = timedelta(days=1)
Opener = Callable[..., AbstractAsyncContextManager[RetentionSite]]
WHY = {"by": "Ann Auditor", "reason": "a traffic stop, nothing found"}


@pytest.fixture(params=["folder", "bucket"])
def bucket(request: pytest.FixtureRequest, clock: ManualClock) -> MemoryBucket | None:
    return MemoryBucket(clock) if request.param == "bucket" else None


@pytest.fixture
def opener(tmp_path: Path, where: dict[str, Any], clock: ManualClock, bucket: MemoryBucket | None) -> Opener:
    """Opens another process of the same centre each time."""
    folder = tmp_path / "centre"
    folder.mkdir(mode=0o700)
    url = str(where.get("database_url") or sqlite_url(folder / "centre.sqlite"))
    return lambda config=ON: open_retention_site(folder, url, clock, bucket=bucket, config=config)


@pytest_asyncio.fixture
async def site(opener: Opener) -> AsyncIterator[RetentionSite]:
    async with opener() as one:
        yield one


async def routine(site: RetentionSite, content: bytes = b"footage", **changes: Any) -> str:
    """A recording of START that somebody called routine."""
    digest = await site.bring(content, **{"recorded_at": START, **changes})
    await site.retention.decisions.classify([digest], ROUTINE, **WHY)
    return digest


async def test_what_is_due_goes_and_its_receipt_and_record_stay(site: RetentionSite) -> None:
    digest = await routine(site)
    receipt = await site.receipt(digest)
    site.pass_days(30.9)
    assert (await site.retention.runs.run(actor="Ann")).deleted == 0
    assert await site.has(digest)
    site.pass_days(0.2)
    done = await site.retention.runs.run(actor="Ann")
    assert (done.due, done.deleted, done.deleted_bytes, done.kept) == (1, 1, 7, 0)
    assert not await site.has(digest)
    assert await site.receipt(digest) == receipt
    gone = await site.retention.tombstone(receipt)
    assert gone is not None
    assert (gone.receipt, gone.deleted_at) == (receipt, site.clock.now())
    assert "31 days from its recording" in gone.words
    intended, ended = await site.told("DisposalIntended"), await site.told("DisposalDone")
    assert intended[0]["recordings"] == [{"recording": digest, "why": gone.words}]
    assert ended[0]["recordings"] == [{"recording": digest, "said": None}]
    assert (await site.retention.runs.run(actor="Ann")).due == 0


@pytest.mark.parametrize("category", [None, EVIDENCE])
async def test_undecided_and_evidence_stay_for_ever(site: RetentionSite, category: str | None) -> None:
    digest = await site.bring(b"footage", recorded_at=START)
    if category is not None:
        await site.retention.decisions.classify([digest], category, **WHY)
    site.pass_days(4000)
    assert (await site.retention.runs.run(actor="Ann")).due == 0
    assert await site.has(digest)
    await site.retention.decisions.classify([digest], ROUTINE, by="Ann", reason="released by the court")
    assert (await site.retention.runs.run(actor="Ann")).deleted == 1


async def test_recording_time_is_believed_only_with_the_docks_evidence(site: RetentionSite) -> None:
    """Docked ten days after recording: the days count from the recording only where its clock was measured."""
    site.pass_days(10)
    proved = await routine(site, b"proved")
    unproved = await routine(site, b"unproved", is_proved=False)
    unknown = await routine(site, b"unknown", recorded_at=None)
    site.pass_days(21.1)
    assert (await site.retention.runs.run(actor="Ann")).deleted == 1
    assert [await site.has(one) for one in (proved, unproved, unknown)] == [False, True, True]
    site.pass_days(10)
    assert (await site.retention.runs.run(actor="Ann")).deleted == 2


@pytest.mark.parametrize(
    "scope",
    [HoldScope(camera="simulated:CAM-1"), HoldScope(officer="PC1"), HoldScope(recorded_from=START - DAY)],
    ids=["camera", "officer", "period"],
)
async def test_hold_covers_what_arrives_later_until_it_is_released(site: RetentionSite, scope: HoldScope) -> None:
    done = await site.retention.holds.set_hold(scope, by="Ann", reason="case 7")
    digest = await routine(site)
    site.pass_days(500)
    assert (await site.retention.runs.run(actor="Ann")).due == 0
    assert (await site.retention.survey()).held == 1
    await site.retention.holds.release(done.number, by="Bob", reason="case closed")
    assert (await site.retention.runs.run(actor="Ann")).deleted == 1
    assert not await site.has(digest)
    line = (await site.retention.holds.lines())[0]
    assert (line.set_by, line.released_by, line.release_reason) == ("Ann", "Bob", "case closed")


async def test_hold_on_a_site_stays_with_a_dock_that_moves_away(site: RetentionSite) -> None:
    site_row = {"site": "kx", "name": "King's Cross", "unit": "Camden", "state": "live", "changed_at": START}
    async with site.database.writing() as connection:
        await connection.execute(insert(sites).values(site_row))
        await connection.execute(insert(site_docks).values(dock="dock-7", site="kx"))
    await site.retention.holds.set_hold(HoldScope(site="kx"), by="Ann", reason="inquest")
    async with site.database.writing() as connection:
        await connection.execute(update(site_docks).values(site="elsewhere"))
    moved = await routine(site)
    async with site.database.writing() as connection:
        await connection.execute(insert(site_docks).values(dock="dock-8", site="kx"))
    arrived = await routine(site, b"newer", dock="dock-8")
    site.pass_days(500)
    assert (await site.retention.runs.run(actor="Ann")).due == 0
    assert await site.has(moved)
    assert await site.has(arrived)


class Interposed:
    """A store at whose deed a test may do something first; everything else passes through."""

    def __init__(self, store: Any, before: Callable[[], Any]) -> None:
        self._store = store
        self._before = before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def disposing(self) -> Any:
        outer = self

        class Waiting:
            async def __aenter__(self) -> None:
                await outer._before()
                self.inner = outer._store.disposing()
                await self.inner.__aenter__()

            async def __aexit__(self, *error: Any) -> None:
                await self.inner.__aexit__(*error)

        return Waiting()


async def test_hold_set_between_intent_and_act_wins_and_is_told_what_was_under_way(site: RetentionSite) -> None:
    digest = await routine(site)
    site.pass_days(40)
    told: list[tuple[str, ...]] = []

    async def hold() -> None:
        done = await site.retention.holds.set_hold(HoldScope(camera="simulated:CAM-1"), by="Ann", reason="case 7")
        told.append(done.too_late)

    disposer: Any = site.retention.runs._disposer
    disposer._store = Interposed(site.store, hold)
    done = await site.retention.runs.run(actor="Ann")
    assert told == [(digest,)]
    assert (done.deleted, done.kept) == (0, 1)
    assert await site.has(digest)
    assert await site.state(digest) == "withdrawn"
    assert "hold 1 covers it" in str((await site.told("DisposalWithdrawn"))[0]["recordings"])


async def test_later_claim_of_other_footage_with_the_same_bytes_stops_the_deed(site: RetentionSite) -> None:
    """A claim that comes while it is decided waits; one that came before is seen."""
    digest = await routine(site)
    site.pass_days(40)
    answers: list[object] = []

    async def claim() -> None:
        try:
            answers.append(await site.claim(b"footage", recorded_at=None, dock="dock-9", recording="other"))
        except Refusal as refusal:
            answers.append(refusal.kind)

    disposer: Any = site.retention.runs._disposer
    disposer._store = Interposed(site.store, claim)
    assert (await site.retention.runs.run(actor="Ann")).deleted == 1
    assert answers == [BUSY]
    # It was not given the receipt, so it still has its bytes; now it is asked for them.
    again = await site.claim(b"footage", recorded_at=None, dock="dock-9", recording="other")
    assert again.receipt is None
    assert again.upload is not None
    await site.send(again.upload.upload, b"footage")
    assert await site.has(digest)
    site.pass_days(400)
    assert (await site.retention.runs.run(actor="Ann")).due == 0, "the other recording was never classified"


async def test_deleted_recording_that_a_dock_still_has_is_taken_again_and_goes_again(site: RetentionSite) -> None:
    digest = await routine(site)
    first = await site.receipt(digest)
    site.pass_days(40)
    await site.retention.runs.run(actor="Ann")
    answer = await site.claim(b"footage", recorded_at=START, dock="dock-8")
    assert answer.receipt is None, "no receipt for what the store does not hold"
    assert answer.upload is not None
    second = await site.send(answer.upload.upload, b"footage")
    assert second.accepted_at == site.clock.now() > first.accepted_at
    assert await site.has(digest)
    assert (await site.claim(b"footage", recorded_at=START, dock="dock-8")).receipt == second
    assert await site.retention.tombstone(second) is None
    assert await site.retention.tombstone(first) is not None
    # The new dock's facts have not come: its time is not proved, and counts from its arrival.
    assert (await site.retention.runs.run(actor="Ann")).due == 0
    await site.tell("dock-8", "s9", digest[:32], "simulated:CAM-1", "PC1", START, 7, is_proved=True)
    assert (await site.retention.runs.run(actor="Ann")).deleted == 1
    assert not await site.has(digest)
    assert await site.retention.tombstone(first) is not None
    assert await site.retention.tombstone(second) is not None


async def test_deleting_is_off_until_somebody_turns_it_on(opener: Opener) -> None:
    async with opener(RetentionConfig()) as site:
        digest = await routine(site)
        site.pass_days(400)
        assert len((await site.retention.survey()).due) == 1
        with pytest.raises(BadRequest, match="not turned on"):
            await site.retention.runs.run(actor="Ann")
        await site.retention.runs.look()
        assert await site.has(digest)
        assert await site.retention.runs.lines() == []


async def test_dry_run_changes_nothing(site: RetentionSite) -> None:
    digest = await routine(site)
    site.pass_days(40)
    before = await site.retention.facts.read(limit=1000)
    for _ in range(2):
        survey = await site.retention.survey(site.clock.now())
        assert [one.digest for one in survey.due] == [digest]
        assert (survey.size_bytes, survey.stored) == (7, 1)
    due = [one async for one in site.retention.due(site.clock.now())]
    assert "routine is kept 31 days" in due[0].verdict.words
    assert await site.retention.facts.read(limit=1000) == before
    assert await site.has(digest)


# --- the brake -----------------------------------------------------------------------------------


async def test_too_much_at_once_stops_and_only_the_confirmed_list_goes(opener: Opener) -> None:
    careful = RetentionConfig(delete=True, most_recordings=2, most_percent=100)
    async with opener(careful) as site:
        listed = [await routine(site, bytes([place])) for place in range(3)]
        site.pass_days(40)
        done = await site.retention.runs.run(actor="Ann")
        assert done.deleted == 0
        assert done.said is not None
        assert done.said.startswith("Stopped")
        stop = await site.retention.brake.newest()
        assert stop is not None
        assert (stop.recordings, stop.is_confirmed) == (3, None)
        for digest, count in ((stop.list_digest, 4), ("ab" * 32, 3)):
            with pytest.raises(Refusal) as refused:
                await site.retention.brake.answer(digest, count, is_confirmed=True, by="Bob", reason="yes")
            assert refused.value.kind is LIST_CHANGED
        await site.retention.brake.answer(stop.list_digest, 3, is_confirmed=True, by="Bob", reason="a backlog")
        late = await routine(site, b"late", recorded_at=START)
        await site.retention.holds.set_hold(HoldScope(digest=listed[0]), by="Ann", reason="case 7")
        done = await site.retention.runs.run(actor="Ann")
        assert [await site.has(one) for one in listed] == [True, False, False]
        assert await site.has(late), "it was not on the list"
        assert done.deleted == 2
        assert (await site.told("DisposalConfirmed"))[0]["list_digest"] == stop.list_digest
        with pytest.raises(Refusal, match="answered by Bob"):
            await site.retention.brake.answer(stop.list_digest, 3, is_confirmed=False, by="Eve", reason="no")


@pytest.mark.parametrize("answer", ["declined", "expired", "confirmed and expired"])
async def test_without_a_confirmation_that_holds_good_nothing_goes(opener: Opener, answer: str) -> None:
    careful = RetentionConfig(delete=True, most_percent=10, confirmation_hours=24)
    async with opener(careful) as site:
        digest = await routine(site)
        site.pass_days(40)
        await site.retention.runs.run(actor="Ann")
        stop = await site.retention.brake.newest()
        assert stop is not None
        if answer == "expired":
            site.pass_days(1)
            with pytest.raises(Refusal, match="expired"):
                await site.retention.brake.answer(stop.list_digest, 1, is_confirmed=True, by="Bob", reason="yes")
        else:
            is_confirmed = answer != "declined"
            await site.retention.brake.answer(stop.list_digest, 1, is_confirmed=is_confirmed, by="Bob", reason="so")
            site.pass_days(1 if is_confirmed else 0.5)
        done = await site.retention.runs.run(actor="Ann")
        assert done.deleted == 0
        assert await site.has(digest)
        newest = await site.retention.brake.newest()
        assert newest is not None
        # What was declined is not asked again before it expires; what has expired is asked anew.
        assert (newest.number == stop.number) is (answer == "declined")


# --- one worker ----------------------------------------------------------------------------------


async def test_one_process_at_a_time(opener: Opener) -> None:
    async with opener() as one, opener() as two:
        digest = await routine(one)
        one.pass_days(40)
        refused: list[Refusal] = []

        async def also() -> None:
            with pytest.raises(Refusal) as caught:
                await two.retention.runs.run(actor="Bob")
            refused.append(caught.value)

        disposer: Any = one.retention.runs._disposer
        disposer._store = Interposed(one.store, also)
        assert (await one.retention.runs.run(actor="Ann")).deleted == 1
        assert refused[0].kind is BUSY
        assert not await one.has(digest)
        assert (await two.retention.runs.run(actor="Bob")).due == 0


async def test_the_night_comes_once_for_all_processes_together(opener: Opener) -> None:
    async with opener() as one, opener() as two:
        await routine(one)
        one.pass_days(40)
        await asyncio.gather(one.retention.runs.look(), two.retention.runs.look())
        await one.retention.runs.look()
        lines = await one.retention.runs.lines()
        assert [(line.actor, line.deleted) for line in lines] == [("nightly run", 1)]
        one.pass_days(1)
        await two.retention.runs.look()
        assert len(await one.retention.runs.lines()) == 2


async def test_worker_that_lost_its_lease_deletes_nothing(opener: Opener) -> None:
    """It slept too long; another took over, and a hold was set. Its permit must be worth nothing."""
    async with opener() as one, opener() as two:
        digest = await routine(one)
        one.pass_days(40)

        async def sleep() -> None:
            one.clock.advance(LEASE.total_seconds() + 1)
            disposer._store = one.store
            await two.retention.holds.set_hold(HoldScope(digest=digest), by="Ann", reason="case 7")
            await two.retention.runs.look()

        disposer: Any = one.retention.runs._disposer
        disposer._store = Interposed(one.store, sleep)
        done = await one.retention.runs.run(actor="Ann")
        assert done.deleted == 0
        assert done.said is not None
        assert "Another process" in done.said
        assert await one.has(digest)
        assert await one.state(digest) == "withdrawn"


async def test_permit_that_is_too_old_is_worth_nothing(site: RetentionSite) -> None:
    digest = await routine(site)
    site.pass_days(40)
    given: list[DisposalPermit] = []

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(site.store, name)

        async def dispose(self, permit: DisposalPermit) -> None:
            given.append(permit)
            site.clock.advance(31)
            await site.store.dispose(permit)

    disposer: Any = site.retention.runs._disposer
    disposer._store = Slow()
    done = await site.retention.runs.run(actor="Ann")
    assert len(given) == 1
    assert done.said == "The permit to delete came too late to be used."
    assert await site.has(digest)
    assert await site.state(digest) == "withdrawn"


# --- interrupted ---------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


@pytest.mark.parametrize("moment", ["before the act", "after the act"])
@pytest.mark.parametrize("is_held", [False, True], ids=["", "held meanwhile"])
async def test_kill_between_intent_and_done_is_repaired_by_whoever_looks_next(
    opener: Opener, moment: str, is_held: bool
) -> None:
    late = RetentionConfig(delete=True, most_percent=100, hour_utc=23)
    async with opener(late) as one:
        digest = await routine(one)
        one.pass_days(40)

        class Dying:
            def __getattr__(self, name: str) -> Any:
                return getattr(one.store, name)

            async def dispose(self, permit: DisposalPermit) -> None:
                if moment == "after the act":
                    await one.store.dispose(permit)
                raise Killed

        disposer: Any = one.retention.runs._disposer
        disposer._store = Dying()
        with pytest.raises(Killed):
            await one.retention.runs.run(actor="Ann")
        async with one.database.writing() as connection:  # a process that was killed gives nothing back
            await connection.execute(update(worker).values(taken_by="dead", taken_until=one.clock.now() + LEASE))
        assert await one.state(digest) == "intended"
    async with opener(late) as two:
        with pytest.raises(Refusal, match="about to delete"):
            await two.claim(b"footage", recorded_at=START)
        if is_held:
            await two.retention.holds.set_hold(HoldScope(digest=digest), by="Ann", reason="case 7")
        await two.retention.runs.look()
        assert await two.state(digest) == "intended", "the lease of the dead still stands"
        two.clock.advance(LEASE.total_seconds())
        await two.retention.runs.look()
        if moment == "after the act":
            assert await two.state(digest) == "done"
            assert "Interrupted" in str((await two.told("DisposalDone"))[0]["recordings"])
            return
        assert await two.state(digest) == "withdrawn"
        done = await two.retention.runs.run(actor="Ann")
        assert (done.deleted, await two.has(digest)) == ((0, True) if is_held else (1, False))


async def test_another_lock_on_the_folder_keeps_a_second_worker_out(site: RetentionSite) -> None:
    """In a folder a name is used again. Every object of a bucket has a key of its own, so nobody must be kept out."""
    entered = 0
    async with site.store.disposing():
        try:
            async with site.store.disposing():
                entered += 1
        except Refusal as refusal:
            assert refusal.kind is BUSY
    assert entered == (0 if site.bucket is None else 1)
    async with site.store.disposing():
        entered += 1
    assert entered == (1 if site.bucket is None else 2)
