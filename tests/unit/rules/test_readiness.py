"""Claims about the one gate before a camera may be issued."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.model.camera import BatteryReading, SpaceReading
from dockd.rules.readiness import Condition, ReadinessPolicy, blockers

POLICY = ReadinessPolicy(minimum_battery_percent=80, minimum_free_percent=50)
FIT = Condition(
    unsafe_recordings=0,
    space=SpaceReading(total_bytes=100, free_bytes=100),
    battery=BatteryReading(percent=100, is_charging=True),
    is_clock_set=True,
    is_unassigned=True,
)


def codes(condition: Condition, policy: ReadinessPolicy = POLICY) -> list[str]:
    return [one.code for one in blockers(condition, policy)]


def test_a_fit_camera_has_no_blocker() -> None:
    assert codes(FIT) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"unsafe_recordings": 1}, "card"),
        ({"space": None}, "space"),
        ({"space": SpaceReading(total_bytes=100, free_bytes=49)}, "space"),
        ({"battery": BatteryReading(percent=79, is_charging=True)}, "battery"),
        ({"battery": BatteryReading(percent=None, is_charging=False)}, "battery"),
        ({"is_clock_set": False}, "clock"),
        ({"is_unassigned": False}, "assignment"),
        ({"fault": "the camera stopped answering"}, "fault"),
        ({"hold": "the model was withdrawn"}, "hold"),
    ],
    ids=str,
)
def test_each_condition_blocks_by_itself(change: dict[str, object], code: str) -> None:
    assert codes(replace(FIT, **change)) == [code]


@pytest.mark.parametrize(
    "change",
    [
        {"is_clock_set": None},
        {"is_unassigned": None},
        {"battery": BatteryReading(percent=None, is_charging=True)},
        {"battery": BatteryReading(percent=80, is_charging=False)},
        {"space": SpaceReading(total_bytes=100, free_bytes=50)},
    ],
    ids=str,
)
def test_what_a_camera_does_not_have_does_not_block_it(change: dict[str, object]) -> None:
    assert codes(replace(FIT, **change)) == []


conditions = st.builds(
    Condition,
    unsafe_recordings=st.integers(0, 2),
    space=st.none() | st.integers(0, 100).map(lambda free: SpaceReading(total_bytes=100, free_bytes=free)),
    battery=st.builds(BatteryReading, percent=st.none() | st.integers(0, 100), is_charging=st.none() | st.booleans()),
    is_clock_set=st.none() | st.booleans(),
    is_unassigned=st.none() | st.booleans(),
    fault=st.none() | st.just("fault"),
    hold=st.none() | st.just("hold"),
)


@given(conditions)
def test_ready_means_safe_card_space_battery_clock_no_fault_no_hold(condition: Condition) -> None:
    found = blockers(condition, POLICY)
    assert len({one.code for one in found}) == len(found)
    assert all(one.words for one in found)
    if not found:
        assert condition.unsafe_recordings == 0
        assert condition.space is not None
        assert condition.space.free_bytes >= 50
        assert condition.battery.percent is None or condition.battery.percent >= 80
        assert condition.is_clock_set is not False
        assert condition.is_unassigned is not False
        assert condition.fault is None
        assert condition.hold is None


def test_a_card_that_claims_no_size_is_not_taken_for_free() -> None:
    assert codes(replace(FIT, space=SpaceReading(total_bytes=0, free_bytes=0))) == ["space"]
