"""Claims about our errors: told apart by code, and each says the three things staff need."""

from __future__ import annotations

import inspect
from collections import Counter

import pytest

from dockd import errors
from dockd.errors import DockdError, Reaction


def classes() -> list[type[DockdError]]:
    return [
        one
        for one in vars(errors).values()
        if inspect.isclass(one) and issubclass(one, DockdError) and one is not DockdError
    ]


def test_codes_are_unique_and_stable_in_form() -> None:
    counted = Counter(one.code for one in classes())
    assert [code for code, count in counted.items() if count > 1] == []
    assert all(code == code.lower() and " " not in code and "_" not in code for code in counted)


@pytest.mark.parametrize("error", classes(), ids=lambda one: one.code)
def test_every_error_says_what_it_means_for_the_footage_and_what_to_do(error: type[DockdError]) -> None:
    assert "code" in vars(error)
    assert error.__doc__
    assert error.footage.endswith(".")
    assert error.action.endswith(".")
    assert vars(error).get("footage"), "its own words about the footage"
    assert vars(error).get("action"), "its own words about what to do"


def test_exit_statuses_are_unique_and_only_programs_that_stop_have_one() -> None:
    stopping = [one for one in classes() if one.reaction is Reaction.EXIT]
    counted = Counter(one.exit_status for one in stopping)
    assert max(counted.values()) == 1
    assert all(status == 2 or 64 <= status < 126 for status in counted), "2: `dockd status` found no daemon"
    assert all(one.exit_status == 1 for one in classes() if one.reaction is not Reaction.EXIT)


def test_a_message_can_be_made_more_exact_by_who_raises_it() -> None:
    error = errors.BadRequest("The size is negative.", footage="None.", action="Give a size.")
    assert str(error) == "The size is negative. None. Give a size."
    assert errors.BadRequest.footage != "None."


def test_no_message_promises_that_erased_footage_is_lost_or_gone() -> None:
    for error in classes():
        assert "lost" not in error.footage or "Nothing is lost" in error.footage
