"""The calls about retention as data."""

from __future__ import annotations

from dockd.central import refusals
from dockd.central.api import retention_calls as calls
from dockd.central.api.recording_calls import BEFORE, LIMIT
from dockd.central.api.route import DIGEST, LARGEST_NUMBER, Answer, IntegerValue, JsonBody, TextValue, api_route
from dockd.central.retention.decisions import CATEGORY_PATTERN
from dockd.web.problems import NO_SUCH_THING
from dockd.wire.retention import (
    Because,
    Classify,
    HoldAnswer,
    HoldList,
    HoldRequest,
    PolicyChange,
    PolicyHistory,
    RecordingStanding,
    RetentionOverview,
    StopAnswer,
    StoppedList,
    Tonight,
)

_CATEGORY = TextValue(CATEGORY_PATTERN, "the category's name", "routine")
_HOLD = IntegerValue(1, LARGEST_NUMBER, "the hold's number")
_LIMIT = calls.BODY_LIMIT_BYTES

RETENTION_ROUTES = (
    api_route("GET", "/retention", calls.get_retention, (Answer(200, "as it stands now", RetentionOverview),)),
    api_route("GET", "/retention/policies", calls.get_policies, (Answer(200, "newest first", PolicyHistory),)),
    api_route(
        "PUT",
        "/retention/policies/{category}",
        calls.put_policy,
        (Answer(204, "in force"),),
        values={"category": _CATEGORY},
        body=JsonBody(PolicyChange, _LIMIT),
    ),
    api_route(
        "POST",
        "/retention/classifications",
        calls.post_classifications,
        (Answer(204, "all of them are decided"),),
        body=JsonBody(Classify, _LIMIT),
        problems=(NO_SUCH_THING,),
    ),
    api_route(
        "GET",
        "/retention/recordings/{digest}",
        calls.get_standing,
        (Answer(200, "as it stands now", RecordingStanding),),
        values={"digest": DIGEST},
        problems=(NO_SUCH_THING,),
    ),
    api_route(
        "GET",
        "/retention/holds",
        calls.list_holds,
        (Answer(200, "newest first; `next_after` goes on", HoldList),),
        query={"after": BEFORE, "limit": LIMIT},
    ),
    api_route(
        "POST",
        "/retention/holds",
        calls.post_hold,
        (Answer(201, "held from now on", HoldAnswer),),
        body=JsonBody(HoldRequest, _LIMIT),
        problems=(NO_SUCH_THING,),
    ),
    api_route(
        "POST",
        "/retention/holds/{hold}/release",
        calls.release_hold,
        (Answer(204, "released"),),
        values={"hold": _HOLD},
        body=JsonBody(Because, _LIMIT),
        problems=(NO_SUCH_THING, refusals.ALREADY_RELEASED),
    ),
    api_route("GET", "/retention/tonight", calls.get_tonight, (Answer(200, "as things stand now", Tonight),)),
    api_route(
        "POST",
        "/retention/stops/{list_digest}/answer",
        calls.answer_stop,
        (Answer(200, "the answer is kept", StoppedList),),
        values={"list_digest": DIGEST},
        body=JsonBody(StopAnswer, _LIMIT),
        problems=(refusals.LIST_CHANGED,),
    ),
)
