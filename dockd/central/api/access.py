"""The door for docks: who is asking, and is it theirs?

Over TLS every request is looked at afresh: the certificate's row in the database, then what the call is of. So
a revocation counts with the next request on a connection that is open already. A call that takes long is looked at
again while it runs, and refused when its dock was put out; what is then being sent or received ends with its
connection (`api.open_connections`). What is not in the API, pages for one, is not served to docks at all.

Over plain HTTP nobody is known by a certificate; that is people's way, and who they are is asked elsewhere. While
docks are served over TLS, nothing that a dock says is taken there. Without that the centre is the embedded one of a
single machine, and takes everything as it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dockd.central.acting import calling_dock, note_dock
from dockd.central.api.route import Access, Route
from dockd.central.refusals import (
    CERTIFICATE_KINDS,
    CERTIFICATE_REQUIRED,
    NOT_FOR_DOCKS,
    NOT_YOURS,
    TLS_REQUIRED,
)
from dockd.central.services import SERVICES, Services
from dockd.model.ids import DockId
from dockd.web.problems import Refusal

_LOOK_AGAIN_SECONDS = 2.0


def admit(routes: Iterable[Route]) -> Middleware:
    """The middleware that asks. `routes` are the whole API."""
    access_of = {(route.method, route.path): route.access for route in routes}

    @web.middleware
    async def door(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if resource is None:  # no such address, or not this method: nothing is told but that
            return await handler(request)
        services = request.app[SERVICES]
        access = access_of.get((request.method, resource.canonical))
        if not request.secure:
            _check_plain(request, services, access)
            return await handler(request)
        if access is None:
            raise Refusal(NOT_FOR_DOCKS, "Pages are for people, at the centre's other address.")
        if access is Access.ANYONE:
            return await handler(request)
        await _check_own(request, services, access)
        return await _answered(request, handler, services)

    return door


def require_own_dock(request: web.Request, dock: str) -> None:
    """Raise Refusal (`not-yours`) unless whoever asks may speak for `dock`. For what only a body tells."""
    caller = calling_dock(request)
    if caller is not None and caller != dock:
        raise _not_yours(caller, f"what belongs to dock {dock}")


async def _answered(request: web.Request, handler: Handler, services: Services) -> web.StreamResponse:
    """The answer of a call, which is ended as soon as its dock is found to have been put out."""
    handling = asyncio.ensure_future(handler(request))
    try:
        while True:
            done, _ = await asyncio.wait({handling}, timeout=_LOOK_AGAIN_SECONDS)
            if done:
                return handling.result()
            await _look_again(request, services)
    finally:
        if not handling.done():
            handling.cancel()
            await asyncio.wait({handling})


async def _look_again(request: web.Request, services: Services) -> None:
    """Raise Refusal when the caller was put out meanwhile."""
    try:
        await _caller(request, services)
    except Refusal as refusal:
        if refusal.kind in CERTIFICATE_KINDS:
            raise
        # Else the database cannot say now; the next look may.


def _check_plain(request: web.Request, services: Services, access: Access | None) -> None:
    is_for_docks = access is not None and access.is_of_docks and request.method != "GET"
    if services.config.docks_host is not None and is_for_docks:
        raise Refusal(
            TLS_REQUIRED,
            "This centre takes what docks say over TLS only, from enrolled docks. "
            "Set the dock up with `dockd enrol TOKEN`.",
        )


async def _check_own(request: web.Request, services: Services, access: Access) -> None:
    """Raise Refusal unless the certificate is good and the call is the dock's own."""
    caller = await _caller(request, services)
    note_dock(request, caller)
    match access:
        case Access.OWN_DOCK:
            require_own_dock(request, request.match_info["dock"])
        case Access.OWN_UPLOAD:
            if not await services.ownership.may_go_on_with(request.match_info["upload"], caller):
                raise _not_yours(caller, "an upload that it did not claim; claim the recording again")
        case Access.OWN_CONTENT:
            if not await services.ownership.was_sent_by(request.match_info["digest"], caller):
                raise _not_yours(caller, "a recording that it did not bring")
        case Access.PEOPLE:
            raise Refusal(NOT_FOR_DOCKS, "This is for people, at the centre's other address.")
        case Access.OWN_CLAIM | Access.ANY_DOCK | Access.ANYONE:
            pass  # the first is compared by the call, once its body is read


async def _caller(request: web.Request, services: Services) -> DockId:
    transport = request.transport
    shown = services.connections.certificate_of(transport) if transport is not None else None
    if transport is None or shown is None:
        raise Refusal(
            CERTIFICATE_REQUIRED,
            "This dock showed no certificate. Ask the centre's staff for a token and run `dockd enrol TOKEN` on it.",
        )
    dock = await services.enrolment.dock_of(shown)
    services.connections.note(transport)
    return dock


def _not_yours(caller: str, what: str) -> Refusal:
    return Refusal(NOT_YOURS, f"The certificate is dock {caller}'s, and this is {what}.")
