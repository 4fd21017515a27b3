"""Retention put together for one process: what pages, calls and the command line ask, and what goes on beside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database
from dockd.central.retention.brake import Brake
from dockd.central.retention.config import RetentionConfig
from dockd.central.retention.decisions import ClassificationLine, Decisions, policies_in_force
from dockd.central.retention.disposal_rows import DisposalState, Tombstone, tombstone
from dockd.central.retention.holds import HoldLine, Holds
from dockd.central.retention.runs import Runs
from dockd.central.retention.survey import Judged, Survey, Surveyor
from dockd.central.retention.tables import disposals
from dockd.central.stores import ObjectStore
from dockd.clock import Clock
from dockd.model.recording import Receipt
from dockd.rules.retention import Policy


@dataclass(frozen=True, slots=True)
class RecordingRetention:
    """How one recording stands. `judged` None: the store does not hold it (not yet, or not any more)."""

    judged: Judged | None
    classifications: tuple[ClassificationLine, ...]
    holds: tuple[HoldLine, ...]
    tombstone: Tombstone | None
    refusal: str | None
    """What the store said when it did not delete it the last time."""


class Retention:
    """The whole area. Every method raises Refusal (503, 507)."""

    def __init__(self, database: Database, store: ObjectStore, clock: Clock, config: RetentionConfig) -> None:
        self._database = database
        self._clock = clock
        self.config = config
        self.facts = CentreFacts(database, clock)
        self.decisions = Decisions(database, clock, self.facts)
        self.holds = Holds(database, clock, self.facts)
        self.surveyor = Surveyor(database)
        self.brake = Brake(database, clock, self.facts, config)
        self.runs = Runs(
            database, store, clock, facts=self.facts, config=config, surveyor=self.surveyor, brake=self.brake
        )

    async def policies(self) -> dict[str, Policy]:
        """Those in force, by category."""
        async with self._database.reading() as connection:
            return await policies_in_force(connection)

    async def survey(self, at: datetime | None = None) -> Survey:
        """What would go at `at` (None: in the next night's run), as things stand now."""
        return await self.surveyor.survey(at or self.next_run_at)

    @property
    def next_run_at(self) -> datetime:
        """When the next night's run may begin."""
        return self.runs.next_at(self._clock.now())

    async def due(self, at: datetime) -> AsyncIterator[Judged]:
        """Everything that would go at `at`, by category, the oldest first."""
        async for one in self.surveyor.judged(at):
            if one.verdict.is_due:
                yield one

    async def recording(self, digest: str, receipt: Receipt | None) -> RecordingRetention:
        """How one recording stands now; `receipt` is the one in force."""
        judged = await self.surveyor.verdict(digest, self._clock.now())
        held = judged.verdict.holds if judged else ()
        kept = (disposals.c.digest == digest, disposals.c.state == DisposalState.REFUSED.value)
        async with self._database.reading() as connection:
            refusal = (await connection.execute(select(func.max(disposals.c.said)).where(*kept))).scalar_one()
        return RecordingRetention(
            judged=judged,
            classifications=await self.decisions.history_of(digest),
            holds=tuple(await self.holds.named(held)) if held else (),
            tombstone=await self.tombstone(receipt) if receipt else None,
            refusal=refusal,
        )

    async def tombstone(self, receipt: Receipt) -> Tombstone | None:
        """The end of this receipt's object by policy; None while it stands."""
        return await tombstone(self._database, receipt)
