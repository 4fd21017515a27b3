"""Takes facts into the database: all of a batch in one durable transaction, or nothing.

Batches of several docks that arrive together share a transaction (`shared_commits`); what is wrong with one is told to
its dock alone. Knows the order of things (check, add, project, answer); the rules are in `chain`, the meaning in
`projections`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import and_, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.chain import ChainEnd, ReceivedFact, key_after, new_facts, receive
from dockd.central.custody.gathering import Gathering, note_custody
from dockd.central.database import Database, insert_new
from dockd.central.fleet.projecting import note_fleet, note_gauges
from dockd.central.places.whereabouts import note_whereabouts
from dockd.central.projections import Projection
from dockd.central.receipt_rows import take_back
from dockd.central.refusals import BUSY
from dockd.central.shared_commits import SharedCommits
from dockd.central.tables import docks, facts
from dockd.clock import Clock
from dockd.model.facts import ChainSigned, RecordedFact
from dockd.model.ids import GENESIS
from dockd.rules.receipts import PinnedStore
from dockd.web.problems import Refusal
from dockd.wire.messages import FactsTaken
from dockd.wire.status import DockStatus

_MOST_FACTS_TOGETHER = 1000
_FACTS_SPACING_SECONDS = 0.1
_STATUS_SPACING_SECONDS = 0.5
"""Under load: nobody waits for the answer to a heartbeat."""
_STATUS_ATTEMPTS = 20
_CHECKED_AT_ONCE = 32
"""Batches up to this size are checked on the event loop: a thread's hand-over would cost more than it frees."""


class FactIntake:
    """Where docks hand in their chains and say how they are."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        pinned: PinnedStore | None = None,
        status_spacing_seconds: float = _STATUS_SPACING_SECONDS,
    ) -> None:
        """`pinned` is this centre as docks know it: with it receipts that a restore lost are taken back.

        Heartbeats are written at most once in `status_spacing_seconds`, those of that time together.
        """
        self._database = database
        self._clock = clock
        self._pinned = pinned
        self._custody = Gathering(database, clock)
        self._batches: SharedCommits[_Batch, FactsTaken] = SharedCommits(
            self._take,
            key=lambda one: one.dock,
            weight=lambda one: len(one.received),
            most=_MOST_FACTS_TOGETHER,
            at_once=1,
            spacing_seconds=_FACTS_SPACING_SECONDS,
        )
        self._statuses: SharedCommits[DockStatus, bool] = SharedCommits(
            self._note_statuses, key=lambda one: one.dock, at_once=1, spacing_seconds=status_spacing_seconds
        )

    async def close(self) -> None:
        """Wait for what is being committed."""
        await self._batches.close()
        await self._statuses.close()

    async def take(self, dock: str, batch: tuple[RecordedFact, ...]) -> FactsTaken:
        """Add the batch and return where the chain stands now; the same batch again changes nothing.

        When this returns, the facts survive a power cut. Raises Refusal (409, 422, 503, 507).
        """
        if len(batch) <= _CHECKED_AT_ONCE:
            received = receive(dock, batch)
        else:
            received = await asyncio.to_thread(receive, dock, batch)
        try:
            return await self._batches.add(_Batch(dock, received))
        except Refusal as refusal:
            await self._custody.note_refused(dock, received[0].recorded.number, refusal)
            raise

    async def head(self, dock: str) -> FactsTaken:
        """Where the chain stands; number 0 for a dock never heard of. Raises Refusal (503)."""
        question = select(docks.c.facts, docks.c.head).where(docks.c.dock == dock)
        async with self._database.looking() as connection:
            row = (await connection.execute(question)).one_or_none()
        return FactsTaken(number=0, head=GENESIS) if row is None else FactsTaken(number=row.facts, head=row.head)

    async def note_status(self, status: DockStatus) -> None:
        """Keep how the dock is, in place of what it said before. Raises Refusal (503, 507)."""
        for _ in range(_STATUS_ATTEMPTS):
            if await self._statuses.add(status):
                return
        raise Refusal(BUSY, "The dock's facts are being taken in all the time; say it later.", retry_after_seconds=5)

    async def allow_key(self, dock: str, public_key: str) -> None:
        """An administrator says that the dock may go on under this key (once). Raises Refusal (503, 507)."""
        async with self._database.writing() as connection:
            await insert_new(connection, docks, [_unheard(dock)])
            await connection.execute(update(docks).where(docks.c.dock == dock).values(allowed_key=public_key))

    # --- many docks in one transaction ----------------------------------------------------------

    async def _take(self, batches: Sequence[_Batch]) -> list[FactsTaken | Refusal]:
        outcomes: list[FactsTaken | Refusal] = []
        async with self._database.writing() as connection:
            ends = await _ends(connection, sorted(one.dock for one in batches))
            held = await _hashes(connection, _asked_for(batches, ends))
            added: list[ReceivedFact] = []
            changes: list[_Change] = []
            for one in batches:
                try:
                    change = _change(one, ends[one.dock], held[one.dock])
                except Refusal as refusal:
                    outcomes.append(refusal)
                    continue
                added += change.new
                changes.append(change)
                outcomes.append(FactsTaken(number=change.end.number, head=change.end.head))
            await self._add(connection, added)
            await self._move_ends(connection, changes)
        return outcomes

    async def _add(self, connection: AsyncConnection, new: Sequence[ReceivedFact]) -> None:
        if not new:
            return
        now = self._clock.now()
        await connection.execute(
            facts.insert(),
            [
                {
                    "dock": one.recorded.dock,
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
        projection = Projection()
        await projection.load(connection, recorded)
        for one in recorded:
            projection.fold(one)
        await projection.save(connection)
        if self._pinned is not None:
            await take_back(connection, recorded, projection.recordings, self._pinned, now)
        await note_whereabouts(connection, recorded)
        await note_fleet(connection, recorded)
        await note_custody(connection, recorded)

    async def _move_ends(self, connection: AsyncConnection, changes: Sequence[_Change]) -> None:
        if not changes:
            return
        now = self._clock.now()
        await connection.execute(
            _MOVE_END,
            [
                {
                    "its_dock": one.dock,
                    "facts": one.end.number,
                    "head": one.end.head,
                    "public_key": one.end.public_key,
                    "allowed_key": one.end.allowed_key,
                    "last_heard_at": now,
                }
                for one in changes
            ],
        )

    async def _note_statuses(self, told: Sequence[DockStatus]) -> list[bool | Refusal]:
        """Keep those of docks whose rows nobody holds; True for each that was kept.

        Whoever takes facts in holds his docks' rows until his commit. Waiting for him here, with other docks' rows in
        hand, would make him wait in turn: heartbeats have time, facts have not.
        """
        now = self._clock.now()
        names = sorted(one.dock for one in told)
        async with self._database.writing() as connection:
            free = set((await connection.execute(_LOCKED_IF_FREE, {"names": names})).scalars())
            # Held by somebody, or never heard of. For the latter a row is made, which is free the next time.
            await insert_new(connection, docks, (_unheard(name) for name in names if name not in free))
            kept = sorted((one for one in told if one.dock in free), key=lambda one: one.dock)
            rows = [{"its_dock": one.dock, "status": one.model_dump_json(), "now": now} for one in kept]
            if rows:
                await connection.execute(_KEEP_STATUS, rows)
                await note_gauges(connection, kept, now)
        return [one.dock in free for one in told]


_LOCKED_ENDS = (
    select(docks.c.dock, docks.c.facts, docks.c.head, docks.c.public_key, docks.c.allowed_key)
    .where(docks.c.dock.in_(bindparam("names", expanding=True)))
    .order_by(docks.c.dock)
    .with_for_update()
)
_LOCKED_IF_FREE = (
    select(docks.c.dock)
    .where(docks.c.dock.in_(bindparam("names", expanding=True)))
    .order_by(docks.c.dock)
    .with_for_update(skip_locked=True)
)
_KEEP_STATUS = (
    update(docks)
    .where(docks.c.dock == bindparam("its_dock"))
    .values(status=bindparam("status"), status_at=bindparam("now"), last_heard_at=bindparam("now"))
)
_MOVE_END = update(docks).where(docks.c.dock == bindparam("its_dock"))
"""What is set is what each row given with it names."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Facts of one dock, checked as far as they can be without knowing what is held."""

    dock: str
    received: tuple[ReceivedFact, ...]


