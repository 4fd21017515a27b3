"""The objects that must be read back before anybody signs for them: a queue in the database.

Any number of workers in any number of processes take from it. On PostgreSQL they pass each other by
(`FOR UPDATE SKIP LOCKED`: a row that another is about to take is not waited for, and one that was taken since is looked
at again before it is locked). On SQLite the same statement is plain and the transaction is the only writer (BEGIN
IMMEDIATE). A worker holds a job on a lease; one that died gives it back by doing nothing. Knows tables and leases,
no store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update

from dockd.central.database import Database, insert_new
from dockd.central.stores import UploadPlan
from dockd.central.tables import read_backs
from dockd.clock import Clock
from dockd.model.ids import Digest

LEASE = timedelta(seconds=90)


class Outcome(Enum):
    """What a read-back came to. Anything else is no outcome, and is tried again."""

    SOUND = "sound"
    """The whole object, read back from where it lies, has the claimed size and digest."""
    DAMAGED = "damaged"
    """Read twice, and the bytes are not those that were claimed, part by part."""
    CONTRADICTION = "contradiction"
    """Read twice: every part is as claimed and the whole is not. The claim cannot be true."""
    LOST = "lost"
    """The store acknowledged the object and does not hold it."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """One object and what it must be. `version` is None where the bucket keeps none."""

    object_key: str
    version: str | None
    digest: Digest
    size_bytes: int
    part_size_bytes: int
    part_digests: tuple[Digest, ...]

    @classmethod
    def of(cls, plan: UploadPlan, object_key: str, version: str | None) -> ReadBack:
        """The read-back that `plan` asks for."""
        return cls(object_key, version, plan.digest, plan.size_bytes, plan.part_size_bytes, plan.part_digests)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a read-back stands: its outcome, else why the last attempt failed (None: under way or waiting)."""

    outcome: Outcome | None
    said: str | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What has no outcome yet. `oldest_at` is None when there is nothing."""

    count: int
    oldest_at: datetime | None


class VerifierQueue:
    """The queue of one bucket. Every method raises Refusal (503, 507).

    A worker that is set up for another bucket must not judge what it cannot find there: it takes nothing from here.
    """

    def __init__(self, database: Database, clock: Clock, bucket: str) -> None:
        self._database = database
        self._clock = clock
        self._bucket = bucket

    async def ask(self, wanted: ReadBack) -> None:
        """Put it in; one that is there already is left as it is."""
        now = self._clock.now()
        row = {
            "object_key": wanted.object_key,
            "object_version": wanted.version or "",
            "bucket": self._bucket,
            "digest": wanted.digest,
            "size_bytes": wanted.size_bytes,
            "part_size_bytes": wanted.part_size_bytes,
            "part_digests": json.dumps(wanted.part_digests),
            "asked_at": now,
            "not_before": now,
            "attempts": 0,
        }
        async with self._database.writing() as connection:
            await insert_new(connection, read_backs, [row])

    async def look(self, wanted: ReadBack) -> Standing | None:
        """How it stands; None when it is not in the queue."""
        question = select(read_backs.c.outcome, read_backs.c.said).where(_is(wanted))
        async with self._database.reading() as connection:
            row = (await connection.execute(question)).one_or_none()
        return None if row is None else Standing(Outcome(row.outcome) if row.outcome else None, row.said)

    async def backlog(self) -> Backlog:
        """How much waits to be read back or is being read, and since when."""
        is_to_do = and_(read_backs.c.outcome.is_(None), read_backs.c.bucket == self._bucket)
        question = select(func.count(), func.min(read_backs.c.asked_at)).where(is_to_do)
        async with self._database.reading() as connection:
            count, oldest_at = (await connection.execute(question)).one()
        return Backlog(count, oldest_at)

    async def take(self, worker: str) -> ReadBack | None:
        """The oldest that nobody is at, on a lease of LEASE; None when there is nothing to do."""
        now = self._clock.now()
        is_free = or_(read_backs.c.taken_until.is_(None), read_backs.c.taken_until < now)
        is_to_do = and_(read_backs.c.outcome.is_(None), read_backs.c.bucket == self._bucket)
        is_next = and_(is_to_do, read_backs.c.not_before <= now, is_free)
        oldest = select(read_backs).where(is_next).order_by(read_backs.c.asked_at).limit(1)
        async with self._database.reading() as connection:  # most looks find nothing: no writer's turn for that
            if (await connection.execute(oldest)).one_or_none() is None:
                return None
        async with self._database.writing() as connection:
            row = (await connection.execute(oldest.with_for_update(skip_locked=True))).one_or_none()
            if row is None:
                return None
            taken = ReadBack(
                row.object_key,
                row.object_version or None,
                Digest(row.digest),
                row.size_bytes,
                row.part_size_bytes,
                tuple(map(Digest, json.loads(row.part_digests))),
            )
            mine = {"taken_by": worker, "taken_until": now + LEASE, "attempts": row.attempts + 1, "said": None}
            await connection.execute(update(read_backs).where(_is(taken)).values(mine))
        return taken

    async def renew(self, taken: ReadBack, worker: str) -> None:
        """Hold it for another LEASE."""
        values = {"taken_until": self._clock.now() + LEASE}
        await self._change(_is_held(taken, worker), values)

    async def finish(self, taken: ReadBack, outcome: Outcome) -> None:
        """It came to this. True also when the lease had passed: the bytes were read all the same."""
        values = {"outcome": outcome.value, "finished_at": self._clock.now(), "taken_until": None, "said": None}
        await self._change(and_(_is(taken), read_backs.c.outcome.is_(None)), values)

    async def postpone(self, taken: ReadBack, worker: str, said: str, seconds: float) -> None:
        """It came to nothing, for a reason that passes; again after `seconds`."""
        again_at = self._clock.now() + timedelta(seconds=seconds)
        values = {"taken_by": None, "taken_until": None, "said": said, "not_before": again_at}
        await self._change(_is_held(taken, worker), values)

    async def forget(self, object_key: str) -> None:
        """What was found of this object is of no use any more."""
        async with self._database.writing() as connection:
            await connection.execute(delete(read_backs).where(read_backs.c.object_key == object_key))

    async def forget_older_than(self, limit: datetime) -> None:
        """Nobody asks for these any more."""
        async with self._database.writing() as connection:
            await connection.execute(delete(read_backs).where(read_backs.c.asked_at < limit))

    async def _change(self, condition: ColumnElement[bool], values: Mapping[str, object]) -> None:
        async with self._database.writing() as connection:
            await connection.execute(update(read_backs).where(condition).values(values))


def _is(wanted: ReadBack) -> ColumnElement[bool]:
    return and_(read_backs.c.object_key == wanted.object_key, read_backs.c.object_version == (wanted.version or ""))


def _is_held(taken: ReadBack, worker: str) -> ColumnElement[bool]:
    """Whether `worker` still has it to do: a lease that passed on, and an outcome, are not its any more."""
    return and_(_is(taken), read_backs.c.taken_by == worker, read_backs.c.outcome.is_(None))
