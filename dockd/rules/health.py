"""How a dock, a site and a unit are: one word, one shape, and the reasons, worst first.

The reasons are the conditions that alerts are made from, so that page and alert never disagree, and what only staff at
the station deal with (a bay that waits for a person). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dockd.rules.alerts import DockState, Limits, Severity, dock_conditions

WORDS = {
    Severity.FINE: "Fine",
    Severity.UNKNOWN: "Not heard yet",
    Severity.ATTENTION: "Look today",
    Severity.TROUBLE: "Look now",
}
"""What a page says beside the shape."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is not fine. `since` is None where it is not known."""

    severity: Severity
    words: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class DockHealth:
    """One dock, judged."""

    dock: DockState
    severity: Severity
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class PlaceHealth:
    """A site or a unit: as its worst dock or alert, and how many docks are how."""

    severity: Severity
    docks: int
    trouble: int
    attention: int
    unknown: int
    bays: int
    ready: int
    waiting_recordings: int
    waiting_bytes: int
    oldest_waiting_since: datetime | None

    @property
    def order(self) -> tuple[int, int, int]:
        """Sorts the worst first."""
        return (-self.severity, -self.trouble, -self.attention)


def dock_health(dock: DockState, limits: Limits, now: datetime) -> DockHealth:
    """Judge one dock. One that nobody expects to hear and that was never heard is UNKNOWN and nobody's worry."""
    reasons = [Reason(one.severity, one.words, one.since) for one in dock_conditions(dock, limits, now)]
    is_silent = dock.is_silent(limits, now)
    if dock.failing_bays:
        names = ", ".join(dock.failing_bays)
        reasons.append(Reason(Severity.TROUBLE, f"Every camera fails in bay {names}."))
    if dock.needing_person and not is_silent:
        count = "1 bay waits" if dock.needing_person == 1 else f"{dock.needing_person} bays wait"
        reasons.append(Reason(Severity.ATTENTION, f"{count} for a person at the station."))
    reasons.sort(key=lambda one: -one.severity)
    severity = max((one.severity for one in reasons), default=Severity.FINE)
    if dock.last_heard_at is None and severity is Severity.FINE:
        severity = Severity.UNKNOWN
    return DockHealth(dock, severity, tuple(reasons))


def place_health(docks: Iterable[DockHealth], worst_alert: Severity = Severity.FINE) -> PlaceHealth:
    """Judge a site or a unit by its docks and by its open alerts (an overdue camera is of a site and of no dock)."""
    every = list(docks)
    oldest = [one.dock.oldest_waiting_since for one in every if one.dock.oldest_waiting_since is not None]
    count = [sum(one.severity is severity for one in every) for severity in Severity]
    known = [one.severity for one in every if one.severity is not Severity.UNKNOWN]
    severity = max(known, default=Severity.UNKNOWN if every else Severity.FINE)
    return PlaceHealth(
        severity=max(severity, worst_alert),
        docks=len(every),
        trouble=count[Severity.TROUBLE],
        attention=count[Severity.ATTENTION],
        unknown=count[Severity.UNKNOWN],
        bays=sum(one.dock.bays for one in every),
        ready=sum(one.dock.ready for one in every),
        waiting_recordings=sum(one.dock.waiting_recordings for one in every),
        waiting_bytes=sum(one.dock.waiting_bytes for one in every),
        oldest_waiting_since=min(oldest, default=None),
    )