@dataclass(frozen=True, slots=True)
class _Change:
    """What a batch adds to its dock's chain, and where that stands afterwards."""

    dock: str
    end: ChainEnd
    new: tuple[ReceivedFact, ...] = field(default=())


def _change(batch: _Batch, end: ChainEnd, held: Mapping[int, str]) -> _Change:
    """Decide about one batch. Raises Refusal."""
    new = new_facts(end, batch.received, held)
    if not new:
        return _Change(batch.dock, end)
    hash_at = {**held, end.number: end.head} | {one.recorded.number: one.recorded.hash for one in new}
    key = key_after(end, new, hash_at)
    last = new[-1].recorded
    allowed_key = None if key == end.allowed_key else end.allowed_key
    return _Change(batch.dock, ChainEnd(last.number, last.hash, key, allowed_key), new)


async def _ends(connection: AsyncConnection, names: Sequence[str]) -> dict[str, ChainEnd]:
    """Where each dock's chain stands, every row locked; a dock never heard of gets a row. `names` are sorted.

    FOR UPDATE holds off another process on PostgreSQL; on SQLite this transaction is alone already.
    """
    ends: dict[str, ChainEnd] = {}
    for is_last in (False, True):
        missing = [name for name in names if name not in ends]
        if is_last:
            await insert_new(connection, docks, map(_unheard, missing))
        if missing:
            for row in await connection.execute(_LOCKED_ENDS, {"names": missing}):
                ends[row.dock] = ChainEnd(row.facts, row.head, row.public_key, row.allowed_key)
    return ends


def _asked_for(batches: Iterable[_Batch], ends: Mapping[str, ChainEnd]) -> dict[str, set[int]]:
    """The numbers of held facts whose hashes decide about each batch: those sent again, those that it signs."""
    asked: dict[str, set[int]] = {}
    for batch in batches:
        end, first = ends[batch.dock].number, batch.received[0].recorded.number
        numbers = {one.recorded.number for one in batch.received if one.recorded.number <= end}
        signed = (one.recorded.fact.through for one in batch.received if isinstance(one.recorded.fact, ChainSigned))
        # The last held one is known without asking, and those in the batch itself too.
        numbers.update(through for through in signed if 0 < through < min(first, end))
        asked[batch.dock] = numbers
    return asked


async def _hashes(connection: AsyncConnection, asked: Mapping[str, Collection[int]]) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {dock: {} for dock in asked}
    conditions = [
        and_(facts.c.dock == dock, facts.c.number.in_(sorted(numbers))) for dock, numbers in asked.items() if numbers
    ]
    if conditions:
        question = select(facts.c.dock, facts.c.number, facts.c.hash).where(or_(*conditions))
        for row in await connection.execute(question):
            found[row.dock][row.number] = row.hash
    return found


def _unheard(dock: str) -> dict[str, object]:
    return {"dock": dock, "facts": 0, "head": GENESIS}
