"""Whose fault it is: the bay's, the camera's, or nobody's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.rules.faults import (
    MOST_VISITS,
    CopySpeed,
    Outcome,
    Verdict,
    Visit,
    fails_always_here,
    failures_in_row,
    judge_bay,
    judge_camera,
    remember,
    since_first_failure,
    slow_bays,
)
from tests.support.clock import START


def visits(pattern: str, cameras: str, *, bays: str = "", code: str = "driver-timeout") -> tuple[Visit, ...]:
    """`g` good, `r` recovered, `f` failed; one camera and one bay by letter for each, `-` for no camera."""
    outcome = {"g": Outcome.GOOD, "r": Outcome.RECOVERED, "f": Outcome.FAILED}
    return tuple(
        Visit(
            START + timedelta(hours=number),
            "dock-7",
            f"s{number}",
            (bays or "1" * len(pattern))[number],
            None if cameras[number] == "-" else f"sim:{cameras[number]}",
            outcome[letter],
            code if letter != "g" else None,
        )
        for number, letter in enumerate(pattern)
    )


@pytest.mark.parametrize(
    ("pattern", "cameras", "verdict"),
    [
        ("gggfff", "ABCABC", Verdict.FAILING),
        ("fff", "ABA", Verdict.FAILING),
        ("ff", "AB", Verdict.FINE),
        ("fff", "AAA", Verdict.FINE),  # one bad camera is no bad bay
        ("fffg", "ABCD", Verdict.FINE),  # the bay works again
        ("fffff", "-----", Verdict.FAILING),
        ("ffff", "----", Verdict.FINE),
        ("grgrgr", "ABCDEF", Verdict.OFTEN_FAILS),
        ("grgrgr", "ABCBEB", Verdict.FINE),  # it is always camera B
        ("rgggg", "ABCDE", Verdict.FINE),
        ("", "", Verdict.FINE),
    ],
)
def test_a_bay_fails_when_different_cameras_fail_there(pattern: str, cameras: str, verdict: Verdict) -> None:
    assert judge_bay(visits(pattern, cameras)) is verdict


def test_a_wrong_identity_is_no_fault_of_the_bay() -> None:
    held = visits("fff", "ABC", code="duplicate-identity")
    assert judge_bay(held) is Verdict.FINE
    assert judge_camera(visits("fff", "AAA", bays="123", code="duplicate-identity")) is Verdict.FAILING


@pytest.mark.parametrize(
    ("pattern", "bays", "verdict"),
    [
        ("fff", "123", Verdict.FAILING),
        ("fff", "111", Verdict.FINE),  # the bay may be at fault
        ("ff", "12", Verdict.FINE),
        ("fffg", "1234", Verdict.FINE),
        ("gfgfgf", "123456", Verdict.OFTEN_FAILS),
        ("gfgfgf", "121212", Verdict.FINE),  # only in bay 2
    ],
)
def test_a_camera_fails_when_it_fails_in_different_bays(pattern: str, bays: str, verdict: Verdict) -> None:
    assert judge_camera(visits(pattern, "A" * len(pattern), bays=bays)) is verdict


def test_a_camera_that_always_fails_here_is_named_after_three_times() -> None:
    assert fails_always_here(visits("gfff", "AAAA"))
    assert not fails_always_here(visits("ff", "AA"))
    assert not fails_always_here(visits("ffrf", "AAAA"))


moments = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from(["d1", "d2"]), st.integers(0, 5), st.sampled_from(list(Outcome))),
    max_size=30,
    unique_by=lambda one: (one[1], one[2]),
)


@given(moments, st.randoms(use_true_random=False))
def test_the_order_in_which_docks_tell_changes_nothing(
    told: list[tuple[int, str, int, Outcome]], random: object
) -> None:
    every = [
        Visit(START + timedelta(hours=hour), dock, f"s{session}", "1", "sim:A", outcome)
        for hour, dock, session, outcome in told
    ]
    shuffled = list(every)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    kept: tuple[tuple[Visit, ...], ...] = ((), ())
    for first, second in zip(every, shuffled, strict=True):
        kept = (remember(kept[0], first), remember(kept[1], second))
    assert kept[0] == kept[1]
    assert len(kept[0]) == min(len(every), MOST_VISITS)
    assert list(kept[0]) == sorted(kept[0], key=lambda one: (one.at, one.dock, one.session))


def test_a_session_that_recovers_replaces_its_own_failure() -> None:
    failed, good = visits("fg", "AB")
    recovered = Visit(failed.at, failed.dock, failed.session, "1", "sim:A", Outcome.RECOVERED, failed.code)
    assert remember(remember((good,), failed), recovered) == (recovered, good)


def test_failures_count_from_the_end_and_good_visits_before_the_first_are_not_kept() -> None:
    some = visits("gfgff", "AAAAA")
    assert failures_in_row(some) == 2
    assert since_first_failure(some) == some[1:]
    assert since_first_failure(visits("gg", "AA")) == ()


def test_a_slow_bay_is_slow_beside_the_others_of_its_dock() -> None:
    def speed(bay: str, rate: int, gigabytes: int = 10) -> CopySpeed:
        return CopySpeed(bay, gigabytes * 10**9, gigabytes * 10**9 * 1000 // rate)

    usual = [speed("1", 35_000_000), speed("2", 36_000_000), speed("3", 34_000_000)]
    assert slow_bays([*usual, speed("4", 1_000_000)]) == {"4"}
    assert slow_bays([*usual, speed("4", 1_000_000, gigabytes=1)]) == frozenset()  # too little to say
    assert slow_bays([speed("1", 35_000_000), speed("2", 1_000_000)]) == frozenset()  # nothing to compare with
    assert slow_bays([speed(str(n), 1_000_000) for n in range(4)]) == frozenset()  # slow cameras, not slow bays
    assert CopySpeed("1", 5 * 10**9, 0).bytes_per_second is None
