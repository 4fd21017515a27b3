"""The life of an alert and its messages: opened, told, acknowledged, silenced, reminded of, resolved, without a storm.

Pure: conditions, what is open and what was told are given; what to write and to tell is returned. The bound: of one
kind at most MOST_SITES_APART messages about single sites and one about the whole force within `pause` for each channel,
however many docks and sites are struck.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dockd.rules.alerts import AlertKind, Condition, Severity

MOST_SITES_APART = 5
"""More sites struck by one kind at once are one matter, and one message."""
WHOLE_FORCE = "*"
NO_SITE = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it is kept."""

    number: int
    kind: AlertKind
    subject: str
    site: str | None
    severity: Severity
    words: str
    since: datetime
    opened_at: datetime
    absent_since: datetime | None = None
    """Since when its condition is not there any more; it is over when that has lasted."""
    resolved_at: datetime | None = None
    acknowledged_at: datetime | None = None
    announced_at: datetime | None = None
    announcements: int = 0
    is_resolution_told: bool = False

    @property
    def key(self) -> tuple[AlertKind, str]:
        """What names it among those that are open."""
        return (self.kind, self.subject)


@dataclass(frozen=True, slots=True)
class Silence:
    """Until then nothing of this is told. None means any."""

    kind: AlertKind | None
    site: str | None
    subject: str | None
    until: datetime

    def covers(self, alert: Alert, now: datetime) -> bool:
        """Whether `alert` is not to be told now."""
        return (
            now < self.until
            and self.kind in (None, alert.kind)
            and self.site in (None, alert.site or NO_SITE)
            and self.subject in (None, alert.subject)
        )


@dataclass(frozen=True, slots=True)
class Changes:
    """What the conditions of this moment make of the alerts that are open; alerts by their numbers."""

    opened: tuple[Condition, ...]
    changed: tuple[tuple[int, Condition], ...]
    """Still there, with other words or another severity. `since` stays."""
    worsened: tuple[int, ...]
    """Of those: more severe than before. Worth to be told again, even where somebody has acknowledged it."""
    absent: tuple[int, ...]
    """Not there for the first time."""
    back: tuple[int, ...]
    """There again before it was over."""
    resolved: tuple[int, ...]


def compare(
    open_alerts: Iterable[Alert],
    conditions: Iterable[Condition],
    judged: Collection[AlertKind],
    calm: timedelta,
    now: datetime,
) -> Changes:
    """`judged` are the kinds of which `conditions` names all there is: of others nothing is over.

    An alert is over when its condition was absent for `calm`: what comes and goes is one alert and not many.
    """
    there = {one.key: one for one in open_alerts}
    found = {(one.kind, one.subject): one for one in conditions}
    both = [(there[key], one) for key, one in found.items() if key in there]
    gone = [one for key, one in there.items() if key not in found and one.kind in judged]
    return Changes(
        opened=tuple(one for key, one in found.items() if key not in there),
        changed=tuple(
            (alert.number, one) for alert, one in both if (alert.words, alert.severity) != (one.words, one.severity)
        ),
        worsened=tuple(alert.number for alert, one in both if one.severity > alert.severity),
        absent=tuple(one.number for one in gone if one.absent_since is None and calm > timedelta()),
        back=tuple(alert.number for alert, _one in both if alert.absent_since is not None),
        resolved=tuple(one.number for one in gone if now - (one.absent_since or now) >= calm),
    )


