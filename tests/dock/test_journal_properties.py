"""Whatever is appended, in whatever order: the ledger is what the facts say and only moves forward."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockd.dock.journal import Journal
from dockd.model import facts
from dockd.model.facts import Fact
from dockd.model.ids import RecordingId, SessionId
from dockd.rules.custody import Custody, LedgerBreak, LedgerEntry
from tests.support.clock import ManualClock
from tests.support.custody import Footage
from tests.support.journals import DOCK, SIGNER, ended, footage, intended, started

pytestmark = pytest.mark.slow

FOOTAGE = tuple(footage(number) for number in range(3))
ABOUT_A_RECORDING: tuple[Callable[[Footage], Fact], ...] = (
    lambda one: one.listed(),
    lambda one: one.staged(),
    lambda one: one.staged(content=b"x" * len(one.content)),
    lambda one: one.verified(),
    lambda one: one.stored(),
    lambda one: one.accepted(SIGNER),
    lambda one: one.wipe_intended(),
    lambda one: one.erased(),
    lambda one: facts.RecordingSeen(recording=one.recording, session="session-2"),
    lambda one: facts.CopyDiscarded(recording=one.recording, code="c", reason="r"),
    lambda one: facts.RecordingReplaced(recording=one.recording, session="session-2", reason="r"),
    lambda one: facts.RecordingRejected(recording=one.recording, code="c", reason="r"),
    lambda one: facts.StagingEvicted(recording=one.recording),
)
ABOUT_AN_ASSIGNMENT: tuple[Callable[[str], Fact], ...] = (
    intended,
    lambda name: facts.AssignmentWritten(assignment=name, session="s", is_on_camera=True),
    lambda name: facts.AssignmentCancelled(assignment=name, reason="r"),
    started,
    ended,
)

any_fact = st.one_of(
    # The first ways come in order often enough to go far; any order comes too.
    st.builds(lambda make, one: make(one), st.sampled_from(ABOUT_A_RECORDING[:8]), st.sampled_from(FOOTAGE)),
    st.builds(lambda make, one: make(one), st.sampled_from(ABOUT_A_RECORDING), st.sampled_from(FOOTAGE)),
    st.builds(lambda make, name: make(name), st.sampled_from(ABOUT_AN_ASSIGNMENT), st.sampled_from(("a1", "a2"))),
    st.just(facts.DockStopped()),
)
a_start = st.lists(
    st.builds(
        lambda one, length: [make(one) for make in (*ABOUT_A_RECORDING[:2], *ABOUT_A_RECORDING[3:8])][:length],
        st.sampled_from(FOOTAGE),
        st.integers(1, 7),
    ),
    max_size=2,
)
appends = st.lists(st.lists(any_fact, min_size=1, max_size=4), min_size=1, max_size=25)
"""Appends, one inner list each."""


def is_forward(before: LedgerEntry | None, after: LedgerEntry | None) -> bool:
    if before is None:
        return True
    return after is not None and after.state >= before.state and not (before.is_replaced and not after.is_replaced)


async def states_of(journal: Journal) -> dict[RecordingId, LedgerEntry]:
    return {entry.recording: entry for entry in await journal.entries()}


@settings(max_examples=40)
@given(start=a_start, following=appends, together=st.booleans())
async def test_ledger_is_what_the_facts_say_and_never_goes_back(
    start: list[list[Fact]], following: list[list[Fact]], together: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        clock = ManualClock()
        journal = await Journal.open(Path(name), dock=DOCK, clock=clock)
        written: list[Fact] = []

        async def append(group: list[Fact]) -> None:
            before, number = await states_of(journal), journal.head[0]
            try:
                recorded = await journal.append(*group)
            except LedgerBreak:
                if not together:
                    assert journal.head[0] == number
                    assert await states_of(journal) == before
                return
            written.extend(one.fact for one in recorded)
            after = await states_of(journal)
            assert all(is_forward(entry, after.get(recording)) for recording, entry in before.items())

        if together:
            await asyncio.gather(*(append(group) for group in [*start, *following]))
        else:
            for group in [*start, *following]:
                await append(group)
        head, entries = journal.head, await journal.entries()
        await journal.close()

        again = await Journal.open(Path(name), dock=DOCK, clock=clock)
        try:
            assert again.head == head
            assert await again.verify_chain() == len(written) == head[0]
            assert await again.entries() == entries
            assert await again.projection_differences() == ()
            kept = [one.fact for one in await again.facts_after(0, 1000)]
            assert kept == written if not together else len(kept) == len(written)
            assert not [one for one in entries if one.state is Custody.ERASED and one.receipt is None]
        finally:
            await again.close()


async def test_ten_thousand_recordings_on_one_card(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path, dock=DOCK, clock=ManualClock())
    card = [footage(number) for number in range(10_000)]
    for first in range(0, len(card), 500):
        await journal.append(*(one.listed() for one in card[first : first + 500]))
    for one in card[::1000]:
        latest = await journal.latest(one.camera, one.source)
        assert latest is not None
        assert latest.recording == one.recording
    at_once = await journal.entries(camera=card[0].camera, is_on_card=True)
    assert len(at_once) == 10_000
    walked = journal.each_entry(camera=card[0].camera, is_on_card=True)
    assert tuple([entry async for entry in walked]) == at_once
    seen = [facts.RecordingSeen(recording=one.recording, session="session-2") for one in card]
    await asyncio.gather(*(journal.append(fact) for fact in seen))
    assert len(await journal.entries(last_session=SessionId("session-2"))) == 10_000
    assert await journal.verify_chain() == 20_000
    await journal.close()
