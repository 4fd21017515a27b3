"""The one writer: appends that wait at the same time become one durable transaction (group commit).

Knows the order of work inside a transaction. After a failed write nothing is written any more: what a
disk holds after a failed sync is not known, and the dock must stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias

from sqlalchemy import BindParameter, Connection, Executable, bindparam, delete
from sqlalchemy import insert as insert_into
from sqlalchemy.dialects.sqlite import insert

from dockd.dock.journal import rows, tables
from dockd.dock.journal.assigning import assignment_of
from dockd.dock.journal.database import Database
from dockd.dock.journal.failures import DATABASE_ERRORS
from dockd.dock.journal.projection import Fold
from dockd.errors import DockdError, JournalUnwritable
from dockd.model import facts
from dockd.model.facts import Fact, RecordedFact, link
from dockd.model.ids import Digest, DockId, RecordingId
from dockd.model.moment import Moment
from dockd.model.value import Value
from dockd.rules.custody import LedgerBreak, recording_of

MAXIMUM_FACTS_PER_COMMIT = 200
"""More appends than this wait for the next transaction; one append is never divided."""

Step: TypeAlias = tuple[Executable, Mapping[str, Any]]

_of: BindParameter[str] = bindparam("of")
_upload: BindParameter[str] = bindparam("to_upload")
_INSERT_FACT = insert_into(tables.facts)
_new_checkpoint = insert(tables.checkpoints)
SAVE_CHECKPOINT = _new_checkpoint.on_conflict_do_update(
    index_elements=["recording"],
    set_={name: _new_checkpoint.excluded[name] for name in ("offset_bytes", "prefix_digest", "session")},
)
DROP_CHECKPOINT = delete(tables.checkpoints).where(tables.checkpoints.c.recording == _of)
NOTE_PART = insert(tables.finished_parts).on_conflict_do_nothing()
FORGET_PARTS = delete(tables.finished_parts).where(tables.finished_parts.c.recording == _of)
FORGET_PARTS_OF_OTHER_UPLOADS = FORGET_PARTS.where(tables.finished_parts.c.upload != _upload)


@dataclass(frozen=True, slots=True)
class Append:
    """Facts that are written together or not at all."""

    facts: tuple[Fact, ...]
    moment: Moment
    done: asyncio.Future[tuple[RecordedFact, ...]]


@dataclass(frozen=True, slots=True)
class Note:
    """Progress of one recording: worth keeping, no fact. `must_be_listed`: refuse unknown recordings."""

    recording: RecordingId
    steps: tuple[Step, ...]
    must_be_listed: bool
    done: asyncio.Future[tuple[RecordedFact, ...]]


Job: TypeAlias = Append | Note
Outcome: TypeAlias = tuple[RecordedFact, ...] | Exception


@dataclass(frozen=True, slots=True)
class Committed:
    """What one transaction did: the new head, and each job's facts or the reason why it was refused."""

    number: int
    head: Digest
    outcomes: list[Outcome]


def commit_group(connection: Connection, dock: DockId, number: int, head: Digest, jobs: Sequence[Job]) -> Committed:
    """Write `jobs` after fact `number`, whose hash is `head`, in one durable transaction.

    A job that contradicts the ledger is refused as a whole, the others are written. Raises the
    database's own errors; then nothing was written.
    """
    fold = Fold()
    chain: list[RecordedFact] = []
    steps: list[Step] = []
    outcomes: list[Outcome] = []
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        fold.load(connection, _recordings(jobs), _assignments(jobs))
        for job in jobs:
            last, previous = (chain[-1].number, chain[-1].hash) if chain else (number, head)
            try:
                linked = _linked(job, dock, last, previous)
                fold.apply(linked)
                if isinstance(job, Note) and job.must_be_listed and not fold.knows(job.recording):
                    raise LedgerBreak(f"{job.recording} was never listed")
            except (ValueError, TypeError) as refusal:
                # LedgerBreak, or a value that no fact can hold: the caller's fault, not the journal's.
                outcomes.append(refusal)
                continue
            chain += linked
            steps += job.steps if isinstance(job, Note) else _follow_ups(linked)
            outcomes.append(linked)
        if chain:
            connection.execute(_INSERT_FACT, [rows.fact_row(one) for one in chain])
        fold.write(connection)
        _run(connection, steps)
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        with suppress(*DATABASE_ERRORS):
            connection.exec_driver_sql("ROLLBACK")
        raise
    if chain:
        return Committed(chain[-1].number, Digest(chain[-1].hash), outcomes)
    return Committed(number, head, outcomes)


def _linked(job: Job, dock: DockId, number: int, previous: str) -> tuple[RecordedFact, ...]:
    linked: list[RecordedFact] = []
    if isinstance(job, Append):
        for fact in job.facts:
            number += 1
            linked.append(link(dock, number, previous, job.moment, fact))
            previous = linked[-1].hash
    return tuple(linked)


