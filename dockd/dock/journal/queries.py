"""What the journal can be asked. Reads only; every question is answered by an index.

Statements are built by functions of their own, so that a test can ask SQLite for their plans.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.engine import RowMapping

from dockd.dock.journal import projection, rows
from dockd.dock.journal.assigning import OPEN_STATES, AssignmentState, OpenAssignment
from dockd.dock.journal.database import Database
from dockd.dock.journal.tables import assignments as assignment_table
from dockd.dock.journal.tables import checkpoints, finished_parts, ledger
from dockd.errors import JournalCorrupt
from dockd.model.facts import RecordedFact
from dockd.model.ids import CameraId, CardPath, Digest, OfficerNumber, RecordingId, SessionId
from dockd.model.recording import CopyCheckpoint, SourceFile
from dockd.rules.custody import Custody, LedgerEntry
from dockd.rules.issuing import Assignment
from dockd.rules.upload_order import Waiting

_T = TypeVar("_T")

_ROWS_PER_TURN = 500
_ENTRIES_PER_PAGE = 200
"""After so many rows the event loop gets its turn."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Recordings that are verified here and not yet accepted by the centre.

    `oldest_at` is when this dock first listed the oldest of them; None when there is none.
    """

    count: int
    size_bytes: int
    oldest_at: datetime | None


# --- statements -----------------------------------------------------------------------------------


def select_entry(recording: RecordingId) -> Select[Any]:
    """One recording."""
    return select(ledger).where(ledger.c.recording == recording)


def select_entries(
    *,
    camera: CameraId | None = None,
    last_session: SessionId | None = None,
    states: Collection[Custody] | None = None,
    has_copy: bool | None = None,
    is_on_card: bool | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> Select[Any]:
    """Recordings for which all that is given holds, in the order in which they were first listed."""
    # Chosen by number from the index alone first: a sort of whole rows would read every one of them.
    chosen = select(ledger.c.listed_number)
    if camera is not None:
        chosen = chosen.where(ledger.c.camera == camera)
    if last_session is not None:
        chosen = chosen.where(ledger.c.last_session == last_session)
    if states is not None:
        chosen = chosen.where(ledger.c.state.in_(sorted(int(state) for state in states)))
    if has_copy is not None:
        chosen = chosen.where(ledger.c.has_copy == has_copy)
    if is_on_card is not None:
        chosen = chosen.where(ledger.c.is_on_card == is_on_card)
    if after is not None:
        chosen = chosen.where(ledger.c.listed_number > after)
    if limit is not None:
        chosen = chosen.order_by(ledger.c.listed_number).limit(limit)
    return select(ledger).where(ledger.c.listed_number.in_(chosen)).order_by(ledger.c.listed_number)


def select_latest(camera: CameraId, source: SourceFile) -> Select[Any]:
    """The highest generation of one file of one camera."""
    return (
        select(ledger)
        .where(
            ledger.c.camera == camera,
            ledger.c.path == source.path.text,
            ledger.c.size_bytes == source.size_bytes,
            ledger.c.modified_ns.is_not_distinct_from(source.modified_ns),
        )
        .order_by(ledger.c.generation.desc())
        .limit(1)
    )


def select_backlog() -> Select[int, Any, Any]:
    """Count, bytes and oldest time of what waits for the centre."""
    return select(func.count(), func.sum(ledger.c.size_bytes), func.min(ledger.c.listed_at)).where(
        ledger.c.state.between(int(Custody.VERIFIED), int(Custody.STORED))
    )


@cache
def select_waiting() -> Select[Any]:
    """What lies here verified and is not accepted yet, in the order in which it was first listed.

    Always the same, and building it takes longer than SQLite needs for the answer.
    """
    return (
        select(ledger.c.recording, ledger.c.camera, ledger.c.path, ledger.c.size_bytes, ledger.c.recorded_at)
        .where(
            ledger.c.state.in_([int(Custody.VERIFIED), int(Custody.STORED)]),
            ledger.c.has_copy.is_(True),
        )
        .order_by(ledger.c.listed_number)
    )


def select_tally(session: SessionId) -> Select[int, int, int]:
    """Count and bytes of what a session's card holds or held, by ledger state; not what the card has replaced."""
    return (
        select(ledger.c.state, func.count(), func.sum(ledger.c.size_bytes))
        .where(ledger.c.last_session == session, ledger.c.is_replaced.is_(False))
        .group_by(ledger.c.state)
    )


