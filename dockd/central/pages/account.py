"""One's own account: password, sessions, tokens for scripts."""

from __future__ import annotations

from aiohttp import web

from dockd.central.pages.people_forms import caller_of, fields_of, go_to, people_of, person_of
from dockd.central.people.names import SHORTEST_PASSWORD, parse_line
from dockd.central.services import SERVICES
from dockd.errors import BadRequest, DockdError
from dockd.rules.roles import ROLE_WORDS
from dockd.web.pages import Pages
from dockd.web.problems import Refusal, problem_of

_LONGEST_PURPOSE = 100


class AccountPages:
    """One method for each page and form."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def attach(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/account", self.account)
        app.router.add_post("/account/password", self.change_password)
        app.router.add_post("/account/sessions/end-others", self.end_others)
        app.router.add_post("/account/sessions/{session:[0-9a-f]{16}}/end", self.end_session)
        app.router.add_post("/account/tokens", self.make_token)
        app.router.add_post("/account/tokens/{token:[0-9a-f]{16}}/revoke", self.revoke_token)

    async def account(self, request: web.Request) -> web.Response:
        """Everything about oneself."""
        return await self._show(request, said="Your password was changed." if "changed" in request.query else None)

    async def change_password(self, request: web.Request) -> web.Response:
        """Change it; every other session ends."""
        people, person = people_of(request), person_of(request)
        fields = await fields_of(request)
        try:
            if fields.get("wanted") != fields.get("again"):
                raise BadRequest("The new password was not typed the same twice.")
            await people.signing_in.change_password(
                await people.accounts.one(person.person),
                fields.get("present", ""),
                fields.get("wanted", ""),
                caller_of(request, people),
                session_hash=person.session_hash,
            )
        except (BadRequest, Refusal) as error:
            return await self._show(request, problem=error)
        return go_to("/account?changed")

    async def end_others(self, request: web.Request) -> web.Response:
        """End every session but this one."""
        people, person = people_of(request), person_of(request)
        await people.sessions.end_all(person.person, by=person.person, but_hash=person.session_hash)
        return go_to("/account")

    async def end_session(self, request: web.Request) -> web.Response:
        """End one of one's own sessions."""
        people, person = people_of(request), person_of(request)
        await people.sessions.end_named(person.person, request.match_info["session"], by=person.person)
        return go_to("/account")

    async def make_token(self, request: web.Request) -> web.Response:
        """Make a token for a script and show it, once."""
        people, person = people_of(request), person_of(request)
        fields = await fields_of(request)
        try:
            purpose = parse_line(fields.get("purpose", ""), "What it is for", _LONGEST_PURPOSE)
            token = await people.scripts.make(person.person, purpose, by=person.person)
        except BadRequest as error:
            return await self._show(request, problem=error)
        return await self._show(request, token=token)

    async def revoke_token(self, request: web.Request) -> web.Response:
        """End one of one's own tokens."""
        people, person = people_of(request), person_of(request)
        await people.scripts.revoke(person.person, request.match_info["token"], by=person.person)
        return go_to("/account")

    async def _show(
        self,
        request: web.Request,
        *,
        problem: DockdError | None = None,
        token: str | None = None,
        said: str | None = None,
    ) -> web.Response:
        people, person = people_of(request), person_of(request)
        status = 200 if problem is None else problem_of(problem)[0].status
        return self._pages.respond(
            "account.html",
            status=status,
            me=await people.accounts.one(person.person),
            role=ROLE_WORDS[person.role],
            sessions=await people.sessions.open_of(person.person),
            this_session=person.session,
            tokens=await people.scripts.of(person.person),
            new_token=token,
            shortest=SHORTEST_PASSWORD,
            problem=None if problem is None else getattr(problem, "what", str(problem)),
            said=said,
            at=request.app[SERVICES].clock.now(),
        )
