"""What pages and reading calls may ask. Read-only, typed, every answer bounded.

Knows the tables; changes nothing. Everything it returns is a plain value, so that pages need no database.
Errors: NotFound; Refusal (503) when the database cannot be read now.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, FromClause, Row, and_, bindparam, case, func, or_, select

from dockd.central.database import Database
from dockd.central.projections import RecordingRow
from dockd.central.retention.disposal_rows import is_disposed
from dockd.central.tables import (
    custody_lines,
    dock_recordings,
    docks,
    facts,
    manifests,
    orders,
    receipts,
    sessions,
    sources,
)
from dockd.errors import NotFound
from dockd.model.facts import SessionReconciled
from dockd.model.recording import ContainerVerdict, Receipt
from dockd.rules.custody import Custody
from dockd.wire.messages import (
    CustodyLine,
    DockList,
    DockSummary,
    Order,
    Orders,
    RecordingDetail,
    RecordingList,
    RecordingSummary,
    StoredManifest,
)
from dockd.wire.status import DockStatus

MOST_DOCKS = 2_000
MOST_SESSIONS = 500
MOST_RECORDINGS = 500
MOST_OF_SESSION = 20_000
MOST_SOURCES = 1_000
MOST_LINES = 10_000
MOST_ORDERS = 100


@dataclass(frozen=True, slots=True)
class DockOverview:
    """A dock as it last showed itself. `status` is its own word and no evidence."""

    dock: str
    facts: int
    head: str
    public_key: str | None
    last_heard_at: datetime | None
    status: DockStatus | None
    status_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionOverview:
    """One camera in one bay; the counts are of the recordings that its card last listed in it."""

    dock: str
    session: str
    bay: str
    camera: str | None
    model: str | None
    state: str
    reason: str | None
    started_at: datetime
    ended_at: datetime | None
    clock_offset_milliseconds: int | None
    reconciliation: SessionReconciled | None
    recordings: int
    size_bytes: int
    accepted: int
    erased: int


@dataclass(frozen=True, slots=True)
class SessionDetail:
    """A session with what was on the card and the manifests kept for it."""

    overview: SessionOverview
    recordings: tuple[RecordingRow, ...]
    manifests: tuple[StoredManifest, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """How much there is. `waiting` are recordings that docks have copied and the store has not accepted."""

    docks: int
    sessions: int
    recordings: int
    size_bytes: int
    waiting: int
    waiting_bytes: int


@dataclass(frozen=True, slots=True)
class RecordingFilter:
    """Which recordings; None means any."""

    dock: str | None = None
    camera: str | None = None
    session: str | None = None
    officer: str | None = None
    recorded_from: datetime | None = None
    """Recorded at this time or later; a recording whose time is unknown is not found by it."""
    recorded_before: datetime | None = None
    docks: Collection[str] | None = None
    """Only what came by one of these, whatever else is asked."""


_ORDERS = (
    select(orders)
    .where(orders.c.dock == bindparam("its_dock"), orders.c.number > bindparam("after"))
    .order_by(orders.c.number)
    .limit(MOST_ORDERS)
)


class Queries:
    """Answers from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- docks --------------------------------------------------------------------------------

    async def docks(self, only: Collection[str] | None = None) -> tuple[DockOverview, ...]:
        """All docks by name, or those of `only`, at most MOST_DOCKS."""
        question = select(docks).where(*_among(docks.c.dock, only)).order_by(docks.c.dock).limit(MOST_DOCKS)
        rows = await self._all(question)
        return tuple(map(_dock, rows))

    async def dock(self, dock: str) -> DockOverview:
        """One dock. Raises NotFound."""
        rows = await self._all(select(docks).where(docks.c.dock == dock))
        if not rows:
            raise NotFound("The centre has never heard of this dock.")
        return _dock(rows[0])

    async def dock_list(self, only: Collection[str] | None = None) -> DockList:
        """All docks, or those of `only`, as the API tells them."""
        columns = select(docks.c.dock, docks.c.facts, docks.c.last_heard_at)
        question = columns.where(*_among(docks.c.dock, only)).order_by(docks.c.dock).limit(MOST_DOCKS)
        return DockList(
            docks=tuple(
                DockSummary(dock=row.dock, facts=row.facts, last_heard_at=row.last_heard_at)
                for row in await self._all(question)
            )
        )

    async def fact_bodies(self, dock: str, after: int, limit: int) -> tuple[str, ...]:
        """The canonical JSON of a dock's facts numbered above `after`, in order, byte for byte as hashed."""
        is_wanted = and_(facts.c.dock == dock, facts.c.number > after)
        rows = await self._all(select(facts.c.body).where(is_wanted).order_by(facts.c.number).limit(limit))
        return tuple(row.body for row in rows)

    async def orders(self, dock: str, after: int) -> Orders:
        """The dock's orders numbered above `after`, at most MOST_ORDERS."""
        async with self._database.looking() as connection:
            rows = (await connection.execute(_ORDERS, {"its_dock": dock, "after": after})).all()
        return Orders(orders=tuple(_order(row) for row in rows))

    # --- sessions -----------------------------------------------------------------------------

    async def sessions(
        self, *, dock: str | None = None, camera: str | None = None, limit: int = 50
    ) -> tuple[SessionOverview, ...]:
        """Sessions, the newest first, at most `limit` and never more than MOST_SESSIONS."""
        conditions: list[ColumnElement[bool]] = []
        if dock is not None:
            conditions.append(sessions.c.dock == dock)
        if camera is not None:
            conditions.append(sessions.c.camera == camera)
        return await self._session_overviews(conditions, min(limit, MOST_SESSIONS))

    async def session(self, dock: str, session: str) -> SessionDetail:
        """One session with its recordings, at most MOST_OF_SESSION. Raises NotFound."""
        found = await self._session_overviews([sessions.c.dock == dock, sessions.c.session == session], 1)
        if not found:
            raise NotFound("The centre knows no such session.")
        listed = and_(dock_recordings.c.dock == dock, dock_recordings.c.session == session)
        kept = and_(manifests.c.dock == dock, manifests.c.session == session)
        rows = await self._all(
            select(dock_recordings)
            .where(listed)
            .order_by(dock_recordings.c.path, dock_recordings.c.recording)
            .limit(MOST_OF_SESSION)
        )
        documents = await self._all(select(manifests).where(kept).order_by(manifests.c.name).limit(MOST_OF_SESSION))
        return SessionDetail(
            overview=found[0],
            recordings=tuple(RecordingRow(**row._mapping) for row in rows),
            manifests=tuple(
                StoredManifest(name=row.name, digest=row.digest, size_bytes=row.size_bytes) for row in documents
            ),
        )

    # --- recordings ---------------------------------------------------------------------------

    async def recordings(
        self, wanted: RecordingFilter, *, before: int | None = None, limit: int = 100
    ) -> RecordingList:
        """Recordings that docks claimed, the newest claim first; `next_after` is the `before` of the next page."""
        conditions = [
            column == value
            for column, value in (
                (sources.c.dock, wanted.dock),
                (sources.c.camera, wanted.camera),
                (sources.c.session, wanted.session),
                (sources.c.officer, wanted.officer),
            )
            if value is not None
        ]
        conditions += _among(sources.c.dock, wanted.docks)
        if wanted.recorded_from is not None:
            conditions.append(sources.c.recorded_at >= wanted.recorded_from)
        if wanted.recorded_before is not None:
            conditions.append(sources.c.recorded_at < wanted.recorded_before)
        if before is not None:
            conditions.append(sources.c.number < before)
        limit = min(limit, MOST_RECORDINGS)
        question = _with_receipts().where(*conditions).order_by(sources.c.number.desc()).limit(limit + 1)
        rows = await self._all(question)
        page = rows[:limit]
        return RecordingList(
            recordings=tuple(map(_summary, page)),
            next_after=str(page[-1].number) if len(rows) > limit else None,
        )

    async def recording(self, digest: str) -> RecordingDetail:
        """Everything known of one digest: sources, receipt, custody. Raises NotFound."""
        rows = await self._all(
            _with_receipts().where(sources.c.digest == digest).order_by(sources.c.number).limit(MOST_SOURCES)
        )
        if not rows:
            raise NotFound("The centre knows no recording with this digest.")
        return RecordingDetail(
            sources=tuple(map(_summary, rows)),
            receipt=await self.receipt(digest),
            custody=await self._custody([(row.dock, row.recording) for row in rows]),
        )

    async def receipt(self, digest: str) -> Receipt | None:
        """The receipt for this digest, or None while the store has not accepted it."""
        rows = await self._all(select(receipts.c.receipt).where(receipts.c.digest == digest))
        return Receipt.model_validate_json(rows[0].receipt) if rows else None

    async def reported(self, dock: str, recording: str) -> tuple[RecordingRow, tuple[CustodyLine, ...]]:
        """One recording as its dock tells of it, with its custody, also before it is accepted. Raises NotFound."""
        is_it = and_(dock_recordings.c.dock == dock, dock_recordings.c.recording == recording)
        rows = await self._all(select(dock_recordings).where(is_it))
        if not rows:
            raise NotFound("The centre knows no such recording of this dock.")
        return RecordingRow(**rows[0]._mapping), await self._custody([(dock, recording)])

    async def totals(self, only: Collection[str] | None = None) -> Totals:
        """How much there is, of everything or of what came by one of `only`."""
        state = dock_recordings.c.state.in_([Custody.STAGED.name, Custody.VERIFIED.name, Custody.STORED.name])
        waits = and_(state, *_among(dock_recordings.c.dock, only))
        came = select(sources.c.digest).where(*_among(sources.c.dock, only))
        held = (~is_disposed(),) if only is None else (~is_disposed(), receipts.c.digest.in_(came))
        numbers = select(
            select(func.count()).select_from(docks).where(*_among(docks.c.dock, only)).scalar_subquery().label("docks"),
            select(func.count())
            .select_from(sessions)
            .where(*_among(sessions.c.dock, only))
            .scalar_subquery()
            .label("sessions"),
            select(func.count()).select_from(receipts).where(*held).scalar_subquery().label("recordings"),
            select(func.coalesce(func.sum(receipts.c.size_bytes), 0))
            .where(*held)
            .scalar_subquery()
            .label("size_bytes"),
            select(func.count()).select_from(dock_recordings).where(waits).scalar_subquery().label("waiting"),
            select(func.coalesce(func.sum(dock_recordings.c.size_bytes), 0))
            .where(waits)
            .scalar_subquery()
            .label("waiting_bytes"),
        )
        row = (await self._all(numbers))[0]
        return Totals(**{name: int(value) for name, value in row._mapping.items()})

    # --- inside -------------------------------------------------------------------------------

    async def _all(self, question: Any) -> Sequence[Row[Any]]:
        async with self._database.reading() as connection:
            return (await connection.execute(question)).all()

    async def _session_overviews(
        self, conditions: list[ColumnElement[bool]], limit: int
    ) -> tuple[SessionOverview, ...]:
        chosen = select(sessions).where(*conditions).order_by(*_newest(sessions)).limit(limit).subquery()
        same = and_(dock_recordings.c.dock == chosen.c.dock, dock_recordings.c.session == chosen.c.session)

        def counted(*states: Custody) -> ColumnElement[int]:
            is_one = dock_recordings.c.state.in_([state.name for state in states])
            return func.coalesce(func.sum(case((is_one, 1), else_=0)), 0)

        question = (
            select(
                chosen,
                func.count(dock_recordings.c.recording).label("recordings"),
                func.coalesce(func.sum(dock_recordings.c.size_bytes), 0).label("size_bytes"),
                counted(Custody.ACCEPTED, Custody.ERASED).label("accepted"),
                counted(Custody.ERASED).label("erased"),
            )
            .select_from(chosen.outerjoin(dock_recordings, same))
            .group_by(*chosen.c)
            .order_by(*_newest(chosen))
        )
        return tuple(map(_session, await self._all(question)))

    async def _custody(self, names: Sequence[tuple[str, str]]) -> tuple[CustodyLine, ...]:
        is_one = or_(
            *(and_(custody_lines.c.dock == dock, custody_lines.c.recording == name) for dock, name in names[:200])
        )
        question = (
            select(custody_lines)
            .where(is_one)
            .order_by(custody_lines.c.at, custody_lines.c.dock, custody_lines.c.fact_number)
            .limit(MOST_LINES)
        )
        return tuple(
            CustodyLine(dock=row.dock, fact_number=row.fact_number, at=row.at, kind=row.kind, words=row.words)
            for row in await self._all(question)
        )


