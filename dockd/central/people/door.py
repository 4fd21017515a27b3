"""The door for people: who is asking, may they, and was it meant? In front of every call and page.

It stands inside the docks' door: whoever showed a dock's certificate was judged there. Where nobody signs in
(`[central] sign_in = "off"`, loopback only) it lets everybody pass and still writes down what is looked at.

The order: who (session or script), may they (the table of permits), their site, was it meant (the form's token and
where the request comes from), the fact about the look, and only then the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from dockd.central.acting import acting_person, calling_dock, note_person, note_seen_docks
from dockd.central.people.cookies import form_token, is_form_token
from dockd.central.people.permits import BEFORE_NEW_PASSWORD, Gate, Look, Permit, Reach, permit_for
from dockd.central.people.sessions import SignedIn
from dockd.central.refusals import DOCKS_ONLY, FORM_OUTDATED, NOT_ALLOWED, PASSWORD_FIRST, SIGN_IN_REQUIRED
from dockd.central.services import SERVICES, Services
from dockd.central.viewer import Viewer, viewed_by
from dockd.rules.roles import Permission, is_bound_to_site, may
from dockd.web.forms import read_form
from dockd.web.problems import Refusal, problem_of, problem_response

if TYPE_CHECKING:  # loaded only where people sign in
    from dockd.central.people.service import People

FORM_TOKEN = "form_token"  # noqa: S105 - a field's name
TOKEN_HEADER = "X-Form-Token"  # noqa: S105 - a header's name

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_WHOSE = ("dock", "session", "recording", "digest", "name")


def stand_before(app: web.Application, *, is_https: bool) -> None:
    """Put the door before everything that `app` serves. Call it after the docks' door was put there."""
    app.middlewares.append(people_door)
    if is_https:
        app.on_response_prepare.append(_stay_on_https)


