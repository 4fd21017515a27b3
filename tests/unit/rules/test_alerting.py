"""Threats: a storm of messages; a message that never comes; an alert that flaps; somebody who is told what he knows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dockd.rules.alerting import (
    MOST_SITES_APART,
    WHOLE_FORCE,
    Alert,
    Pace,
    Planned,
    Silence,
    Told,
    compare,
    plan,
)
from dockd.rules.alerts import AlertKind, Condition, Severity
from tests.support.clock import START

PACE = Pace()
SILENT = AlertKind.DOCK_SILENT
LATER = START + timedelta(minutes=2)


def condition(dock: str, site: str = "cx", severity: Severity = Severity.TROUBLE, words: str = "w") -> Condition:
    return Condition(SILENT, dock, site, severity, START, words)


def alert(number: int, site: str | None = "cx", **changes: object) -> Alert:
    one = Alert(number, SILENT, f"dock-{number}", site, Severity.TROUBLE, "w", START, START)
    return replace(one, **changes)  # type: ignore[arg-type]  # fields by name


def due(alerts: list[Alert], now: datetime = LATER, **changes: object) -> tuple[Planned, ...]:
    given = {"silences": (), "told_at": {}, "pace": PACE, **changes}
    return plan(alerts, now=now, **given)  # type: ignore[arg-type]  # fields by name


# --- opening and closing ------------------------------------------------------------------------


def test_what_is_found_is_opened_once_and_changed_when_it_changes() -> None:
    kept = alert(1)
    changes = compare([kept], [condition("dock-1", words="other"), condition("dock-2")], {SILENT}, PACE.calm, START)
    assert [one.subject for one in changes.opened] == ["dock-2"]
    assert [(number, one.words) for number, one in changes.changed] == [(1, "other")]
    assert changes.resolved == changes.worsened == ()


def test_what_comes_and_goes_is_one_alert() -> None:
    kept = alert(1)
    gone = compare([kept], [], {SILENT}, PACE.calm, START)
    assert (gone.absent, gone.resolved) == ((1,), ())
    absent = replace(kept, absent_since=START)
    almost = compare([absent], [], {SILENT}, PACE.calm, START + PACE.calm - timedelta(seconds=1))
    assert almost.resolved == ()
    assert compare([absent], [condition("dock-1")], {SILENT}, PACE.calm, START).back == (1,)
    assert compare([absent], [], {SILENT}, PACE.calm, START + PACE.calm).resolved == (1,)


def test_what_was_not_looked_at_is_not_over() -> None:
    absent = alert(1, absent_since=START - timedelta(days=1))
    changes = compare([absent], [], set(), PACE.calm, START)
    assert changes.resolved == changes.absent == ()


def test_only_what_worsens_is_worth_to_be_told_again() -> None:
    kept = alert(1, severity=Severity.ATTENTION)
    assert compare([kept], [condition("dock-1")], {SILENT}, PACE.calm, START).worsened == (1,)
    better = compare([alert(1)], [condition("dock-1", severity=Severity.ATTENTION)], {SILENT}, PACE.calm, START)
    assert better.worsened == ()


# --- telling ------------------------------------------------------------------------------------


def test_a_hundred_docks_of_one_site_are_one_message() -> None:
    (message,) = due([alert(number) for number in range(100)])
    assert (message.site, len(message.new), message.why) == ("cx", 100, Told.NEW)


def test_a_hundred_sites_are_one_message_about_the_whole_force() -> None:
    (message,) = due([alert(number, f"site-{number}") for number in range(100)])
    assert (message.site, message.group, len(message.new)) == (None, WHOLE_FORCE, 100)


def test_a_few_sites_are_told_apart() -> None:
    messages = due([alert(number, f"site-{number}") for number in range(MOST_SITES_APART)])
    assert [one.site for one in messages] == [f"site-{number}" for number in range(MOST_SITES_APART)]


def test_a_new_alert_waits_a_moment_for_others() -> None:
    early = START + PACE.gather - timedelta(seconds=1)
    assert due([alert(1)], early) == ()
    late = alert(2, opened_at=START + PACE.gather - timedelta(seconds=1))
    (message,) = due([alert(1), late], START + PACE.gather)
    assert len(message.new) == 2


def test_a_site_that_was_just_told_of_waits() -> None:
    told = {(SILENT, "cx"): LATER - PACE.pause + timedelta(seconds=1)}
    assert due([alert(1)], told_at=told) == ()
    assert len(due([alert(1)], LATER + timedelta(seconds=1), told_at=told)) == 1
    assert len(due([alert(1), alert(2, "lb")], told_at=told)) == 1  # another site does not


def test_one_kind_does_not_hold_up_another() -> None:
    told = {(AlertKind.BAY_FAILING, "cx"): LATER, (AlertKind.BAY_FAILING, WHOLE_FORCE): LATER}
    assert len(due([alert(1)], told_at=told)) == 1


def test_who_acknowledged_is_not_reminded_and_is_told_when_it_is_over() -> None:
    known = alert(1, acknowledged_at=START, announced_at=START, announcements=1)
    assert due([known], START + timedelta(days=30)) == ()
    (message,) = due([replace(known, resolved_at=LATER)])
    assert (message.why, message.resolved[0].number) == (Told.RESOLVED, 1)


def test_nobody_is_told_the_end_of_what_nobody_was_told() -> None:
    assert due([alert(1, resolved_at=LATER)]) == ()
    assert due([alert(1, resolved_at=LATER, announcements=1, is_resolution_told=True)]) == ()


def test_reminders_come_at_a_bounded_pace() -> None:
    known = alert(1, announced_at=START, announcements=1)
    assert due([known], START + PACE.remind - timedelta(seconds=1)) == ()
    (message,) = due([known], START + PACE.remind)
    assert (message.why, len(message.reminded)) == (Told.REMINDER, 1)


def test_a_silence_holds_for_what_it_names_until_its_end() -> None:
    until = START + timedelta(hours=1)
    for silence, is_silent in (
        (Silence(None, None, None, until), True),
        (Silence(SILENT, "cx", "dock-1", until), True),
        (Silence(AlertKind.BAY_FAILING, None, None, until), False),
        (Silence(None, "lb", None, until), False),
        (Silence(None, None, "dock-2", until), False),
    ):
        assert (due([alert(1)], silences=(silence,)) == ()) is is_silent
        assert len(due([alert(1)], until, silences=(silence,))) == 1


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 240)), min_size=1, max_size=120, unique=True),
)
def test_however_docks_fall_silent_messages_are_bounded_and_everyone_is_told(struck: list[tuple[int, int]]) -> None:
    """Sites and minutes at which docks fall silent; judged each minute for six hours."""
    alerts = {
        number: alert(number, f"site-{site}", opened_at=START + timedelta(minutes=minute))
        for number, (site, minute) in enumerate(struck)
    }
    told_at: dict[tuple[AlertKind, str], datetime] = {}
    made: list[datetime] = []
    announced: Counter[int] = Counter()
    for minute in range(360):
        now = START + timedelta(minutes=minute)
        there = [one for one in alerts.values() if one.opened_at <= now]
        for message in plan(there, (), told_at, PACE, now):
            made.append(now)
            told_at[(SILENT, message.group)] = now
            for one in message.new:
                announced[one.number] += 1
                alerts[one.number] = replace(alerts[one.number], announced_at=now, announcements=1)
    assert set(announced) == set(alerts)
    assert max(announced.values()) == 1
    for at in made:
        assert len([one for one in made if at <= one < at + PACE.pause]) <= MOST_SITES_APART + 1
