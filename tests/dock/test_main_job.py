"""The main job as staff live it: dock, go, take, come back; and the policies that change it."""

from __future__ import annotations

import asyncio
import itertools
import os
from datetime import UTC, datetime, timedelta

import pytest

from dockd.clock import SystemClock
from dockd.dock import erasure
from dockd.dock.policy import Retain
from dockd.errors import AlreadyHolding, NotFound, NothingReady
from dockd.model import facts
from dockd.model.ids import OfficerNumber
from dockd.model.moment import ClockSync, Moment
from dockd.wire.status import Headline
from drivers.simulated import Faults
from drivers.simulated.description import parse_description
from tests.support.dock_rig import DockRig

MIB = 1 << 20
ANNA = OfficerNumber("PC1001")
BEN = OfficerNumber("PC2002")


class UnsynchronisedClock(SystemClock):
    """The host's clock, with a kernel that says it is not synchronised."""

    def moment(self) -> Moment:
        return super().moment().model_copy(update={"clock_sync": ClockSync.UNSYNCHRONISED})


WIPING = (facts.WipeIntended, facts.RecordingErased)


def kinds(rig: DockRig, kind: type) -> list:
    return [one.fact for one in rig.oracle.facts() if isinstance(one.fact, kind)]


async def test_docked_camera_ends_ready_with_everything_in_the_store_and_the_loop_closed(rig: DockRig) -> None:
    rig.camera("A1", {f"DCIM/{number}.MP4": os.urandom(number * 300_000) for number in range(4)})
    async with rig.run():
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "ready")
        assert bay.headline is Headline.READY
        assert (bay.recordings_listed, bay.recordings_accepted, bay.recordings_erased) == (4, 4, 4)
    rig.oracle.check_finished()
    (record,) = kinds(rig, facts.SessionReconciled)
    assert record.listed == record.staged == record.stored == record.erased
    assert record.differences == ()
    assert kinds(rig, facts.ChainSigned), "a signed checkpoint before the wipe"


async def test_states_are_walked_in_order_without_short_cuts_also_for_an_empty_card(rig: DockRig) -> None:
    rig.camera("A1", {})
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until_state(1, "ready")
    moves = [(one.from_state, one.to_state) for one in kinds(rig, facts.SessionMoved)]
    path = [
        "arrived",
        "unlocking",
        "identifying",
        "offloading",
        "verifying",
        "securing",
        "wiping",
        "preparing",
        "charging",
        "ready",
    ]
    assert moves == list(itertools.pairwise(path))


async def test_a_card_with_many_recordings_is_emptied_in_lots_each_intended_before_it_is_erased(
    rig: DockRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "_RECORDINGS_PER_LOT", 3)
    monkeypatch.setattr(erasure, "_FACTS_PER_TRANSACTION", 2)
    rig.camera("A1", {f"DCIM/{number}.MP4": os.urandom(300_000 + number) for number in range(8)})
    async with rig.run():
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "ready")
        assert bay.recordings_erased == 8
    rig.oracle.check_finished()
    acts = [type(one.fact).__name__[0] for one in rig.oracle.facts() if isinstance(one.fact, WIPING)]
    assert "".join(acts) == "WWWRRR" + "WWWRRR" + "WWRR"
    (measured,) = kinds(rig, facts.SpaceMeasured)
    assert measured.after.free_bytes - measured.before.free_bytes >= measured.erased_bytes == sum(range(8)) + 2_400_000


async def test_you_may_go_is_said_when_all_is_verified_here_and_not_before(rig: DockRig) -> None:
    rig.policy["retain"] = Retain.NEVER
    rig.centre_url = "http://127.0.0.1:9"  # nobody there: nothing can be accepted
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(MIB)}, read_bytes_per_second=4 * MIB)
    seen: list[tuple[str, Headline]] = []
    async with rig.run() as dock:
        rig.dock("A1", 1)
        with dock.desk.changes() as changes:
            while not seen or seen[-1][0] != "securing":
                await changes.wait()
                bay = dock.desk.snapshot().bays
                seen += [(one.state, one.headline) for one in bay if one.bay == "bay-1"]
        bay1 = rig.status(1)
        assert bay1.headline is Headline.YOU_MAY_GO
        assert not dock.desk.snapshot().is_centre_reachable
        await asyncio.sleep(0.5)
        assert rig.status(1).state == "securing", "never ready, never erased without the centre"
    early = {headline for state, headline in seen if state in ("arrived", "unlocking", "identifying", "offloading")}
    assert Headline.YOU_MAY_GO not in early
    assert len(rig.oracle.on_cards()) == 1
    rig.oracle.check_all()


