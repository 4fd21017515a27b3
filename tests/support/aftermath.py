"""What must hold after a process was killed, and when the job is done: the judge, and the journal opened afresh.

Looks at a copy of the journal: the next dock must do its own recovery.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from dockd.clock import SystemClock
from dockd.dock.journal import Journal
from dockd.model import facts
from dockd.model.ids import DockId
from tests.support.dock_rig import DockRig
from tests.support.processes import CentreProcess


async def check_journal(rig: DockRig) -> None:
    """The journal as it lies on the disk: recovers, is whole, chained, and its tables are what the facts say.

    No dock may run on it.
    """
    if not rig.oracle.journal.exists():
        return
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "journal"
        shutil.copytree(rig.oracle.journal.parent, copy)
        journal = await Journal.open(copy, dock=DockId(rig.dock_id), clock=SystemClock())
        try:
            assert await journal.projection_differences() == ()
            number = await journal.verify_chain()
        finally:
            await journal.close()
        judge = replace(rig.oracle, journal=copy / rig.oracle.journal.name)
        assert len(judge.facts()) == number
        judge.check_chain()
        judge.check_order_of_custody()


async def check_after_kill(rig: DockRig) -> None:
    """Every invariant, at a moment at which no dock runs."""
    rig.oracle.check_nothing_lost()
    rig.oracle.check_erased_only_what_the_store_has()
    await check_journal(rig)


def check_everything_erased_is_written_down(rig: DockRig) -> None:
    """Exactly what was ever on a card is written down as erased, each recording once.

    Or as replaced, but only after it was accepted: when a kill fell between erasing and writing and the camera then
    put other footage under the same name, size and time, that is what the next dock must see.
    """
    digests: dict[str, str] = {}
    accepted: set[str] = set()
    settled: list[str] = []
    for one in rig.oracle.facts():
        match one.fact:
            case facts.RecordingVerified():
                digests[one.fact.verified.staged.recording] = one.fact.verified.staged.digest
            case facts.RecordingAccepted():
                accepted.add(one.fact.recording)
            case facts.RecordingErased():
                settled.append(one.fact.recording)
            case facts.RecordingReplaced():
                assert one.fact.recording in accepted, f"fact {one.number}: {one.fact}"
                settled.append(one.fact.recording)
    assert len(set(settled)) == len(settled)
    assert {digests[one] for one in settled} == set(rig.oracle.expected)


def check_no_false_alarm(rig: DockRig) -> None:
    """A kill is no reason to say that footage was replaced, or that a session does not add up."""
    for one in rig.oracle.facts():
        assert not isinstance(one.fact, facts.RecordingReplaced), f"fact {one.number}: {one.fact}"
        if isinstance(one.fact, facts.SessionReconciled):
            assert one.fact.differences == (), f"fact {one.number}: {one.fact}"


async def check_centre_agrees(centre: CentreProcess, rig: DockRig) -> None:
    """The centre's record is the beginning of the dock's, but for what a stopping dock could not tell any more."""
    taken = await centre.facts_head(rig.dock_id)
    chain = rig.oracle.facts()
    untold = [one.fact.kind for one in chain[taken.number :]]
    # A dock that stops right after a session may not get to tell of its manifests and the checkpoint over them.
    assert set(untold) <= {"ManifestStored", "ChainSigned", "DockStopped"}, f"the centre has not been told of {untold}"
    assert chain[taken.number - 1].hash == taken.head


async def check_job_done(centre: CentreProcess, rig: DockRig) -> None:
    """The dock has stopped: cards empty, everything in the store, everything written down, both sides agree."""
    await check_after_kill(rig)
    rig.oracle.check_finished()
    check_everything_erased_is_written_down(rig)
    await check_centre_agrees(centre, rig)
