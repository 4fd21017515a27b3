"""Claims about who gets which camera, and who held it."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from dockd.model.ids import BayId, CameraId, OfficerNumber
from dockd.rules.issuing import Assignment, Candidate, choose, holder_at
from tests.support.clock import START

candidates = st.lists(
    st.builds(
        Candidate,
        bay=st.sampled_from([BayId("1"), BayId("2"), BayId("3")]),
        camera=st.sampled_from([CameraId("simulated:A"), CameraId("simulated:B")]),
        battery_percent=st.none() | st.integers(0, 100),
        ready_since=st.integers(0, 3).map(lambda hours: START + timedelta(hours=hours)),
    ),
    max_size=8,
)


@given(candidates)
def test_the_best_charged_is_chosen_then_the_one_that_waited_longest(ready: list[Candidate]) -> None:
    chosen = choose(ready)
    if not ready:
        assert chosen is None
        return
    assert chosen in ready
    for other in ready:
        assert (chosen.battery_percent or 0) >= (other.battery_percent or 0)
        if (other.battery_percent or 0) == (chosen.battery_percent or 0):
            assert chosen.ready_since <= other.ready_since


@given(candidates, st.randoms())
def test_the_choice_does_not_depend_on_the_order_of_the_bays(ready: list[Candidate], random: Random) -> None:
    shuffled = list(ready)
    random.shuffle(shuffled)
    first, second = choose(ready), choose(shuffled)
    if first is None or second is None:
        assert first is second
    else:
        assert (first.battery_percent or 0, first.ready_since, first.bay) == (
            second.battery_percent or 0,
            second.ready_since,
            second.bay,
        )


CAMERA = CameraId("simulated:A")
ALICE, BOB = OfficerNumber("PC1"), OfficerNumber("PC2")


def held(officer: OfficerNumber, start_hour: int, end_hour: int | None, camera: CameraId = CAMERA) -> Assignment:
    end = None if end_hour is None else START + timedelta(hours=end_hour)
    return Assignment(camera, officer, START + timedelta(hours=start_hour), end)


def test_the_interval_includes_its_beginning_and_not_its_end() -> None:
    ledger = [held(ALICE, 0, 8), held(BOB, 8, None)]
    assert holder_at(ledger, CAMERA, START) == ALICE
    assert holder_at(ledger, CAMERA, START + timedelta(hours=8)) == BOB
    assert holder_at(ledger, CAMERA, START - timedelta(microseconds=1)) is None
    assert holder_at(ledger, CAMERA, START + timedelta(days=365)) == BOB


def test_a_recording_without_a_time_is_attributed_to_nobody() -> None:
    assert holder_at([held(ALICE, 0, None)], CAMERA, None) is None


def test_another_cameras_officer_is_not_guessed() -> None:
    assert holder_at([held(ALICE, 0, None, CameraId("simulated:B"))], CAMERA, START) is None


def test_two_officers_at_one_moment_make_the_holder_unknown() -> None:
    ledger = [held(ALICE, 0, 8), held(BOB, 4, 12)]
    assert holder_at(ledger, CAMERA, START + timedelta(hours=5)) is None
    assert holder_at(ledger, CAMERA, START + timedelta(hours=1)) == ALICE


def test_two_records_that_agree_are_no_conflict() -> None:
    assert holder_at([held(ALICE, 0, 8), held(ALICE, 4, 12)], CAMERA, START + timedelta(hours=5)) == ALICE
