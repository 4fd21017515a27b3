"""When a battery counts as full enough, and when it counts as not charging."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.dock.stages.charge import ChargeWatch
from dockd.errors import NotCharging
from dockd.model.camera import BatteryReading


def reading(percent: int | None, is_charging: bool | None = True) -> BatteryReading:
    return BatteryReading(percent=percent, is_charging=is_charging)


def test_full_enough_at_the_threshold_and_not_below() -> None:
    watch = ChargeWatch(minimum_percent=80, patience_seconds=60)
    assert not watch.judge(reading(79), 0)
    assert watch.judge(reading(80), 1)


def test_battery_that_cannot_be_read_does_not_block_here() -> None:
    assert ChargeWatch(minimum_percent=80, patience_seconds=60).judge(reading(None, None), 0)


def test_battery_that_rises_slowly_is_never_a_fault() -> None:
    watch = ChargeWatch(minimum_percent=80, patience_seconds=60)
    for step in range(20):
        assert not watch.judge(reading(10 + step), step * 59.0)


def test_battery_that_stays_is_a_fault_with_its_level_in_words() -> None:
    watch = ChargeWatch(minimum_percent=80, patience_seconds=60)
    assert not watch.judge(reading(30, is_charging=False), 0)
    assert not watch.judge(reading(30, is_charging=False), 60)
    with pytest.raises(NotCharging, match=r"30 % and says that it is not charging.*61 seconds"):
        watch.judge(reading(30, is_charging=False), 61)


def test_falling_and_rising_to_the_old_level_is_not_progress() -> None:
    watch = ChargeWatch(minimum_percent=80, patience_seconds=60)
    watch.judge(reading(40), 0)
    watch.judge(reading(35), 30)
    watch.judge(reading(40), 50)
    with pytest.raises(NotCharging):
        watch.judge(reading(40), 61)


@given(st.lists(st.integers(min_value=0, max_value=100), min_size=1, max_size=40), st.integers(1, 100))
def test_never_says_full_below_the_threshold(levels: list[int], minimum: int) -> None:
    watch = ChargeWatch(minimum_percent=minimum, patience_seconds=1e9)
    for second, percent in enumerate(levels):
        assert watch.judge(reading(percent), second) == (percent >= minimum)
