"""Calls by and about docks: facts, status, orders."""

from __future__ import annotations

import asyncio

from aiohttp import web

from dockd.central.api.answers import json_answer, raw_json_answer
from dockd.central.api.route import LARGEST_NUMBER, IntegerValue, query_number
from dockd.central.refusals import WRONG_DOCK
from dockd.central.services import SERVICES
from dockd.web.problems import Refusal, read_model
from dockd.wire.messages import MAXIMUM_FACTS_PER_BATCH, FactBatch, Orders
from dockd.wire.status import DockStatus

FACTS_LIMIT_BYTES = 32 * 1024 * 1024
STATUS_LIMIT_BYTES = 1024 * 1024

AFTER = IntegerValue(0, LARGEST_NUMBER, "the number after which to begin", default=0)
LIMIT = IntegerValue(1, MAXIMUM_FACTS_PER_BATCH, "how many at most", default=MAXIMUM_FACTS_PER_BATCH)
WAIT = IntegerValue(0, 60, "how many seconds to wait for an order when there is none", default=0)

_LOOK_AGAIN_SECONDS = 5.0
"""Orders may be written by another process, so a waiting call looks; none wakes it."""


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
    await request.app[SERVICES].facts.note_status(dock, status)
    return web.Response(status=204)


async def get_orders(request: web.Request) -> web.StreamResponse:
    """Orders for a dock; waits for the first one as long as asked."""
    services = request.app[SERVICES]
    dock, after = request.match_info["dock"], query_number(request, "after", AFTER)
    loop = asyncio.get_running_loop()
    until = loop.time() + query_number(request, "wait", WAIT)
    while True:
        orders: Orders = await services.queries.orders(dock, after)
        remaining_seconds = until - loop.time()
        if orders.orders or remaining_seconds <= 0 or services.stopping.is_set():
            return json_answer(orders)
        try:
            async with asyncio.timeout(min(_LOOK_AGAIN_SECONDS, remaining_seconds)):
                await services.stopping.wait()
        except TimeoutError:
            continue


async def list_docks(request: web.Request) -> web.StreamResponse:
    """All docks."""
    return json_answer(await request.app[SERVICES].queries.dock_list())
