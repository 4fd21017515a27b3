"""From what is known to causes in words: what is worth an alert, and how bad."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from dockd.rules.alerts import (
    ACTIONS,
    TITLES,
    AlertKind,
    DockedCamera,
    DockState,
    Expiry,
    FailingBay,
    HeldCamera,
    Limits,
    Severity,
    bay_condition,
    days_left,
    dock_conditions,
    duplicate_conditions,
    expiry_condition,
    overdue_condition,
    receipts_condition,
    span,
)
from dockd.rules.health import dock_health, place_health
from tests.support.clock import START

LIMITS = Limits()
GB = 10**9
FINE = DockState(
    "dock-7",
    "cx",
    last_heard_at=START,
    bays=24,
    ready=10,
    staging_free_bytes=900 * GB,
    staging_total_bytes=1000 * GB,
)


def kinds(dock: DockState, now: datetime = START) -> dict[AlertKind, Severity]:
    return {one.kind: one.severity for one in dock_conditions(dock, LIMITS, now)}


def test_every_kind_says_what_it_is_and_what_to_do() -> None:
    assert set(TITLES) == set(ACTIONS) == set(AlertKind)
    assert all(words.endswith(".") and len(words) > 40 for words in ACTIONS.values())


def test_a_dock_as_it_should_be_is_worth_nothing() -> None:
    assert kinds(FINE) == {}
    assert dock_health(FINE, LIMITS, START).severity is Severity.FINE


def test_a_silent_dock_is_told_and_its_old_figures_are_not() -> None:
    full = replace(FINE, staging_free_bytes=0, clock_unsynchronised_since=START)
    later = START + timedelta(minutes=11)
    assert kinds(full, later) == {AlertKind.DOCK_SILENT: Severity.TROUBLE}
    assert kinds(FINE, START + timedelta(minutes=10)) == {}
    (found,) = dock_conditions(FINE, LIMITS, later)
    assert (found.since, found.words) == (START, "Dock dock-7 has not been heard for more than 10 minutes.")


def test_what_waits_on_a_silent_dock_is_still_told() -> None:
    waits = replace(FINE, oldest_waiting_since=START - timedelta(hours=30), last_heard_at=START - timedelta(hours=2))
    assert set(kinds(waits)) == {AlertKind.DOCK_SILENT, AlertKind.FOOTAGE_WAITING}


@pytest.mark.parametrize(
    ("is_expected", "heard", "expected"),
    [(True, None, {AlertKind.DOCK_SILENT}), (False, None, set()), (False, START - timedelta(days=9), set())],
)
def test_only_a_dock_that_should_be_heard_is_missed(
    is_expected: bool, heard: datetime | None, expected: set[AlertKind]
) -> None:
    dock = DockState("dock-7", "cx", is_expected=is_expected, last_heard_at=heard)
    assert set(kinds(dock)) == expected
    health = dock_health(dock, LIMITS, START).severity
    assert health is (Severity.TROUBLE if expected else Severity.UNKNOWN if heard is None else Severity.FINE)


@pytest.mark.parametrize(
    ("free_percent", "severity"),
    [(20, None), (19, Severity.ATTENTION), (10, Severity.ATTENTION), (9, Severity.TROUBLE)],
)
def test_a_disk_that_fills_is_told_and_worsens(free_percent: int, severity: Severity | None) -> None:
    found = kinds(replace(FINE, staging_free_bytes=free_percent * 10 * GB))
    assert found == ({} if severity is None else {AlertKind.STAGING_FILLING: severity})


def test_a_clock_may_be_unsynchronised_for_a_moment() -> None:
    since = START - timedelta(minutes=15)
    assert kinds(replace(FINE, clock_unsynchronised_since=since)) == {
        AlertKind.CLOCK_UNSYNCHRONISED: Severity.ATTENTION
    }
    assert kinds(replace(FINE, clock_unsynchronised_since=since + timedelta(seconds=1))) == {}


def held(hours: float) -> HeldCamera:
    return HeldCamera("sim:A", "cx", START - timedelta(hours=hours), "dock-7", START - timedelta(days=2), "dock-9", "4")


def test_an_overdue_camera_says_where_it_was_seen_and_how_long_its_footage_may_be_kept() -> None:
    assert overdue_condition(held(24), LIMITS, START) is None
    found = overdue_condition(held(49), LIMITS, START)
    assert found is not None
    assert found.severity is Severity.ATTENTION
    assert found.words == (
        "Camera sim:A is out for more than 24 hours; last seen at dock dock-9, bay 4. Its footage is presumed aboard; "
        "28 days of its retention are left."
    )
    late = overdue_condition(held(24 * 16), LIMITS, START)
    assert late is not None
    assert late.severity is Severity.TROUBLE
    gone = overdue_condition(held(24 * 40), LIMITS, START)
    assert gone is not None
    assert "its retention is over" in gone.words
    assert days_left(held(24 * 40), LIMITS, START) == 0


def test_two_docks_that_have_one_camera_are_told_when_both_have_told_everything() -> None:
    first = DockedCamera("sim:A", "dock-7", "1", START)
    second = DockedCamera("sim:A", "dock-8", "2", START + timedelta(hours=1))
    sites = {"dock-7": "cx", "dock-8": "lb"}
    (found,) = duplicate_conditions([first, second], sites, {"dock-7", "dock-8"})
    assert found.words == "Camera sim:A is docked more than once: bay 1 of dock dock-7, bay 2 of dock dock-8."
    assert found.severity is Severity.TROUBLE
    # dock-7 may only not have told yet that it left
    assert duplicate_conditions([first, second], sites, {"dock-8"}) == ()


def test_what_a_dock_holds_as_double_is_told_without_any_other_dock() -> None:
    held_here = DockedCamera("sim:A", "dock-7", "1", START, is_held_as_double=True)
    assert [one.subject for one in duplicate_conditions([held_here], {}, ())] == ["sim:A"]


@pytest.mark.parametrize(
    ("days", "severity", "words"),
    [
        (15, None, ""),
        (14, Severity.ATTENTION, "The certificate of dock dock-7 ends in 14 days."),
        (3, Severity.TROUBLE, "The certificate of dock dock-7 ends in 3 days."),
        (-1, Severity.TROUBLE, "The certificate of dock dock-7 has ended."),
    ],
)
def test_a_certificate_is_told_before_it_ends(days: int, severity: Severity | None, words: str) -> None:
    found = expiry_condition(Expiry("serial-1", "dock dock-7", "cx", START + timedelta(days=days)), LIMITS, START)
    assert (found.severity, found.words) == (severity, words) if found else severity is None


def test_late_receipts_are_told_with_their_number() -> None:
    assert receipts_condition("b", 3, START - timedelta(minutes=15), LIMITS, START) is None
    found = receipts_condition("b", 1200, START - timedelta(minutes=16), LIMITS, START)
    assert found is not None
    assert found.words == "1,200 recordings wait to be proved, the oldest for more than 15 minutes."


def test_a_bay_says_how_many_cameras_failed() -> None:
    found = bay_condition(FailingBay("dock-7", "4", "cx", START, 3, 2))
    assert found.words == "Every camera fails in bay 4 of dock dock-7: 3 times in a row, 2 different cameras."


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "a moment"), (1, "1 minute"), (10, "10 minutes"), (60, "60 minutes"), (1440, "24 hours"), (2880, "2 days")],
)
def test_spans_are_said_as_people_say_them(minutes: int, words: str) -> None:
    assert span(timedelta(minutes=minutes)) == words


def test_a_place_is_as_its_worst_dock_or_alert() -> None:
    fine = dock_health(FINE, LIMITS, START)
    silent = dock_health(replace(FINE, last_heard_at=START - timedelta(hours=1)), LIMITS, START)
    busy = dock_health(replace(FINE, needing_person=2), LIMITS, START)
    place = place_health([fine, silent, busy])
    assert (place.severity, place.docks, place.trouble, place.attention) == (Severity.TROUBLE, 3, 1, 1)
    assert place.ready == 30
    assert place_health([fine]).severity is Severity.FINE
    assert place_health([fine], Severity.ATTENTION).severity is Severity.ATTENTION
    assert busy.reasons[0].words == "2 bays wait for a person at the station."
    assert (
        place_health([dock_health(DockState("n", None, is_expected=False), LIMITS, START)]).severity is Severity.UNKNOWN
    )


def test_reasons_of_a_dock_come_worst_first() -> None:
    bad = replace(FINE, needing_person=1, failing_bays=("4",), staging_free_bytes=150 * GB)
    health = dock_health(bad, LIMITS, START)
    assert [one.severity for one in health.reasons] == sorted((one.severity for one in health.reasons), reverse=True)
    assert health.reasons[0].words == "Every camera fails in bay 4."