async def test_camera_taken_early_goes_on_in_another_bay_where_it_stopped(rig: DockRig) -> None:
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(6 * MIB)}, read_bytes_per_second=MIB)
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until(lambda: rig.is_copying(1) and rig.oracle.checkpoint_bytes() > 2.5 * MIB, "half of it durable")
        rig.undock("A1", 1)
        await rig.until(lambda: rig.status(1).state == "empty", "bay 1 empty")
        rig.oracle.check_all()
        rig.dock("A1", 2)
        await rig.until_state(2, "ready")
    rig.oracle.check_finished()
    (staged,) = kinds(rig, facts.RecordingStaged)
    assert not staged.staged.is_read_whole, "it went on from its checkpoint"
    assert len(kinds(rig, facts.SourceConfirmed)) == 1, "so the card was read again before erasing"


async def test_footage_changed_while_away_under_the_same_name_size_and_time_is_never_erased_unread(
    rig: DockRig,
) -> None:
    """The mixture of two files is found by reading the card before the wipe; both contents end in the store."""
    size = 6 * MIB
    camera = rig.camera("A1", {"DCIM/1.MP4": os.urandom(size)}, read_bytes_per_second=MIB)
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until(lambda: rig.is_copying(1) and rig.oracle.checkpoint_bytes() > 2.5 * MIB, "half of it durable")
        rig.undock("A1", 1)
        await rig.until(lambda: rig.status(1).state == "empty", "bay 1 empty")
        path = camera / "card" / "DCIM" / "1.MP4"
        status = path.stat()
        content = bytearray(path.read_bytes())
        content[size - 100] ^= 0xFF  # beyond the checkpoint
        content[MIB + 77] ^= 0xFF  # before it, between the samples: its first and its last MiB
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        rig.oracle.expected.clear()
        rig.oracle.remember(camera)
        rig.dock("A1", 2)
        await rig.until_state(2, "ready")
    rig.oracle.check_finished()
    assert [one.generation for one in kinds(rig, facts.RecordingListed)] == [0, 1]


async def test_issue_take_return_and_who_held_it(rig: DockRig) -> None:
    rig.camera("A1", {}, battery_percent=85.0)
    rig.camera("B2", {}, battery_percent=95.0)
    async with rig.run() as dock:
        rig.dock("A1", 1)
        rig.dock("B2", 2)
        await rig.until_state(1, "ready")
        await rig.until_state(2, "ready")
        issued = await dock.desk.issue(ANNA)
        assert issued.bay == "bay-2", "the best charged"
        assert rig.status(2).headline is Headline.TAKE
        description = parse_description((rig.bay(2) / "B2" / "camera.toml").read_bytes())
        assert description.officer == ANNA, "written to the camera"
        assert (await dock.desk.issue(ANNA)).bay == "bay-2", "asked again, told the same"
        assert (await dock.desk.issue(BEN)).bay == "bay-1"
        with pytest.raises(NothingReady):
            await dock.desk.issue(OfficerNumber("PC3003"))
        taken_at = datetime.now(UTC)
        rig.undock("B2", 2)
        await rig.until(lambda: rig.status(2).state == "empty", "taken")
        with pytest.raises(AlreadyHolding):
            await dock.desk.issue(ANNA)
        # Anna records; the file's time says when.
        await asyncio.sleep(0.2)
        for name, at in (("mine", datetime.now(UTC)), ("before", taken_at - timedelta(hours=1))):
            path = rig.shelf / "B2" / "card" / "DCIM" / f"{name}.MP4"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(os.urandom(1000))
            os.utime(path, (at.timestamp(), at.timestamp()))
        rig.oracle.remember(rig.shelf / "B2")
        rig.dock("B2", 3)
        await rig.until_state(3, "ready")
        assert parse_description((rig.bay(3) / "B2" / "camera.toml").read_bytes()).officer is None
    listed = {one.path: one.officer for one in kinds(rig, facts.RecordingListed)}
    assert listed == {"DCIM/mine.MP4": ANNA, "DCIM/before.MP4": None}
    (ended,) = kinds(rig, facts.AssignmentEnded)
    assert ended.officer == ANNA
    rig.oracle.check_finished()


