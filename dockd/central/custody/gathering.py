"""Keeps the account of custody beside the facts, in the transaction that adds them.

A dock's facts are folded in their order and each once: `custody_docks` says how far. A centre that held facts before
these tables were made catches up beside its work. Rules are in `rules.differences`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.custody.tables import (
    custody_conflicts,
    custody_docks,
    custody_holders,
    custody_recordings,
    custody_session_facts,
    custody_sessions,
)
from dockd.central.database import Database, columns_of, insert_new, insert_or_replace
from dockd.central.refusals import BAD_SIGNATURE, FORK, OTHER_KEY, REWRITE
from dockd.central.tables import docks, facts
from dockd.clock import Clock
from dockd.custody_out.accounts import is_of_account
from dockd.model import facts as told
from dockd.model.facts import RecordedFact
from dockd.rules.custody import recording_of
from dockd.rules.differences import RecordingStanding, SessionStanding
from dockd.web.problems import Refusal

_LOT = 500

Key = tuple[str, str]
"""The dock, and the name of its recording, session or bay."""
_CONFLICTS = frozenset({kind.code for kind in (FORK, REWRITE, OTHER_KEY, BAD_SIGNATURE)})


@dataclass(slots=True)
class _Recording:
    """A row of `custody_recordings`."""

    dock: str
    recording: str
    at: datetime
    first_fact: int
    camera: str | None = None
    officer: str | None = None
    session: str | None = None
    accepted_fact: int | None = None
    erased_fact: int | None = None
    size_bytes: int | None = None
    digest: str | None = None
    stage: int = 0
    marks: int = 0
    is_open: bool = True
    has_mark: bool = False

    def take(self, recorded: RecordedFact) -> None:
        standing = RecordingStanding(self.stage, self.marks, self.digest, self.size_bytes)
        fact = recorded.fact
        standing.take(fact, recorded.moment.clock_sync)
        if isinstance(fact, told.RecordingListed) and self.session is None:
            self.camera, self.officer, self.session = fact.camera, fact.officer, fact.session
            self.at = fact.recorded_at or self.at
        self.stage, self.marks = int(standing.stage), int(standing.marks)
        self.digest, self.size_bytes = standing.digest, standing.size_bytes
        self.is_open, self.has_mark = standing.is_open, standing.has_mark
        if standing.is_stored and self.accepted_fact is None:
            self.accepted_fact = recorded.number
        if standing.is_erased and self.erased_fact is None:
            self.erased_fact = recorded.number


@dataclass(slots=True)
class _Session:
    """A row of `custody_sessions`."""

    dock: str
    session: str
    bay: str
    started_at: datetime
    first_fact: int
    camera: str | None = None
    identified_fact: int | None = None
    succeeded_fact: int | None = None
    marks: int = 0
    has_difference: bool = False

    def take(self, recorded: RecordedFact) -> None:
        standing = SessionStanding(self.marks)
        fact = recorded.fact
        standing.take(fact, recorded.moment.clock_sync)
        if isinstance(fact, told.CameraIdentified):
            self.camera, self.identified_fact = fact.identity.camera, self.identified_fact or recorded.number
        self._settle(standing)

    def succeed(self, number: int) -> None:
        standing = SessionStanding(self.marks)
        if self.succeeded_fact is None and not standing.is_over:
            self.succeeded_fact = number
            standing.succeed()
            self._settle(standing)

    def _settle(self, standing: SessionStanding) -> None:
        self.marks, self.has_difference = int(standing.marks), bool(standing.differences())


class _Lot:
    """Folds some consecutive facts of one or more docks, each dock's in their order."""

    def __init__(self, new: Sequence[RecordedFact]) -> None:
        self._new = new
        self._recordings: dict[Key, _Recording] = {}
        self._sessions: dict[Key, _Session] = {}
        self._in_bay: dict[Key, _Session] = {}
        self._lines: list[dict[str, Any]] = []
        self._holders: list[dict[str, Any]] = []
        self._ends: list[dict[str, Any]] = []

    async def load(self, connection: AsyncConnection) -> None:
        """Fetch the rows that these facts are about: two questions, however many docks."""
        names = {(one.dock, name) for one in self._new if (name := recording_of(one.fact))}
        if names:
            for row in (await connection.execute(_RECORDINGS, {"keys": sorted(names)})).mappings():
                self._recordings[row["dock"], row["recording"]] = _Recording(**row)
        sessions = {(one.dock, str(name)) for one in self._new if (name := getattr(one.fact, "session", None))}
        bays = {(one.dock, one.fact.bay) for one in self._new if isinstance(one.fact, told.CameraDocked)}
        if sessions or bays:
            await self._load_sessions(connection, sorted(sessions), sorted(bays))

    async def _load_sessions(self, connection: AsyncConnection, sessions: list[Key], bays: list[Key]) -> None:
        question, asked = (_SESSIONS_AND_BAYS, {"bays": bays}) if bays else (_SESSIONS, {})
        for row in (await connection.execute(question, {"keys": sessions, **asked})).mappings():
            session = _Session(**row)
            self._sessions[session.dock, session.session] = session
            self._in_bay[session.dock, session.bay] = session

    def fold(self) -> None:
        """Take in every fact."""
        for recorded in self._new:
            name = recording_of(recorded.fact)
            if name is not None:
                new = _Recording(recorded.dock, name, recorded.moment.at, recorded.number)
                self._recordings.setdefault((recorded.dock, name), new).take(recorded)
            else:
                self._fold_other(recorded, recorded.fact)

    def _fold_other(self, recorded: RecordedFact, fact: told.Fact) -> None:
        match fact:
            case told.CameraDocked():
                self._begin(recorded, fact)
            case told.AssignmentStarted():
                self._holders.append(
                    {
                        "dock": recorded.dock,
                        "assignment": fact.assignment,
                        "camera": fact.camera,
                        "officer": fact.officer,
                        "started_at": fact.started_at,
                        "started_fact": recorded.number,
                    }
                )
            case told.AssignmentEnded():
                self._ends.append(
                    {
                        "its_dock": recorded.dock,
                        "its_assignment": fact.assignment,
                        "its_end": recorded.number,
                        "ended_at": fact.ended_at,
                        "ended_fact": recorded.number,
                    }
                )
            case _:
                session = self._sessions.get((recorded.dock, str(getattr(fact, "session", ""))))
                if session is not None and is_of_account(fact):
                    session.take(recorded)
                    self._note_line(recorded, session)

    def _begin(self, recorded: RecordedFact, fact: told.CameraDocked) -> None:
        if (recorded.dock, fact.session) in self._sessions:
            return
        before = self._in_bay.get((recorded.dock, fact.bay))
        if before is not None:
            before.succeed(recorded.number)
        session = _Session(recorded.dock, fact.session, fact.bay, recorded.moment.at, recorded.number)
        session.take(recorded)
        self._sessions[recorded.dock, fact.session] = self._in_bay[recorded.dock, fact.bay] = session
        self._note_line(recorded, session)

    def _note_line(self, recorded: RecordedFact, session: _Session) -> None:
        self._lines.append({"dock": recorded.dock, "session": session.session, "fact_number": recorded.number})

    async def save(self, connection: AsyncConnection) -> None:
        """Write everything."""
        await insert_or_replace(connection, custody_recordings, map(columns_of, self._recordings.values()))
        await insert_or_replace(connection, custody_sessions, map(columns_of, self._sessions.values()))
        await insert_new(connection, custody_session_facts, self._lines)
        await insert_new(connection, custody_holders, self._holders)
        if self._ends:
            await connection.execute(_END_HOLDER, self._ends)
        through = {one.dock: one.number for one in self._new}
        ends = [{"dock": dock, "through": number} for dock, number in sorted(through.items())]
        await insert_or_replace(connection, custody_docks, ends)


