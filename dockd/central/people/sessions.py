"""Sessions of browsers: random, kept as hashes, looked up afresh at every request.

So what was ended, a role that was changed and an account that was disabled count at once, in every process. Knows the
tables; must not know requests. Raises NotFound, Refusal (503, 507).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, delete, insert, select, update

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database
from dockd.central.people.accounts import end_sessions
from dockd.central.people.config import PeopleConfig
from dockd.central.people.random_tokens import is_token, new_name, new_token, token_hash
from dockd.central.people.tables import people, people_sessions
from dockd.clock import Clock
from dockd.errors import NotFound
from dockd.model.canonical import Json
from dockd.rules.roles import Role

MOST_SHOWN = 100
SEEN_STEP = timedelta(minutes=1)
"""Times of last use are as exact as this: not every request writes."""

_KEEP_ENDED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whoever a request comes from. `session_hash` is None for a script."""

    person: str
    full_name: str
    role: Role
    site: str | None
    must_change_password: bool
    session_hash: str | None
    session: str | None


@dataclass(frozen=True, slots=True)
class OpenSession:
    """One session as pages show it."""

    session: str
    person: str
    began_at: datetime
    seen_at: datetime
    address: str
    browser: str
    way: str


class Sessions:
    """All sessions of this centre."""

    def __init__(self, database: Database, facts: CentreFacts, clock: Clock, config: PeopleConfig) -> None:
        self._database = database
        self._facts = facts
        self._clock = clock
        self._idle = timedelta(minutes=config.idle_minutes)
        self._longest = timedelta(hours=config.session_hours)

    async def who(self, untrusted_token: str) -> SignedIn | None:
        """Whose session this is; None when it is nobody's, ended, idle too long or too old."""
        if not is_token(untrusted_token):
            return None
        hashed = token_hash(untrusted_token)
        now = self._clock.now()
        question = (
            select(people_sessions.c.session, people_sessions.c.seen_at, people)
            .join(people, people.c.person == people_sessions.c.person)
            .where(
                people_sessions.c.token_hash == hashed,
                people_sessions.c.ended_at.is_(None),
                people_sessions.c.seen_at > now - self._idle,
                people_sessions.c.began_at > now - self._longest,
                people.c.is_disabled.is_(False),
            )
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(question)).first()
        if row is None:
            return None
        if now - row.seen_at >= min(SEEN_STEP, self._idle / 4):
            async with self._database.writing() as connection:
                is_it = and_(people_sessions.c.token_hash == hashed, people_sessions.c.seen_at < now)
                await connection.execute(update(people_sessions).where(is_it).values(seen_at=now))
        return signed_in_of(row, session_hash=hashed, session=row.session)

    async def begin(self, person: str, *, way: str, address: str, browser: str) -> str:
        """Begin a session and return its token, which is told nowhere else. With its fact."""
        token, name, now = new_token(), new_name(), self._clock.now()
        row = {
            "token_hash": token_hash(token),
            "session": name,
            "person": person,
            "began_at": now,
            "seen_at": now,
            "address": address,
            "browser": browser,
            "way": way,
            "ended_at": None,
        }
        async with self._database.writing() as connection:
            await connection.execute(insert(people_sessions), [row])
            await connection.execute(update(people).where(people.c.person == person).values(signed_in_at=now))
            about = {"person": person, "way": way, "address": address, "session": name}
            await self._facts.add_in(connection, kind="SignedIn", actor=person, about=about)
        return token

    async def end(self, untrusted_token: str) -> None:
        """Sign out. Nothing happens when the session is over already."""
        hashed = token_hash(untrusted_token)
        is_it = and_(people_sessions.c.token_hash == hashed, people_sessions.c.ended_at.is_(None))
        async with self._database.writing() as connection:
            row = (await connection.execute(select(people_sessions).where(is_it).with_for_update())).first()
            if row is None:
                return
            await connection.execute(update(people_sessions).where(is_it).values(ended_at=self._clock.now()))
            about = {"person": row.person, "session": row.session}
            await self._facts.add_in(connection, kind="SignedOut", actor=row.person, about=about)

    async def end_named(self, person: str, session: str, *, by: str) -> None:
        """End the session of `person` that pages call `session`. Raises NotFound."""
        is_it = and_(people_sessions.c.session == session, people_sessions.c.person == person)
        async with self._database.writing() as connection:
            if (await connection.execute(select(people_sessions).where(is_it))).first() is None:
                raise NotFound("There is no such session.")
            is_open = and_(is_it, people_sessions.c.ended_at.is_(None))
            ended = await connection.execute(update(people_sessions).where(is_open).values(ended_at=self._clock.now()))
            if ended.rowcount:
                about = {"person": person, "session": session}
                await self._facts.add_in(connection, kind="SessionEnded", actor=by, about=about)

    async def end_all(self, person: str, *, by: str, but_hash: str | None = None) -> int:
        """End every session of `person` but one; returns how many."""
        async with self._database.writing() as connection:
            count = await end_sessions(connection, person, self._clock.now(), but_hash=but_hash)
            if count:
                about: dict[str, Json] = {"person": person, "sessions": count}
                await self._facts.add_in(connection, kind="SessionsEnded", actor=by, about=about)
        return count

    async def open_of(self, person: str) -> tuple[OpenSession, ...]:
        """The open sessions of `person`, the newest first, at most MOST_SHOWN."""
        now = self._clock.now()
        question = (
            select(people_sessions)
            .where(
                people_sessions.c.person == person,
                people_sessions.c.ended_at.is_(None),
                people_sessions.c.seen_at > now - self._idle,
                people_sessions.c.began_at > now - self._longest,
            )
            .order_by(people_sessions.c.began_at.desc(), people_sessions.c.session)
            .limit(MOST_SHOWN)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(question)).all()
        return tuple(
            OpenSession(row.session, row.person, row.began_at, row.seen_at, row.address, row.browser, row.way)
            for row in rows
        )

    async def forget_old(self) -> None:
        """Drop rows of sessions that ended or were left long ago; the facts about them stay."""
        before = self._clock.now() - self._longest - _KEEP_ENDED
        async with self._database.writing() as connection:
            await connection.execute(delete(people_sessions).where(people_sessions.c.seen_at < before))


def signed_in_of(row: Row[Any], *, session_hash: str | None, session: str | None) -> SignedIn:
    """Whoever a row with the columns of `people` tells of."""
    return SignedIn(
        person=row.person,
        full_name=row.full_name,
        role=Role(row.role),
        site=row.site,
        must_change_password=row.must_change_password,
        session_hash=session_hash,
        session=session,
    )
