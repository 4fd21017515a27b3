"""Calls about the fleet: health, fault history, search, alerts and silences."""

from __future__ import annotations

from aiohttp import web

from dockd.central.acting import acting_person
from dockd.central.api.answers import json_answer
from dockd.central.api.route import LARGEST_NUMBER, IntegerValue, TextValue, query_number
from dockd.central.fleet.history import LONGEST_QUERY, MOST_WEEKS
from dockd.central.places.rows import LONGEST_NAME
from dockd.central.services import SERVICES
from dockd.model.ids import ID_PATTERN
from dockd.rules.alerts import AlertKind
from dockd.web.problems import read_model
from dockd.wire.alerts import NewSilence

SILENCE_LIMIT_BYTES = 16 * 1024
DEFAULT_WEEKS = 12

UNIT = TextValue(
    rf"^[^\x00-\x1f\x7f]{{1,{LONGEST_NAME}}}$", "the name of a borough or unit, as the lists write it", "Camden", True
)
QUERY = TextValue(
    rf"^[^\x00-\x1f\x7f]{{1,{LONGEST_QUERY}}}$", "part of a camera's, officer's or dock's number or name", "1234", True
)
KIND = TextValue(f"^({'|'.join(AlertKind)})$", "the kind of alert", AlertKind.DOCK_SILENT.value)
SITE = TextValue(ID_PATTERN, "the site's id", "camden-1")
STATE = TextValue("^(open|over)$", "which alerts: `open` ones, or those that are `over`", "open")
WEEKS = IntegerValue(1, MOST_WEEKS, "how many weeks are counted, this one among them", default=DEFAULT_WEEKS)
NUMBER = IntegerValue(1, LARGEST_NUMBER, "the number of the alert or silence")


async def get_fleet(request: web.Request) -> web.StreamResponse:
    """Boroughs, units and sites by health, worst first, and the figures of the last day."""
    return json_answer(await request.app[SERVICES].fleet.places.fleet())


async def get_unit_docks(request: web.Request) -> web.StreamResponse:
    """The sites and docks of one borough or unit, worst first."""
    return json_answer(await request.app[SERVICES].fleet.places.unit(request.query["unit"]))


async def search_fleet(request: web.Request) -> web.StreamResponse:
    """Cameras, officers and docks by a part of their number or name."""
    return json_answer(await request.app[SERVICES].fleet.history.search(request.query["q"]))


async def get_dock_faults(request: web.Request) -> web.StreamResponse:
    """The fault history of a dock's bays; none for a dock never heard of."""
    weeks = query_number(request, "weeks", WEEKS)
    return json_answer(await request.app[SERVICES].fleet.history.dock(request.match_info["dock"], weeks=weeks))


async def list_alerts(request: web.Request) -> web.StreamResponse:
    """Alerts: the open ones, worst first, or those that are over, newest first."""
    desk = request.app[SERVICES].fleet.desk
    kind = AlertKind(request.query["kind"]) if "kind" in request.query else None
    is_open = request.query.get("state", "open") == "open"
    return json_answer(await desk.alerts(is_open=is_open, kind=kind, site=request.query.get("site")))


async def get_alert(request: web.Request) -> web.StreamResponse:
    """One alert: cause, since when, what to do."""
    return json_answer(await request.app[SERVICES].fleet.desk.alert(_number(request)))


async def acknowledge_alert(request: web.Request) -> web.StreamResponse:
    """Say that somebody looks into it: no reminders until it worsens or is over."""
    desk = request.app[SERVICES].fleet.desk
    return json_answer(await desk.acknowledge(_number(request), actor=acting_person(request)))


async def list_silences(request: web.Request) -> web.StreamResponse:
    """Silences that hold now."""
    return json_answer(await request.app[SERVICES].fleet.desk.silences())


async def make_silence(request: web.Request) -> web.StreamResponse:
    """Tell nothing of some alerts until then, for a reason."""
    wanted = await read_model(request, NewSilence, limit_bytes=SILENCE_LIMIT_BYTES)
    made = await request.app[SERVICES].fleet.desk.silence(wanted, actor=acting_person(request))
    return json_answer(made, status=201)


async def end_silence(request: web.Request) -> web.StreamResponse:
    """End a silence before its time."""
    desk = request.app[SERVICES].fleet.desk
    return json_answer(await desk.end_silence(_number(request), actor=acting_person(request)))


def _number(request: web.Request) -> int:
    return int(request.match_info["number"])
