"""Threats from the centre's side: unreachable, slow, busy, full, lying. Nothing is erased, nothing is lost."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from dockd.dock.policy import Retain
from dockd.model import facts
from tests.support import faulty_centre as faulty
from tests.support.dock_rig import DockRig
from tests.support.faulty_centre import Behaviour, FaultyCentre

MIB = 1 << 20


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[FaultyCentre]:
    """A real centre that misbehaves on command."""
    async with faulty.faulty_centre(tmp_path / "centre") as served:
        yield served


@pytest.fixture
def station(tmp_path: Path, centre: FaultyCentre) -> DockRig:
    """A dock that never lets footage stay aboard: READY needs receipts."""
    return DockRig(
        tmp_path / "station", centre.url, centre.pinned, tmp_path / "centre", policy={"retain": Retain.NEVER}
    )


def kinds(rig: DockRig, kind: type) -> list:
    return [one.fact for one in rig.oracle.facts() if isinstance(one.fact, kind)]


PASSING: dict[str, Callable[[], Behaviour]] = {
    "busy": faulty.busy,
    "full": faulty.full,
    "slow": lambda: faulty.slow(1.0),
    "dropped": faulty.dropped,
    "lost_answer": faulty.lost_answer,
    "garbled": faulty.garbled,
}


@pytest.mark.parametrize("trouble", sorted(PASSING))
async def test_trouble_that_passes_only_costs_time(station: DockRig, centre: FaultyCentre, trouble: str) -> None:
    for call in (
        "get_store",
        "get_head",
        "claim_recording",
        "put_part",
        "complete_upload",
        "put_facts",
        "put_status",
        "put_manifest",
    ):
        centre.plan(call, PASSING[trouble](), times=2)
    station.camera("A1", {"DCIM/1.MP4": os.urandom(300_000), "DCIM/2.MP4": os.urandom(1000)})
    async with station.run() as dock:
        station.dock("A1", 1)
        await station.until_state(1, "ready", 60)
        await station.until(lambda: dock.desk.snapshot().facts_at_centre >= dock.desk.snapshot().facts - 2, "reported")
    station.oracle.check_finished()
    assert kinds(station, facts.RecordingRejected) == []


LIES: dict[str, Callable[[FaultyCentre], Behaviour]] = {
    "wrong store": lambda _: faulty.wrong_store_id(),
    "wrong key": lambda _: faulty.wrong_key(),
    "forged signature": lambda _: faulty.forged_signature(),
    "wrong digest": lambda _: faulty.wrong_digest(),
    "wrong size": lambda _: faulty.wrong_size(),
}


@pytest.mark.parametrize("lie", sorted(LIES))
async def test_receipt_that_proves_nothing_clears_nothing(station: DockRig, centre: FaultyCentre, lie: str) -> None:
    centre.plan("complete_upload", LIES[lie](centre), times=None)
    centre.plan("claim_recording", LIES[lie](centre), times=None)
    station.camera("A1", {"DCIM/1.MP4": os.urandom(300_000)})
    async with station.run() as dock:
        station.dock("A1", 1)
        await station.until_state(1, "securing")
        await station.until(lambda: "receipt" in dock.desk.snapshot().centre_words.lower(), "the page warns", 60)
        assert station.status(1).state == "securing"
        assert kinds(station, facts.RecordingAccepted) == []
        assert len(station.oracle.on_cards()) == 1, "nothing was erased"
        centre.behave()
        await station.until_state(1, "ready", 90)
    station.oracle.check_finished()


async def test_receipt_of_another_recording_does_not_clear(station: DockRig, centre: FaultyCentre) -> None:
    station.camera("A1", {"DCIM/1.MP4": os.urandom(1000)})
    async with station.run() as dock:
        station.dock("A1", 1)
        await station.until_state(1, "ready")
        (accepted,) = kinds(station, facts.RecordingAccepted)
        for call in ("complete_upload", "claim_recording"):
            centre.plan(call, faulty.stale_receipt(accepted.receipt), times=None)
        station.camera("B2", {"DCIM/1.MP4": os.urandom(2000)})
        station.dock("B2", 2)
        await station.until(lambda: "receipt" in dock.desk.snapshot().centre_words.lower(), "the page warns", 60)
        assert len(kinds(station, facts.RecordingAccepted)) == 1
        assert len(station.oracle.on_cards()) == 1
        centre.behave()
        await station.until_state(2, "ready", 90)
    station.oracle.check_finished()


async def test_old_receipt_for_the_very_bytes_is_as_good_as_a_new_one(station: DockRig, centre: FaultyCentre) -> None:
    for call in ("complete_upload", "claim_recording"):
        centre.plan(call, faulty.old_receipt(timedelta(days=30)), times=None)
    station.camera("A1", {"DCIM/1.MP4": os.urandom(1000)})
    async with station.run():
        station.dock("A1", 1)
        await station.until_state(1, "ready")
    station.oracle.check_finished()


async def test_another_store_at_the_pinned_address_gets_nothing(
    station: DockRig, centre: FaultyCentre, tmp_path: Path
) -> None:
    async with faulty.faulty_centre(tmp_path / "impostor") as impostor:
        station.centre_url = impostor.url
        station.camera("A1", {"DCIM/1.MP4": os.urandom(1000)})
        async with station.run() as dock:
            station.dock("A1", 1)
            await station.until_state(1, "securing")
            await station.until(lambda: not dock.desk.snapshot().is_centre_reachable, "the page warns")
            await station.until(lambda: "store" in dock.desk.snapshot().centre_words, "and says why", 60)
        assert impostor.count("put_part") == 0, "no footage was sent to it"
    assert len(station.oracle.on_cards()) == 1
    station.oracle.check_all()


async def test_the_same_footage_again_costs_no_upload(station: DockRig, centre: FaultyCentre) -> None:
    content = os.urandom(300_000)
    station.camera("A1", {"DCIM/1.MP4": content})
    station.camera("B2", {"DCIM/other-name.MP4": content})
    async with station.run():
        station.dock("A1", 1)
        await station.until_state(1, "ready")
        sent = centre.count("put_part")
        station.dock("B2", 2)
        await station.until_state(2, "ready")
        assert centre.count("put_part") == sent
    station.oracle.check_finished()


async def test_copy_lost_while_a_claim_is_open_is_made_again_in_its_turn(
    station: DockRig, centre: FaultyCentre
) -> None:
    """The claim is answered when the first copy is made again, but not read back yet: the second takes seconds."""
    station.camera(
        "A1", {"DCIM/1.MP4": os.urandom(300_000), "DCIM/2.MP4": os.urandom(4 * MIB)}, read_bytes_per_second=2 * MIB
    )
    real_url, station.centre_url = station.centre_url, "http://127.0.0.1:9"
    async with station.run():
        station.dock("A1", 1)
        await station.until_state(1, "securing")
    station.lose_copies()
    station.centre_url = real_url
    centre.plan("claim_recording", faulty.slow(1.0), times=2)
    async with station.run():
        await station.until_state(1, "ready")
    station.oracle.check_finished()


async def test_receipt_that_comes_while_its_copy_is_missed_ends_the_need_for_one(
    station: DockRig, centre: FaultyCentre
) -> None:
    """Docked again while the store proves the whole; the copy is gone by then, and would take two seconds."""
    station.camera("A1", {"DCIM/1.MP4": os.urandom(2 * MIB)}, read_bytes_per_second=MIB)
    centre.plan("complete_upload", faulty.slow(1.5))
    async with station.run():
        station.dock("A1", 1)
        await station.until(lambda: centre.count("complete_upload") == 1, "the whole is with the store")
        station.lose_copies()
        station.undock("A1", 1)
        station.dock("A1", 2)
        await station.until_state(2, "ready")
    station.oracle.check_finished()
    assert len(kinds(station, facts.RecordingStaged)) == 1
