"""The fleet pages: boroughs and sites by health, worst first; charts; search. Read-only, no scripts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from aiohttp import web

from dockd.central.fleet.history import LONGEST_QUERY
from dockd.central.pages.charts import Chart, bar_chart, share
from dockd.central.places.rows import LONGEST_NAME
from dockd.central.services import SERVICES
from dockd.errors import BadRequest
from dockd.rules.alerts import TITLES, Severity
from dockd.rules.health import WORDS
from dockd.web.pages import Pages
from dockd.web.text import age_in_words, count_in_words, duration_in_words, size_in_words
from dockd.wire.fleet import HEALTH, FleetFigures, Health, HourFigures, SiteBytes, UnitDocks


@dataclass(frozen=True, slots=True)
class HealthLook:
    """Word, tone and shape of one health; no two share any."""

    words: str
    tone: str
    icon: str


_WORDS = {HEALTH[severity]: words for severity, words in WORDS.items()}
HEALTH_LOOKS: dict[Health, HealthLook] = {
    HEALTH[Severity.TROUBLE]: HealthLook(_WORDS["trouble"], "held", "hand"),
    HEALTH[Severity.ATTENTION]: HealthLook(_WORDS["attention"], "fault", "warning"),
    HEALTH[Severity.UNKNOWN]: HealthLook(_WORDS["not-heard"], "empty", "empty"),
    HEALTH[Severity.FINE]: HealthLook(_WORDS["fine"], "go", "check"),
}


@dataclass(frozen=True, slots=True)
class PlaceLine:
    """A place's figures in words."""

    docks: str
    waiting: str
    alerts: str


@dataclass(frozen=True, slots=True)
class BytesLine:
    """One site's bytes with the lengths of its bars."""

    site: SiteBytes
    copied: int
    accepted: int


class FleetPages:
    """One method for each page."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def attach(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/fleet", self.fleet)
        app.router.add_get("/fleet/sites", self.unit)
        app.router.add_get("/fleet/search", self.search)

    async def fleet(self, request: web.Request) -> web.Response:
        """The whole force."""
        found = await request.app[SERVICES].fleet.places.fleet()
        most = max((one.copied_bytes for one in found.bytes_by_site), default=0)
        return self._pages.respond(
            "fleet.html",
            fleet=found,
            looks=HEALTH_LOOKS,
            titles=TITLES,
            total=place_line(found.total, found.at),
            units=[(one, place_line(one.figures, found.at), unit_address(one.unit)) for one in found.units],
            worst=[(one, place_line(one.figures, found.at), unit_address(one.unit)) for one in found.worst_sites],
            charts=hour_charts(found.hours),
            bytes_by_site=[
                BytesLine(one, share(one.copied_bytes, most), share(one.accepted_bytes, most))
                for one in found.bytes_by_site
            ],
        )

    async def unit(self, request: web.Request) -> web.Response:
        """One borough or unit."""
        name = request.query.get("unit", "")
        if not 0 < len(name) <= LONGEST_NAME or "\0" in name:
            raise BadRequest("The address names no borough or unit.")
        found = await request.app[SERVICES].fleet.places.unit(name)
        return self._pages.respond(
            "fleet_unit.html",
            unit=found,
            looks=HEALTH_LOOKS,
            sites=[(one, place_line(one.figures, found.at)) for one in found.sites],
            charts=(days_chart(found),),
            rollout=f"/rollout/sites?{urlencode({'unit': name})}",
        )

    async def search(self, request: web.Request) -> web.Response:
        """Cameras, officers and docks."""
        text = request.query.get("q", "").strip()
        if len(text) > LONGEST_QUERY or not text.isprintable():
            raise BadRequest(f"Search for at most {LONGEST_QUERY} letters and digits.")
        services = request.app[SERVICES]
        found = await services.fleet.history.search(text) if text else None
        return self._pages.respond(
            "fleet_search.html", found=found, query=text, looks=HEALTH_LOOKS, at=services.clock.now()
        )


def place_line(figures: FleetFigures, now: datetime) -> PlaceLine:
    """Choose the words of one place."""
    parts = [
        f"{count:,} {word}"
        for count, word in (
            (figures.docks_in_trouble, "to look at now"),
            (figures.docks_to_look_at, "today"),
            (figures.docks_not_heard, "not heard yet"),
        )
        if count
    ]
    waiting = ""
    if figures.waiting_recordings:
        count = count_in_words(figures.waiting_recordings, "recording", "recordings")
        waiting = f"{count}, {size_in_words(figures.waiting_bytes)}"
        if figures.oldest_waiting_since is not None:
            waiting += f", oldest {age_in_words(figures.oldest_waiting_since, now)}"
    return PlaceLine(
        docks=f"{figures.docks:,}" + (f": {', '.join(parts)}" if parts else ""),
        waiting=waiting or "nothing",
        alerts=", ".join(f"{one.count:,} {TITLES[one.kind].lower()}" for one in figures.alerts) or "none",
    )


def hour_charts(hours: tuple[HourFigures, ...]) -> tuple[Chart, ...]:
    """What the last day was like."""
    labels = [f"{one.hour:%H}:00" for one in hours]
    return (
        bar_chart(
            "dockings",
            "Cameras docked, by hour",
            ("Hour (UTC)", "Cameras docked"),
            labels,
            [one.dockings for one in hours],
            lambda count: f"{count:,}",
        ),
        bar_chart(
            "ready",
            "Cameras ready to be issued, fewest in each hour",
            ("Hour (UTC)", "Ready"),
            labels,
            [one.ready_least for one in hours],
            lambda count: f"{count:,}",
        ),
        bar_chart(
            "backlog",
            "Footage waiting on docks, most in each hour",
            ("Hour (UTC)", "Waiting"),
            labels,
            [one.waiting_bytes_most for one in hours],
            size_in_words,
        ),
        bar_chart(
            "age",
            "Age of the oldest footage waiting",
            ("Hour (UTC)", "Age"),
            labels,
            [one.oldest_waiting_seconds_most for one in hours],
            duration_in_words,
        ),
    )


def days_chart(unit: UnitDocks) -> Chart:
    """What a unit brought in."""
    return bar_chart(
        "days",
        "Footage copied from cameras, by day",
        ("Day (UTC)", "Copied"),
        [f"{one.day.day} {one.day:%b}" for one in unit.days],
        [one.copied_bytes for one in unit.days],
        size_in_words,
        every=2,
        when="on",
    )


def unit_address(unit: str) -> str:
    """Of the unit's page."""
    return f"/fleet/sites?{urlencode({'unit': unit})}"
