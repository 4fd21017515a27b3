"""Reads the account: finds rows by the tables, then makes each from its dock's facts, byte for byte as they are held.

Every answer is bounded and costs a fixed number of questions for a page. Errors: NotFound; Refusal (503) when the
database cannot be read now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.custody.gathering import behind
from dockd.central.custody.search import (
    HOLDERS,
    RECORDINGS,
    SESSIONS,
    AsOf,
    Cursor,
    Kind,
    docks_with_rows,
    grave_recordings,
    row_cursor,
    rows_of,
)
from dockd.central.custody.tables import (
    custody_conflicts,
    custody_holders,
    custody_recordings,
    custody_session_facts,
    custody_sessions,
)
from dockd.central.database import Database
from dockd.central.tables import custody_lines, docks, facts, site_docks, sites
from dockd.custody_out.accounts import HolderAccount, RecordingAccount, SessionAccount
from dockd.errors import NotFound
from dockd.model import facts as told
from dockd.model.facts import RecordedFact
from dockd.wire.custody import (
    CustodyConflict,
    CustodyConflicts,
    CustodyHolder,
    CustodyHolders,
    CustodyRecording,
    CustodyRecordings,
    CustodySelection,
    CustodySession,
    CustodySessions,
    HeldFor,
)

MOST_ROWS = 200
MOST_CONFLICTS = 1_000

Key = tuple[str, str]
Through = Mapping[str, int]
"""How far each dock's facts count; a dock that is not in it counts not at all."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A dock: `held` facts, the last signed checkpoint among them is fact `signed` (0: none)."""

    dock: str
    held: int
    signed: int