@web.middleware
async def people_door(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in who may. Raises Refusal (401, 403); sends a browser that must sign in to the page for it."""
    resource = request.match_info.route.resource
    if resource is None:  # no such address, or not this method: nothing is told but that
        return await handler(request)
    services = request.app[SERVICES]
    permit = permit_for(request.method, resource.canonical)
    if services.people is None or calling_dock(request) is not None:
        return await _answered(request, handler, services, permit)
    if permit is None:
        raise Refusal(NOT_ALLOWED, "This address is in no list of what people may do, so nobody may.")
    if permit.asks is Gate.INVITED:
        return await _answered(request, handler, services, permit)
    people = services.people
    if permit.asks is Gate.ANYONE and not resource.canonical.startswith("/sign-in"):
        return await _answered(request, handler, services, permit)  # public, whoever asks: nobody is looked up
    person = await _who(request, people)
    if person is not None:
        note_person(request, person)
    if permit.asks is Gate.DOCKS:
        raise Refusal(DOCKS_ONLY, "This centre takes it from enrolled docks only, which show their certificate.")
    if permit.asks is not Gate.ANYONE:
        if person is None:
            return _to_sign_in(request)
        _check_password_is_own(request, resource.canonical, person)
        await _check_may(request, people, permit, person)
    secret = _form_secret(request, people, permit)
    await _check_meant(request, secret, person)
    with viewed_by(_viewer(person, secret)):
        return await _answered(request, handler, services, permit)


async def _answered(
    request: web.Request, handler: Handler, services: Services, permit: Permit | None
) -> web.StreamResponse:
    if permit is not None and permit.look is not None:
        await _write_down(request, services, permit.look)
    return await handler(request)


async def _write_down(request: web.Request, services: Services, look: Look) -> None:
    """First the fact, then the look: what cannot be written down is not shown. Raises Refusal (503, 507)."""
    named = {name: request.match_info[name][:200] for name in _WHOSE if name in request.match_info}
    about = {"what": look.value, **named}
    await services.centre_facts.add(kind="Looked", actor=acting_person(request), about=about)


async def _who(request: web.Request, people: People) -> SignedIn | None:
    header = request.headers.get("Authorization", "")
    if header and _is_api(request):
        scheme, _, token = header.partition(" ")
        return await people.scripts.who(token.strip()) if scheme.lower() == "bearer" else None
    held = people.cookies.session(request)
    return await people.sessions.who(held) if held is not None else None


def _to_sign_in(request: web.Request) -> web.StreamResponse:
    if _is_api(request) or request.method not in _SAFE_METHODS:
        problem, _ = problem_of(
            Refusal(
                SIGN_IN_REQUIRED,
                "Sign in on the centre's page first; a script sends `Authorization: Bearer` and its token.",
            )
        )
        return problem_response(problem, {"WWW-Authenticate": "Bearer"})  # RFC 9110, section 15.5.2
    raise web.HTTPSeeOther(f"/sign-in?next={quote(request.path_qs, safe='/')}", headers={"Cache-Control": "no-store"})


def _check_password_is_own(request: web.Request, path: str, person: SignedIn) -> None:
    if not person.must_change_password or (request.method, path) in BEFORE_NEW_PASSWORD:
        return
    if _is_api(request) or request.method not in _SAFE_METHODS:
        raise Refusal(PASSWORD_FIRST, "Choose a password of your own first, on the page of your account.")
    raise web.HTTPSeeOther("/account", headers={"Cache-Control": "no-store"})


async def _check_may(request: web.Request, people: People, permit: Permit, person: SignedIn) -> None:
    if isinstance(permit.asks, Permission) and not may(person.role, permit.asks):
        raise Refusal(NOT_ALLOWED, "Your role at this centre does not hold this. Ask an administrator if it should.")
    if isinstance(permit.asks, Gate) or not is_bound_to_site(person.role):
        return
    docks = await people.own_docks.at(person.site)
    note_seen_docks(request, docks)
    if permit.reach is Reach.FORCE:
        raise Refusal(NOT_ALLOWED, "This is of all sites together, and your account is of one site.")
    if permit.reach is Reach.DOCK and request.match_info["dock"] not in docks:
        # The same words for a dock that is elsewhere and one that is nowhere.
        raise Refusal(NOT_ALLOWED, "No dock of this name stands at your site.")


def _form_secret(request: web.Request, people: People, permit: Permit) -> str | None:
    """What the form's token is made from: the visit's token where nobody need have signed in, else the session's."""
    if permit.asks is Gate.ANYONE:
        return people.cookies.visit(request)
    return people.cookies.session(request)


async def _check_meant(request: web.Request, secret: str | None, person: SignedIn | None) -> None:
    """Raise Refusal unless whoever holds the cookie meant this change: another site can send the cookie along."""
    if request.method in _SAFE_METHODS:
        return
    if person is not None and person.session_hash is None:
        return  # a script sends its token itself; no browser adds it
    if "Sec-Fetch-Site" not in request.headers and "Origin" not in request.headers:
        raise Refusal(FORM_OUTDATED, "Only a browser may send this form; it did not say where the form came from.")
    given = request.headers.get(TOKEN_HEADER)
    if given is None and not _is_api(request):
        given = (await read_form(request)).get(FORM_TOKEN)
    if secret is None or given is None or not is_form_token(given, secret):
        raise Refusal(
            FORM_OUTDATED, "This form is not of your present session, so nothing was changed. Open the page again."
        )


async def _stay_on_https(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")  # RFC 6797: a year


def _viewer(person: SignedIn | None, secret: str | None) -> Viewer:
    token = form_token(secret) if secret is not None else ""
    if person is None:
        return Viewer(is_asked=True, form_token=token)
    return Viewer(is_asked=True, person=person.person, full_name=person.full_name, role=person.role, form_token=token)


def _is_api(request: web.Request) -> bool:
    return request.path.startswith("/api/")
