"""How often somebody may guess: counted before each comparison, for every name alike, whether anyone has it or not.

Three counts, each in its own row: of a name from one address, of a name from anywhere, of an address for any name.
Whoever reaches a limit waits; what is tried while waiting is neither compared nor counted, so that nobody can keep a
lock alive from outside. A browser in which this person signed in before counts apart, so that strangers who guess at
an administrator's name lock themselves out and not the administrator; and the console can always unlock.

Rows are named by hashes, because what is typed as a name may be a password. The limits hold over all processes. Raises
Refusal (429; 503, 507 when the database does not take it now).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database, insert_new
from dockd.central.people.tables import people, sign_in_attempts
from dockd.central.refusals import TOO_MANY_TRIES
from dockd.clock import Clock
from dockd.model.canonical import Json, digest_of_bytes
from dockd.web.problems import Refusal

_FORGET = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `failures` within `window`, then a wait of `wait` that doubles with each further one up to `longest`."""

    failures: int
    window: timedelta
    wait: timedelta
    longest: timedelta


FROM_ONE_ADDRESS = Limit(5, timedelta(hours=1), timedelta(minutes=1), timedelta(minutes=15))
FROM_ANYWHERE = Limit(30, timedelta(hours=1), timedelta(minutes=5), timedelta(minutes=15))
ANY_NAME = Limit(100, timedelta(minutes=30), timedelta(minutes=5), timedelta(minutes=15))
KNOWN_BROWSER = Limit(5, timedelta(hours=1), timedelta(minutes=1), timedelta(minutes=15))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, counted as failed until `succeeded` says otherwise. `is_last`: after it, one must wait."""

    name: str
    address: str
    rows: tuple[tuple[str, Limit], ...]
    is_last: bool = False


class LockOut:
    """Counts attempts to sign in."""

    def __init__(self, database: Database, facts: CentreFacts, clock: Clock) -> None:
        self._database = database
        self._facts = facts
        self._clock = clock

    async def begin(self, name: str, address: str, *, known_browser: str | None) -> Attempt:
        """Count an attempt for `name`. Raises Refusal (429) that says how long to wait, whoever is named.

        `known_browser` is the hash of the token of a browser in which this very person signed in before.
        """
        return await self._begin(name, address, _rows(name, address, known_browser))

    async def begin_proof(self, address: str, *, known_browser: str | None) -> Attempt:
        """Count an attempt that comes from the identity provider, of which nobody knows yet whose it is.

        `known_browser` is the hash of the token of a browser in which anybody signed in before. Raises as `begin`.
        """
        if known_browser is not None:
            return await self._begin("", address, ((_hash("browser", known_browser), KNOWN_BROWSER),))
        return await self._begin("", address, ((_hash("address", address), ANY_NAME),))

    async def failed(self, attempt: Attempt, *, way: str = "password") -> None:
        """Keep it as a fact, and the wait that begins with it. A name that nobody has is not kept."""
        async with self._database.writing() as connection:
            is_it = people.c.person == attempt.name
            is_known = (await connection.execute(select(people.c.person).where(is_it))).first() is not None
            about: dict[str, Json] = {
                "person": attempt.name if is_known else None,
                "address": attempt.address,
                "way": way,
            }
            await self._facts.add_in(connection, kind="SignInFailed", actor="nobody", about=about)
            if attempt.is_last:
                await self._facts.add_in(connection, kind="SignInLocked", actor="nobody", about=about)

    async def succeeded(self, attempt: Attempt) -> None:
        """The password was right: the counts of this name begin anew. The address keeps what it did to others."""
        async with self._database.writing() as connection:
            for about, limit in attempt.rows:  # in the order in which `begin` takes them
                is_it = sign_in_attempts.c.about == about
                if limit is not ANY_NAME:
                    anew = {"failures": 0, "locked_until": None}
                    await connection.execute(update(sign_in_attempts).where(is_it).values(**anew))
                    continue
                row = (await connection.execute(select(sign_in_attempts).where(is_it).with_for_update())).first()
                if row is not None and row.failures > 0:
                    fewer = {"failures": row.failures - 1, "locked_until": None}
                    await connection.execute(update(sign_in_attempts).where(is_it).values(**fewer))

    async def unlock(self, name: str, *, by: str) -> None:
        """Let everybody try `name` again who was not locked out by address. With its fact."""
        async with self._database.writing() as connection:
            await connection.execute(delete(sign_in_attempts).where(sign_in_attempts.c.about == _about_name(name)))
            prefix = _about_name(name) + ":"
            is_of_name = sign_in_attempts.c.about.startswith(prefix, autoescape=True)
            await connection.execute(delete(sign_in_attempts).where(is_of_name))
            await self._facts.add_in(connection, kind="PersonUnlocked", actor=by, about={"person": name})

    async def locked_until(self, name: str) -> datetime | None:
        """Until when browsers that are not known wait for `name`; None when they need not."""
        question = select(sign_in_attempts.c.locked_until).where(sign_in_attempts.c.about == _about_name(name))
        async with self._database.reading() as connection:
            row = (await connection.execute(question)).first()
        if row is None or row.locked_until is None or row.locked_until <= self._clock.now():
            return None
        return row.locked_until  # type: ignore[no-any-return] # rows are not typed

    async def forget_old(self) -> None:
        """Drop counts that say nothing any more."""
        before = self._clock.now() - _FORGET
        async with self._database.writing() as connection:
            await connection.execute(delete(sign_in_attempts).where(sign_in_attempts.c.since < before))

    async def _begin(self, name: str, address: str, rows: tuple[tuple[str, Limit], ...]) -> Attempt:
        now = self._clock.now()
        is_last = False
        async with self._database.writing() as connection:
            # The rows first: only a row that is there can be locked, and attempts at one moment must count one by one.
            for about, _ in rows:
                fresh = {"about": about, "failures": 0, "since": now, "locked_until": None}
                await insert_new(connection, sign_in_attempts, [fresh])
            waits = [await self._waiting(connection, about, now) for about, _ in rows]
            waiting = max((wait for wait in waits if wait is not None), default=None)
            if waiting is not None:
                raise _too_many(waiting)  # and nothing is written
            for about, limit in rows:
                is_last |= await self._count(connection, about, limit, now)
        return Attempt(name, address, rows, is_last)

    async def _waiting(self, connection: AsyncConnection, about: str, now: datetime) -> timedelta | None:
        is_it = sign_in_attempts.c.about == about
        row = (await connection.execute(select(sign_in_attempts).where(is_it).with_for_update())).first()
        if row is None or row.locked_until is None or row.locked_until <= now:
            return None
        return row.locked_until - now  # type: ignore[no-any-return] # rows are not typed

    async def _count(self, connection: AsyncConnection, about: str, limit: Limit, now: datetime) -> bool:
        """Count one more; whether a wait begins with it."""
        is_it = sign_in_attempts.c.about == about
        row = (await connection.execute(select(sign_in_attempts).where(is_it))).first()
        if row is None:
            return False  # an administrator unlocked the name at this very moment
        is_over = now - row.since > limit.window
        failures = 1 if is_over else row.failures + 1
        wait = _wait(limit, failures)
        values = {
            "failures": failures,
            "since": now if is_over else row.since,
            "locked_until": now + wait if wait is not None else None,
        }
        await connection.execute(update(sign_in_attempts).where(is_it).values(**values))
        return wait is not None


def _rows(name: str, address: str, known_browser: str | None) -> tuple[tuple[str, Limit], ...]:
    of_name = _about_name(name)
    if known_browser is not None:
        return ((f"{of_name}:{_hash('browser', known_browser)}", KNOWN_BROWSER),)
    return (
        (f"{of_name}:{_hash('address', address)}", FROM_ONE_ADDRESS),
        (of_name, FROM_ANYWHERE),
        (_hash("address", address), ANY_NAME),
    )


def _about_name(name: str) -> str:
    return _hash("name", name)


def _hash(kind: str, text: str) -> str:
    return digest_of_bytes(f"{kind}\0{text}".encode("utf-8", "replace"))


def _wait(limit: Limit, failures: int) -> timedelta | None:
    over = failures - limit.failures
    if over < 0:
        return None
    doublings: int = 2 ** min(over, 10)
    return min(limit.longest, limit.wait * doublings)


def _too_many(wait: timedelta) -> Refusal:
    seconds = max(1, int(wait.total_seconds()) + 1)
    minutes = -(-seconds // 60)
    return Refusal(
        TOO_MANY_TRIES,
        f"Too many attempts to sign in. Wait {minutes} minute{'s' if minutes > 1 else ''}, then try again; an "
        "administrator can shorten that.",
        retry_after_seconds=seconds,
    )
