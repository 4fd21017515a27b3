"""The alert pages: cause, since when, what to do; acknowledge, silence. Forms work without scripts."""

from __future__ import annotations

import json
import re
from typing import NoReturn
from urllib.parse import urlencode

from aiohttp import web
from pydantic import ValidationError

from dockd.central.acting import acting_person
from dockd.central.pages.fleet import HEALTH_LOOKS
from dockd.central.services import SERVICES
from dockd.errors import BadRequest, NotFound
from dockd.rules.alerts import TITLES, AlertKind
from dockd.web.forms import read_form
from dockd.web.pages import Pages
from dockd.web.problems import describe_mistakes
from dockd.wire.alerts import NewSilence

_FORM_TYPE = "application/x-www-form-urlencoded"
_LARGEST_FORM_BYTES = 8 * 1024
_SHOWN = 200
_OVER_SHOWN = 50
_HOURS = ((1, "1 hour"), (4, "4 hours"), (12, "12 hours"), (24, "1 day"), (72, "3 days"), (168, "a week"))
_HOUR = re.compile(r"[0-9]{1,3}")
_LARGEST_NUMBER = 2**63 - 1
_OF_DOCK = frozenset(
    {
        AlertKind.DOCK_SILENT,
        AlertKind.STAGING_FILLING,
        AlertKind.FOOTAGE_WAITING,
        AlertKind.CLOCK_UNSYNCHRONISED,
        AlertKind.BAY_FAILING,
    }
)
_OF_CAMERA = frozenset({AlertKind.CAMERA_OVERDUE, AlertKind.CAMERA_FAILING, AlertKind.DUPLICATE_IDENTITY})
_OF_STORE = frozenset({AlertKind.STORE_WORSE, AlertKind.RECEIPTS_LATE})


class AlertPages:
    """One method for each page and form."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def attach(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/alerts", self.alerts)
        app.router.add_get("/alerts/{number}", self.alert)
        app.router.add_post("/alerts/{number}/acknowledge", self.acknowledge)
        app.router.add_post("/silences", self.silence)
        app.router.add_post("/silences/{number}/end", self.end_silence)

    async def alerts(self, request: web.Request) -> web.Response:
        """All open alerts, silences, and what is over since lately."""
        desk = request.app[SERVICES].fleet.desk
        kind = _kind(request.query.get("kind", ""))
        return self._pages.respond(
            "alerts.html",
            found=await desk.alerts(kind=kind, limit=_SHOWN),
            over=await desk.alerts(is_open=False, kind=kind, limit=_OVER_SHOWN),
            counts=await desk.counts(),
            silences=(await desk.silences()).silences,
            kind=kind,
            titles=TITLES,
            looks=HEALTH_LOOKS,
            hours=_HOURS,
        )

    async def alert(self, request: web.Request) -> web.Response:
        """One alert with what can be done about it."""
        alert = await request.app[SERVICES].fleet.desk.alert(_number(request))
        return self._pages.respond(
            "alert.html",
            alert=alert,
            looks=HEALTH_LOOKS,
            hours=_HOURS,
            address=_subject_address(alert.subject, alert.kind),
        )

    async def acknowledge(self, request: web.Request) -> web.Response:
        """Somebody looks into it."""
        number = _number(request)
        await request.app[SERVICES].fleet.desk.acknowledge(number, actor=acting_person(request))
        _see(f"/alerts/{number}")

    async def silence(self, request: web.Request) -> web.Response:
        """Tell nothing of what the form names."""
        fields = await read_form(request)
        wanted: dict[str, object] = {name: fields[name] for name in ("kind", "site", "subject") if fields.get(name)}
        hours = fields.get("hours", "")
        wanted |= {"reason": fields.get("reason", "").strip(), "hours": int(hours) if _HOUR.fullmatch(hours) else 0}
        try:
            new = NewSilence.model_validate_json(json.dumps(wanted))
        except ValidationError as error:
            raise BadRequest(f"This cannot be silenced so: {describe_mistakes(error)}.") from None
        await request.app[SERVICES].fleet.desk.silence(new, actor=acting_person(request))
        _see("/alerts#silences")

    async def end_silence(self, request: web.Request) -> web.Response:
        """Tell it again as usual."""
        await request.app[SERVICES].fleet.desk.end_silence(_number(request), actor=acting_person(request))
        _see("/alerts#silences")


def _see(address: str) -> NoReturn:
    raise web.HTTPSeeOther(address)


def _number(request: web.Request) -> int:
    text = request.match_info["number"]
    if not text.isascii() or not text.isdigit() or len(text) > 19 or not 0 < int(text) <= _LARGEST_NUMBER:
        raise NotFound("There is no such alert or silence.")
    return int(text)


def _kind(text: str) -> AlertKind | None:
    try:
        return AlertKind(text) if text else None
    except ValueError:
        raise BadRequest(f"{text[:40]!r} is no kind of alert.") from None


def _subject_address(subject: str, kind: AlertKind) -> str | None:
    """Where more is to be seen, where there is such a page."""
    if kind in _OF_DOCK:
        return f"/docks/{subject.partition('/')[0]}"
    if kind in _OF_CAMERA:
        return f"/fleet/search?{urlencode({'q': subject})}"
    return "/store" if kind in _OF_STORE else None