class CustodyReader:
    """Answers from the database, each page from one consistent view."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def resolve(self, wanted: CustodySelection) -> CustodySelection:
        """The selection with the docks of its site. Raises NotFound for a site that no list names."""
        if wanted.site is None:
            return wanted
        async with self._database.reading() as connection:
            known = select(sites.c.site).where(sites.c.site == wanted.site)
            if (await connection.execute(known)).one_or_none() is None:
                raise NotFound("No list of sites names this site.")
            question = select(site_docks.c.dock).where(site_docks.c.site == wanted.site).order_by(site_docks.c.dock)
            names = tuple((await connection.execute(question)).scalars())
        return wanted.model_copy(update={"docks": names})

    async def docks(self, wanted: CustodySelection) -> tuple[Standing, ...]:
        """Every dock of the selection, by name: what is held of it and how far it has signed."""
        ends = facts.alias("ends").c
        signed = (
            select(ends.number)
            .where(ends.dock == docks.c.dock, ends.number <= docks.c.facts, ends.kind == "ChainSigned")
            .order_by(ends.number.desc())
            .limit(1)
            .scalar_subquery()
        )
        question = select(docks.c.dock, docks.c.facts, signed.label("signed")).order_by(docks.c.dock)
        async with self._database.reading() as connection:
            rows = (await connection.execute(question)).all()
        return tuple(
            Standing(row.dock, row.facts, row.signed or 0) for row in rows if row.facts and wanted.covers_dock(row.dock)
        )

    async def docks_of_person_or_camera(self, wanted: CustodySelection) -> set[str] | None:
        """The docks with any row of the selection's camera or officer; None when it names neither."""
        if wanted.camera is None and wanted.officer is None:
            return None
        found: set[str] = set()
        async with self._database.reading() as connection:
            for kind in (RECORDINGS, SESSIONS, HOLDERS):
                found.update((await connection.execute(docks_with_rows(kind, wanted))).scalars())
        return found

    async def is_whole(self) -> bool:
        """Whether all facts that are held are in the account; not so only for a while after an upgrade."""
        async with self._database.reading() as connection:
            return (await connection.execute(behind().limit(1))).one_or_none() is None

    # --- pages, live, the newest first ---------------------------------------------------------------

    async def recordings(
        self, wanted: CustodySelection, *, after: Cursor | None = None, limit: int = 100, only: bool = False
    ) -> CustodyRecordings:
        """A page of recordings; `only` those with a difference now."""
        async with self._database.reading() as connection:
            found, end = await _page(connection, RECORDINGS, wanted, after, limit, only)
            rows = await _recordings(connection, [(row.dock, row.recording) for row in found], None)
        return CustodyRecordings(recordings=tuple(rows), next_after=end)

    async def grave(self, wanted: CustodySelection, *, limit: int = 10) -> tuple[CustodyRecording, ...]:
        """Recordings of which something is told that must be impossible, the newest first."""
        async with self._database.reading() as connection:
            found = (await connection.execute(grave_recordings(wanted, limit=limit))).all()
            return tuple(await _recordings(connection, [(row.dock, row.recording) for row in found], None))

    async def sessions(
        self, wanted: CustodySelection, *, after: Cursor | None = None, limit: int = 100, only: bool = False
    ) -> CustodySessions:
        """The same for sessions."""
        async with self._database.reading() as connection:
            found, end = await _page(connection, SESSIONS, wanted, after, limit, only)
            rows = await _sessions(connection, found, None)
        return CustodySessions(sessions=tuple(rows), next_after=end)

    async def holders(
        self, wanted: CustodySelection, *, after: Cursor | None = None, limit: int = 100
    ) -> CustodyHolders:
        """The same for assignments, with where each camera was seen again first."""
        async with self._database.reading() as connection:
            found, end = await _page(connection, HOLDERS, wanted, after, limit, False)
            rows = await _holders(connection, found, None)
            again = await _seen_again(connection, [(row.dock, row.assignment) for row in rows])
        held = tuple(
            HeldFor(holder=row, seen_again_at=seen.at, seen_again_dock=seen.dock)
            for row in rows
            for seen in [again[row.dock, row.assignment]]
        )
        return CustodyHolders(holders=held, next_after=end)

    async def conflicts(self, wanted: CustodySelection) -> CustodyConflicts:
        """What the centre refused because it contradicted a chain, of the docks asked for."""
        question = select(custody_conflicts).order_by(custody_conflicts.c.dock, custody_conflicts.c.code)
        if wanted.dock is not None:
            question = question.where(custody_conflicts.c.dock == wanted.dock)
        if wanted.docks is not None:
            question = question.where(custody_conflicts.c.dock.in_(wanted.docks))
        async with self._database.reading() as connection:
            rows = (await connection.execute(question.limit(MOST_CONFLICTS))).mappings().all()
        return CustodyConflicts(conflicts=tuple(CustodyConflict(**row) for row in rows))

    # --- one dock as of a fact, the oldest first -------------------------------------------------------

    async def recordings_of(
        self, dock: str, through: Through, wanted: CustodySelection, after: Cursor | None
    ) -> tuple[list[CustodyRecording], Cursor | None]:
        """The next recordings of one dock, and where to go on; None at the end."""
        async with self._database.reading() as connection:
            found, end = await _lot(connection, RECORDINGS, wanted, AsOf(dock, through[dock]), after)
            return await _recordings(connection, [(row.dock, row.recording) for row in found], through), end

    async def sessions_of(
        self, dock: str, through: Through, wanted: CustodySelection, after: Cursor | None
    ) -> tuple[list[CustodySession], Cursor | None]:
        """The same for sessions."""
        async with self._database.reading() as connection:
            found, end = await _lot(connection, SESSIONS, wanted, AsOf(dock, through[dock]), after)
            return await _sessions(connection, found, through), end

    async def holders_of(
        self, dock: str, through: Through, wanted: CustodySelection, after: Cursor | None
    ) -> tuple[list[CustodyHolder], Cursor | None]:
        """The same for assignments."""
        async with self._database.reading() as connection:
            found, end = await _lot(connection, HOLDERS, wanted, AsOf(dock, through[dock]), after)
            return await _holders(connection, found, through), end


async def _page(
    connection: AsyncConnection, kind: Kind, wanted: CustodySelection, after: Cursor | None, limit: int, only: bool
) -> tuple[Sequence[Row[Any]], str | None]:
    limit = min(limit, MOST_ROWS)
    question = rows_of(kind, wanted, after=after, limit=limit + 1, as_of=None, only=only)
    rows = (await connection.execute(question)).all()
    page = rows[:limit]
    return page, row_cursor(kind, page[-1]._mapping).text if len(rows) > limit else None


async def _lot(
    connection: AsyncConnection, kind: Kind, wanted: CustodySelection, as_of: AsOf, after: Cursor | None
) -> tuple[Sequence[Row[Any]], Cursor | None]:
    question = rows_of(kind, wanted, after=after, limit=MOST_ROWS, as_of=as_of)
    rows = (await connection.execute(question)).all()
    return rows, row_cursor(kind, rows[-1]._mapping) if len(rows) == MOST_ROWS else None


async def _recordings(
    connection: AsyncConnection, keys: Sequence[Key], through: Through | None
) -> list[CustodyRecording]:
    if not keys:
        return []
    lines = custody_lines.c
    question = (
        select(lines.dock, lines.recording, facts.c.number, facts.c.body)
        .join_from(custody_lines, facts, (facts.c.dock == lines.dock) & (facts.c.number == lines.fact_number))
        .where(tuple_(lines.dock, lines.recording).in_(keys))
        .order_by(lines.dock, lines.recording, facts.c.number)
    )
    accounts = {key: RecordingAccount(*key) for key in keys}
    for row in await connection.execute(question):
        if through is None or row.number <= through[row.dock]:
            accounts[row.dock, row.recording].add(RecordedFact.model_validate_json(row.body))
    stored, erased = await _elsewhere(connection, [name for _, name in keys], through)
    return [
        account.row(stored_by=stored.get(name, set()) - {dock}, erased_by=erased.get(name, set()) - {dock})
        for (dock, name), account in accounts.items()
    ]


