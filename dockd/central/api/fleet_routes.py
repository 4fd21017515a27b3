"""The fleet's calls as data; `api.routes` registers them and OpenAPI describes them."""

from __future__ import annotations

from dockd.central.api import fleet_calls
from dockd.central.api.route import DOCK, Answer, JsonBody, api_route
from dockd.web.problems import BAD_REQUEST, NO_SUCH_THING
from dockd.wire.alerts import AlertList, AlertView, NewSilence, SilenceList, SilenceView
from dockd.wire.fleet import DockHistory, Fleet, Found, UnitDocks

FLEET_ROUTES = (
    api_route("GET", "/fleet", fleet_calls.get_fleet, (Answer(200, "the whole force", Fleet),)),
    api_route(
        "GET",
        "/fleet/sites",
        fleet_calls.get_unit_docks,
        (Answer(200, "worst first", UnitDocks),),
        query={"unit": fleet_calls.UNIT},
        problems=(NO_SUCH_THING,),
    ),
    api_route(
        "GET",
        "/fleet/search",
        fleet_calls.search_fleet,
        (Answer(200, "at most 20 of each", Found),),
        query={"q": fleet_calls.QUERY},
    ),
    api_route(
        "GET",
        "/docks/{dock}/faults",
        fleet_calls.get_dock_faults,
        (Answer(200, "by bay", DockHistory),),
        values={"dock": DOCK},
        query={"weeks": fleet_calls.WEEKS},
    ),
    api_route(
        "GET",
        "/alerts",
        fleet_calls.list_alerts,
        (Answer(200, "at most 500", AlertList),),
        query={"state": fleet_calls.STATE, "kind": fleet_calls.KIND, "site": fleet_calls.SITE},
    ),
    api_route(
        "GET",
        "/alerts/{number}",
        fleet_calls.get_alert,
        (Answer(200, "the alert", AlertView),),
        values={"number": fleet_calls.NUMBER},
        problems=(NO_SUCH_THING,),
    ),
    api_route(
        "POST",
        "/alerts/{number}/acknowledge",
        fleet_calls.acknowledge_alert,
        (Answer(200, "acknowledged; again changes nothing", AlertView),),
        values={"number": fleet_calls.NUMBER},
        problems=(NO_SUCH_THING,),
    ),
    api_route("GET", "/silences", fleet_calls.list_silences, (Answer(200, "those that hold now", SilenceList),)),
    api_route(
        "POST",
        "/silences",
        fleet_calls.make_silence,
        (Answer(201, "it holds from now on", SilenceView),),
        body=JsonBody(NewSilence, fleet_calls.SILENCE_LIMIT_BYTES),
        problems=(BAD_REQUEST,),
    ),
    api_route(
        "POST",
        "/silences/{number}/end",
        fleet_calls.end_silence,
        (Answer(200, "ended; again changes nothing", SilenceView),),
        values={"number": fleet_calls.NUMBER},
        problems=(NO_SUCH_THING,),
    ),
)
