"""What the pages about people share: where a request comes from, the fields of its form, and answers that go on.

Knows requests; knows no account.
"""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TYPE_CHECKING

from aiohttp import web

from dockd.central.acting import signed_in
from dockd.central.people.sessions import SignedIn
from dockd.central.people.signing_in import Caller
from dockd.central.services import SERVICES
from dockd.errors import BadRequest, NotFound
from dockd.rules.roles import Role
from dockd.web.forms import read_form

if TYPE_CHECKING:  # loaded only where people sign in
    from dockd.central.people.service import People

_LONGEST_FIELD = 1_000
_LONGEST_BROWSER = 200


def people_of(request: web.Request) -> People:
    """Who may use this centre. Raises NotFound where nobody signs in."""
    people = request.app[SERVICES].people
    if people is None:
        raise NotFound('Nobody signs in at this centre: it has sign_in = "off" and answers this machine only.')
    return people


def person_of(request: web.Request) -> SignedIn:
    """Who has signed in; the door has seen to it that somebody did."""
    person = signed_in(request)
    if person is None:
        raise NotFound("Nobody has signed in.")
    return person


def caller_of(request: web.Request, people: People) -> Caller:
    """Where a request comes from: behind a trusted proxy, what that proxy says last."""
    address = request.remote or "unknown"
    if address in people.config.trusted_proxies:
        forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        with contextlib.suppress(ValueError):
            address = str(ipaddress.ip_address(forwarded))
    agent = "".join(one for one in request.headers.get("User-Agent", "") if one.isprintable())
    return Caller(
        address=address,
        browser=agent.strip()[:_LONGEST_BROWSER] or "not told",
        known_token=people.cookies.browser(request),
    )


def origin_of(request: web.Request, people: People) -> str:
    """How browsers reach the pages, for the way back from the identity provider."""
    return people.config.url or request.app[SERVICES].origin_of(request)


async def fields_of(request: web.Request) -> dict[str, str]:
    """The fields of a form that the door has read already. Raises BadRequest."""
    fields = await read_form(request)
    if any(len(value) > _LONGEST_FIELD for value in fields.values()):
        raise BadRequest("A field of the form is too long.")
    return fields


def role_in(fields: dict[str, str]) -> Role:
    """The role that was chosen. Raises BadRequest."""
    try:
        return Role(fields.get("role", ""))
    except ValueError:
        raise BadRequest("Choose a role.") from None


def go_to(path: str) -> web.Response:
    """After a change: to a page that can be loaded again without making it twice."""
    return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})
