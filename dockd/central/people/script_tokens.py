"""Tokens of scripts: an export at night signs in with a file, not with somebody's password.

A token does what its person may look at, as long as that person may, and only in the API. Knows the tables; must not
know requests. Raises NotFound, BadRequest, Refusal (503, 507).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, insert, select, update

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database
from dockd.central.people.config import PeopleConfig
from dockd.central.people.random_tokens import is_token, new_name, new_token, token_hash
from dockd.central.people.sessions import SEEN_STEP, SignedIn, signed_in_of
from dockd.central.people.tables import people, people_tokens
from dockd.clock import Clock
from dockd.errors import BadRequest, NotFound

SCRIPT_PREFIX = "dockd_"
"""What a script's token begins with, so that secret scanners and people know one when they see it."""

MOST_TOKENS = 20


@dataclass(frozen=True, slots=True)
class ScriptToken:
    """One token as pages show it."""

    token: str
    person: str
    purpose: str
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None


class ScriptTokens:
    """All tokens of this centre."""

    def __init__(self, database: Database, facts: CentreFacts, clock: Clock, config: PeopleConfig) -> None:
        self._database = database
        self._facts = facts
        self._clock = clock
        self._lifetime = timedelta(days=config.token_days)

    async def who(self, untrusted_token: str) -> SignedIn | None:
        """Whose script this is; None when the token is nobody's, revoked or expired, or the account disabled."""
        bare = untrusted_token.removeprefix(SCRIPT_PREFIX)
        if bare == untrusted_token or not is_token(bare):
            return None
        hashed, now = token_hash(bare), self._clock.now()
        question = (
            select(people_tokens.c.used_at, people)
            .join(people, people.c.person == people_tokens.c.person)
            .where(
                people_tokens.c.token_hash == hashed,
                people_tokens.c.revoked_at.is_(None),
                people_tokens.c.expires_at > now,
                people.c.is_disabled.is_(False),
            )
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(question)).first()
        if row is None:
            return None
        if row.used_at is None or now - row.used_at >= SEEN_STEP:
            async with self._database.writing() as connection:
                await connection.execute(
                    update(people_tokens).where(people_tokens.c.token_hash == hashed).values(used_at=now)
                )
        return signed_in_of(row, session_hash=None, session=None)

    async def make(self, person: str, purpose: str, *, by: str) -> str:
        """A token with which a script does what `person` may look at; told once. Raises BadRequest at MOST_TOKENS."""
        token, name, now = new_token(), new_name(), self._clock.now()
        row = {
            "token_hash": token_hash(token),
            "token": name,
            "person": person,
            "purpose": purpose,
            "made_at": now,
            "expires_at": now + self._lifetime,
            "used_at": None,
            "revoked_at": None,
        }
        async with self._database.writing() as connection:
            if len((await connection.execute(self._tokens(person))).all()) >= MOST_TOKENS:
                raise BadRequest(f"There are {MOST_TOKENS} tokens already: revoke one that is not needed.")
            await connection.execute(insert(people_tokens), [row])
            about = {"person": person, "token": name, "purpose": purpose}
            await self._facts.add_in(connection, kind="TokenMade", actor=by, about=about)
        return SCRIPT_PREFIX + token

    async def revoke(self, person: str, token: str, *, by: str) -> None:
        """End a token of `person` by what pages call it. Raises NotFound."""
        is_it = and_(people_tokens.c.token == token, people_tokens.c.person == person)
        async with self._database.writing() as connection:
            if (await connection.execute(select(people_tokens).where(is_it))).first() is None:
                raise NotFound("There is no such token.")
            is_open = and_(is_it, people_tokens.c.revoked_at.is_(None))
            ended = await connection.execute(update(people_tokens).where(is_open).values(revoked_at=self._clock.now()))
            if ended.rowcount:
                about = {"person": person, "token": token}
                await self._facts.add_in(connection, kind="TokenRevoked", actor=by, about=about)

    async def of(self, person: str) -> tuple[ScriptToken, ...]:
        """The tokens of `person` that hold, the newest first."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(self._tokens(person))).all()
        return tuple(
            ScriptToken(row.token, row.person, row.purpose, row.made_at, row.expires_at, row.used_at) for row in rows
        )

    def _tokens(self, person: str) -> Select[Any]:
        return (
            select(people_tokens)
            .where(
                people_tokens.c.person == person,
                people_tokens.c.revoked_at.is_(None),
                people_tokens.c.expires_at > self._clock.now(),
            )
            .order_by(people_tokens.c.made_at.desc(), people_tokens.c.token)
        )
