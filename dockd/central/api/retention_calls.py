"""Calls about retention: policies, classifications, holds, what would go tonight, the question that stops a run."""

from __future__ import annotations

from aiohttp import web

from dockd.central.acting import acting_person
from dockd.central.api.answers import json_answer
from dockd.central.api.recording_calls import BEFORE, LIMIT
from dockd.central.api.route import query_number
from dockd.central.retention import entries
from dockd.central.retention.holds import HoldScope
from dockd.central.retention.service import Retention
from dockd.central.services import SERVICES
from dockd.web.problems import read_model
from dockd.wire.retention import (
    Because,
    Classify,
    HoldAnswer,
    HoldList,
    HoldRequest,
    PolicyChange,
    PolicyHistory,
    StopAnswer,
)

BODY_LIMIT_BYTES = 128 * 1024


async def get_retention(request: web.Request) -> web.StreamResponse:
    """Whether and when this centre deletes, by which policies, and what waits for a person."""
    return json_answer(await entries.overview(_retention(request)))


async def get_policies(request: web.Request) -> web.StreamResponse:
    """Every policy that ever was."""
    history = await _retention(request).decisions.policy_history()
    return json_answer(PolicyHistory(policies=tuple(map(entries.policy_entry, history))))


async def put_policy(request: web.Request) -> web.StreamResponse:
    """Set how long a category is kept from now on."""
    change = await read_model(request, PolicyChange, limit_bytes=BODY_LIMIT_BYTES)
    category, by = request.match_info["category"], acting_person(request)
    await _retention(request).decisions.set_policy(category, change.days, by=by, reason=change.reason)
    return web.Response(status=204)


async def post_classifications(request: web.Request) -> web.StreamResponse:
    """Decide what recordings are."""
    wanted = await read_model(request, Classify, limit_bytes=BODY_LIMIT_BYTES)
    by = acting_person(request)
    await _retention(request).decisions.classify(wanted.recordings, wanted.category, by=by, reason=wanted.reason)
    return web.Response(status=204)


async def get_standing(request: web.Request) -> web.StreamResponse:
    """How long one recording is kept, and why."""
    digest, services = request.match_info["digest"], request.app[SERVICES]
    detail = await services.queries.recording(digest)
    found = await services.retention.recording(digest, detail.receipt)
    return json_answer(entries.recording_standing(digest, found))


async def list_holds(request: web.Request) -> web.StreamResponse:
    """Every hold that was ever set, newest first."""
    before, limit = query_number(request, "after", BEFORE), query_number(request, "limit", LIMIT)
    found = await _retention(request).holds.lines(before=before, limit=limit + 1)
    page = found[:limit]
    following = str(page[-1].number) if len(found) > limit else None
    return json_answer(HoldList(holds=tuple(map(entries.hold_entry, page)), next_after=following))


async def post_hold(request: web.Request) -> web.StreamResponse:
    """Hold footage, whatever any policy says."""
    wanted = await read_model(request, HoldRequest, limit_bytes=BODY_LIMIT_BYTES)
    scope = HoldScope(
        digest=wanted.recording,
        camera=wanted.camera,
        officer=wanted.officer.upper() if wanted.officer else None,
        site=wanted.site,
        recorded_from=wanted.recorded_from,
        recorded_before=wanted.recorded_before,
    )
    done = await _retention(request).holds.set_hold(scope, by=acting_person(request), reason=wanted.reason)
    return json_answer(HoldAnswer(hold=done.number, too_late=done.too_late), status=201)


async def release_hold(request: web.Request) -> web.StreamResponse:
    """End a hold."""
    because = await read_model(request, Because, limit_bytes=BODY_LIMIT_BYTES)
    number = int(request.match_info["hold"])
    await _retention(request).holds.release(number, by=acting_person(request), reason=because.reason)
    return web.Response(status=204)


async def get_tonight(request: web.Request) -> web.StreamResponse:
    """What would be deleted in the next night's run, and why."""
    return json_answer(await entries.tonight(_retention(request)))


async def answer_stop(request: web.Request) -> web.StreamResponse:
    """A person confirms or declines exactly the list that stopped a run."""
    said = await read_model(request, StopAnswer, limit_bytes=BODY_LIMIT_BYTES)
    stop = await _retention(request).brake.answer(
        request.match_info["list_digest"],
        said.recordings,
        is_confirmed=said.is_confirmed,
        by=acting_person(request),
        reason=said.reason,
    )
    return json_answer(entries.stopped_list(stop))


def _retention(request: web.Request) -> Retention:
    return request.app[SERVICES].retention
