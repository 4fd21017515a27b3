"""Deletes what is due: intent fact → act → read back → done fact, a few recordings at a time.

The decision is made inside the transaction that writes the intent, and once more just before the act; only the rules
make the permit that a store wants to see. A kill anywhere leaves rows that say *intended*: `repair` looks in the store
and writes down what is true. What a store does not delete is told, kept, and tried again only after days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database, insert_or_replace
from dockd.central.retention.disposal_rows import DisposalState
from dockd.central.retention.footage import load_footage
from dockd.central.retention.gate import WorkerLease
from dockd.central.retention.holds import note_docks_of_held_sites
from dockd.central.retention.survey import DueItem, rules_in_force
from dockd.central.retention.tables import disposals, subjects
from dockd.central.stores import KeptByStore, ObjectStore
from dockd.central.tables import receipts, uploads
from dockd.clock import Clock
from dockd.model.canonical import Json
from dockd.rules.retention import PERMIT_LIFETIME, DisposalPermit, Footage, NotDue, judge, permit
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)

LOT = 20
"""How many are decided in one transaction; a kill leaves at most so many to be looked at again."""
_REFUSALS_IN_A_ROW = 3
"""A store that says no so often says no to everything: the run ends instead of asking ten thousand times."""
_LONGEST_WAIT = timedelta(days=7)
_RUNS_DIFFER = timedelta(hours=1)
"""One night's run does not come exactly a day after the other."""
_ACTOR = "dockd"


