"""Legal holds: set by a person with a reason, released by a person with a reason, never changed.

A hold overrides every policy and covers what arrives later. A hold on a site covers every dock that stood there
at any time while it was held. Must not know policies or stores.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database, insert_new
from dockd.central.refusals import ALREADY_RELEASED
from dockd.central.retention.decisions import checked_reason
from dockd.central.retention.disposal_rows import DisposalState
from dockd.central.retention.footage import load_footage
from dockd.central.retention.gate import pass_gate
from dockd.central.retention.tables import disposals, hold_docks, hold_releases, holds
from dockd.central.tables import site_docks, sites, sources
from dockd.clock import Clock
from dockd.errors import BadRequest, NotFound
from dockd.model.canonical import Json
from dockd.model.moment import format_utc
from dockd.rules.retention import Hold, HoldBook
from dockd.web.problems import Refusal

_NAMES = ("digest", "camera", "officer", "site", "recorded_from", "recorded_before")


@dataclass(frozen=True, slots=True)
class HoldScope:
    """What a hold names; what is given must all agree. At least one is given."""

    digest: str | None = None
    camera: str | None = None
    officer: str | None = None
    site: str | None = None
    recorded_from: datetime | None = None
    recorded_before: datetime | None = None

    @property
    def given(self) -> dict[str, str | datetime]:
        """What is named, by name."""
        return {name: value for name in _NAMES if (value := getattr(self, name)) is not None}

    @property
    def words(self) -> str:
        """For people."""
        parts = [f"{name} {value}" for name, value in self.given.items() if isinstance(value, str)]
        parts = [one.replace("digest", "recording", 1) if one.startswith("digest") else one for one in parts]
        if self.recorded_from is not None:
            parts.append(f"recorded from {self.recorded_from:%Y-%m-%d %H:%M} UTC")
        if self.recorded_before is not None:
            parts.append(f"recorded before {self.recorded_before:%Y-%m-%d %H:%M} UTC")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class HoldLine:
    """A hold with its whole story. `released_at` None: it stands."""

    number: int
    scope: HoldScope
    set_at: datetime
    set_by: str
    reason: str
    released_at: datetime | None = None
    released_by: str | None = None
    release_reason: str | None = None


@dataclass(frozen=True, slots=True)
class HoldSet:
    """A new hold. `too_late` are recordings it covers whose deletion was decided before and may be under way."""

    number: int
    too_late: tuple[str, ...]


class Holds:
    """Every hold. Every method raises Refusal (503, 507)."""

    def __init__(self, database: Database, clock: Clock, facts: CentreFacts) -> None:
        self._database = database
        self._clock = clock
        self._facts = facts

    async def set_hold(self, scope: HoldScope, *, by: str, reason: str) -> HoldSet:
        """Hold from this moment on.

        Raises BadRequest when nothing is named; NotFound for an unknown recording or site.
        """
        checked = checked_reason(reason)
        if not scope.given:
            raise BadRequest("A hold names a recording, a camera, an officer, a site or a period.")
        if scope.recorded_from and scope.recorded_before and scope.recorded_from >= scope.recorded_before:
            raise BadRequest("The period ends before it begins.")
        async with self._database.writing() as connection:
            await pass_gate(connection)
            await _check_known(connection, scope)
            row = {**scope.given, "set_at": self._clock.now(), "set_by": by, "reason": checked}
            number = (await connection.execute(insert(holds).values(row).returning(holds.c.number))).scalar_one()
            if scope.site is not None:
                await note_docks_of_held_sites(connection)
            told = {name: value if isinstance(value, str) else format_utc(value) for name, value in scope.given.items()}
            about: dict[str, Json] = {"hold": number, "reason": checked, "scope": {**told}}
            too_late = await _being_deleted(connection, number)
            await self._facts.add_in(connection, kind="HoldSet", actor=by, about=about)
        return HoldSet(number, too_late)

    async def release(self, number: int, *, by: str, reason: str) -> None:
        """End a hold. Raises NotFound; Refusal (409) when it was released before."""
        checked = checked_reason(reason)
        async with self._database.writing() as connection:
            await pass_gate(connection)
            if (await connection.execute(select(holds.c.number).where(holds.c.number == number))).first() is None:
                raise NotFound("There is no such hold.")
            released = select(hold_releases.c.hold).where(hold_releases.c.hold == number)
            if (await connection.execute(released)).first() is not None:
                raise Refusal(ALREADY_RELEASED, f"Hold {number} was released before.")
            row = {"hold": number, "released_at": self._clock.now(), "released_by": by, "reason": checked}
            await connection.execute(insert(hold_releases).values(row))
            about: dict[str, Json] = {"hold": number, "reason": checked}
            await self._facts.add_in(connection, kind="HoldReleased", actor=by, about=about)

    async def lines(
        self, *, before: int | None = None, limit: int = 100, only_standing: bool = False
    ) -> list[HoldLine]:
        """Holds, the newest first, at most `limit` with numbers below `before`."""
        question = _with_releases().order_by(holds.c.number.desc()).limit(limit)
        if before is not None:
            question = question.where(holds.c.number < before)
        if only_standing:
            question = question.where(hold_releases.c.hold.is_(None))
        async with self._database.reading() as connection:
            return [_line(row) for row in (await connection.execute(question)).all()]

    async def named(self, numbers: tuple[int, ...]) -> list[HoldLine]:
        """These holds, in order."""
        question = _with_releases().where(holds.c.number.in_(numbers)).order_by(holds.c.number)
        async with self._database.reading() as connection:
            return [_line(row) for row in (await connection.execute(question)).all()]


async def standing_holds(connection: AsyncConnection) -> HoldBook:
    """Every hold that was not released."""
    rows = (await connection.execute(_with_releases().where(hold_releases.c.hold.is_(None)))).all()
    docks = await _docks_of_sites(connection) if any(row.site is not None for row in rows) else {}
    return HoldBook(
        Hold(row.number, docks=docks.get(row.number, frozenset()), **{name: getattr(row, name) for name in _NAMES})
        for row in rows
    )


async def note_docks_of_held_sites(connection: AsyncConnection) -> None:
    """Keep which docks stand at held sites now, so that a dock that moves away stays covered."""
    stands = and_(holds.c.site == site_docks.c.site, hold_releases.c.hold.is_(None))
    question = (
        select(holds.c.number.label("hold"), site_docks.c.dock)
        .select_from(holds.outerjoin(hold_releases, hold_releases.c.hold == holds.c.number).join(site_docks, stands))
        .order_by(holds.c.number, site_docks.c.dock)
    )
    await insert_new(connection, hold_docks, [dict(row._mapping) for row in (await connection.execute(question)).all()])


async def _docks_of_sites(connection: AsyncConnection) -> dict[int, frozenset[str]]:
    """For each hold on a site: the docks that stood there, and those that stand there now."""
    stands = holds.join(site_docks, site_docks.c.site == holds.c.site)
    now_there = select(holds.c.number, site_docks.c.dock).select_from(stands)
    found: dict[int, set[str]] = {}
    for hold, dock in (await connection.execute(select(hold_docks.c.hold, hold_docks.c.dock).union(now_there))).all():
        found.setdefault(hold, set()).add(dock)
    return {hold: frozenset(docks) for hold, docks in found.items()}


async def _check_known(connection: AsyncConnection, scope: HoldScope) -> None:
    """A mistyped name would hold nothing. Cameras and officers may come later; a recording and a site may not."""
    if scope.digest is not None:
        known = select(sources.c.number).where(sources.c.digest == scope.digest).limit(1)
        if (await connection.execute(known)).first() is None:
            raise NotFound("The centre knows no recording with this digest.")
    if scope.site is not None:
        known = select(sites.c.site).where(sites.c.site == scope.site)
        if (await connection.execute(known)).first() is None:
            raise NotFound(f"The list of sites names no {scope.site[:64]!r}.")


async def _being_deleted(connection: AsyncConnection, number: int) -> tuple[str, ...]:
    """What this hold covers of what is decided to go at this moment. The worker looks once more before each deed."""
    intended = select(disposals.c.digest).where(disposals.c.state == DisposalState.INTENDED.value)
    digests = (await connection.execute(intended)).scalars().all()
    if not digests:
        return ()
    book = await standing_holds(connection)
    footage = await load_footage(connection, digests)
    return tuple(
        digest
        for digest in sorted(footage)
        if any(one.number == number for one in book.covering(digest, footage[digest].sources))
    )


def _with_releases() -> Any:
    return select(
        holds, hold_releases.c.released_at, hold_releases.c.released_by, hold_releases.c.reason.label("release_reason")
    ).select_from(holds.outerjoin(hold_releases, hold_releases.c.hold == holds.c.number))


def _line(row: Row[Any]) -> HoldLine:
    return HoldLine(
        number=row.number,
        scope=HoldScope(**{name: getattr(row, name) for name in _NAMES}),
        set_at=row.set_at,
        set_by=row.set_by,
        reason=row.reason,
        released_at=row.released_at,
        released_by=row.released_by,
        release_reason=row.release_reason,
    )