_RECORDINGS = select(custody_recordings).where(
    tuple_(custody_recordings.c.dock, custody_recordings.c.recording).in_(bindparam("keys", expanding=True))
)


def _sessions_question(*, with_bays: bool) -> Select[Any]:
    """These sessions and, `with_bays`, the newest session of each of these bays."""
    c, other = custody_sessions.c, custody_sessions.alias("other").c
    newest = select(func.max(other.first_fact)).where(other.dock == c.dock, other.bay == c.bay).scalar_subquery()
    wanted: list[ColumnElement[bool]] = [tuple_(c.dock, c.session).in_(bindparam("keys", expanding=True))]
    if with_bays:
        is_of_bay = tuple_(c.dock, c.bay).in_(bindparam("bays", expanding=True))
        wanted.append(and_(is_of_bay, c.first_fact == newest))
    return select(custody_sessions).where(or_(*wanted)).order_by(c.dock, c.first_fact)


_SESSIONS = _sessions_question(with_bays=False)
_SESSIONS_AND_BAYS = _sessions_question(with_bays=True)
_END_HOLDER = update(custody_holders).where(
    custody_holders.c.dock == bindparam("its_dock"),
    custody_holders.c.assignment == bindparam("its_assignment"),
    custody_holders.c.ended_fact.is_(None),
    custody_holders.c.started_fact < bindparam("its_end"),
)
"""The first end counts."""