async def test_camera_that_does_not_keep_its_number_is_passed_over(rig: DockRig) -> None:
    rig.camera("A1", {}, battery_percent=99.0, officer=None, faults=Faults(assignment_not_kept=True))
    rig.camera("B2", {}, battery_percent=85.0)
    async with rig.run() as dock:
        rig.dock("A1", 1)
        rig.dock("B2", 2)
        await rig.until_state(1, "ready")
        await rig.until_state(2, "ready")
        issued = await dock.desk.issue(ANNA)
        assert issued.bay == "bay-2"
        await rig.until(lambda: rig.status(1).code == "assignment-not-written", "bay 1 says why")
    assert len(kinds(rig, facts.AssignmentCancelled)) == 1


async def test_a_promise_can_be_taken_back(rig: DockRig) -> None:
    rig.camera("A1", {})
    async with rig.run() as dock:
        rig.dock("A1", 1)
        await rig.until_state(1, "ready")
        await dock.desk.issue(ANNA)
        await dock.desk.cancel_issue("bay-1")
        assert rig.status(1).headline is Headline.READY
        assert (await dock.desk.issue(BEN)).bay == "bay-1"
        with pytest.raises(NotFound):
            await dock.desk.cancel_issue("bay-2")


async def test_grace_keeps_accepted_footage_on_the_card(rig: DockRig) -> None:
    rig.policy["grace_hours"] = 1
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(1000)})
    async with rig.run():
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "ready")
        assert (bay.recordings_accepted, bay.recordings_erased, bay.recordings_retained) == (1, 0, 1)
    assert len(rig.oracle.on_cards()) == 1
    rig.oracle.check_all()


async def test_station_goes_on_without_the_centre_and_wipes_when_it_comes_back(rig: DockRig) -> None:
    real_url, rig.centre_url = rig.centre_url, "http://127.0.0.1:9"
    rig.policy.update(retain=Retain.WHEN_UNREACHABLE, unreachable_after_seconds=1)
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(MIB)})
    async with rig.run() as dock:
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "ready")
        assert (bay.recordings_retained, bay.recordings_erased) == (1, 0)
        issued = await dock.desk.issue(ANNA)
        assert issued.bay == "bay-1"
        await dock.desk.cancel_issue("bay-1")
        rig.oracle.check_all()
    rig.centre_url = real_url
    async with rig.run():
        await rig.until(lambda: rig.status(1).recordings_erased == 1, "wiped after the centre came back")
        await rig.until_state(1, "ready")
    rig.oracle.check_finished()


async def test_clock_offset_is_measured_before_it_is_set(rig: DockRig) -> None:
    rig.camera("A1", {}, clock_offset_milliseconds=-3_600_000)
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until_state(1, "ready")
    (measured,) = kinds(rig, facts.ClockMeasured)
    (setting,) = kinds(rig, facts.ClockSet)
    assert abs(measured.reading.offset_milliseconds + 3_600_000) < 2000
    assert abs(setting.reading.offset_milliseconds) < 2000


async def test_unsynchronised_host_never_sets_a_camera_clock(rig: DockRig) -> None:
    rig.policy.update(set_clock_from_unsynchronised_host=False)
    rig.clock = UnsynchronisedClock()
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(1000)}, clock_offset_milliseconds=-60_000)
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until(lambda: rig.status(1).code == "clock-not-set", "the refusal is told")
    assert kinds(rig, facts.ClockSet) == []
    assert parse_description((rig.bay(1) / "A1" / "camera.toml").read_bytes()).clock_offset_milliseconds == -60_000
    rig.oracle.check_finished()


async def test_daemon_stopped_and_started_again_goes_on(rig: DockRig) -> None:
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(4 * MIB)}, read_bytes_per_second=2 * MIB)
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until(lambda: rig.is_copying(1), "copying")
    rig.oracle.check_all()
    async with rig.run():
        await rig.until_state(1, "ready")
    rig.oracle.check_finished()


class LateClock(SystemClock):
    """A dock whose clock is two hours behind the centre's."""

    def now(self) -> datetime:
        return super().now() - timedelta(hours=2)

    def moment(self) -> Moment:
        return super().moment().model_copy(update={"at": self.now()})


async def test_dock_whose_clock_is_behind_the_centres_erases_what_is_cleared(rig: DockRig) -> None:
    rig.clock = LateClock()
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(1000)})
    async with rig.run():
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "ready")
        assert (bay.recordings_erased, bay.recordings_retained) == (1, 0)
    rig.oracle.check_finished()
