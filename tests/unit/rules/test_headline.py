"""What staff are told: exhaustive over states, and never better than the truth."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd import errors
from dockd.model.ids import OfficerNumber
from dockd.rules.headline import EMPTY_BAY, STATE_NAMES, Headline, SessionView, Trouble, headline
from dockd.rules.lifecycle import State

SAFE_STATES = (State.SECURING, State.WIPING, State.PREPARING)
ALL_ERRORS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.DockdError)]


def trouble_of(error: errors.DockdError) -> Trouble:
    return Trouble(error.code, error.what, error.footage, error.action)


@st.composite
def views(draw: st.DrawFn) -> SessionView:
    listed = draw(st.integers(0, 20_000))
    is_safe = draw(st.booleans())
    return SessionView(
        state=draw(st.sampled_from(State)),
        is_all_safe_here=is_safe,
        recordings_listed=listed,
        recordings_safe_here=listed if is_safe else draw(st.integers(0, listed)),
        recordings_accepted=draw(st.integers(0, listed)),
        recordings_retained=draw(st.integers(0, listed)),
        blockers=tuple(draw(st.lists(st.text(min_size=1, max_size=40), max_size=3))),
        promised_officer=draw(st.none() | st.just(OfficerNumber("MX4521"))),
        trouble=draw(st.none() | st.builds(Trouble, st.text(), st.text(max_size=5000), st.text(), st.text())),
        retry_at=draw(st.none() | st.just(datetime(2026, 11, 22, 6, 0, tzinfo=UTC))),
        is_centre_reachable=draw(st.booleans()),
    )


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("is_safe", [True, False])
@pytest.mark.parametrize("listed", [0, 1, 12])
def test_every_state_has_whole_sentences(state: State, is_safe: bool, listed: int) -> None:
    view = SessionView(state, is_safe, recordings_listed=listed, recordings_safe_here=listed if is_safe else 0)
    _, words = headline(view)
    assert words.endswith(".")
    assert words[0].isupper() or words[0].isdigit()
    assert "  " not in words
    assert "None" not in words


def test_every_state_has_a_name_in_words() -> None:
    assert set(STATE_NAMES) == set(State)
    assert len(set(STATE_NAMES.values())) == len(State)


def test_every_headline_is_reachable() -> None:
    shouts = {EMPTY_BAY[0]}
    for state in State:
        for officer in (None, OfficerNumber("1")):
            shouts.add(headline(SessionView(state, True, promised_officer=officer))[0])
    assert shouts == set(Headline)


@given(views())
def test_nobody_is_told_to_go_before_all_is_safe(view: SessionView) -> None:
    shout, words = headline(view)
    own = words.removeprefix(view.trouble.what[:900]) if view.trouble else words
    if not view.is_all_safe_here:
        assert shout is not Headline.YOU_MAY_GO
        assert view.trouble is not None or "ou may go" not in own
    if shout is Headline.YOU_MAY_GO:
        assert view.state in SAFE_STATES


@given(views())
def test_words_fit_the_wire_whatever_an_error_says(view: SessionView) -> None:
    assert len(headline(view)[1]) <= 4000


@pytest.mark.parametrize("state", SAFE_STATES)
def test_securing_without_all_safe_says_leave_it(state: State) -> None:
    shout, words = headline(SessionView(state, False, recordings_listed=3, recordings_safe_here=2))
    assert shout is Headline.LEAVE_IN_BAY
    assert "2 of 3 recordings safe" in words


def test_unreachable_centre_is_said_where_the_footage_waits() -> None:
    view = SessionView(State.SECURING, True, recordings_listed=3, recordings_safe_here=3, is_centre_reachable=False)
    shout, words = headline(view)
    assert shout is Headline.YOU_MAY_GO
    assert "waits here" in words


def test_promised_camera_says_whose_it_is() -> None:
    shout, words = headline(SessionView(State.READY, True, promised_officer=OfficerNumber("MX4521")))
    assert shout is Headline.TAKE
    assert "MX4521" in words


def test_only_a_ready_camera_is_to_be_taken() -> None:
    for state in set(State) - {State.READY}:
        assert headline(SessionView(state, True, promised_officer=OfficerNumber("1")))[0] is not Headline.TAKE


@pytest.mark.parametrize("error", ALL_ERRORS)
def test_held_bay_says_all_three_things_of_an_error(error: type[errors.DockdError]) -> None:
    made = (
        error("The card is broken.", status=400, refusal="x")
        if error is errors.CentreRefused
        else error("The card is broken.")
    )
    shout, words = headline(SessionView(State.HELD, False, trouble=trouble_of(made)))
    assert shout is Headline.HELD
    assert words == f"{made.what} {made.footage} {made.action}"


def test_fault_says_that_it_tries_again() -> None:
    view = SessionView(
        State.FAULTED,
        False,
        trouble=trouble_of(errors.NotCharging("The battery does not rise.")),
        retry_at=datetime(2026, 11, 22, 6, 0, tzinfo=UTC),
    )
    shout, words = headline(view)
    assert shout is Headline.FAULT
    assert words.endswith("The dock tries again by itself.")


def test_charging_names_what_is_missing() -> None:
    view = SessionView(State.CHARGING, True, recordings_listed=1, blockers=("battery at 43 %, 80 % needed",))
    assert headline(view) == (
        Headline.CHARGING,
        "The 1 recording is safe. You may go. Not yet to be issued: battery at 43 %, 80 % needed.",
    )


def test_camera_taken_too_early_is_asked_back() -> None:
    _, words = headline(SessionView(State.GONE, False, recordings_listed=3, recordings_safe_here=1))
    assert "Put it back into any bay" in words
