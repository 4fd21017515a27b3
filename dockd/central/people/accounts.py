"""Accounts: who there is, in which role, and every change of that with its fact.

Knows the table of people; must not know requests. Each change and its fact are one transaction. Raises NotFound,
BadRequest, AccountRefused, Refusal (503, 507).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database
from dockd.central.people.tables import known_browsers, people, people_sessions, people_tokens
from dockd.central.tables import centre, sites
from dockd.clock import Clock
from dockd.errors import AccountRefused, BadRequest, NotFound
from dockd.model.canonical import Json
from dockd.rules.roles import Role, is_bound_to_site

MOST_PEOPLE = 2_000


@dataclass(frozen=True, slots=True)
class Account:
    """One person. `site` is set where the role is bound to one."""

    person: str
    full_name: str
    role: Role
    site: str | None
    has_password: bool
    must_change_password: bool
    issuer: str | None
    is_disabled: bool
    created_at: datetime
    signed_in_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What is needed for a person; exactly one of `password_hash` and `subject` is set."""

    person: str
    full_name: str
    role: Role
    site: str | None
    password_hash: str | None = None
    must_change_password: bool = False
    issuer: str | None = None
    subject: str | None = None


class Accounts:
    """All accounts of this centre. `by` is always who does it, for the fact."""

    def __init__(self, database: Database, facts: CentreFacts, clock: Clock) -> None:
        self._database = database
        self._facts = facts
        self._clock = clock

    async def all(self) -> tuple[Account, ...]:
        """Everybody by name, at most MOST_PEOPLE."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(people).order_by(people.c.person).limit(MOST_PEOPLE))).all()
        return tuple(map(account_of, rows))

    async def one(self, person: str) -> Account:
        """One account. Raises NotFound."""
        found = await self._row(people.c.person == person)
        if found is None:
            raise _nobody()
        return account_of(found)

    async def password_hash(self, person: str) -> str | None:
        """The hash of an enabled account's password; None where there is none to compare with."""
        found = await self._row(people.c.person == person)
        return found.password_hash if found is not None and not found.is_disabled else None

    async def at_provider(self, issuer: str, subject: str) -> Account | None:
        """Whoever has signed in as this `subject` before."""
        found = await self._row((people.c.issuer == issuer) & (people.c.subject == subject))
        return account_of(found) if found is not None else None

    async def site_names(self) -> dict[str, str]:
        """The sites that a person may belong to, by id."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(sites.c.site, sites.c.name).order_by(sites.c.name))).all()
        return {row.site: row.name for row in rows}

    async def add(self, new: NewAccount, *, by: str) -> None:
        """Make an account. A name is given once, for good: facts go on naming it. Raises AccountRefused."""
        now = self._clock.now()
        row = {
            "person": new.person,
            "full_name": new.full_name,
            "role": new.role.value,
            "site": new.site,
            "password_hash": new.password_hash,
            "must_change_password": new.must_change_password,
            "issuer": new.issuer,
            "subject": new.subject,
            "is_disabled": False,
            "created_at": now,
            "changed_at": now,
            "signed_in_at": None,
        }
        async with self._database.writing() as connection:
            await _check_place(connection, new.role, new.site)
            # Whoever adds waits here for the others, in every process: what is looked up then stays so.
            await connection.execute(select(centre).with_for_update())
            is_taken = people.c.person == new.person
            if new.subject is not None:
                is_taken |= (people.c.issuer == new.issuer) & (people.c.subject == new.subject)
            if (await connection.execute(select(people.c.person).where(is_taken))).first() is not None:
                raise _taken(new.person)
            await connection.execute(insert(people), [row])
            about: dict[str, Json] = {"person": new.person, "role": new.role.value, "site": new.site}
            await self._facts.add_in(
                connection, kind="PersonAdded", actor=by, about={**about, "is_of_provider": new.subject is not None}
            )

    async def give_role(self, person: str, role: Role, site: str | None, *, by: str) -> None:
        """Change what somebody is; it counts with their next request."""
        async with self._database.writing() as connection:
            held = await self._locked(connection, person)
            await _check_place(connection, role, site)
            if (held.role, held.site) == (role.value, site):
                return
            if role is not Role.ADMINISTRATOR:
                await self._check_another_administrator(connection, held)
            await self._change(connection, person, {"role": role.value, "site": site})
            about: dict[str, Json] = {"person": person, "role": role.value, "site": site, "role_before": held.role}
            await self._facts.add_in(connection, kind="PersonRoleChanged", actor=by, about=about)

    async def disable(self, person: str, *, by: str) -> None:
        """Nobody signs in as this person any more; their sessions and tokens end. Footage and facts stay."""
        async with self._database.writing() as connection:
            held = await self._locked(connection, person)
            if held.is_disabled:
                return
            await self._check_another_administrator(connection, held)
            await self._change(connection, person, {"is_disabled": True})
            await end_everything(connection, person, self._clock.now())
            await self._facts.add_in(connection, kind="PersonDisabled", actor=by, about={"person": person})

    async def enable(self, person: str, *, by: str) -> None:
        """Let them sign in again. What ended stays ended."""
        async with self._database.writing() as connection:
            held = await self._locked(connection, person)
            if not held.is_disabled:
                return
            await self._change(connection, person, {"is_disabled": False})
            await self._facts.add_in(connection, kind="PersonEnabled", actor=by, about={"person": person})

    async def set_password(
        self, person: str, password_hash: str, *, by: str, must_change: bool, kept_session_hash: str | None = None
    ) -> None:
        """Give another password and end every session but the one of `kept_session_hash`.

        Raises AccountRefused for a person of the identity provider, who has none here.
        """
        async with self._database.writing() as connection:
            held = await self._locked(connection, person)
            if held.subject is not None:
                raise AccountRefused(f"{person} signs in at the identity provider and has no password here.")
            await self._change(
                connection, person, {"password_hash": password_hash, "must_change_password": must_change}
            )
            await end_sessions(connection, person, self._clock.now(), but_hash=kept_session_hash)
            if must_change:  # someone else set it: a script that was copied with the old one must not go on
                await end_everything(connection, person, self._clock.now())
            await self._facts.add_in(
                connection,
                kind="PasswordReset" if must_change else "PasswordChanged",
                actor=by,
                about={"person": person},
            )

    async def renew_hash(self, person: str, old: str, new: str) -> None:
        """The same password at today's cost; no fact, because nothing changed for anybody."""
        async with self._database.writing() as connection:
            is_it = (people.c.person == person) & (people.c.password_hash == old)
            await connection.execute(update(people).where(is_it).values(password_hash=new))

    async def is_any_administrator(self) -> bool:
        """Whether anyone could administer this centre."""
        async with self._database.reading() as connection:
            is_one = (people.c.role == Role.ADMINISTRATOR.value) & people.c.is_disabled.is_(False)
            return (await connection.execute(select(people.c.person).where(is_one).limit(1))).first() is not None

    # --- inside -------------------------------------------------------------------------------

    async def _row(self, is_it: Any) -> Row[Any] | None:
        async with self._database.reading() as connection:
            return (await connection.execute(select(people).where(is_it))).first()

    async def _locked(self, connection: AsyncConnection, person: str) -> Row[Any]:
        # The centre's own row first: two administrators who remove each other at the same moment wait here.
        await connection.execute(select(centre).with_for_update())
        found = (await connection.execute(select(people).where(people.c.person == person).with_for_update())).first()
        if found is None:
            raise _nobody()
        return found

    async def _change(self, connection: AsyncConnection, person: str, values: Mapping[str, Any]) -> None:
        changed = {**values, "changed_at": self._clock.now()}
        await connection.execute(update(people).where(people.c.person == person).values(**changed))

    async def _check_another_administrator(self, connection: AsyncConnection, held: Row[Any]) -> None:
        if held.role != Role.ADMINISTRATOR.value or held.is_disabled:
            return
        is_other = (
            (people.c.role == Role.ADMINISTRATOR.value)
            & people.c.is_disabled.is_(False)
            & (people.c.person != held.person)
        )
        if not (await connection.execute(select(func.count()).select_from(people).where(is_other))).scalar_one():
            raise AccountRefused(f"{held.person} is the last administrator.", action="Make another one first.")


