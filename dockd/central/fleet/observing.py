"""Gathers what alerts are judged from, in one consistent view, and lets the rules judge it.

Knows the tables; the number of questions is fixed, and each answer is bounded. What is cut is told, so that nothing
counts as over for it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.canary import Check
from dockd.central.database import Database
from dockd.central.fleet.dock_states import PlacedDock, by_dock, failing_bays, placed_docks
from dockd.central.fleet.expiries import Expiries
from dockd.central.fleet.tables import bay_visits, camera_faults
from dockd.central.fleet.visits import visits_of
from dockd.central.places.rows import CameraState
from dockd.central.places.whereabouts import is_held_in_tables
from dockd.central.tables import camera_whereabouts, cameras, read_backs, store_canaries
from dockd.errors import DockdError
from dockd.rules.alerts import (
    AlertKind,
    Condition,
    DockedCamera,
    FailingBay,
    FailingCamera,
    HeldCamera,
    Limits,
    bay_condition,
    camera_condition,
    dock_conditions,
    duplicate_conditions,
    expiry_condition,
    overdue_condition,
    receipts_condition,
    store_condition,
)
from dockd.rules.faults import FAILING_RUN, Verdict, failures_in_row, judge_camera

MOST_OF_KIND = 1_000
_REPORTS = 400
_STORE_MEMORY = timedelta(days=30)
_STORE_IN_USE = timedelta(days=7)
_DUPLICATE = "duplicate-identity"


@dataclass(frozen=True, slots=True)
class Observed:
    """All conditions of one moment. `judged` are the kinds of which there are no others."""

    conditions: tuple[Condition, ...]
    judged: frozenset[AlertKind]
    docks: tuple[PlacedDock, ...]


async def observe(database: Database, expiries: Expiries, limits: Limits, now: datetime) -> Observed:
    """Look at everything. Raises Refusal (503, 507) when the database cannot be read."""
    async with database.reading() as connection:
        bays = await failing_bays(connection)
        placed = await placed_docks(connection, by_dock(bays))
        sites = {one.state.dock: one.state.site for one in placed}
        expected = {one.state.dock for one in placed if one.state.is_expected}
        found: list[Condition] = []
        for one in placed:
            found += dock_conditions(one.state, limits, now)
        found += (bay_condition(_sited(one, sites)) for one in bays if one.dock in expected)
        overdue = await _overdue(connection, sites, limits, now)
        found += overdue
        found += await _failing_cameras(connection, sites)
        found += await _duplicates(connection, placed, sites, limits, now)
        found += await _receipts(connection, limits, now)
        found += await _stores(connection, now)
    judged = set(AlertKind)
    try:
        ending = await expiries.ending_before(now + limits.certificate_within)
        every = (expiry_condition(one, limits, now) for one in ending)
        found += (one for one in every if one is not None)
    except DockdError:
        judged.discard(AlertKind.CERTIFICATE_EXPIRING)  # not to be told now is no renewal
    return Observed(*_bounded(found, judged), placed)


def _bounded(
    found: list[Condition], judged: Collection[AlertKind]
) -> tuple[tuple[Condition, ...], frozenset[AlertKind]]:
    kept: list[Condition] = []
    whole = set(judged)
    for kind in AlertKind:
        some = sorted((one for one in found if one.kind is kind), key=lambda one: (one.since, one.subject))
        kept += some[:MOST_OF_KIND]
        if len(some) > MOST_OF_KIND:
            whole.discard(kind)
    return tuple(kept), frozenset(whole)


def _sited(one: FailingBay, sites: dict[str, str | None]) -> FailingBay:
    return FailingBay(one.dock, one.bay, sites.get(one.dock), one.since, one.failures, one.cameras)


async def _overdue(
    connection: AsyncConnection, sites: dict[str, str | None], limits: Limits, now: datetime
) -> list[Condition]:
    """One more than MOST_OF_KIND, so that it shows when there are more. A camera that its list calls lost, withdrawn or
    in repair is somebody's matter already."""
    where = camera_whereabouts.c
    question = (
        select(camera_whereabouts, cameras.c.site)
        .select_from(camera_whereabouts.outerjoin(cameras, cameras.c.camera == where.camera))
        .where(
            is_held_in_tables(),
            where.issued_at < now - limits.overdue_after,
            or_(cameras.c.state.is_(None), cameras.c.state == CameraState.IN_USE.value),
        )
        .order_by(where.issued_at, where.camera)
        .limit(MOST_OF_KIND + 1)
    )
    found = []
    for row in await connection.execute(question):
        one = HeldCamera(
            camera=row.camera,
            site=row.site or sites.get(row.issued_dock),
            issued_at=row.issued_at,
            issued_dock=row.issued_dock,
            seen_at=row.seen_at,
            seen_dock=row.seen_dock,
            seen_bay=row.seen_bay,
        )
        condition = overdue_condition(one, limits, now)
        if condition is not None:
            found.append(condition)
    return found


async def _failing_cameras(connection: AsyncConnection, sites: dict[str, str | None]) -> list[Condition]:
    question = (
        select(camera_faults.c.camera, camera_faults.c.recent, cameras.c.site)
        .select_from(camera_faults.outerjoin(cameras, cameras.c.camera == camera_faults.c.camera))
        .where(camera_faults.c.failures_in_row >= FAILING_RUN, text("failures_in_row > 0"))
        .order_by(camera_faults.c.failures_in_row.desc(), camera_faults.c.camera)
        .limit(MOST_OF_KIND * 2)
    )
    found = []
    for row in await connection.execute(question):
        recent = visits_of(row.recent)
        if judge_camera(recent) is not Verdict.FAILING:
            continue
        run = recent[len(recent) - failures_in_row(recent) :]
        last = run[-1]
        found.append(
            camera_condition(
                FailingCamera(
                    camera=row.camera,
                    site=row.site or sites.get(last.dock),
                    since=run[0].at,
                    failures=len(run),
                    bays=len({(one.dock, one.bay) for one in run}),
                    last_dock=last.dock,
                    last_bay=last.bay,
                )
            )
        )
    return found


async def _duplicates(
    connection: AsyncConnection,
    placed: tuple[PlacedDock, ...],
    sites: dict[str, str | None],
    limits: Limits,
    now: datetime,
) -> tuple[Condition, ...]:
    is_there = and_(bay_visits.c.left_at.is_(None), bay_visits.c.camera.is_not(None))
    twice = select(bay_visits.c.camera).where(is_there).group_by(bay_visits.c.camera).having(func.count() > 1)
    is_held = and_(bay_visits.c.code == _DUPLICATE, bay_visits.c.outcome == "failed")
    question = (
        select(bay_visits)
        .where(is_there, or_(bay_visits.c.camera.in_(twice), is_held))
        .order_by(bay_visits.c.camera, bay_visits.c.dock, bay_visits.c.bay)
        .limit(MOST_OF_KIND * 2)
    )
    docked = [
        DockedCamera(
            row.camera,
            row.dock,
            row.bay,
            row.docked_at,
            is_held_as_double=row.code == _DUPLICATE and row.outcome == "failed",
        )
        for row in await connection.execute(question)
    ]
    current = {one.state.dock for one in placed if not one.state.facts_waiting and not one.state.is_silent(limits, now)}
    return duplicate_conditions(docked, sites, current)


async def _receipts(connection: AsyncConnection, limits: Limits, now: datetime) -> list[Condition]:
    question = (
        select(read_backs.c.bucket, func.count().label("waiting"), func.min(read_backs.c.asked_at).label("oldest_at"))
        .where(read_backs.c.outcome.is_(None))
        .group_by(read_backs.c.bucket)
    )
    rows = await connection.execute(question)
    every = (receipts_condition(row.bucket, row.waiting, row.oldest_at, limits, now) for row in rows)
    return [one for one in every if one is not None]


async def _stores(connection: AsyncConnection, now: datetime) -> list[Condition]:
    """Worse than yesterday, or than any day since: what a store lost stays told until it does it again."""
    question = (
        select(store_canaries)
        .where(store_canaries.c.checked_at > now - _STORE_MEMORY)
        .order_by(store_canaries.c.number.desc())
        .limit(_REPORTS)
    )
    places: dict[tuple[str, str], list[tuple[datetime, dict[str, bool], list[str]]]] = {}
    for row in await connection.execute(question):
        good = {name: bool(one["is_good"]) for name, one in json.loads(row.findings).items()}
        places.setdefault((row.endpoint, row.bucket), []).append((row.checked_at, good, json.loads(row.worse)))
    return list(_worse_stores(places, now))


def _worse_stores(
    places: dict[tuple[str, str], list[tuple[datetime, dict[str, bool], list[str]]]], now: datetime
) -> Iterator[Condition]:
    for (_endpoint, bucket), reports in sorted(places.items()):
        newest_at, good_now, _worse = reports[0]
        if now - newest_at > _STORE_IN_USE:
            continue  # footage goes elsewhere by now
        lost_at: dict[str, datetime] = {}
        for checked_at, _good, worse in reports:
            for name in worse:
                if not good_now.get(name, False):
                    lost_at.setdefault(name, checked_at)
        if lost_at:
            promises = [check.value for check in Check if check.name in lost_at]
            yield store_condition(bucket, promises, min(lost_at.values()))