def _recordings(jobs: Sequence[Job]) -> set[RecordingId]:
    named = {name for job in jobs if isinstance(job, Append) for fact in job.facts if (name := recording_of(fact))}
    return named | {job.recording for job in jobs if isinstance(job, Note)}


def _assignments(jobs: Sequence[Job]) -> set[str]:
    return {name for job in jobs if isinstance(job, Append) for fact in job.facts if (name := assignment_of(fact))}


def _follow_ups(linked: Sequence[RecordedFact]) -> list[Step]:
    """What progress becomes meaningless by these facts."""
    steps: list[Step] = []
    for one in linked:
        recording = {"of": recording_of(one.fact)}
        match one.fact:
            case facts.RecordingStaged() | facts.CopyDiscarded() | facts.RecordingReplaced():
                steps.append((DROP_CHECKPOINT, recording))
            case facts.RecordingAccepted() | facts.RecordingRejected():
                steps += [(DROP_CHECKPOINT, recording), (FORGET_PARTS, recording)]
    return steps


def _run(connection: Connection, steps: Sequence[Step]) -> None:
    for _, same in groupby(steps, key=lambda step: id(step[0])):
        batch = list(same)
        connection.execute(batch[0][0], [parameters for _, parameters in batch])


class Writer:
    """Takes jobs in order and commits them in groups, in a task of its own between `start` and `stop`."""

    def __init__(
        self,
        database: Database,
        dock: DockId,
        head: tuple[int, Digest],
        tell: Callable[[Collection[type[Value]]], None],
    ) -> None:
        """Take the head of the journal's facts; `tell` is called with the kinds of facts that became durable."""
        self._database = database
        self._dock = dock
        self._number, self._head = head
        self._tell = tell
        self._queue: asyncio.Queue[Job | None] = asyncio.Queue()
        self._failure: DockdError | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def head(self) -> tuple[int, Digest]:
        """Number and hash of the last durable fact."""
        return self._number, self._head

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_until_stopped(), name="journal writer")

    async def stop(self) -> None:
        """Write what was handed in before, then end. Later jobs are refused."""
        if self._task is None:
            return
        self._queue.put_nowait(None)
        task, self._task = self._task, None
        await asyncio.shield(task)

    async def submit(self, job: Job) -> tuple[RecordedFact, ...]:
        """Wait until `job` is durable. A caller that is cancelled leaves; its job is written nevertheless.

        Raises LedgerBreak, JournalUnwritable, JournalCorrupt; ValueError or TypeError for a value that
        no fact can hold.
        """
        if self._task is None or self._failure is not None:
            raise self._failed_again()
        job.done.add_done_callback(_look_at)
        self._queue.put_nowait(job)
        return await asyncio.shield(job.done)

    async def _write_until_stopped(self) -> None:
        jobs: list[Job] = []
        try:
            while (first := await self._queue.get()) is not None:
                jobs = self._with_waiting(first)
                if self._failure is None:
                    await self._commit(jobs)
                self._refuse(jobs)
            self._failure = self._failure or JournalUnwritable("The journal is closed.")
        finally:
            # Also when a bug or the event loop ends this task: nobody shall wait for ever.
            self._failure = self._failure or JournalUnwritable("The journal's writer ended unexpectedly.")
            while not self._queue.empty():
                if (job := self._queue.get_nowait()) is not None:
                    jobs.append(job)
            self._refuse(jobs)

    def _with_waiting(self, first: Job) -> list[Job]:
        jobs = [first]
        count = _size(first)
        while count < MAXIMUM_FACTS_PER_COMMIT and not self._queue.empty():
            job = self._queue.get_nowait()
            if job is None:
                self._queue.put_nowait(None)
                break
            jobs.append(job)
            count += _size(job)
        return jobs

    async def _commit(self, jobs: Sequence[Job]) -> None:
        number = self._number
        try:
            committed = await self._database.run(
                lambda connection: commit_group(connection, self._dock, number, self._head, jobs)
            )
        except DockdError as failure:
            self._failure = failure
            return
        self._number, self._head = committed.number, committed.head
        for job, outcome in zip(jobs, committed.outcomes, strict=True):
            if job.done.done():
                continue
            if isinstance(outcome, Exception):
                job.done.set_exception(outcome)
            else:
                job.done.set_result(outcome)
        if self._number != number:
            self._tell(
                {type(one.fact) for facts_of in committed.outcomes if isinstance(facts_of, tuple) for one in facts_of}
            )

    def _refuse(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if not job.done.done():
                job.done.set_exception(self._failed_again())

    def _failed_again(self) -> DockdError:
        failure = self._failure or JournalUnwritable("The journal is closed.")
        return type(failure)(failure.what)


def _size(job: Job) -> int:
    return len(job.facts) if isinstance(job, Append) else 1


def _look_at(done: asyncio.Future[tuple[RecordedFact, ...]]) -> None:
    # A cancelled caller will not ask; without this asyncio would complain about an unseen error.
    if not done.cancelled():
        done.exception()
