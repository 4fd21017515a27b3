"""Whatever the order in which docks' facts arrive, the centre comes to the same answer."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.central.places.whereabouts import Whereabouts, camera_of, fold
from dockd.model import facts
from dockd.model.camera import CameraIdentity
from dockd.model.facts import RecordedFact, link
from dockd.model.ids import GENESIS
from dockd.model.moment import ClockSync, Moment
from tests.support.clock import START

CAMERA = "simulated:CAM1"


def at(minutes: int) -> Moment:
    return Moment(
        at=START + timedelta(minutes=minutes), monotonic_milliseconds=0, boot_id="b", clock_sync=ClockSync.SYNCHRONISED
    )


def seen(minutes: int, dock: str = "dock-1") -> RecordedFact:
    identity = CameraIdentity(camera=CAMERA, maker="m", model="Sim 1")
    fact = facts.CameraIdentified(session=f"s{minutes}", bay="3", driver="simulated", identity=identity)
    return link(dock, 1, GENESIS, at(minutes), fact)


def issued(minutes: int, dock: str = "dock-1", officer: str = "PC1") -> RecordedFact:
    fact = facts.AssignmentStarted(assignment="a1", camera=CAMERA, officer=officer, started_at=at(minutes).at)
    return link(dock, 1, GENESIS, at(minutes), fact)


def ended(minutes: int, dock: str = "dock-1") -> RecordedFact:
    fact = facts.AssignmentEnded(assignment="a1", camera=CAMERA, officer="PC1", ended_at=at(minutes).at)
    return link(dock, 1, GENESIS, at(minutes), fact)


def after(*told: RecordedFact) -> Whereabouts:
    known = {CAMERA: Whereabouts(CAMERA)}
    for one in told:
        fold(known, one)
    return known[CAMERA]


@pytest.mark.parametrize(
    ("told", "is_held"),
    [
        ([], False),
        ([seen(1)], False),
        ([seen(1), issued(9)], True),
        ([issued(9), seen(1)], True),
        ([seen(1), issued(9), ended(20)], False),
        ([seen(1), issued(9), seen(20, "dock-2")], False),
        ([seen(20, "dock-2"), issued(9), seen(1)], False),
        ([seen(1), issued(9), seen(20, "dock-2"), issued(30, "dock-2", "PC2")], True),
        ([issued(30, "dock-2", "PC2"), ended(20), seen(20, "dock-2"), issued(9)], True),
        ([issued(9), ended(9)], False),
    ],
)
def test_a_camera_is_held_from_its_issue_until_any_dock_sees_it(told: list[RecordedFact], is_held: bool) -> None:
    assert after(*told).is_held is is_held


def test_the_last_word_is_kept_with_where_it_was_said() -> None:
    one = after(seen(5, "dock-2"), seen(1), issued(9, "dock-2", "PC2"), issued(3))
    assert (one.seen_dock, one.seen_session, one.seen_bay) == ("dock-2", "s5", "3")
    assert (one.issued_to, one.issued_dock) == ("PC2", "dock-2")


EVENTS = st.lists(
    st.builds(
        lambda make, minutes, dock: make(minutes, dock),
        st.sampled_from([seen, issued, ended]),
        st.integers(0, 6),
        st.sampled_from(["dock-1", "dock-2"]),
    ),
    max_size=8,
)


@given(EVENTS, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(told: list[RecordedFact], random: object) -> None:
    shuffled = [*copy.copy(told), *told[:3]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis gives a random.Random
    assert after(*told) == after(*shuffled)


def test_facts_about_other_things_name_no_camera() -> None:
    stopped = link("dock-1", 1, GENESIS, at(1), facts.DockStopped())
    assert camera_of(stopped) is None
    assert after(stopped) == Whereabouts(CAMERA)
