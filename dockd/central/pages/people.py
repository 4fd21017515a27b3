"""The administrator's pages: who there is, and every change of that. Each change is a fact under the own name."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from dockd.central.acting import acting_person
from dockd.central.pages.people_forms import fields_of, go_to, people_of, role_in
from dockd.central.people.accounts import NewAccount
from dockd.central.people.names import new_password, parse_line, parse_person
from dockd.central.people.signing_in import site_of
from dockd.central.services import SERVICES
from dockd.errors import AccountRefused, BadRequest, DockdError
from dockd.model.ids import parse_id
from dockd.rules.roles import ROLE_WORDS, Role
from dockd.web.pages import Pages
from dockd.web.problems import problem_of


class PeoplePages:
    """One method for each page and form."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def attach(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/people", self.people)
        app.router.add_post("/people", self.add)
        app.router.add_get("/people/{person}", self.person)
        app.router.add_post("/people/{person}/role", self.give_role)
        app.router.add_post("/people/{person}/disable", self.disable)
        app.router.add_post("/people/{person}/enable", self.enable)
        app.router.add_post("/people/{person}/unlock", self.unlock)
        app.router.add_post("/people/{person}/end-sessions", self.end_sessions)
        app.router.add_post("/people/{person}/reset-password", self.reset_password)
        app.router.add_post("/people/{person}/tokens/{token:[0-9a-f]{16}}/revoke", self.revoke_token)

    async def people(self, request: web.Request) -> web.Response:
        """Everybody, and the form for one more."""
        return await self._show_all(request)

    async def add(self, request: web.Request) -> web.Response:
        """Add somebody, with a password that is shown once."""
        people = people_of(request)
        fields = await fields_of(request)
        password = new_password()
        try:
            role = role_in(fields)
            new = NewAccount(
                person=parse_person(fields.get("name", "")),
                full_name=parse_line(fields.get("full_name", ""), "The full name"),
                role=role,
                site=_site(role, fields),
                password_hash=await people.signing_in.hash_of(password),
                must_change_password=True,
            )
            await people.accounts.add(new, by=acting_person(request))
        except (BadRequest, AccountRefused) as error:
            return await self._show_all(request, problem=error, typed=fields)
        return await self._show(request, new.person, password=password)

    async def person(self, request: web.Request) -> web.Response:
        """One account: role, sessions, tokens."""
        return await self._show(request, _named(request))

    async def give_role(self, request: web.Request) -> web.Response:
        """Change role and site."""
        fields = await fields_of(request)
        person = _named(request)
        try:
            role = role_in(fields)
            await people_of(request).accounts.give_role(person, role, _site(role, fields), by=acting_person(request))
        except (BadRequest, AccountRefused) as error:
            return await self._show(request, person, problem=error)
        return _back_to(person)

    async def disable(self, request: web.Request) -> web.Response:
        """Let somebody in no more."""
        person = _named(request)
        try:
            await people_of(request).accounts.disable(person, by=acting_person(request))
        except AccountRefused as error:
            return await self._show(request, person, problem=error)
        return _back_to(person)

    async def enable(self, request: web.Request) -> web.Response:
        """Let somebody in again."""
        person = _named(request)
        await people_of(request).accounts.enable(person, by=acting_person(request))
        return _back_to(person)

    async def unlock(self, request: web.Request) -> web.Response:
        """Forget how often somebody's password was guessed wrongly."""
        people, person = people_of(request), _named(request)
        await people.accounts.one(person)
        await people.lockout.unlock(person, by=acting_person(request))
        return _back_to(person)

    async def end_sessions(self, request: web.Request) -> web.Response:
        """End every session of somebody."""
        people, person = people_of(request), _named(request)
        await people.accounts.one(person)
        await people.sessions.end_all(person, by=acting_person(request))
        return _back_to(person)

    async def reset_password(self, request: web.Request) -> web.Response:
        """Give somebody a password that is shown once and must be changed; whatever was open ends."""
        people, person = people_of(request), _named(request)
        password = new_password()
        try:
            hashed = await people.signing_in.hash_of(password)
            await people.accounts.set_password(person, hashed, by=acting_person(request), must_change=True)
        except AccountRefused as error:
            return await self._show(request, person, problem=error)
        return await self._show(request, person, password=password)

    async def revoke_token(self, request: web.Request) -> web.Response:
        """End a script's token."""
        people, person = people_of(request), _named(request)
        await people.scripts.revoke(person, request.match_info["token"], by=acting_person(request))
        return _back_to(person)

    async def _show_all(
        self, request: web.Request, *, problem: DockdError | None = None, typed: dict[str, str] | None = None
    ) -> web.Response:
        people = people_of(request)
        return self._pages.respond(
            "people.html",
            status=_status(problem),
            people=await people.accounts.all(),
            sites=await people.accounts.site_names(),
            roles=ROLE_WORDS,
            typed=typed or {},
            problem=_words(problem),
        )

    async def _show(
        self, request: web.Request, person: str, *, problem: DockdError | None = None, password: str | None = None
    ) -> web.Response:
        people = people_of(request)
        return self._pages.respond(
            "person.html",
            status=_status(problem),
            one=await people.accounts.one(person),
            address=f"/people/{quote(person, safe='')}",
            sites=await people.accounts.site_names(),
            roles=ROLE_WORDS,
            sessions=await people.sessions.open_of(person),
            tokens=await people.scripts.of(person),
            locked_until=await people.lockout.locked_until(person),
            new_password=password,
            problem=_words(problem),
            at=request.app[SERVICES].clock.now(),
        )


def _named(request: web.Request) -> str:
    return parse_person(request.match_info["person"])


def _site(role: Role, fields: dict[str, str]) -> str | None:
    text = fields.get("site", "").strip()
    return site_of(role, parse_id(text, "site") if text else None)


def _back_to(person: str) -> web.Response:
    return go_to(f"/people/{quote(person, safe='')}")


def _status(problem: DockdError | None) -> int:
    return 200 if problem is None else problem_of(problem)[0].status


def _words(problem: DockdError | None) -> str | None:
    return None if problem is None else f"{problem.what} {problem.action}"
