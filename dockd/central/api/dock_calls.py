"""Calls by and about docks: facts, status, orders."""

from __future__ import annotations

from aiohttp import web

from dockd.central.acting import seen_docks
from dockd.central.api.answers import json_answer, raw_json_answer
from dockd.central.api.route import LARGEST_NUMBER, IntegerValue, query_number
from dockd.central.refusals import WRONG_DOCK
from dockd.central.services import SERVICES
from dockd.web.problems import Refusal, read_model
from dockd.wire.messages import MAXIMUM_FACTS_PER_BATCH, FactBatch
from dockd.wire.status import DockStatus

FACTS_LIMIT_BYTES = 32 * 1024 * 1024
STATUS_LIMIT_BYTES = 1024 * 1024

AFTER = IntegerValue(0, LARGEST_NUMBER, "the number after which to begin", default=0)
LIMIT = IntegerValue(1, MAXIMUM_FACTS_PER_BATCH, "how many at most", default=MAXIMUM_FACTS_PER_BATCH)
WAIT = IntegerValue(0, 60, "how many seconds to wait for an order when there is none", default=0)


async def put_facts(request: web.Request) -> web.StreamResponse:
    """Add facts to a dock's chain."""
    services = request.app[SERVICES]
    batch = await read_model(request, FactBatch, limit_bytes=FACTS_LIMIT_BYTES)
    return json_answer(await services.facts.take(request.match_info["dock"], batch.facts))


async def get_head(request: web.Request) -> web.StreamResponse:
    """Where a dock's chain stands here."""
    return json_answer(await request.app[SERVICES].facts.head(request.match_info["dock"]))


async def get_facts(request: web.Request) -> web.StreamResponse:
    """A dock's facts, byte for byte as they were hashed."""
    after, limit = query_number(request, "after", AFTER), query_number(request, "limit", LIMIT)
    bodies = await request.app[SERVICES].queries.fact_bodies(request.match_info["dock"], after, limit)
    return raw_json_answer(('{"facts":[' + ",".join(bodies) + "]}").encode("utf-8"))


async def put_status(request: web.Request) -> web.StreamResponse:
    """Keep how a dock is now."""
    status = await read_model(request, DockStatus, limit_bytes=STATUS_LIMIT_BYTES)
    dock = request.match_info["dock"]
    if status.dock != dock:
        raise Refusal(WRONG_DOCK, "The status is of another dock than the address.")
    await request.app[SERVICES].facts.note_status(status)
    return web.Response(status=204)


async def get_orders(request: web.Request) -> web.StreamResponse:
    """Orders for a dock; waits for the first one as long as asked."""
    waits = request.app[SERVICES].waits
    dock, after, wait = (
        request.match_info["dock"],
        query_number(request, "after", AFTER),
        query_number(request, "wait", WAIT),
    )
    return json_answer(await waits.orders(dock, after, wait))


async def list_docks(request: web.Request) -> web.StreamResponse:
    """All docks."""
    return json_answer(await request.app[SERVICES].queries.dock_list(seen_docks(request)))