_THROUGH = select(custody_docks).where(custody_docks.c.dock.in_(bindparam("names", expanding=True)))


async def note_custody(connection: AsyncConnection, new: Sequence[RecordedFact]) -> None:
    """Fold `new`, of any docks, inside the transaction that adds them.

    A dock that is not caught up yet is left to `Gathering`. The caller holds the docks' rows.
    """
    first: dict[str, int] = {}
    for one in new:
        first.setdefault(one.dock, one.number)
    through = await _through(connection, sorted(first))
    ready = {dock for dock, number in first.items() if through.get(dock, 0) == number - 1}
    await _fold(connection, [one for one in new if one.dock in ready])


async def _fold(connection: AsyncConnection, new: Sequence[RecordedFact]) -> None:
    if not new:
        return
    lot = _Lot(new)
    await lot.load(connection)
    lot.fold()
    await lot.save(connection)


async def _through(connection: AsyncConnection, docks_asked: Sequence[str]) -> dict[str, int]:
    rows = await connection.execute(_THROUGH, {"names": list(docks_asked)})
    return {row.dock: row.through for row in rows}


class Gathering:
    """What goes on beside the facts: catching up, and remembering what was refused."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def catch_up(self) -> int:
        """Fold all facts that are held and not folded; returns how many. Raises Refusal (503, 507)."""
        folded = 0
        while (dock := await self._behind()) is not None:
            folded += await self._fold_lot(dock)
        return folded

    async def note_refused(self, dock: str, number: int, refusal: Refusal) -> None:
        """Remember that a dock sent what contradicts its chain, once for each dock and reason.

        Raises Refusal (503, 507).
        """
        if refusal.kind.code not in _CONFLICTS:
            return
        now = self._clock.now()
        c = custody_conflicts.c
        row: Mapping[str, Any] = {
            "dock": dock,
            "code": refusal.kind.code,
            "number": number,
            "words": refusal.what.replace("\0", " ")[:1000],
            "first_at": now,
            "last_at": now,
            "times": 0,
        }
        async with self._database.writing() as connection:
            await insert_new(connection, custody_conflicts, [row])
            await connection.execute(
                update(custody_conflicts)
                .where(c.dock == dock, c.code == refusal.kind.code)
                .values(number=number, words=row["words"], last_at=now, times=c.times + 1)
            )

    async def _behind(self) -> str | None:
        async with self._database.reading() as connection:
            return (await connection.execute(behind().limit(1))).scalar_one_or_none()

    async def _fold_lot(self, dock: str) -> int:
        async with self._database.writing() as connection:
            await connection.execute(select(docks.c.dock).where(docks.c.dock == dock).with_for_update())
            after = (await _through(connection, [dock])).get(dock, 0)
            question = (
                select(facts.c.body)
                .where(facts.c.dock == dock, facts.c.number > after)
                .order_by(facts.c.number)
                .limit(_LOT)
            )
            bodies: Iterable[str] = (await connection.execute(question)).scalars().all()
            new = tuple(map(RecordedFact.model_validate_json, bodies))
            if new:
                await _fold(connection, new)
            return len(new)


def behind() -> Any:
    """The docks of which facts are held that are not folded yet."""
    known = docks.outerjoin(custody_docks, custody_docks.c.dock == docks.c.dock)
    return (
        select(docks.c.dock)
        .select_from(known)
        .where(docks.c.facts > func.coalesce(custody_docks.c.through, 0))
        .order_by(docks.c.dock)
    )