class Told(StrEnum):
    """Why a message is sent. The value goes over the wire."""

    NEW = "new"
    REMINDER = "reminder"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient messages are."""

    gather: timedelta = timedelta(seconds=60)
    """A new alert waits so long for others of its kind."""
    pause: timedelta = timedelta(minutes=10)
    """Between two messages of one kind about one site, or about the whole force."""
    remind: timedelta = timedelta(hours=24)
    """Until an alert that nobody acknowledged is told again."""
    calm: timedelta = timedelta(minutes=5)
    """How long a cause must be absent before its alert is over."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One message. `site` is None when it is about several sites or none; no alert is in two parts."""

    kind: AlertKind
    site: str | None
    group: str
    new: tuple[Alert, ...]
    reminded: tuple[Alert, ...]
    resolved: tuple[Alert, ...]

    @property
    def why(self) -> Told:
        """The strongest reason."""
        if self.new:
            return Told.NEW
        return Told.REMINDER if self.reminded else Told.RESOLVED


def plan(
    alerts: Iterable[Alert],
    silences: Sequence[Silence],
    told_at: Mapping[tuple[AlertKind, str], datetime],
    pace: Pace,
    now: datetime,
) -> tuple[Planned, ...]:
    """Which messages are due. `alerts` are the open ones and those of which the end was not told yet.

    `told_at` is when the last message of a kind about a site (WHOLE_FORCE: about many) was made.
    """
    by_kind: defaultdict[AlertKind, list[tuple[Alert, Told]]] = defaultdict(list)
    for alert in alerts:
        why = _due(alert, silences, pace, now)
        if why is not None:
            by_kind[alert.kind].append((alert, why))
    found: list[Planned] = []
    for kind, due in sorted(by_kind.items()):
        found += _messages(kind, due, told_at, pace, now)
    return tuple(found)


def _due(alert: Alert, silences: Sequence[Silence], pace: Pace, now: datetime) -> Told | None:
    if alert.resolved_at is not None:
        is_known = alert.announcements > 0 and not alert.is_resolution_told
        return Told.RESOLVED if is_known else None
    if alert.acknowledged_at is not None or any(one.covers(alert, now) for one in silences):
        return None
    if alert.announced_at is None:
        return Told.NEW
    return Told.REMINDER if now - alert.announced_at >= pace.remind else None


def _messages(
    kind: AlertKind,
    due: Sequence[tuple[Alert, Told]],
    told_at: Mapping[tuple[AlertKind, str], datetime],
    pace: Pace,
    now: datetime,
) -> list[Planned]:
    by_site: defaultdict[str, list[tuple[Alert, Told]]] = defaultdict(list)
    for alert, why in due:
        by_site[alert.site or NO_SITE].append((alert, why))
    force_told_at = told_at.get((kind, WHOLE_FORCE))
    if force_told_at is not None and now - force_told_at < pace.pause:
        return []
    recent = [site for (one, site), at in told_at.items() if one is kind and now - at < pace.pause]
    waiting = {site: some for site, some in by_site.items() if site not in recent}
    if not any(_is_gathered(some, pace, now) for some in waiting.values()):
        return []
    if len(waiting) + len(recent) > MOST_SITES_APART:
        # Those that were just told of alone wait with the rest: what is new there goes into this message too.
        return [_planned(kind, None, WHOLE_FORCE, due)] if len(by_site) > 1 else []
    return [
        _planned(kind, site or None, site, some)
        for site, some in sorted(waiting.items())
        if _is_gathered(some, pace, now)
    ]


def _is_gathered(some: Iterable[tuple[Alert, Told]], pace: Pace, now: datetime) -> bool:
    """Whether one of them has waited long enough for the others."""
    return any(why is not Told.NEW or now - alert.opened_at >= pace.gather for alert, why in some)


def _planned(kind: AlertKind, site: str | None, group: str, some: Iterable[tuple[Alert, Told]]) -> Planned:
    parts: dict[Told, list[Alert]] = {why: [] for why in Told}
    for alert, why in some:
        parts[why].append(alert)
    ordered = {
        why: tuple(sorted(every, key=lambda one: (-one.severity, one.since, one.subject)))
        for why, every in parts.items()
    }
    return Planned(kind, site, group, ordered[Told.NEW], ordered[Told.REMINDER], ordered[Told.RESOLVED])
