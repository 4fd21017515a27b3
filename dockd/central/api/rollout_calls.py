"""Calls about places, people and devices: how far the rollout is."""

from __future__ import annotations

from aiohttp import web

from dockd.central.api.answers import json_answer
from dockd.central.api.route import TextValue
from dockd.central.places.rows import LONGEST_NAME
from dockd.central.services import SERVICES

UNIT = TextValue(
    rf"^[^\x00-\x1f\x7f]{{1,{LONGEST_NAME}}}$",
    "the name of a borough or unit, as the lists write it",
    "Camden",
    is_required=True,
)


async def get_rollout(request: web.Request) -> web.StreamResponse:
    """What is planned, live, delivered, enrolled and issued, by borough and unit."""
    return json_answer(await request.app[SERVICES].rollout.rollout())


async def get_unit_sites(request: web.Request) -> web.StreamResponse:
    """The sites of one borough or unit."""
    return json_answer(await request.app[SERVICES].rollout.unit(request.query["unit"]))
