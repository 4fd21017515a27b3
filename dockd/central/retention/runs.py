"""A run from beginning to end: lease, repair, survey, brake, lot after lot; and the night in which one begins.

Knows the order and keeps a row for each run. Must not know HTTP.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import insert, select, update

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database
from dockd.central.refusals import BUSY
from dockd.central.retention.brake import Brake
from dockd.central.retention.config import RetentionConfig
from dockd.central.retention.disposal import LOT, Disposer, Outcome, RunEnded
from dockd.central.retention.gate import WorkerLease, lease_lost, pass_gate
from dockd.central.retention.holds import note_docks_of_held_sites
from dockd.central.retention.survey import DueItem, Survey, Surveyor
from dockd.central.retention.tables import runs
from dockd.central.stores import ObjectStore
from dockd.clock import Clock
from dockd.errors import BadRequest
from dockd.lots import in_lots
from dockd.model.canonical import Json
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)
LOOK_SECONDS = 600.0
NIGHTLY = "nightly run"


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run. `ended_at` None: under way, or its process was killed."""

    number: int
    started_at: datetime
    actor: str
    ended_at: datetime | None
    due: int | None
    deleted: int | None
    deleted_bytes: int | None
    kept: int | None
    said: str | None


class Runs:
    """Runs of one process; the lease keeps those of others apart. Every method raises Refusal (503, 507)."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        clock: Clock,
        *,
        facts: CentreFacts,
        config: RetentionConfig,
        surveyor: Surveyor,
        brake: Brake,
    ) -> None:
        self._database = database
        self._clock = clock
        self._config = config
        self._surveyor = surveyor
        self._brake = brake
        self._facts = facts
        name = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self._lease = WorkerLease(database, clock, name)
        # Not the truth (the lease is): the lease tells processes apart, and not what one process does at once.
        self._turn = asyncio.Lock()
        self._disposer = Disposer(database, store, clock, facts, self._lease)

    async def run(self, *, actor: str) -> RunLine:
        """Delete what is due now. Raises BadRequest where deleting is not turned on; Refusal when another is at it."""
        if not self._config.delete:
            raise BadRequest(
                "Deleting is not turned on in this centre.",
                footage="Nothing was deleted.",
                action="Look at the report first; then set delete = true under [retention].",
            )
        async with self._turn:
            if not await self._lease.take():
                raise lease_lost()
            try:
                return await self._run(actor)
            finally:
                await self._lease.give_back()

    async def look(self) -> None:
        """What a centre does every few minutes: repair what was interrupted, begin the night's run when it is time."""
        async with self._turn:
            async with self._database.writing() as connection:
                await pass_gate(connection)
                await note_docks_of_held_sites(connection)
            now = self._clock.now().astimezone(UTC)
            is_night = self._config.delete and now.hour >= self._config.hour_utc
            if is_night and await self._lease.take(night=now.date()):
                work: Callable[[], Awaitable[object]] = partial(self._run, NIGHTLY)
            elif await self._lease.take():
                work = self._disposer.repair
            else:
                return
            try:
                await work()
            finally:
                await self._lease.give_back()

    async def keep_looking(self) -> None:
        """Until cancelled. Trouble of store and database passes; the next look goes on from what is true then."""
        while True:
            try:
                await self.look()
            except Refusal as refusal:
                _log.warning("retention_postponed", reason=refusal.what)
            await self._clock.sleep(LOOK_SECONDS)

    async def lines(self, *, limit: int = 30) -> list[RunLine]:
        """The last runs, the newest first."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(runs).order_by(runs.c.number.desc()).limit(limit))).all()
        return [RunLine(**row._mapping) for row in rows]

    def next_at(self, now: datetime) -> datetime:
        """When the next night's run may begin, whether or not deleting is turned on."""
        today = now.astimezone(UTC).replace(hour=self._config.hour_utc, minute=0, second=0, microsecond=0)
        return today if today > now else today + timedelta(days=1)

    # --- inside -------------------------------------------------------------------------------

    async def _run(self, actor: str) -> RunLine:
        started_at = self._clock.now()
        async with self._database.writing() as connection:
            row = {"started_at": started_at, "actor": actor}
            number = (await connection.execute(insert(runs).values(row).returning(runs.c.number))).scalar_one()
        outcome = Outcome()
        survey: Survey | None = None
        try:
            await self._disposer.repair()
            survey = await self._surveyor.survey(self._clock.now())
            said = await self._carry_out(number, survey, outcome)
        except RunEnded as ended:
            said = ended.said
        except Refusal as refusal:
            said = refusal.what
            if refusal.kind is not BUSY:
                _log.warning("retention_run_ended", run=number, reason=said)
        return await self._finish(number, started_at, actor, survey, outcome, said)

    async def _carry_out(self, number: int, survey: Survey, outcome: Outcome) -> str:
        """Returns how it ended, in words."""
        due: Sequence[DueItem] = survey.due
        if self._brake.grips(survey):
            confirmed = await self._brake.confirmed()
            if confirmed is None:
                stop = await self._brake.stop(survey)
                _log.error("retention_stopped", run=number, recordings=stop.recordings, list_digest=stop.list_digest)
                return (
                    f"Stopped: {stop.recordings:,} of {stop.stored:,} recordings at once look like a mistake. Nothing "
                    f"was deleted. A person must confirm this list before {stop.expires_at:%Y-%m-%d %H:%M} UTC."
                )
            due = [one for one in survey.due if (one.digest, one.accepted_at) in confirmed]
            outcome.kept += len(survey.due) - len(due)
        for lot in in_lots(due, LOT):
            await self._disposer.dispose(number, lot, outcome)
        return "Everything that was due has gone." if not outcome.kept else "What was kept is told with its reason."

    async def _finish(
        self, number: int, started_at: datetime, actor: str, survey: Survey | None, outcome: Outcome, said: str
    ) -> RunLine:
        line = RunLine(
            number=number,
            started_at=started_at,
            actor=actor,
            ended_at=self._clock.now(),
            due=len(survey.due) if survey else None,
            deleted=outcome.deleted,
            deleted_bytes=outcome.deleted_bytes,
            kept=outcome.kept,
            said=said,
        )
        async with self._database.writing() as connection:
            await connection.execute(update(runs).where(runs.c.number == number).values(asdict(line)))
            if line.due or outcome.deleted:
                about: dict[str, Json] = {"deleted": outcome.deleted, "due": line.due, "kept": outcome.kept}
                about |= {"run": number, "said": said}
                await self._facts.add_in(connection, kind="RetentionRunEnded", actor=actor, about=about)
        _log.info("retention_run", run=number, due=line.due, deleted=outcome.deleted, kept=outcome.kept)
        return line