class RunEnded(Exception):
    """The run goes no further, for a reason that concerns all that is left; `said` is for people."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


@dataclass(slots=True)
class Outcome:
    """What a run has done so far."""

    deleted: int = 0
    deleted_bytes: int = 0
    kept: int = 0
    refused_in_a_row: int = 0


@dataclass(slots=True)
class _Lot:
    """What became of one lot, by state."""

    run: int
    ends: dict[str, tuple[DisposalState, str | None]] = field(default_factory=dict)
    locked_until: dict[str, datetime] = field(default_factory=dict)
    said: str | None = None


class Disposer:
    """Carries out one lot after the other. `lease` is held by this process."""

    def __init__(
        self, database: Database, store: ObjectStore, clock: Clock, facts: CentreFacts, lease: WorkerLease
    ) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._facts = facts
        self._lease = lease

    async def dispose(self, run: int, items: Sequence[DueItem], outcome: Outcome) -> None:
        """Delete what is still due of `items` (a lot at most); `outcome` is counted up.

        Raises RunEnded when the store refuses everything or is away; Refusal (503, 507) from the database.
        """
        intended = await self._intend(run, items)
        outcome.kept += len(items) - len(intended)
        lot = _Lot(run)
        for footage in intended:
            if lot.said is None:
                await self._carry_out(footage, lot, outcome)
            else:
                lot.ends[footage.digest] = (DisposalState.WITHDRAWN, "The run ended before its turn.")
        await self._finish(intended, lot)
        for footage in intended:
            if lot.ends.get(footage.digest, (None, None))[0] is DisposalState.DONE:
                outcome.deleted += 1
                outcome.deleted_bytes += footage.size_bytes
            else:
                outcome.kept += 1
        if lot.said is not None:
            raise RunEnded(lot.said)

    async def repair(self) -> int:
        """Look at everything that was intended and whose end nobody wrote down; returns how many could be told.

        Only while the lease is held: nobody else's permit is good any more. Raises Refusal (503, 507).
        """
        is_open = disposals.c.state == DisposalState.INTENDED.value
        open_rows = select(disposals).where(is_open).order_by(disposals.c.run, disposals.c.digest).limit(LOT)
        count = 0
        while True:
            async with self._database.reading() as connection:
                rows = (await connection.execute(open_rows)).all()
            if not rows:
                return count
            lot = _Lot(rows[0].run)
            rows = [row for row in rows if row.run == lot.run]
            async with self._store.disposing():
                for row in rows:
                    is_there = await self._store.has_object(row.object_key, row.object_version)
                    lot.ends[row.digest] = (
                        (DisposalState.WITHDRAWN, "Interrupted before it was deleted.")
                        if is_there
                        else (DisposalState.DONE, "Interrupted; the store was then seen not to have it any more.")
                    )
                async with self._database.writing() as connection:
                    await self._lease.renew_in(connection)
                    for row in rows:
                        await self._close(connection, row.digest, lot)
                    await self._tell(connection, lot)
            count += len(rows)
            _log.warning("interrupted_disposals_repaired", count=len(rows))

    # --- inside -------------------------------------------------------------------------------

    async def _intend(self, run: int, items: Sequence[DueItem]) -> list[Footage]:
        """Decide, and write the decision down in the same transaction; returns what is to go."""
        wanted = {one.digest: one.accepted_at for one in items}
        now = self._clock.now()
        async with self._database.writing() as connection:
            await self._lease.renew_in(connection)
            await note_docks_of_held_sites(connection)
            footage = await load_footage(connection, sorted(wanted), is_locking=True)
            policies, book = await rules_in_force(connection)
            waiting = await self._waiting(connection, sorted(wanted))
            rows: list[dict[str, object]] = []
            told: list[Json] = []
            chosen: list[Footage] = []
            for digest, one in footage.items():
                verdict = judge(one, policies, book, now)
                is_same = one.accepted_at == wanted[digest]
                if not (verdict.is_due and is_same) or digest in waiting.held_back:
                    continue
                chosen.append(one)
                rows.append(_row(one, run, verdict.words, waiting.attempts.get(digest, 0) + 1) | {"intended_at": now})
                told.append({"recording": digest, "why": verdict.words})
            if chosen:
                receipt_of = await _receipts(connection, [one.digest for one in chosen])
                await insert_or_replace(
                    connection, disposals, (row | {"receipt": receipt_of[str(row["digest"])]} for row in rows)
                )
                about: dict[str, Json] = {"recordings": told, "run": run}
                await self._facts.add_in(connection, kind="DisposalIntended", actor=_ACTOR, about=about)
        return chosen

    async def _carry_out(self, footage: Footage, lot: _Lot, outcome: Outcome) -> None:
        """The deed. Its end is kept in `lot`; none is kept where nobody can tell whether it was done."""
        digest = footage.digest
        try:
            async with self._store.disposing():
                await self._store.dispose(await self._permit(footage, lot.run))
        except NotDue as kept:
            lot.ends[digest] = (DisposalState.WITHDRAWN, kept.reason)
        except KeptByStore as kept:
            lot.ends[digest] = (DisposalState.REFUSED, kept.said)
            _log.error("store_keeps_what_is_due", digest=digest, said=kept.said)
            if kept.until is not None:
                lot.locked_until[digest] = kept.until
            else:
                outcome.refused_in_a_row += 1
            if outcome.refused_in_a_row >= _REFUSALS_IN_A_ROW:
                lot.said = f"The store refused {outcome.refused_in_a_row} times in a row, the last time: {kept.said}"
        except Refusal as refusal:
            lot.said = refusal.what
            end = await self._look(footage, refusal.what)
            if end is not None:
                lot.ends[digest] = end
        else:
            lot.ends[digest] = (DisposalState.DONE, None)
            outcome.refused_in_a_row = 0

    async def _permit(self, footage: Footage, run: int) -> DisposalPermit:
        """The rules asked once more, on what is there now. Raises NotDue, Refusal (503)."""
        async with self._database.reading() as connection:
            # Whoever takes over repairs what is intended: by then this permit must be worth nothing.
            await self._lease.check_in(connection, lasts=2 * PERMIT_LIFETIME)
            is_mine = and_(disposals.c.digest == footage.digest, disposals.c.accepted_at == footage.accepted_at)
            state = await connection.execute(select(disposals.c.state, disposals.c.run).where(is_mine))
            if state.one() != (DisposalState.INTENDED.value, run):
                raise NotDue("Somebody else finished this disposal.")
            found = (await load_footage(connection, [footage.digest])).get(footage.digest)
            policies, book = await rules_in_force(connection)
        if found is None or found.accepted_at != footage.accepted_at:
            raise NotDue("There is another receipt for it now.")
        return permit(found, policies, book, self._clock.now())

    async def _look(self, footage: Footage, said: str) -> tuple[DisposalState, str | None] | None:
        """After a failure that leaves it open: what the store shows now. None: it cannot be told; `repair` will."""
        try:
            is_there = await self._store.has_object(footage.object_key, footage.object_version)
        except Refusal:
            return None
        return (DisposalState.WITHDRAWN, said) if is_there else None

    async def _finish(self, intended: Sequence[Footage], lot: _Lot) -> None:
        if not lot.ends:
            return
        async with self._database.writing() as connection:
            await self._lease.renew_in(connection)
            for footage in intended:
                if footage.digest in lot.ends:
                    await self._close(connection, footage.digest, lot)
            await self._tell(connection, lot)

    async def _close(self, connection: AsyncConnection, digest: str, lot: _Lot) -> None:
        now = self._clock.now()
        state, said = lot.ends[digest]
        is_it = and_(
            disposals.c.digest == digest, disposals.c.run == lot.run, disposals.c.state == DisposalState.INTENDED.value
        )
        values: dict[str, object] = {"state": state.value, "said": said, "finished_at": now, "not_before": None}
        if state is DisposalState.REFUSED:
            attempts = (await connection.execute(select(disposals.c.attempts).where(is_it))).scalar_one_or_none() or 1
            later = now + min(timedelta(days=2 ** min(attempts - 1, 3)), _LONGEST_WAIT) - _RUNS_DIFFER
            values["not_before"] = lot.locked_until.get(digest, later)
        await connection.execute(update(disposals).where(is_it).values(values))
        if state is DisposalState.DONE:
            await connection.execute(update(subjects).where(subjects.c.digest == digest).values(is_gone=True))
            # Should a dock still have it, it is claimed and sent again from the beginning.
            await connection.execute(delete(uploads).where(uploads.c.digest == digest))

    async def _tell(self, connection: AsyncConnection, lot: _Lot) -> None:
        """One fact for each way in which recordings of the lot ended."""
        kinds = {
            DisposalState.DONE: "DisposalDone",
            DisposalState.WITHDRAWN: "DisposalWithdrawn",
            DisposalState.REFUSED: "DisposalRefused",
        }
        for state, kind in kinds.items():
            ended = sorted((digest, said) for digest, (end, said) in lot.ends.items() if end is state)
            if ended:
                told: list[Json] = [{"recording": digest, "said": said} for digest, said in ended]
                about: dict[str, Json] = {"recordings": told, "run": lot.run}
                await self._facts.add_in(connection, kind=kind, actor=_ACTOR, about=about)

    async def _waiting(self, connection: AsyncConnection, digests: Sequence[str]) -> _Waiting:
        question = select(disposals.c.digest, disposals.c.attempts, disposals.c.not_before, disposals.c.state).where(
            disposals.c.digest.in_(digests), disposals.c.state != DisposalState.DONE.value
        )
        rows = (await connection.execute(question)).all()
        now = self._clock.now()
        held_back = frozenset(
            row.digest
            for row in rows
            if row.state == DisposalState.INTENDED.value or (row.not_before is not None and row.not_before > now)
        )
        refused = {row.digest: row.attempts for row in rows if row.state == DisposalState.REFUSED.value}
        return _Waiting(held_back, refused)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What must not be tried now, and how often the store refused each before."""

    held_back: frozenset[str]
    attempts: dict[str, int]


def _row(footage: Footage, run: int, words: str, attempts: int) -> dict[str, object]:
    return {
        "digest": footage.digest,
        "accepted_at": footage.accepted_at,
        "size_bytes": footage.size_bytes,
        "object_key": footage.object_key,
        "object_version": footage.object_version,
        "run": run,
        "state": DisposalState.INTENDED.value,
        "words": words,
        "said": None,
        "attempts": attempts,
        "not_before": None,
        "finished_at": None,
    }


async def _receipts(connection: AsyncConnection, digests: Sequence[str]) -> dict[str, str]:
    question = select(receipts.c.digest, receipts.c.receipt).where(receipts.c.digest.in_(digests))
    return {row.digest: row.receipt for row in (await connection.execute(question)).all()}
