"""From a dock's facts to visits and counts: what is a fault of a bay, a camera, or of neither."""

from __future__ import annotations

from datetime import date

import pytest

from dockd.central.fleet.fold import LARGEST_RECORDING_BYTES, FleetFold
from dockd.central.fleet.visits import visits_of, visits_text
from dockd.model import facts as f
from dockd.model.camera import CameraIdentity
from dockd.model.facts import Fact
from dockd.model.ids import Digest
from dockd.model.recording import ContainerVerdict, StagedRecording
from dockd.rules.faults import Outcome
from tests.support.clock import START, ManualClock
from tests.support.dock_voice import Chain

MONDAY = date(2026, 11, 16)


class Told:
    """A dock's facts as they are told, folded from the beginning."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.chain = Chain(clock=self.clock)
        self.chain.start()

    def add(self, *facts: Fact) -> None:
        self.chain.add(*facts)

    def dock(self, session: str, camera: str | None = "sim:A", bay: str = "1") -> None:
        self.add(f.CameraDocked(session=session, bay=bay, port="1-1"))
        if camera is not None:
            identity = CameraIdentity(camera=camera, maker="m", model="M")
            self.add(f.CameraIdentified(session=session, bay=bay, driver="sim", identity=identity))

    def move(self, session: str, to_state: str, code: str | None = None) -> None:
        self.add(f.SessionMoved(session=session, from_state="x", to_state=to_state, code=code))

    def stage(self, session: str, size_bytes: int) -> None:
        staged = StagedRecording(
            recording="r1",
            session=session,
            digest=Digest("0" * 64),
            size_bytes=size_bytes,
            container=ContainerVerdict.COMPLETE,
            is_read_whole=True,
        )
        self.add(f.RecordingStaged(staged=staged))

    def undock(self, session: str, camera: str | None = "sim:A", bay: str = "1") -> None:
        self.add(f.CameraUndocked(session=session, bay=bay, camera=camera))

    def folded(self) -> FleetFold:
        fold = FleetFold("dock-7", {})
        for one in self.chain.facts:
            fold.fold(one)
        return fold


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_camera_whose_footage_is_safe_was_a_good_visit(told: Told) -> None:
    told.dock("s1")
    told.move("s1", "securing")
    told.undock("s1")
    fold = told.folded()
    assert fold.told["s1"].outcome is Outcome.GOOD
    assert fold.sums.weeks[("1", MONDAY)]["sessions"] == 1
    assert fold.sums.hours[START]["dockings"] == 1


def test_a_camera_taken_out_early_says_nothing_of_the_bay(told: Told) -> None:
    told.dock("s1")
    told.move("s1", "offloading")
    told.undock("s1")
    assert told.folded().told == {}


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("camera-gone", "connection_losses"),
        ("driver-timeout", "connection_losses"),
        ("not-charging", "failed_charges"),
        ("card-unreadable", "card_faults"),
    ],
)
def test_a_fault_is_counted_by_its_kind_and_known_at_once(told: Told, code: str, count: str) -> None:
    told.dock("s1")
    told.move("s1", "faulted", code)
    fold = told.folded()
    week = fold.sums.weeks[("1", MONDAY)]
    assert (week["faulted"], week[count]) == (1, 1)
    assert (fold.told["s1"].outcome, fold.told["s1"].code) == (Outcome.FAILED, code)


@pytest.mark.parametrize("code", ["staging-full", "centre-unavailable", "clock-not-set", "internal-error"])
def test_what_lies_at_the_dock_or_the_centre_is_no_fault_of_bay_or_camera(told: Told, code: str) -> None:
    told.dock("s1")
    told.move("s1", "held", code)
    fold = told.folded()
    assert fold.sums.weeks[("1", MONDAY)]["held"] == 1
    assert fold.told == {}


def test_a_fault_that_passes_by_itself_has_recovered(told: Told) -> None:
    told.dock("s1")
    told.move("s1", "faulted", "driver-timeout")
    told.move("s1", "securing")
    told.move("s1", "ready")
    told.move("s1", "ready")
    fold = told.folded()
    assert fold.told["s1"].outcome is Outcome.RECOVERED
    assert fold.sums.hours[START]["made_ready"] == 1


def test_a_camera_back_within_three_seconds_was_reset_and_later_was_docked_by_hand(told: Told) -> None:
    told.dock("s1")
    told.undock("s1")
    told.clock.advance(3)
    told.dock("s2")
    told.undock("s2")
    told.clock.advance(4)
    told.dock("s3")
    told.undock("s3")
    told.clock.advance(1)
    told.dock("s4", "sim:B")
    week = told.folded().sums.weeks[("1", MONDAY)]
    assert (week["sessions"], week["connection_losses"]) == (4, 1)


def test_a_restart_of_the_daemon_is_no_reset(told: Told) -> None:
    told.dock("s1")
    told.chain.start()
    told.dock("s2")
    fold = told.folded()
    assert fold.sums.weeks[("1", MONDAY)]["connection_losses"] == 0
    assert fold.bays["1"].session == "s2"


def test_speed_is_bytes_by_the_time_of_the_same_boot(told: Told) -> None:
    told.dock("s1")
    told.move("s1", "offloading")
    told.clock.advance(10)
    told.stage("s1", 400_000_000)
    told.move("s1", "verifying")
    week = told.folded().sums.weeks[("1", MONDAY)]
    assert (week["copied_bytes"], week["copy_milliseconds"]) == (400_000_000, 10_000)
    told.move("s1", "offloading")
    told.stage("s1", 5)
    told.clock.reboot()
    told.move("s1", "verifying")
    assert told.folded().sums.weeks[("1", MONDAY)]["copied_bytes"] == 400_000_000


def test_nobody_can_overflow_a_count(told: Told) -> None:
    told.dock("s1")
    told.stage("s1", 2**63 - 1)
    told.stage("s1", -5)
    assert told.folded().sums.days[START.date()]["copied_bytes"] == LARGEST_RECORDING_BYTES


def test_a_fact_about_a_session_never_announced_changes_nothing(told: Told) -> None:
    told.move("s9", "faulted", "driver-timeout")
    told.undock("s9")
    fold = told.folded()
    assert (fold.told, fold.bays, dict(fold.sums.weeks)) == ({}, {}, {})


def test_visits_are_the_same_after_the_column(told: Told) -> None:
    told.dock("s1", None)
    told.move("s1", "faulted", "driver-timeout")
    visits = tuple(told.folded().told.values())
    assert visits[0].camera is None
    assert visits_of(visits_text(visits)) == visits
