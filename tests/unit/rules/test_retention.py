"""What may be deleted: nothing held, undecided, kept or not yet due; and only the rules permit it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.model.ids import Digest
from dockd.rules.retention import (
    EVIDENCE,
    PERIOD_MARGIN,
    PERMIT_LIFETIME,
    ROUTINE,
    UNCLASSIFIED,
    Classification,
    DisposalPermit,
    Footage,
    Hold,
    HoldBook,
    NotDue,
    Policy,
    Source,
    Standing,
    earliest_count_from,
    grips_brake,
    judge,
    permit,
)
from tests.support.clock import START

DAY = timedelta(days=1)
DIGEST = Digest("ab" * 32)
POLICIES = {one.category: one for one in (Policy(UNCLASSIFIED, None), Policy(EVIDENCE, None), Policy(ROUTINE, 31))}
NO_HOLDS = HoldBook(())


def source(number: int = 1, **changes: object) -> Source:
    given = Source(
        number=number,
        dock="dock-7",
        recording="r-1",
        camera="simulated:CAM-1",
        officer="PC1",
        recorded_at=START,
        claimed_at=START + 2 * DAY,
        is_time_proved=True,
    )
    return dataclasses.replace(given, **changes)  # type: ignore[arg-type]  # a test names fields by keyword


def footage(*sources: Source, category: str | None = ROUTINE, through: int = 99, **changes: object) -> Footage:
    given = Footage(
        digest=DIGEST,
        size_bytes=7,
        object_key=f"objects/ab/ab/{DIGEST}",
        object_version=None,
        accepted_at=START + 2 * DAY,
        retain_until=None,
        sources=sources or (source(),),
        classification=None if category is None else Classification(category, through),
    )
    return dataclasses.replace(given, **changes)  # type: ignore[arg-type]  # a test names fields by keyword


def standing(one: Footage, days: float, *holds: Hold, policies: dict[str, Policy] | None = None) -> Standing:
    """Of `one`, so many days after START."""
    return judge(one, policies or POLICIES, HoldBook(holds), START + days * DAY).standing


def test_days_count_from_the_recording_and_not_from_its_arrival() -> None:
    assert standing(footage(), 30.999) is Standing.NOT_YET
    assert standing(footage(), 31) is Standing.DUE


@pytest.mark.parametrize(
    ("changes", "first_day"),
    [
        ({"recorded_at": None}, 2 + 31),
        ({"is_time_proved": False}, 2 + 31),
        ({"is_time_proved": False, "recorded_at": START + 9 * DAY}, 9 + 31),
        ({"recorded_at": START + 9 * DAY}, 9 + 31),
        ({"is_time_proved": False, "recorded_at": datetime(2000, 1, 1, tzinfo=UTC)}, 2 + 31),
    ],
    ids=["unknown", "not measured", "not measured, ahead", "after the centre knew of it", "a flat battery"],
)
def test_time_that_is_not_proved_counts_in_the_footages_favour(changes: dict[str, object], first_day: int) -> None:
    one = footage(source(**changes))
    assert standing(one, first_day - 0.001) is Standing.NOT_YET
    assert standing(one, first_day) is Standing.DUE


def test_object_goes_only_when_the_days_of_every_place_it_came_from_are_over() -> None:
    one = footage(source(), source(2, dock="dock-8", recorded_at=None, claimed_at=START + 5 * DAY))
    assert standing(one, 35.9) is Standing.NOT_YET
    assert standing(one, 36) is Standing.DUE


@pytest.mark.parametrize("category", [None, UNCLASSIFIED, EVIDENCE, "a category without a policy"])
def test_what_nobody_has_decided_to_let_go_is_kept_for_ever(category: str | None) -> None:
    assert standing(footage(category=category), 36_500) in (Standing.UNCLASSIFIED, Standing.KEPT)


@pytest.mark.parametrize("category", [UNCLASSIFIED, EVIDENCE])
def test_no_policy_can_end_what_is_always_kept(category: str) -> None:
    assert not judge(footage(category=category), {category: Policy(category, 1)}, NO_HOLDS, START + 36_500 * DAY).is_due


def test_decision_covers_the_same_recording_arriving_elsewhere_later_and_no_other_with_the_same_bytes() -> None:
    again = source(2, dock="dock-8")
    other = source(2, dock="dock-8", recording="r-2", camera="simulated:CAM-2")
    assert standing(footage(source(), again, through=1), 99) is Standing.DUE
    assert standing(footage(source(), other, through=1), 99) is Standing.UNCLASSIFIED
    assert standing(footage(source(), other, through=2), 99) is Standing.DUE


def test_lock_of_the_store_is_waited_for() -> None:
    locked = footage(retain_until=START + 50 * DAY)
    assert standing(locked, 49) is Standing.NOT_YET
    assert "locked" in judge(locked, POLICIES, NO_HOLDS, START + 49 * DAY).words
    assert standing(locked, 50) is Standing.DUE


def test_what_a_dock_is_sending_again_is_kept() -> None:
    assert standing(footage(is_being_sent_again=True), 99) is Standing.BEING_SENT


@pytest.mark.parametrize(
    "hold",
    [
        Hold(1, digest=DIGEST),
        Hold(1, camera="simulated:CAM-1"),
        Hold(1, officer="PC1"),
        Hold(1, site="kx", docks=frozenset({"dock-7"})),
        Hold(1, recorded_from=START - DAY, recorded_before=START + DAY),
        Hold(1, recorded_from=START - DAY),
        Hold(1, recorded_before=START + DAY),
        Hold(1, camera="simulated:CAM-1", officer="PC1", recorded_from=START),
        Hold(1, recorded_from=START + PERIOD_MARGIN),
        Hold(1, recorded_before=START - PERIOD_MARGIN + timedelta(microseconds=1)),
    ],
    ids=lambda hold: ",".join(name for name in Hold.__slots__ if getattr(hold, name)),
)
def test_hold_overrides_everything(hold: Hold) -> None:
    assert standing(footage(), 36_500, hold) is Standing.HELD
    with pytest.raises(NotDue, match="hold 1"):
        permit(footage(), POLICIES, HoldBook([hold]), START + 36_500 * DAY)


@pytest.mark.parametrize(
    "hold",
    [
        Hold(1, digest="cd" * 32),
        Hold(1, camera="simulated:CAM-2"),
        Hold(1, officer="PC2"),
        Hold(1, site="kx", docks=frozenset({"dock-8"})),
        Hold(1, recorded_from=START + PERIOD_MARGIN + timedelta(microseconds=1)),
        Hold(1, recorded_before=START - PERIOD_MARGIN),
        Hold(1, camera="simulated:CAM-1", officer="PC2"),
    ],
    ids=lambda hold: ",".join(name for name in Hold.__slots__ if getattr(hold, name)),
)
def test_hold_on_something_else_does_not_cover(hold: Hold) -> None:
    assert standing(footage(), 99, hold) is Standing.DUE


def test_unknown_holder_may_be_the_held_officer() -> None:
    assert standing(footage(source(officer=None)), 99, Hold(1, officer="PC2")) is Standing.HELD


def test_recording_without_a_proved_time_may_be_of_any_period_before_it_arrived() -> None:
    unproved = footage(source(is_time_proved=False))
    assert standing(unproved, 99, Hold(1, recorded_before=START - 300 * DAY)) is Standing.HELD
    assert standing(unproved, 99, Hold(1, recorded_from=START + 1.5 * DAY)) is Standing.HELD
    assert standing(unproved, 99, Hold(1, recorded_from=START + 9 * DAY)) is Standing.DUE


def test_one_held_place_of_several_is_enough() -> None:
    two = footage(source(), source(2, dock="dock-8", camera="simulated:CAM-2"))
    assert standing(two, 99, Hold(4, camera="simulated:CAM-2")) is Standing.HELD


def test_permit_names_the_object_of_the_receipt_and_is_good_for_a_moment() -> None:
    now = START + 31 * DAY
    given = permit(footage(object_version="v1"), POLICIES, NO_HOLDS, now)
    assert (given.digest, given.object_version, given.size_bytes) == (DIGEST, "v1", 7)
    assert given.good_until == now + PERMIT_LIFETIME


def test_a_permit_cannot_be_made_elsewhere() -> None:
    with pytest.raises(TypeError, match=r"only rules\.retention"):
        DisposalPermit(DIGEST, "objects/x", None, 7, START, object())


def test_words_say_why() -> None:
    words = judge(footage(), POLICIES, NO_HOLDS, START + 40 * DAY).words
    assert words == (
        "Due since 2026-12-23 06:00 UTC: routine is kept 31 days from its recording on 2026-11-22 06:00 UTC; "
        "no hold covers it."
    )
    unproved = judge(footage(source(is_time_proved=False)), POLICIES, NO_HOLDS, START + 40 * DAY).words
    assert "because its recording time is not proved" in unproved


def test_a_time_at_the_end_of_all_times_never_comes() -> None:
    late = source(recorded_at=datetime.max.replace(tzinfo=UTC))
    assert standing(footage(late), 36_500) is Standing.NOT_YET


@pytest.mark.parametrize(
    ("due", "stored", "grips"),
    [(0, 0, False), (10, 100, False), (11, 100, True), (50, 1000, False), (51, 1000, True), (1, 1, True)],
)
def test_brake_grips_above_a_number_or_a_share(due: int, stored: int, grips: bool) -> None:
    assert grips_brake(due, stored, most_recordings=50, most_percent=10) is grips


_TIMES = st.integers(0, 10 * 365 * 24).map(lambda hours: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=hours))
_SOURCES = st.builds(
    Source,
    number=st.integers(1, 9),
    dock=st.sampled_from(["d1", "d2"]),
    recording=st.sampled_from(["r1", "r2"]),
    camera=st.sampled_from(["simulated:A", "simulated:B"]),
    officer=st.sampled_from([None, "PC1", "PC2"]),
    recorded_at=st.none() | _TIMES,
    claimed_at=_TIMES,
    is_time_proved=st.booleans(),
)
_HOLDS = st.builds(
    Hold,
    number=st.integers(1, 99),
    digest=st.none() | st.sampled_from([str(DIGEST), "cd" * 32]),
    camera=st.sampled_from([None, "simulated:A", "simulated:C"]),
    officer=st.sampled_from([None, "PC1"]),
    site=st.sampled_from([None, "kx"]),
    docks=st.frozensets(st.sampled_from(["d1", "d2"])),
    recorded_from=st.none() | _TIMES,
    recorded_before=st.none() | _TIMES,
)


@given(st.lists(_SOURCES, min_size=1, max_size=4), st.lists(_HOLDS, max_size=6, unique_by=lambda one: one.number))
def test_the_book_of_holds_finds_exactly_those_that_cover(sources: list[Source], holds: list[Hold]) -> None:
    wanted = sorted(one.number for one in holds if any(one.covers(DIGEST, each) for each in sources))
    assert [one.number for one in HoldBook(holds).covering(DIGEST, sources)] == wanted


@given(st.lists(_SOURCES, min_size=1, max_size=4), st.integers(1, 400))
def test_candidates_are_found_before_they_are_due(sources: list[Source], days: int) -> None:
    """Whatever is due lies in what the cheap question finds."""
    one = footage(*sources)
    deadline = judge(one, {ROUTINE: Policy(ROUTINE, days)}, NO_HOLDS, START).deadline_at
    assert deadline is not None
    assert earliest_count_from((each.recorded_at, each.claimed_at) for each in sources) + days * DAY <= deadline
    for each in sources:
        assert each.latest_at + days * DAY <= deadline
