"""The rollout pages: what is planned, live, delivered, enrolled and issued, by borough and by site."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode

from aiohttp import web

from dockd.central.places.rows import LONGEST_NAME, SiteState
from dockd.central.services import SERVICES
from dockd.errors import BadRequest
from dockd.web.pages import Pages
from dockd.web.text import count_in_words
from dockd.wire.rollout import CameraFigures, PlaceFigures, SiteRollout, UnitRollout

_BAR_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Bar:
    """Lengths of one bar in units of its drawing, 0 to 100; the longest of all is 100. `label` says it in words."""

    planned: int
    delivered: int
    enrolled: int
    issued: int
    label: str


@dataclass(frozen=True, slots=True)
class UnitLine:
    """One borough or unit as the page shows it."""

    unit: str
    address: str
    figures: PlaceFigures
    sites: str
    next: str
    is_late: bool
    bar: Bar


@dataclass(frozen=True, slots=True)
class SiteLine:
    """One site as the page shows it. `state` is the word, `since` the day that goes with it."""

    site: SiteRollout
    address: str
    state: str
    tone: str
    icon: str
    since: str
    docks: str
    bar: Bar


class RolloutPages:
    """One method for each page."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def attach(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/rollout", self.force)
        app.router.add_get("/rollout/sites", self.unit)

    async def force(self, request: web.Request) -> web.Response:
        """The whole force by borough and unit."""
        rollout = await request.app[SERVICES].rollout.rollout()
        return self._pages.respond(
            "rollout.html",
            rollout=rollout,
            total=rollout.total,
            bar=bar_of(rollout.total.cameras_planned, rollout.total.cameras),
            units=tuple(map(unit_line, rollout.units)),
            late=tuple(map(site_line, rollout.late)),
            late_left_out=max(0, rollout.total.sites_late - len(rollout.late)),
        )

    async def unit(self, request: web.Request) -> web.Response:
        """One borough or unit by site."""
        name = request.query.get("unit", "")
        if not 0 < len(name) <= LONGEST_NAME or "\0" in name:
            raise BadRequest("The address names no borough or unit.")
        found = await request.app[SERVICES].rollout.unit(name)
        return self._pages.respond("unit.html", unit=found, sites=tuple(map(site_line, found.sites)))


def unit_line(one: UnitRollout) -> UnitLine:
    """Choose the words of one borough or unit."""
    figures = one.figures
    parts = [
        f"{count:,} {word}"
        for count, word in (
            (figures.sites_live, "live"),
            (figures.sites_planned, "planned"),
            (figures.sites_closed, "closed"),
        )
        if count
    ]
    return UnitLine(
        unit=one.unit,
        address=_address(one.unit),
        figures=figures,
        sites=", ".join(parts),
        next=_day(one.next_planned_on) if one.next_planned_on else "",
        is_late=figures.sites_late > 0,
        bar=bar_of(figures.cameras_planned, figures.cameras),
    )


def site_line(one: SiteRollout) -> SiteLine:
    """Choose the words of one site."""
    state, tone, icon, since = _state(one)
    heard, every = len(one.docks_heard), len(one.docks)
    docks = "none named" if not every else f"{heard:,} of {every:,}"
    if one.bays:
        docks += f", {count_in_words(one.bays, 'bay', 'bays')}"
    return SiteLine(
        site=one,
        address=_address(one.unit),
        state=state,
        tone=tone,
        icon=icon,
        since=since,
        docks=docks,
        bar=bar_of(one.cameras_planned or 0, one.cameras),
    )


def bar_of(planned: int, figures: CameraFigures) -> Bar:
    """The bar of one place, against the larger of what is planned and what was delivered."""
    longest = max(planned, figures.delivered, 1)

    def length(count: int) -> int:
        # One camera of many is still to be seen.
        return max(1, count * _BAR_WIDTH // longest) if count else 0

    return Bar(
        planned=length(planned),
        delivered=length(figures.delivered),
        enrolled=length(figures.enrolled),
        issued=length(figures.issued),
        label=f"{planned:,} planned, {figures.delivered:,} delivered, {figures.enrolled:,} enrolled, "
        f"{figures.issued:,} issued",
    )


def _state(one: SiteRollout) -> tuple[str, str, str, str]:
    """Word, tone, icon and day of a site's state."""
    planned = f"planned for {_day(one.planned_on)}" if one.planned_on else "no day planned"
    if one.state == SiteState.LIVE.value and one.live_on:
        return "Live", "go", "check", f"since {_day(one.live_on)}"
    if one.state == SiteState.CLOSED.value and one.closed_on:
        return "Closed", "empty", "stay", f"since {_day(one.closed_on)}"
    if one.is_late:
        return "Late", "fault", "warning", planned
    return "Planned", "busy", "empty", planned


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def _address(unit: str) -> str:
    return f"/rollout/sites?{urlencode({'unit': unit})}"