async def end_sessions(connection: AsyncConnection, person: str, now: datetime, *, but_hash: str | None = None) -> int:
    """End the open sessions of `person` but one; returns how many."""
    is_open = (people_sessions.c.person == person) & people_sessions.c.ended_at.is_(None)
    if but_hash is not None:
        is_open &= people_sessions.c.token_hash != but_hash
    return (await connection.execute(update(people_sessions).where(is_open).values(ended_at=now))).rowcount


async def end_everything(connection: AsyncConnection, person: str, now: datetime) -> None:
    """End sessions and tokens of `person`, and forget the browsers they were known by."""
    await end_sessions(connection, person, now)
    is_open = (people_tokens.c.person == person) & people_tokens.c.revoked_at.is_(None)
    await connection.execute(update(people_tokens).where(is_open).values(revoked_at=now))
    await connection.execute(delete(known_browsers).where(known_browsers.c.person == person))


def account_of(row: Row[Any]) -> Account:
    """A row of `people` as an Account."""
    return Account(
        person=row.person,
        full_name=row.full_name,
        role=Role(row.role),
        site=row.site,
        has_password=row.password_hash is not None,
        must_change_password=row.must_change_password,
        issuer=row.issuer,
        is_disabled=row.is_disabled,
        created_at=row.created_at,
        signed_in_at=row.signed_in_at,
    )


async def _check_place(connection: AsyncConnection, role: Role, site: str | None) -> None:
    if not is_bound_to_site(role):
        if site is not None:
            raise BadRequest("Only station staff belong to one site; leave the site empty.")
        return
    if site is None:
        raise BadRequest("Station staff belong to a site: choose one.")
    if (await connection.execute(select(sites.c.site).where(sites.c.site == site))).first() is None:
        raise BadRequest("No list of sites names this site: import it first (`dockd central import sites`).")


def _taken(person: str) -> AccountRefused:
    return AccountRefused(f"There is an account {person} already; names are never given twice.")


def _nobody() -> NotFound:
    return NotFound("There is no account of this name.")