async def _elsewhere(
    connection: AsyncConnection, names: Iterable[str], through: Through | None
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Which docks' facts tell that these recordings were accepted, and erased."""
    c = custody_recordings.c
    question = select(c.recording, c.dock, c.accepted_fact, c.erased_fact).where(
        c.recording.in_(set(names)), c.accepted_fact.is_not(None)
    )
    stored: dict[str, set[str]] = {}
    erased: dict[str, set[str]] = {}
    for row in await connection.execute(question):
        end = None if through is None else through.get(row.dock, 0)
        for fact, found in ((row.accepted_fact, stored), (row.erased_fact, erased)):
            if fact is not None and (end is None or fact <= end):
                found.setdefault(row.recording, set()).add(row.dock)
    return stored, erased


async def _sessions(
    connection: AsyncConnection, found: Sequence[Row[Any]], through: Through | None
) -> list[CustodySession]:
    if not found:
        return []
    lines = custody_session_facts.c
    question = (
        select(lines.dock, lines.session, facts.c.number, facts.c.body)
        .join_from(custody_session_facts, facts, (facts.c.dock == lines.dock) & (facts.c.number == lines.fact_number))
        .where(tuple_(lines.dock, lines.session).in_([(row.dock, row.session) for row in found]))
    )
    told_of: dict[Key, list[RecordedFact]] = {(row.dock, row.session): [] for row in found}
    for line in await connection.execute(question):
        told_of[line.dock, line.session].append(RecordedFact.model_validate_json(line.body))
    next_in_bay = await _bodies(connection, [(row.dock, row.succeeded_fact) for row in found if row.succeeded_fact])
    rows = []
    for row in found:
        known = told_of[row.dock, row.session] + next_in_bay.get((row.dock, row.succeeded_fact), [])
        known = [one for one in known if through is None or one.number <= through[row.dock]]
        known.sort(key=lambda one: one.number)
        account = SessionAccount(known[0])
        for one in known[1:]:
            if one.number == row.succeeded_fact:
                account.succeed(one)
            else:
                account.add(one)
        rows.append(account.row())
    return rows


async def _holders(
    connection: AsyncConnection, found: Sequence[Row[Any]], through: Through | None
) -> list[CustodyHolder]:
    numbers = [(row.dock, number) for row in found for number in (row.started_fact, row.ended_fact) if number]
    bodies = await _bodies(connection, numbers)
    rows = []
    for row in found:
        (started,) = bodies[row.dock, row.started_fact]
        if not isinstance(started.fact, told.AssignmentStarted):
            raise TypeError("a holder's row rests on another fact than AssignmentStarted")
        account = HolderAccount(row.dock, started.number, started.fact, started.moment.at)
        for ended in bodies.get((row.dock, row.ended_fact), []):
            is_told = through is None or ended.number <= through[row.dock]
            if is_told and isinstance(ended.fact, told.AssignmentEnded):
                account.end(ended.number, ended.fact, ended.moment.at)
        rows.append(account.row())
    return rows


async def _bodies(
    connection: AsyncConnection, numbers: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], list[RecordedFact]]:
    if not numbers:
        return {}
    question = select(facts.c.dock, facts.c.number, facts.c.body).where(
        tuple_(facts.c.dock, facts.c.number).in_(numbers)
    )
    return {
        (row.dock, row.number): [RecordedFact.model_validate_json(row.body)]
        for row in await connection.execute(question)
    }


async def _seen_again(connection: AsyncConnection, keys: Sequence[Key]) -> dict[Key, Any]:
    """Where each camera was docked first after it was taken, by any dock."""
    if not keys:
        return {}
    held, seen = custody_holders.c, custody_sessions.c
    later = (
        select(seen.started_at, seen.dock)
        .where(seen.camera == held.camera, seen.started_at > held.started_at)
        .order_by(seen.started_at, seen.dock, seen.session)
        .limit(1)
    )
    question = select(
        held.dock.label("held_dock"),
        held.assignment,
        later.with_only_columns(seen.started_at).scalar_subquery().label("at"),
        later.with_only_columns(seen.dock).scalar_subquery().label("dock"),
    ).where(tuple_(held.dock, held.assignment).in_(keys))
    return {(row.held_dock, row.assignment): row for row in await connection.execute(question)}
