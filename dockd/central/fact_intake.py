"""Takes facts into the database: all of a batch in one durable transaction, or nothing.

Knows the order of things (check, add, project, answer); the rules are in `chain`, the meaning in
`projections`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from sqlalchemy import and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.chain import ChainEnd, ReceivedFact, key_after, new_facts, receive
from dockd.central.database import Database, insert_new
from dockd.central.places.whereabouts import note_whereabouts
from dockd.central.projections import Projection
from dockd.central.tables import docks, facts
from dockd.clock import Clock
from dockd.model.facts import ChainSigned, RecordedFact
from dockd.model.ids import GENESIS
from dockd.wire.messages import FactsTaken
from dockd.wire.status import DockStatus


class FactIntake:
    """Where docks hand in their chains and say how they are."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def take(self, dock: str, batch: tuple[RecordedFact, ...]) -> FactsTaken:
        """Add the batch and return where the chain stands now; the same batch again changes nothing.

        When this returns, the facts survive a power cut. Raises Refusal (409, 422, 503, 507).
        """
        received = await asyncio.to_thread(receive, dock, batch)
        async with self._database.writing() as connection:
            end = await self._end(connection, dock)
            numbers = range(received[0].recorded.number, received[-1].recorded.number + 1)
            new = new_facts(end, received, await _hashes(connection, dock, numbers))
            key = key_after(end, new, await _signed_hashes(connection, dock, new))
            if new:
                await self._add(connection, dock, new)
                end = ChainEnd(new[-1].recorded.number, new[-1].recorded.hash, key, end.allowed_key)
            await connection.execute(
                update(docks)
                .where(docks.c.dock == dock)
                .values(
                    facts=end.number,
                    head=end.head,
                    public_key=key,
                    allowed_key=None if key == end.allowed_key else end.allowed_key,
                    last_heard_at=self._clock.now(),
                )
            )
        return FactsTaken(number=end.number, head=end.head)

    async def head(self, dock: str) -> FactsTaken:
        """Where the chain stands; number 0 for a dock never heard of. Raises Refusal (503)."""
        question = select(docks.c.facts, docks.c.head).where(docks.c.dock == dock)
        async with self._database.reading() as connection:
            row = (await connection.execute(question)).one_or_none()
        return FactsTaken(number=0, head=GENESIS) if row is None else FactsTaken(number=row.facts, head=row.head)

    async def note_status(self, dock: str, status: DockStatus) -> None:
        """Keep how the dock is, in place of what it said before. Raises Refusal (503, 507)."""
        now = self._clock.now()
        async with self._database.writing() as connection:
            await self._end(connection, dock)
            await connection.execute(
                update(docks)
                .where(docks.c.dock == dock)
                .values(status=status.model_dump_json(), status_at=now, last_heard_at=now)
            )

    async def allow_key(self, dock: str, public_key: str) -> None:
        """An administrator says that the dock may go on under this key (once). Raises Refusal (503, 507)."""
        async with self._database.writing() as connection:
            await self._end(connection, dock)
            await connection.execute(update(docks).where(docks.c.dock == dock).values(allowed_key=public_key))

    async def _end(self, connection: AsyncConnection, dock: str) -> ChainEnd:
        await insert_new(connection, docks, [{"dock": dock, "facts": 0, "head": GENESIS}])
        # FOR UPDATE holds off another process on PostgreSQL; on SQLite this transaction is alone already.
        question = select(docks).where(docks.c.dock == dock).with_for_update()
        row = (await connection.execute(question)).one()
        return ChainEnd(row.facts, row.head, row.public_key, row.allowed_key)

    async def _add(self, connection: AsyncConnection, dock: str, new: tuple[ReceivedFact, ...]) -> None:
        now = self._clock.now()
        await connection.execute(
            facts.insert(),
            [
                {
                    "dock": dock,
                    "number": one.recorded.number,
                    "hash": one.recorded.hash,
                    "kind": one.recorded.fact.kind,
                    "body": one.body,
                    "received_at": now,
                }
                for one in new
            ],
        )
        recorded = tuple(one.recorded for one in new)
        projection = Projection(dock)
        await projection.load(connection, recorded)
        for one in recorded:
            projection.fold(one)
        await projection.save(connection)
        await note_whereabouts(connection, recorded)


async def _hashes(connection: AsyncConnection, dock: str, numbers: Collection[int]) -> dict[int, str]:
    if not numbers:
        return {}
    question = select(facts.c.number, facts.c.hash).where(and_(facts.c.dock == dock, facts.c.number.in_(numbers)))
    return {row.number: row.hash for row in await connection.execute(question)}


async def _signed_hashes(connection: AsyncConnection, dock: str, new: tuple[ReceivedFact, ...]) -> dict[int, str]:
    """The hashes that the checkpoints in `new` speak of, from what is held and from `new` itself."""
    wanted = {one.recorded.fact.through for one in new if isinstance(one.recorded.fact, ChainSigned)}
    held = await _hashes(connection, dock, wanted)
    return held | {one.recorded.number: one.recorded.hash for one in new}
