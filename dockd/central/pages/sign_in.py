"""The pages for signing in and out. They tell nothing about accounts: one sentence for every way of being wrong."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from dockd.central.acting import signed_in
from dockd.central.pages.people_forms import caller_of, fields_of, go_to, origin_of, people_of
from dockd.central.people.cookies import form_token
from dockd.central.people.names import safe_next
from dockd.central.people.signing_in import Begun
from dockd.central.services import SERVICES
from dockd.web.pages import Pages
from dockd.web.problems import Refusal


class SignInPages:
    """One method for each page."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def attach(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/sign-in", self.form)
        app.router.add_post("/sign-in", self.sign_in)
        app.router.add_get("/sign-in/oidc", self.to_provider)
        app.router.add_get("/sign-in/oidc/back", self.from_provider)
        app.router.add_post("/sign-out", self.sign_out)

    async def form(self, request: web.Request) -> web.Response:
        """Name and password, or the way to the identity provider."""
        next_path = safe_next(request.query.get("next"))
        if request.app[SERVICES].people is None or signed_in(request) is not None:
            return go_to(next_path)
        return self._show(request, next_path)

    async def sign_in(self, request: web.Request) -> web.Response:
        """Take name and password."""
        people = people_of(request)
        fields = await fields_of(request)
        next_path = safe_next(fields.get("next"))
        try:
            begun = await people.signing_in.with_password(
                fields.get("name", ""), fields.get("password", ""), caller_of(request, people)
            )
        except Refusal as refusal:
            return self._show(request, next_path, refusal=refusal)
        return await self._begin(request, begun, next_path)

    async def to_provider(self, request: web.Request) -> web.Response:
        """Send the browser to the identity provider."""
        people = people_of(request)
        next_path = safe_next(request.query.get("next"))
        if people.oidc is None:
            return go_to("/sign-in")
        response = go_to("")
        visit = people.cookies.begin_visit(request, response)
        try:
            address = await people.oidc.begin(visit=visit, origin=origin_of(request, people), next_path=next_path)
        except Refusal as refusal:
            return self._show(request, next_path, refusal=refusal)
        response.headers["Location"] = address
        return response

    async def from_provider(self, request: web.Request) -> web.Response:
        """Take the browser back."""
        people = people_of(request)
        if people.oidc is None:
            return go_to("/sign-in")
        caller = caller_of(request, people)
        try:
            attempt = await people.signing_in.begin_proof(caller)
        except Refusal as refusal:
            return self._show(request, "/", refusal=refusal)
        try:
            back = await people.oidc.come_back(
                request.query, visit=people.cookies.visit(request), origin=origin_of(request, people)
            )
            begun = await people.signing_in.with_proof(back.proved, caller)
        except Refusal as refusal:
            await people.signing_in.end_proof(attempt, refusal)
            return self._show(request, "/", refusal=refusal)
        await people.signing_in.end_proof(attempt, None)
        return await self._begin(request, begun, back.next)

    async def sign_out(self, request: web.Request) -> web.Response:
        """End the session, here and in the browser."""
        people = people_of(request)
        token = people.cookies.session(request)
        if token is not None:
            await people.sessions.end(token)
        response = go_to("/sign-in")
        people.cookies.end_session(response)
        return response

    async def _begin(self, request: web.Request, begun: Begun, next_path: str) -> web.Response:
        """Whatever session the browser came with is over: none is carried over into the new one."""
        people = people_of(request)
        old = people.cookies.session(request)
        if old is not None:
            await people.sessions.end(old)
        response = go_to(next_path)
        people.cookies.begin_session(response, begun.session_token, begun.browser_token)
        return response

    def _show(self, request: web.Request, next_path: str, *, refusal: Refusal | None = None) -> web.Response:
        people = people_of(request)
        headers = {}
        if refusal is not None and refusal.retry_after_seconds is not None:
            headers["Retry-After"] = str(refusal.retry_after_seconds)
        response = web.Response()
        visit = people.cookies.begin_visit(request, response)
        page = self._pages.respond(
            "sign_in.html",
            status=200 if refusal is None else refusal.kind.status,
            headers=headers,
            problem=None if refusal is None else refusal.what,
            next=next_path,
            form_token=form_token(visit),
            provider=None if people.oidc is None else people.oidc.label,
            provider_address=f"/sign-in/oidc?{urlencode({'next': next_path})}",
        )
        for cookie in response.cookies.values():
            page.headers.add("Set-Cookie", cookie.OutputString())
        return page
