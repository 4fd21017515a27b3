"""Claims about the life-cycle table."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.rules.lifecycle import TRANSITIONS, WORKING, Event, NotAllowed, State, step

STAGES = [
    State.UNLOCKING,
    State.IDENTIFYING,
    State.OFFLOADING,
    State.VERIFYING,
    State.SECURING,
    State.WIPING,
    State.PREPARING,
    State.CHARGING,
]


def reachable(start: State, *, without: State | None = None) -> set[State]:
    steps: dict[State, set[State]] = defaultdict(set)
    for one in TRANSITIONS:
        steps[one.source].add(one.target)
    seen, waiting = {start}, [start]
    while waiting:
        for target in steps[waiting.pop()] - seen - {without}:
            seen.add(target)
            waiting.append(target)
    return seen


def test_wiping_is_entered_by_exactly_one_transition() -> None:
    entries = [one for one in TRANSITIONS if one.target is State.WIPING]
    assert [(one.source, one.event) for one in entries] == [(State.SECURING, Event.STAGE_DONE)]


def test_ready_is_entered_by_exactly_one_transition() -> None:
    assert [one.source for one in TRANSITIONS if one.target is State.READY] == [State.CHARGING]


@pytest.mark.parametrize("state", State)
def test_every_state_reaches_gone_in_one_step(state: State) -> None:
    if state is State.GONE:
        assert reachable(state) == {State.GONE}
    else:
        assert step(state, Event.UNDOCKED).target is State.GONE


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_reached(state: State) -> None:
    assert state in reachable(State.ARRIVED)


@pytest.mark.parametrize("skipped", STAGES)
def test_no_path_to_ready_skips_a_stage(skipped: State) -> None:
    assert State.READY not in reachable(State.ARRIVED, without=skipped)


@pytest.mark.parametrize("start", [State.HELD, State.FAULTED])
@pytest.mark.parametrize("skipped", STAGES)
def test_after_a_fault_or_a_hold_every_stage_is_walked_again(start: State, skipped: State) -> None:
    assert State.READY not in reachable(start, without=skipped)
    assert reachable(start, without=State.UNLOCKING) <= {State.HELD, State.FAULTED, State.GONE}


def test_every_working_state_may_fail_both_ways() -> None:
    for state in WORKING:
        assert step(state, Event.ERROR_RETRY).target is State.FAULTED
        assert step(state, Event.ERROR_HOLD).target is State.HELD


def test_the_table_is_a_function_and_says_why() -> None:
    keys = [(one.source, one.event) for one in TRANSITIONS]
    assert len(keys) == len(set(keys))
    assert all(one.why for one in TRANSITIONS)


def test_a_step_that_is_not_in_the_table_is_refused() -> None:
    for state in State:
        for event in Event:
            known = [one for one in TRANSITIONS if one.source is state and one.event is event]
            if known:
                assert step(state, event) == known[0]
            else:
                with pytest.raises(NotAllowed):
                    step(state, event)


@given(st.lists(st.sampled_from(Event), max_size=60))
def test_any_walk_stays_in_the_table_and_ends_when_undocked(events: list[Event]) -> None:
    state = State.ARRIVED
    walked = [state]
    for event in events:
        try:
            state = step(state, event).target
        except NotAllowed:
            continue
        walked.append(state)
    if State.WIPING in walked:
        before = walked[: walked.index(State.WIPING)]
        for stage in (State.IDENTIFYING, State.OFFLOADING, State.VERIFYING, State.SECURING):
            assert stage in before
    if Event.UNDOCKED in events:
        assert state is State.GONE
