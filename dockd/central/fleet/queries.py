"""The fleet for pages and the API: places by health, worst first. A fixed number of questions, however large the force.

Knows the tables; changes nothing. Who is how is judged by the rules. Errors: NotFound; Refusal (503) when the database
cannot be read now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.database import Database
from dockd.central.fleet.dock_states import PlacedDock, by_dock, failing_bays, placed_docks
from dockd.central.fleet.tables import alerts, dock_days, dock_hours, force_hours
from dockd.central.places.rows import SiteState
from dockd.central.tables import site_docks, sites
from dockd.clock import Clock
from dockd.errors import NotFound
from dockd.rules.alerts import AlertKind, Limits, Severity
from dockd.rules.health import DockHealth, dock_health, place_health
from dockd.wire.fleet import (
    HEALTH,
    AlertCount,
    DayBytes,
    DockFleet,
    DockReason,
    Fleet,
    FleetFigures,
    HourFigures,
    SiteBytes,
    SiteFleet,
    UnitDocks,
    UnitFleet,
)

MOST_SITES = 5_000
MOST_WORST = 20
MOST_WITHOUT_SITE = 50
MOST_BYTES_SITES = 15
_HOURS = 24
_SITE_DAYS = 7
_UNIT_DAYS = 14


@dataclass(slots=True)
class _Alerts:
    """Open alerts of one place."""

    worst: Severity = Severity.FINE
    counts: defaultdict[AlertKind, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, other: _Alerts) -> None:
        self.worst = max(self.worst, other.worst)
        for kind, count in other.counts.items():
            self.counts[kind] += count


@dataclass(frozen=True, slots=True)
class _Site:
    site: str
    name: str
    unit: str


class FleetQueries:
    """Answers from the database, each from one consistent view."""

    def __init__(self, database: Database, clock: Clock, limits: Limits) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits

    async def fleet(self) -> Fleet:
        """The whole force."""
        now = self._clock.now()
        async with self._database.reading() as connection:
            judged = await self._judged(connection, now)
            known = await _sites(connection)
            of_alerts = await _alerts_by_site(connection)
            hours = await _hours(connection, now)
            by_site = await _bytes_by_site(connection, now)
        docks = _health_by_site(judged)
        listed = _listed(known, docks, of_alerts)
        not_fine = [one for one in listed if one.figures.health in ("trouble", "attention")]
        without = [(placed, health) for placed, health in judged if placed.state.site is None]
        everything = _Alerts()
        for one in of_alerts.values():
            everything.add(one)
        return Fleet(
            at=now,
            total=_figures([health for _placed, health in judged], everything),
            units=_units(known, docks, of_alerts),
            worst_sites=tuple(sorted(not_fine, key=_worst_first)[:MOST_WORST]),
            docks_without_site=_dock_list(without)[:MOST_WITHOUT_SITE],
            hours=hours,
            bytes_by_site=by_site,
        )

    async def unit(self, name: str) -> UnitDocks:
        """One borough or unit. Raises NotFound."""
        now = self._clock.now()
        async with self._database.reading() as connection:
            known = await _sites(connection, sites.c.unit == name)
            if not known:
                raise NotFound("No list of sites names this borough or unit with a site that is not closed.")
            judged = await self._judged(connection, now, sites.c.unit == name)
            of_alerts = await _alerts_by_site(connection)
            days = await _days(connection, name, now)
        listed = _listed(known, _health_by_site(judged), of_alerts)
        names = {one.site for one in known}
        standing = [(placed, health) for placed, health in judged if placed.state.site in names]
        return UnitDocks(
            at=now,
            unit=name,
            sites=tuple(sorted(listed, key=_worst_first)),
            docks=_dock_list(standing),
            days=days,
        )

    async def _judged(
        self, connection: AsyncConnection, now: datetime, wanted: ColumnElement[bool] | None = None
    ) -> list[tuple[PlacedDock, DockHealth]]:
        failing = by_dock(await failing_bays(connection))
        placed = await placed_docks(connection, failing, wanted)
        return [(one, dock_health(one.state, self._limits, now)) for one in placed]


def dock_fleet(placed: PlacedDock, health: DockHealth) -> DockFleet:
    """A judged dock as it goes over the wire."""
    state = placed.state
    return DockFleet(
        dock=state.dock,
        site=state.site,
        name=placed.site_name or placed.site_words or state.dock,
        health=HEALTH[health.severity],
        reasons=tuple(
            DockReason(health=HEALTH[one.severity], words=one.words, since=one.since) for one in health.reasons
        ),
        last_heard_at=state.last_heard_at,
        version=placed.version,
        bays=state.bays,
        ready=state.ready,
        waiting_recordings=state.waiting_recordings,
        waiting_bytes=state.waiting_bytes,
        oldest_waiting_since=state.oldest_waiting_since,
    )


def _dock_list(judged: Iterable[tuple[PlacedDock, DockHealth]]) -> tuple[DockFleet, ...]:
    ordered = sorted(judged, key=lambda one: (-one[1].severity, -len(one[1].reasons), one[0].state.dock))
    return tuple(dock_fleet(placed, health) for placed, health in ordered)


def _health_by_site(judged: Iterable[tuple[PlacedDock, DockHealth]]) -> Mapping[str | None, list[DockHealth]]:
    docks: defaultdict[str | None, list[DockHealth]] = defaultdict(list)
    for placed, health in judged:
        docks[placed.state.site].append(health)
    return docks


def _listed(
    known: Iterable[_Site],
    docks: Mapping[str | None, list[DockHealth]],
    of_alerts: Mapping[str | None, _Alerts],
) -> list[SiteFleet]:
    return [
        SiteFleet(
            site=one.site,
            name=one.name,
            unit=one.unit,
            figures=_figures(docks.get(one.site, []), of_alerts.get(one.site, _Alerts())),
        )
        for one in known
    ]


def _units(
    known: Iterable[_Site],
    docks: Mapping[str | None, list[DockHealth]],
    of_alerts: Mapping[str | None, _Alerts],
) -> tuple[UnitFleet, ...]:
    by_unit: defaultdict[str, list[_Site]] = defaultdict(list)
    for one in known:
        by_unit[one.unit].append(one)
    found = []
    for unit, places in by_unit.items():
        every = _Alerts()
        for place in places:
            every.add(of_alerts.get(place.site, _Alerts()))
        standing = [health for place in places for health in docks.get(place.site, [])]
        found.append(UnitFleet(unit=unit, sites=len(places), figures=_figures(standing, every)))
    return tuple(sorted(found, key=lambda one: (*_order(one.figures), one.unit)))


def _figures(docks: Iterable[DockHealth], of_alerts: _Alerts) -> FleetFigures:
    place = place_health(docks, of_alerts.worst)
    return FleetFigures(
        health=HEALTH[place.severity],
        docks=place.docks,
        docks_in_trouble=place.trouble,
        docks_to_look_at=place.attention,
        docks_not_heard=place.unknown,
        bays=place.bays,
        ready=place.ready,
        waiting_recordings=place.waiting_recordings,
        waiting_bytes=place.waiting_bytes,
        oldest_waiting_since=place.oldest_waiting_since,
        alerts=tuple(
            AlertCount(kind=kind, count=of_alerts.counts[kind]) for kind in AlertKind if kind in of_alerts.counts
        ),
    )


_RANK = {"trouble": 0, "attention": 1, "not-heard": 2, "fine": 3}


def _order(figures: FleetFigures) -> tuple[int, int, int, int]:
    told = sum(one.count for one in figures.alerts)
    return (_RANK[figures.health], -figures.docks_in_trouble, -figures.docks_to_look_at, -told)


def _worst_first(one: SiteFleet) -> tuple[int, int, int, int, str]:
    return (*_order(one.figures), one.name)


# --- questions ----------------------------------------------------------------------------------


async def _sites(connection: AsyncConnection, wanted: ColumnElement[bool] | None = None) -> tuple[_Site, ...]:
    question = (
        select(sites.c.site, sites.c.name, sites.c.unit)
        .where(sites.c.state != SiteState.CLOSED.value)
        .order_by(sites.c.site)
        .limit(MOST_SITES)
    )
    if wanted is not None:
        question = question.where(wanted)
    return tuple(_Site(row.site, row.name, row.unit) for row in await connection.execute(question))


async def _alerts_by_site(connection: AsyncConnection) -> dict[str | None, _Alerts]:
    question = (
        select(alerts.c.site, alerts.c.kind, func.max(alerts.c.severity).label("worst"), func.count().label("open"))
        .where(alerts.c.resolved_at.is_(None))
        .group_by(alerts.c.site, alerts.c.kind)
    )
    found: defaultdict[str | None, _Alerts] = defaultdict(_Alerts)
    for row in await connection.execute(question):
        place = found[row.site]
        place.worst = max(place.worst, Severity(row.worst))
        place.counts[AlertKind(row.kind)] += row.open
    return found


async def _hours(connection: AsyncConnection, now: datetime) -> tuple[HourFigures, ...]:
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    first = this_hour - timedelta(hours=_HOURS - 1)
    counted = (
        select(
            dock_hours.c.hour,
            func.sum(dock_hours.c.dockings).label("dockings"),
            func.sum(dock_hours.c.made_ready).label("made_ready"),
        )
        .where(dock_hours.c.hour >= first, dock_hours.c.hour <= this_hour)
        .group_by(dock_hours.c.hour)
    )
    told = {row.hour: row for row in await connection.execute(counted)}
    looked = select(force_hours).where(force_hours.c.hour >= first, force_hours.c.hour <= this_hour)
    seen = {row.hour: row for row in await connection.execute(looked)}
    found = []
    for place in range(_HOURS):
        hour = first + timedelta(hours=place)
        counts, look = told.get(hour), seen.get(hour)
        found.append(
            HourFigures(
                hour=hour,
                dockings=int(counts.dockings) if counts else 0,
                made_ready=int(counts.made_ready) if counts else 0,
                ready_least=look.ready_least if look else None,
                waiting_bytes_most=look.waiting_bytes_most if look else None,
                oldest_waiting_seconds_most=look.oldest_waiting_seconds_most if look else None,
            )
        )
    return tuple(found)


async def _bytes_by_site(connection: AsyncConnection, now: datetime) -> tuple[SiteBytes, ...]:
    copied = func.sum(dock_days.c.copied_bytes)
    question = (
        select(
            site_docks.c.site,
            func.max(sites.c.name).label("name"),
            copied.label("copied_bytes"),
            func.sum(dock_days.c.accepted_bytes).label("accepted_bytes"),
        )
        .select_from(
            dock_days.outerjoin(site_docks, site_docks.c.dock == dock_days.c.dock).outerjoin(
                sites, sites.c.site == site_docks.c.site
            )
        )
        .where(dock_days.c.day > now.date() - timedelta(days=_SITE_DAYS), dock_days.c.day <= now.date())
        .group_by(site_docks.c.site)
        .order_by(copied.desc(), site_docks.c.site)
        .limit(MOST_BYTES_SITES)
    )
    return tuple(
        SiteBytes(
            site=row.site,
            name=row.name or row.site or "Docks at no site",
            copied_bytes=int(row.copied_bytes),
            accepted_bytes=int(row.accepted_bytes),
        )
        for row in await connection.execute(question)
    )


async def _days(connection: AsyncConnection, unit: str, now: datetime) -> tuple[DayBytes, ...]:
    first = now.date() - timedelta(days=_UNIT_DAYS - 1)
    of_unit = (
        select(site_docks.c.dock)
        .select_from(site_docks.join(sites, sites.c.site == site_docks.c.site))
        .where(sites.c.unit == unit)
    )
    question = (
        select(
            dock_days.c.day,
            func.sum(dock_days.c.copied_bytes).label("copied_bytes"),
            func.sum(dock_days.c.accepted_bytes).label("accepted_bytes"),
        )
        .where(dock_days.c.day >= first, dock_days.c.day <= now.date(), dock_days.c.dock.in_(of_unit))
        .group_by(dock_days.c.day)
    )
    told = {row.day: row for row in await connection.execute(question)}
    every = (first + timedelta(days=place) for place in range(_UNIT_DAYS))
    return tuple(
        DayBytes(
            day=day,
            copied_bytes=int(told[day].copied_bytes) if day in told else 0,
            accepted_bytes=int(told[day].accepted_bytes) if day in told else 0,
        )
        for day in every
    )
