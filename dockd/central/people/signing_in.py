"""Signing in with a name and a password, and with what an identity provider has proved.

The order is the defence: count the attempt, compare, and only then look at anything else about the account. Whoever is
refused hears one sentence, whichever of name, password and account was wrong, after the same work.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database
from dockd.central.people.accounts import Account, Accounts, NewAccount
from dockd.central.people.lockout import Attempt, LockOut
from dockd.central.people.names import parse_new_password, parse_person
from dockd.central.people.random_tokens import is_token, new_token, token_hash
from dockd.central.people.sessions import Sessions
from dockd.central.people.tables import known_browsers
from dockd.central.refusals import PROVIDER_REFUSED, WRONG_SIGN_IN
from dockd.clock import Clock
from dockd.errors import AccountRefused, BadRequest
from dockd.rules.roles import Role, is_bound_to_site
from dockd.web.problems import Refusal

if TYPE_CHECKING:  # hashing is loaded only where people sign in
    from dockd.central.people.passwords import Passwords

_BROWSER_KNOWN_FOR = timedelta(days=400)
_WRONG = "Name and password do not fit together. Nothing is told about which of them is wrong."


@dataclass(frozen=True, slots=True)
class Caller:
    """Where somebody signs in from. `known_token` is what the browser kept of an earlier time, unchecked."""

    address: str
    browser: str
    known_token: str | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """A session that began: its token, and the token by which this browser is known from now on."""

    session_token: str
    browser_token: str


@dataclass(frozen=True, slots=True)
class Proved:
    """What an identity provider has proved of a person. `name` is what it calls them."""

    issuer: str
    subject: str
    name: str
    full_name: str
    role: Role
    site: str | None


class SigningIn:
    """Lets people in."""

    def __init__(
        self,
        database: Database,
        facts: CentreFacts,
        clock: Clock,
        *,
        accounts: Accounts,
        passwords: Passwords,
        sessions: Sessions,
        lockout: LockOut,
    ) -> None:
        self._database = database
        self._facts = facts
        self._clock = clock
        self._accounts = accounts
        self._passwords = passwords
        self._sessions = sessions
        self._lockout = lockout

    async def with_password(self, untrusted_name: str, untrusted_password: str, caller: Caller) -> Begun:
        """Begin a session. Raises Refusal (401 `wrong-sign-in`, 429 `too-many-tries`, 503)."""
        try:
            name = parse_person(untrusted_name)
        except BadRequest:
            name = ""  # nobody's, and it costs the same to hear that
        known = await self._known(name, caller.known_token)
        attempt = await self._lockout.begin(name, caller.address, known_browser=known)
        kept = await self._accounts.password_hash(name)
        if not await self._passwords.compare(kept, untrusted_password):
            await self._lockout.failed(attempt)
            raise Refusal(WRONG_SIGN_IN, _WRONG)
        await self._lockout.succeeded(attempt)
        if kept is not None and self._passwords.is_outdated(kept):
            await self._accounts.renew_hash(name, kept, await self._passwords.hash(untrusted_password))
        return await self._begin(name, "password", caller, known)

    async def with_proof(self, proved: Proved, caller: Caller) -> Begun:
        """Begin a session for whom the provider has proved. Raises Refusal (401 `provider-refused`, 503).

        Their role and site follow the provider at each sign-in. An account with a password is never taken over because
        the provider calls somebody by its name.
        """
        account = await self._accounts.at_provider(proved.issuer, proved.subject)
        if account is not None and account.is_disabled:
            raise Refusal(PROVIDER_REFUSED, "This account is disabled here. Ask an administrator of this centre.")
        try:
            person = account.person if account is not None else await self._add(proved)
            await self._accounts.give_role(person, proved.role, proved.site, by=f"oidc:{proved.issuer}")
        except (AccountRefused, BadRequest) as error:
            raise Refusal(PROVIDER_REFUSED, f"{error.what} Ask an administrator of this centre.") from error
        return await self._begin(person, "oidc", caller, await self._known(person, caller.known_token))

    async def begin_proof(self, caller: Caller) -> Attempt:
        """Count somebody who comes back from the identity provider. Raises Refusal (429, 503)."""
        known = await self._known(None, caller.known_token)
        return await self._lockout.begin_proof(caller.address, known_browser=known)

    async def end_proof(self, attempt: Attempt, refusal: Refusal | None) -> None:
        """Keep how it ended: a refusal as a fact. That the provider is away is nobody's failure."""
        if refusal is not None and refusal.kind is PROVIDER_REFUSED:
            await self._lockout.failed(attempt, way="oidc")
        else:
            await self._lockout.succeeded(attempt)

    async def forget_old(self) -> None:
        """Drop the browsers whose cookie has ended."""
        is_old = known_browsers.c.known_since < self._clock.now() - _BROWSER_KNOWN_FOR
        async with self._database.writing() as connection:
            await connection.execute(delete(known_browsers).where(is_old))

    async def check_password(self, person: str, untrusted_password: str, caller: Caller) -> None:
        """See that somebody who has signed in knows their own password. Raises Refusal (401, 429, 503)."""
        known = await self._known(person, caller.known_token)
        attempt = await self._lockout.begin(person, caller.address, known_browser=known)
        if not await self._passwords.compare(await self._accounts.password_hash(person), untrusted_password):
            await self._lockout.failed(attempt)
            raise Refusal(WRONG_SIGN_IN, "That is not your present password. Nothing was changed.")
        await self._lockout.succeeded(attempt)

    async def change_password(
        self, account: Account, present: str, wanted: str, caller: Caller, *, session_hash: str | None
    ) -> None:
        """Change one's own password; every other session of the person ends.

        Raises BadRequest, AccountRefused, Refusal (401, 429, 503).
        """
        password = parse_new_password(wanted, account.person)
        await self.check_password(account.person, present, caller)
        if present == wanted:
            raise BadRequest("The new password is the present one: choose another.")
        hashed = await self._passwords.hash(password)
        await self._accounts.set_password(
            account.person, hashed, by=account.person, must_change=False, kept_session_hash=session_hash
        )

    async def hash_of(self, password: str) -> str:
        """A hash to keep for an account. Raises Refusal (503)."""
        return await self._passwords.hash(password)

    async def _add(self, proved: Proved) -> str:
        person = parse_person(proved.name)
        await self._accounts.add(
            NewAccount(
                person=person,
                full_name=proved.full_name,
                role=proved.role,
                site=proved.site,
                issuer=proved.issuer,
                subject=proved.subject,
            ),
            by=f"oidc:{proved.issuer}",
        )
        return person

    async def _begin(self, person: str, way: str, caller: Caller, known: str | None) -> Begun:
        token = await self._sessions.begin(person, way=way, address=caller.address, browser=caller.browser)
        if known is not None and caller.known_token is not None:
            return Begun(token, caller.known_token)
        browser_token = new_token()
        row = {"token_hash": token_hash(browser_token), "person": person, "known_since": self._clock.now()}
        async with self._database.writing() as connection:
            await connection.execute(insert(known_browsers), [row])
        return Begun(token, browser_token)

    async def _known(self, person: str | None, untrusted_token: str | None) -> str | None:
        """The hash of the browser's token when this very person (None: anybody) signed in there before."""
        if untrusted_token is None or not is_token(untrusted_token):
            return None
        hashed = token_hash(untrusted_token)
        is_it = known_browsers.c.token_hash == hashed
        if person is not None:
            is_it &= known_browsers.c.person == person
        async with self._database.reading() as connection:
            found = (await connection.execute(select(known_browsers.c.person).where(is_it))).first()
        return hashed if found is not None else None


def site_of(role: Role, untrusted_site: str | None) -> str | None:
    """The site that goes with a role: none where the role is not bound to one."""
    return untrusted_site if is_bound_to_site(role) else None
