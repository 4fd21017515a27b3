"""Where each camera was last seen and who took it last, as the facts of all docks tell it.

Knows facts and one table. Facts of different docks arrive in any order, hours late and twice, so only maxima are
kept: the latest sighting, the latest issue, the latest end of an assignment. Whatever the order, the result is the
same. It is a reading aid like `projections`, and can be built from the facts again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.database import columns_of, insert_new, insert_or_replace
from dockd.central.tables import camera_whereabouts
from dockd.model import facts
from dockd.model.facts import RecordedFact


@dataclass(slots=True)
class Whereabouts:
    """One camera. Of two events at the same moment the later by dock and session counts."""

    camera: str
    seen_at: datetime | None = None
    seen_dock: str | None = None
    seen_session: str | None = None
    seen_bay: str | None = None
    issued_at: datetime | None = None
    issued_to: str | None = None
    issued_dock: str | None = None
    ended_at: datetime | None = None

    @property
    def is_held(self) -> bool:
        """Whether an officer has it: issued, and neither seen by any dock nor given back since.

        The dock that issued it never hears of its return to another, so a sighting anywhere ends it.
        """
        return (
            self.issued_at is not None
            and (self.seen_at is None or self.seen_at < self.issued_at)
            and (self.ended_at is None or self.ended_at < self.issued_at)
        )

    def note_seen(self, at: datetime, dock: str, session: str, bay: str) -> None:
        """A dock identified it."""
        if self.seen_at is None or (self.seen_at, self.seen_dock or "", self.seen_session or "") < (at, dock, session):
            self.seen_at, self.seen_dock, self.seen_session, self.seen_bay = at, dock, session, bay

    def note_issued(self, at: datetime, officer: str, dock: str) -> None:
        """An officer took it."""
        if self.issued_at is None or (self.issued_at, self.issued_dock or "", self.issued_to or "") < (
            at,
            dock,
            officer,
        ):
            self.issued_at, self.issued_to, self.issued_dock = at, officer, dock

    def note_ended(self, at: datetime) -> None:
        """An assignment of it was closed."""
        if self.ended_at is None or self.ended_at < at:
            self.ended_at = at


def is_held_in_tables() -> ColumnElement[bool]:
    """The condition `Whereabouts.is_held` as the database asks it."""
    one = camera_whereabouts.c
    return and_(
        one.issued_at.is_not(None),
        or_(one.seen_at.is_(None), one.seen_at < one.issued_at),
        or_(one.ended_at.is_(None), one.ended_at < one.issued_at),
    )


def fold(known: dict[str, Whereabouts], recorded: RecordedFact) -> None:
    """Take in one fact; `known` holds every camera that the fact names."""
    fact = recorded.fact
    camera = camera_of(recorded)
    if camera is None:
        return
    one = known[camera]
    match fact:
        case facts.CameraIdentified():
            one.note_seen(recorded.moment.at, recorded.dock, fact.session, fact.bay)
        case facts.AssignmentStarted():
            one.note_issued(fact.started_at, fact.officer, recorded.dock)
        case facts.AssignmentEnded():
            one.note_ended(fact.ended_at)


def camera_of(recorded: RecordedFact) -> str | None:
    """The camera whose whereabouts a fact changes, or None."""
    match recorded.fact:
        case facts.CameraIdentified() as fact:
            return fact.identity.camera
        case facts.AssignmentStarted() | facts.AssignmentEnded() as fact:
            return fact.camera
        case _:
            return None


async def note_whereabouts(connection: AsyncConnection, new: Sequence[RecordedFact]) -> None:
    """Fold `new` into the table, inside the transaction that adds the facts."""
    names = sorted({camera for one in new if (camera := camera_of(one)) is not None})
    if not names:
        return
    # Two docks may tell of one camera at once. Every transaction takes the rows in the order of their names, so
    # that none waits for one that waits for it.
    known = await _locked(connection, names)
    if missing := [name for name in names if name not in known]:
        await insert_new(connection, camera_whereabouts, ({"camera": name} for name in missing))
        known |= await _locked(connection, missing)
    for one in new:
        fold(known, one)
    await insert_or_replace(connection, camera_whereabouts, (columns_of(known[name]) for name in names))


async def _locked(connection: AsyncConnection, names: Sequence[str]) -> dict[str, Whereabouts]:
    question = (
        select(camera_whereabouts)
        .where(camera_whereabouts.c.camera.in_(names))
        .order_by(camera_whereabouts.c.camera)
        .with_for_update()
    )
    return {row["camera"]: Whereabouts(**row) for row in (await connection.execute(question)).mappings()}