def select_assignments(
    states: Iterable[AssignmentState], *, camera: CameraId | None = None, officer: OfficerNumber | None = None
) -> Select[Any]:
    """Assignments in one of `states`, in the order in which they began."""
    chosen = select(assignment_table).where(assignment_table.c.state.in_([state.value for state in states]))
    if camera is not None:
        chosen = chosen.where(assignment_table.c.camera == camera)
    if officer is not None:
        chosen = chosen.where(assignment_table.c.officer == officer)
    return chosen.order_by(assignment_table.c.number)


# --- questions ------------------------------------------------------------------------------------


class JournalQueries:
    """The reading half of the journal.

    Every method raises JournalCorrupt for a damaged file or row, JournalUnwritable when the file cannot
    be read at all or the journal is closed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def facts_after(self, number: int, limit: int) -> tuple[RecordedFact, ...]:
        """At most `limit` facts with numbers above `number`, in order."""
        try:
            return tuple(await self._database.run(lambda one: projection.read_facts_after(one, number, limit)))
        except ValueError:
            raise JournalCorrupt(f"A fact after number {number} of the journal cannot be read.") from None

    async def entry(self, recording: RecordingId) -> LedgerEntry | None:
        """What the facts say of `recording`; None when it was never listed here."""
        return _first(await self._rows(select_entry(recording), rows.read_entry))

    async def entries(
        self,
        *,
        camera: CameraId | None = None,
        last_session: SessionId | None = None,
        states: Collection[Custody] | None = None,
        has_copy: bool | None = None,
        is_on_card: bool | None = None,
        limit: int | None = None,
    ) -> tuple[LedgerEntry, ...]:
        """Recordings for which all that is given holds, those first that were listed first."""
        chosen = select_entries(
            camera=camera,
            last_session=last_session,
            states=states,
            has_copy=has_copy,
            is_on_card=is_on_card,
            limit=limit,
        )
        return tuple(await self._rows(chosen, rows.read_entry))

    def each_entry(
        self,
        *,
        camera: CameraId | None = None,
        last_session: SessionId | None = None,
        states: Collection[Custody] | None = None,
        is_on_card: bool | None = None,
        is_wanted: Callable[[LedgerEntry], bool] = lambda _: True,
    ) -> AsyncIterator[LedgerEntry]:
        """The same recordings in the same order as `entries`, read as they are asked for: memory stays constant.

        What changes meanwhile is seen as it is when its turn comes.
        """

        async def page_after(number: int) -> list[tuple[int, LedgerEntry]]:
            chosen = select_entries(
                camera=camera,
                last_session=last_session,
                states=states,
                is_on_card=is_on_card,
                after=number,
                limit=_ENTRIES_PER_PAGE,
            )
            return await self._rows(chosen, rows.read_numbered_entry)

        return _EntryWalk(page_after, is_wanted)

    async def latest(self, camera: CameraId, source: SourceFile) -> LedgerEntry | None:
        """The recording with the highest generation under this name, size and time; None when it is new."""
        return _first(await self._rows(select_latest(camera, source), rows.read_entry))

    async def backlog(self) -> Backlog:
        """How much is verified here and waits for the centre, VERIFIED to STORED."""
        count, size_bytes, oldest_at = await self._database.run(lambda one: one.execute(select_backlog()).one())
        return Backlog(count=count, size_bytes=size_bytes or 0, oldest_at=oldest_at)

    async def tally(self, session: SessionId) -> dict[Custody, tuple[int, int]]:
        """How many recordings, and of how many bytes, the card of `session` holds or held, by state.

        Without those whose bytes the card has replaced; a state with none is not there.
        """
        found = await self._database.run(lambda one: one.execute(select_tally(session)).all())
        return {Custody(state): (count, size_bytes or 0) for state, count, size_bytes in found}

    async def checkpoint(self, recording: RecordingId) -> CopyCheckpoint | None:
        """How far the unfinished copy of `recording` is durable; None when there is none to go on from."""
        found = await self._rows(select(checkpoints).where(checkpoints.c.recording == recording), _read_checkpoint)
        return _first(found)

    async def finished_parts(self, recording: RecordingId) -> tuple[str, frozenset[int]] | None:
        """The upload under way and its parts (from 1) that the store has taken; None when none was noted."""
        chosen = select(finished_parts).where(finished_parts.c.recording == recording)
        found = await self._rows(chosen, lambda row: (str(row["upload"]), int(row["part_number"])))
        if not found:
            return None
        return found[0][0], frozenset(number for _, number in found)

    async def waiting(self) -> tuple[Waiting, ...]:
        """Every recording that has a verified copy here and no receipt yet."""
        return tuple(await self._rows(select_waiting(), _read_waiting))

    async def assignments(self, camera: CameraId | None = None) -> tuple[Assignment, ...]:
        """The intervals in which officers held `camera` (or any): started ones, also those that have ended."""
        chosen = select_assignments((AssignmentState.STARTED, AssignmentState.ENDED), camera=camera)
        return tuple(await self._rows(chosen, _read_interval))

    async def open_assignment_of(self, camera: CameraId) -> OpenAssignment | None:
        """Who `camera` is promised to or held by; the newest, should there be several."""
        found = await self._rows(select_assignments(OPEN_STATES, camera=camera), rows.read_assignment)
        return found[-1] if found else None

    async def open_assignment_by(self, officer: OfficerNumber) -> OpenAssignment | None:
        """Which camera `officer` is promised or holds; the newest, should there be several."""
        found = await self._rows(select_assignments(OPEN_STATES, officer=officer), rows.read_assignment)
        return found[-1] if found else None

    async def projection_differences(self) -> tuple[str, ...]:
        """Where ledger and assignments differ from a replay of all facts, in words; empty when equal.

        Reads everything, and nothing is written meanwhile: for tests and for a dock that rests.
        """
        try:
            return await self._database.run(projection.differences)
        except ValueError as error:
            raise JournalCorrupt(f"The journal's facts contradict each other: {error}.") from error

    async def _rows(self, chosen: Select[Any], read: Callable[[RowMapping], _T]) -> list[_T]:
        def fetch(connection: Connection) -> list[RowMapping]:
            return list(connection.execute(chosen).mappings())

        found: list[_T] = []
        for row in await self._fetched(fetch):
            try:
                found.append(read(row))
            except ValueError:
                raise JournalCorrupt("A row of the journal's ledger cannot be read.") from None
            if len(found) % _ROWS_PER_TURN == 0:
                await asyncio.sleep(0)
        return found

    async def _fetched(self, fetch: Callable[[Connection], list[RowMapping]]) -> list[RowMapping]:
        try:
            return await self._database.run(fetch)
        except ValueError:
            raise JournalCorrupt("A row of the journal cannot be read.") from None


class _EntryWalk:
    """Entries page after page. An iterator and not a generator: it may be left at any point without being closed."""

    def __init__(
        self,
        page_after: Callable[[int], Awaitable[list[tuple[int, LedgerEntry]]]],
        is_wanted: Callable[[LedgerEntry], bool],
    ) -> None:
        self._page_after = page_after
        self._is_wanted = is_wanted
        self._page: deque[tuple[int, LedgerEntry]] = deque()
        self._last_number = 0
        self._is_over = False

    def __aiter__(self) -> _EntryWalk:
        return self

    async def __anext__(self) -> LedgerEntry:
        while True:
            while self._page:
                self._last_number, entry = self._page.popleft()
                if self._is_wanted(entry):
                    return entry
            if self._is_over:
                raise StopAsyncIteration
            self._page = deque(await self._page_after(self._last_number))
            self._is_over = len(self._page) < _ENTRIES_PER_PAGE


def _first(found: list[_T]) -> _T | None:
    return found[0] if found else None


def _read_checkpoint(row: RowMapping) -> CopyCheckpoint:
    return CopyCheckpoint(
        offset_bytes=row["offset_bytes"],
        prefix_digest=Digest(row["prefix_digest"]),
        session=SessionId(row["session"]),
    )


def _read_waiting(row: RowMapping) -> Waiting:
    return Waiting(
        recording=RecordingId(row["recording"]),
        camera=CameraId(row["camera"]),
        path=CardPath.from_text(row["path"]),
        size_bytes=row["size_bytes"],
        recorded_at=row["recorded_at"],
    )


def _read_interval(row: RowMapping) -> Assignment:
    return Assignment(
        camera=CameraId(row["camera"]),
        officer=OfficerNumber(row["officer"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )
