"""The fault history of a dock's bays, and the search for a camera, an officer or a dock.

Knows the tables; changes nothing. Every answer is bounded, and what is not known has an empty history. Refusal (503)
when the database cannot be read now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.database import Database
from dockd.central.fleet.dock_states import by_dock, failing_bays, placed_docks
from dockd.central.fleet.fold import monday
from dockd.central.fleet.queries import dock_fleet
from dockd.central.fleet.tables import bay_cameras, bay_visits, bay_weeks, camera_faults
from dockd.central.fleet.visits import visits_of
from dockd.central.places.whereabouts import is_held_in_tables
from dockd.central.tables import camera_whereabouts, cameras, docks, officers, site_docks, sites
from dockd.clock import Clock
from dockd.rules.alerts import HeldCamera, Limits, days_left
from dockd.rules.faults import CopySpeed, Visit, fails_always_here, judge_bay, judge_camera, slow_bays
from dockd.rules.health import dock_health
from dockd.wire.fleet import BayHistory, BayVisitView, DockFleet, DockHistory, Found, FoundCamera, FoundOfficer

MOST_BAYS = 200
MOST_FOUND = 20
MOST_WEEKS = 53
LONGEST_QUERY = 100
_COUNTS = ("sessions", "faulted", "held", "connection_losses", "failed_charges", "card_faults")


class FleetHistory:
    """Answers from the database, each from one consistent view."""

    def __init__(self, database: Database, clock: Clock, limits: Limits) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits

    async def dock(self, dock: str, *, weeks: int) -> DockHistory:
        """The bays of one dock; counts of the last `weeks` weeks, this one among them (1 to MOST_WEEKS)."""
        first = monday(self._clock.now().date()) - timedelta(weeks=weeks - 1)
        counted = (
            select(
                bay_weeks.c.bay,
                *(func.sum(bay_weeks.c[name]).label(name) for name in (*_COUNTS, "copied_bytes", "copy_milliseconds")),
            )
            .where(bay_weeks.c.dock == dock, bay_weeks.c.week >= first)
            .group_by(bay_weeks.c.bay)
            .limit(MOST_BAYS)
        )
        now_there = select(bay_visits.c.bay, bay_visits.c.recent).where(bay_visits.c.dock == dock).limit(MOST_BAYS)
        pairs = select(bay_cameras).where(bay_cameras.c.dock == dock, bay_cameras.c.failures_in_row > 0).limit(500)
        async with self._database.reading() as connection:
            sums = {row["bay"]: dict(row) for row in (await connection.execute(counted)).mappings()}
            recent = {row.bay: visits_of(row.recent) for row in await connection.execute(now_there)}
            always: defaultdict[str, list[str]] = defaultdict(list)
            for row in await connection.execute(pairs.order_by(bay_cameras.c.bay, bay_cameras.c.camera)):
                if fails_always_here(visits_of(row.recent)):
                    always[row.bay].append(row.camera)
        speeds = {
            bay: CopySpeed(bay, int(row["copied_bytes"]), int(row["copy_milliseconds"])) for bay, row in sums.items()
        }
        slow = slow_bays(speeds.values())
        bays = tuple(
            _bay_history(bay, sums.get(bay, {}), recent.get(bay, ()), always.get(bay, []), speeds.get(bay), bay in slow)
            for bay in sorted(recent.keys() | sums.keys(), key=_natural)
        )
        return DockHistory(dock=dock, since=first, bays=bays)

    async def search(self, text: str) -> Found:
        """Cameras, officers and docks whose number or name holds `text`, capitals or not."""
        now = self._clock.now()
        async with self._database.reading() as connection:
            return Found(
                query=text,
                cameras=await self._cameras(connection, text, now),
                officers=await _officers(connection, text),
                docks=await self._docks(connection, text, now),
            )

    async def _cameras(self, connection: AsyncConnection, text: str, now: datetime) -> tuple[FoundCamera, ...]:
        names = union(
            select(cameras.c.camera).where(_holds(cameras.c.camera, text)),
            select(camera_whereabouts.c.camera).where(_holds(camera_whereabouts.c.camera, text)),
        ).subquery()
        wanted = select(names.c.camera).order_by(names.c.camera).limit(MOST_FOUND)
        found = [row.camera for row in await connection.execute(wanted)]
        listed = {
            row.camera: row for row in await connection.execute(select(cameras).where(cameras.c.camera.in_(found)))
        }
        where = select(camera_whereabouts, is_held_in_tables().label("is_out")).where(
            camera_whereabouts.c.camera.in_(found)
        )
        placed = {row.camera: row for row in await connection.execute(where)}
        there = select(bay_visits.c.camera).where(bay_visits.c.camera.in_(found), bay_visits.c.left_at.is_(None))
        docked = {row.camera for row in await connection.execute(there)}
        faults = select(camera_faults.c.camera, camera_faults.c.recent).where(camera_faults.c.camera.in_(found))
        recent = {row.camera: visits_of(row.recent) for row in await connection.execute(faults)}
        return tuple(
            self._camera(name, listed.get(name), placed.get(name), name in docked, recent.get(name, ()), now)
            for name in found
        )

    def _camera(
        self, name: str, listed: Any, placed: Any, is_docked: bool, recent: tuple[Visit, ...], now: datetime
    ) -> FoundCamera:
        is_out = placed is not None and bool(placed.is_out)
        left = None
        if is_out:
            held = HeldCamera(name, None, placed.issued_at, placed.issued_dock or "")
            left = days_left(held, self._limits, now)
        return FoundCamera(
            camera=name,
            model=listed.model if listed else None,
            state=listed.state if listed else None,
            site=listed.site if listed else None,
            seen_at=placed.seen_at if placed else None,
            seen_dock=placed.seen_dock if placed else None,
            seen_bay=placed.seen_bay if placed else None,
            is_docked=is_docked,
            is_out=is_out,
            issued_at=placed.issued_at if placed else None,
            issued_to=placed.issued_to if is_out else None,
            retention_days_left=left,
            verdict=judge_camera(recent).value,
        )

    async def _docks(self, connection: AsyncConnection, text: str, now: datetime) -> tuple[DockFleet, ...]:
        at_site = select(site_docks.c.dock).select_from(site_docks.join(sites, sites.c.site == site_docks.c.site))
        names = union(
            select(docks.c.dock).where(_holds(docks.c.dock, text)),
            at_site.where(or_(_holds(site_docks.c.dock, text), _holds(sites.c.site, text), _holds(sites.c.name, text))),
        ).subquery()
        wanted = select(names.c.dock).order_by(names.c.dock).limit(MOST_FOUND)
        found = {row.dock for row in await connection.execute(wanted)}
        if not found:
            return ()
        placed = await placed_docks(connection, by_dock(await failing_bays(connection)), only=found)
        return tuple(dock_fleet(one, dock_health(one.state, self._limits, now)) for one in placed)


async def _officers(connection: AsyncConnection, text: str) -> tuple[FoundOfficer, ...]:
    held = is_held_in_tables()
    names = union(
        select(officers.c.officer).where(_holds(officers.c.officer, text)),
        select(camera_whereabouts.c.issued_to).where(held, _holds(camera_whereabouts.c.issued_to, text)),
    ).subquery()
    wanted = select(names.c.officer).order_by(names.c.officer).limit(MOST_FOUND)
    found = [row.officer for row in await connection.execute(wanted)]
    listed = {
        row.officer: row for row in await connection.execute(select(officers).where(officers.c.officer.in_(found)))
    }
    question = (
        select(camera_whereabouts.c.camera, camera_whereabouts.c.issued_to)
        .where(held, camera_whereabouts.c.issued_to.in_(found))
        .order_by(camera_whereabouts.c.camera)
        .limit(MOST_FOUND * 5)
    )
    out: defaultdict[str, list[str]] = defaultdict(list)
    for row in await connection.execute(question):
        out[row.issued_to].append(row.camera)
    return tuple(
        FoundOfficer(
            officer=name,
            name=listed[name].name if name in listed else None,
            site=listed[name].site if name in listed else None,
            cameras=tuple(out.get(name, ())),
        )
        for name in found
    )


def _holds(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    # Lower case on both sides: LIKE minds capitals on PostgreSQL and not on SQLite. Both know ASCII's alone.
    lowered = "".join(one.lower() if one.isascii() else one for one in text)
    return func.lower(column).contains(lowered, autoescape=True)


def _bay_history(
    bay: str,
    sums: Mapping[str, Any],
    recent: tuple[Visit, ...],
    always: Iterable[str],
    speed: CopySpeed | None,
    is_slow: bool,
) -> BayHistory:
    verdict = judge_bay(recent)
    return BayHistory(
        bay=bay,
        verdict=verdict.value,
        **{name: int(sums.get(name, 0)) for name in _COUNTS},
        bytes_per_second=speed.bytes_per_second if speed else None,
        is_slow=is_slow,
        always_failing=tuple(always),
        recent=tuple(
            BayVisitView(
                at=one.at,
                dock=one.dock,
                session=one.session,
                bay=one.bay,
                camera=one.camera,
                outcome=one.outcome.value,
                code=one.code,
            )
            for one in reversed(recent)
        ),
    )


def _natural(bay: str) -> tuple[str, int, str]:
    digits = "".join(one for one in bay if one.isascii() and one.isdigit())
    return ("".join(one for one in bay if not one.isdigit()), int(digits or 0), bay)
