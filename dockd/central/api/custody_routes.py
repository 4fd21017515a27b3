"""The calls of `custody_calls`, described."""

from __future__ import annotations

from dockd.central.api import custody_calls
from dockd.central.api.route import CAMERA, DOCK, OFFICER, Answer, ApiValue, TextValue, api_route
from dockd.central.custody.question import TIME_PATTERN
from dockd.model.ids import ID_PATTERN
from dockd.web.problems import NO_SUCH_THING
from dockd.wire.custody import CustodyConflicts, CustodyHolders, CustodyRecordings, CustodySessions

_OCTETS = "application/octet-stream"
_SELECTION: dict[str, ApiValue] = {
    "camera": CAMERA,
    "officer": OFFICER,
    "site": TextValue(ID_PATTERN, "the site, as the lists name it", "camden-1"),
    "dock": DOCK,
    "from": TextValue(TIME_PATTERN, "a UTC day, or a moment: from then on", "2026-11-01"),
    "to": TextValue(TIME_PATTERN, "a UTC day that is included, or a moment that is not", "2026-11-30"),
}
_PAGE: dict[str, ApiValue] = {"after": custody_calls.AFTER_ROW, "limit": custody_calls.ROWS}
_ONLY: dict[str, ApiValue] = {"only": custody_calls.ONLY}

CUSTODY_ROUTES = (
    api_route(
        "GET",
        "/custody/recordings",
        custody_calls.get_recordings,
        (Answer(200, "the newest first; `next_after` goes on", CustodyRecordings),),
        query={**_SELECTION, **_ONLY, **_PAGE},
        problems=(NO_SUCH_THING,),
    ),
    api_route(
        "GET",
        "/custody/sessions",
        custody_calls.get_sessions,
        (Answer(200, "the newest first; `next_after` goes on", CustodySessions),),
        query={**_SELECTION, **_ONLY, **_PAGE},
        problems=(NO_SUCH_THING,),
    ),
    api_route(
        "GET",
        "/custody/holders",
        custody_calls.get_holders,
        (Answer(200, "the newest first; `next_after` goes on", CustodyHolders),),
        query={**_SELECTION, **_PAGE},
        problems=(NO_SUCH_THING,),
    ),
    api_route(
        "GET",
        "/custody/conflicts",
        custody_calls.get_conflicts,
        (Answer(200, "by dock", CustodyConflicts),),
        query=_SELECTION,
        problems=(NO_SUCH_THING,),
    ),
    api_route(
        "GET",
        "/custody/export/{name}",
        custody_calls.export_rows,
        (Answer(200, "all rows; a broken connection means that some are missing", content_type=_OCTETS),),
        values={"name": custody_calls.EXPORT_NAME},
        query=_SELECTION,
        problems=(NO_SUCH_THING,),
    ),
    api_route(
        "GET",
        "/custody/bundle.tar",
        custody_calls.get_bundle,
        (Answer(200, "the signed bundle; its seal comes last", content_type=_OCTETS),),
        query={**_SELECTION, "footage": custody_calls.FOOTAGE},
        problems=(NO_SUCH_THING,),
    ),
)