def _among(column: ColumnElement[str], only: Collection[str] | None) -> list[ColumnElement[bool]]:
    """The condition that keeps to `only`; none where that is None."""
    return [] if only is None else [column.in_(sorted(only))]


def _newest(of: FromClause) -> tuple[ColumnElement[Any], ...]:
    """The newest session first; equal times in one order, whatever the database."""
    return of.c.started_at.desc(), of.c.dock, of.c.session


def _with_receipts() -> Any:
    return select(sources, receipts.c.accepted_at).select_from(
        sources.outerjoin(receipts, receipts.c.digest == sources.c.digest)
    )


def _summary(row: Row[Any]) -> RecordingSummary:
    return RecordingSummary(
        digest=row.digest,
        size_bytes=row.size_bytes,
        dock=row.dock,
        recording=row.recording,
        camera=row.camera,
        session=row.session,
        path=row.path,
        recorded_at=row.recorded_at,
        officer=row.officer,
        container=ContainerVerdict(row.container),
        accepted_at=row.accepted_at,
    )


def _dock(row: Row[Any]) -> DockOverview:
    return DockOverview(
        dock=row.dock,
        facts=row.facts,
        head=row.head,
        public_key=row.public_key,
        last_heard_at=row.last_heard_at,
        status=_status(row.status),
        status_at=row.status_at,
    )


def _status(text: str | None) -> DockStatus | None:
    if text is None:
        return None
    try:
        return DockStatus.model_validate_json(text)
    except ValidationError:
        return None  # kept by another version of dockd; the next heartbeat replaces it


def _session(row: Row[Any]) -> SessionOverview:
    values = dict(row._mapping)
    text = values.pop("reconciliation")
    del values["first_fact"], values["last_fact"]
    for name in ("recordings", "size_bytes", "accepted", "erased"):
        values[name] = int(values[name])  # PostgreSQL adds BIGINTs up to a NUMERIC
    reconciliation = None if text is None else SessionReconciled.model_validate_json(text)
    return SessionOverview(**values, reconciliation=reconciliation)


def _order(row: Row[Any]) -> Order:
    return Order(number=row.number, kind=row.kind, body=json.loads(row.body))
