"""Keeps the fleet's figures as facts and statuses arrive, inside the transaction that takes them in.

Knows the tables and `fold`; decides nothing. Locks: a dock's own rows are guarded by the dock's row, which the intake
holds; rows of cameras are taken in the order of their names, like those of `places.whereabouts`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.database import columns_of, insert_new, insert_or_add, insert_or_replace
from dockd.central.fleet.fold import BayVisit, FleetFold
from dockd.central.fleet.tables import (
    bay_cameras,
    bay_visits,
    bay_weeks,
    camera_faults,
    dock_days,
    dock_gauges,
    dock_hours,
)
from dockd.central.fleet.visits import NO_VISITS, visits_of, visits_text
from dockd.model import facts
from dockd.model.facts import RecordedFact
from dockd.model.moment import ClockSync
from dockd.rules.faults import (
    MOST_PAIR_VISITS,
    MOST_VISITS,
    Outcome,
    Visit,
    failures_in_row,
    remember,
    since_first_failure,
)
from dockd.wire.status import DockStatus, Headline

_TOLD_OF = (
    facts.DockStarted,
    facts.CameraDocked,
    facts.CameraIdentified,
    facts.SessionMoved,
    facts.CameraUndocked,
    facts.RecordingStaged,
    facts.RecordingAccepted,
)
_LARGEST_FIGURE = 2**50
_NEEDS_PERSON = (Headline.HELD, Headline.FAULT)
_VISIT_COLUMNS = tuple(one.name for one in dataclasses.fields(BayVisit))


_UNSYNCHRONISED_SINCE = select(dock_gauges.c.dock, dock_gauges.c.clock_unsynchronised_since).where(
    dock_gauges.c.dock.in_(bindparam("docks", expanding=True))
)
_BAYS = select(bay_visits).where(bay_visits.c.dock.in_(bindparam("docks", expanding=True)))


async def note_fleet(connection: AsyncConnection, new: Sequence[RecordedFact]) -> None:
    """Fold `new`, facts of one or more docks, each dock's in their order, into the figures."""
    wanted: dict[str, list[RecordedFact]] = {}
    for one in new:
        if isinstance(one.fact, _TOLD_OF):
            wanted.setdefault(one.dock, []).append(one)
    if not wanted:
        return
    rows: dict[str, list[RowMapping]] = {dock: [] for dock in wanted}
    for row in (await connection.execute(_BAYS, {"docks": list(wanted)})).mappings():
        rows[row["dock"]].append(row)
    folds, bays = [], []
    for dock, told in sorted(wanted.items()):
        fold = _folded(dock, told, rows[dock])
        folds.append(fold)
        bays += _bay_rows(fold, rows[dock])
    await insert_or_replace(connection, bay_visits, bays)
    visits = [(fold.dock, visit) for fold in folds for visit in fold.told.values()]
    await _note_pairs(connection, visits)
    await _note_sums(connection, folds)
    await _note_cameras(connection, [visit for _dock, visit in visits])


def _folded(dock: str, told: Sequence[RecordedFact], rows: Sequence[RowMapping]) -> FleetFold:
    fold = FleetFold(dock, {row["bay"]: BayVisit(**{name: row[name] for name in _VISIT_COLUMNS}) for row in rows})
    for one in told:
        fold.fold(one)
    return fold


def _bay_rows(fold: FleetFold, rows: Sequence[RowMapping]) -> list[dict[str, Any]]:
    recent = {row["bay"]: visits_of(row["recent"]) for row in rows}
    for visit in fold.told.values():
        recent[visit.bay] = remember(recent.get(visit.bay, ()), visit, MOST_VISITS)
    changed = sorted(fold.changed | {visit.bay for visit in fold.told.values()})
    return [{**columns_of(fold.bays[bay]), **_remembered(recent.get(bay, ()))} for bay in changed]


async def note_gauges(connection: AsyncConnection, statuses: Sequence[DockStatus], now: datetime) -> None:
    """Keep the figures of docks' statuses beside them, so that nobody reads hundreds of statuses for a page."""
    found = await connection.execute(_UNSYNCHRONISED_SINCE, {"docks": [one.dock for one in statuses]})
    since = {row.dock: row.clock_unsynchronised_since for row in found}
    rows = [_gauges(one, since.get(one.dock), now) for one in sorted(statuses, key=lambda one: one.dock)]
    await insert_or_replace(connection, dock_gauges, rows)


def _gauges(status: DockStatus, since: datetime | None, now: datetime) -> dict[str, Any]:
    is_unsynchronised = status.clock_sync is ClockSync.UNSYNCHRONISED
    return {
        "dock": status.dock,
        "told_at": now,
        "site_words": status.site.replace("\0", " "),
        "version": status.version.replace("\0", " "),
        "bays": len(status.bays),
        "ready": max(0, min(status.ready_count, len(status.bays))),
        "needing_person": sum(bay.headline in _NEEDS_PERSON for bay in status.bays),
        "waiting_recordings": _kept(status.waiting_recordings),
        "waiting_bytes": _kept(status.waiting_bytes),
        "oldest_waiting_since": status.oldest_waiting_since,
        "staging_free_bytes": _kept(status.staging_free_bytes),
        "staging_total_bytes": _kept(status.staging_total_bytes),
        "clock_sync": status.clock_sync.value,
        "clock_unsynchronised_since": (since or now) if is_unsynchronised else None,
        "facts_waiting": _kept(status.facts - status.facts_at_centre),
    }


async def _note_pairs(connection: AsyncConnection, told: Iterable[tuple[str, Visit]]) -> None:
    """A camera in a bay is remembered from its first failure there on: most pairs never fail and have no row."""
    visits = [((dock, visit.bay, visit.camera), visit) for dock, visit in told if visit.camera is not None]
    if not visits:
        return
    question = select(bay_cameras).where(
        bay_cameras.c.dock.in_({key[0] for key, _visit in visits}),
        bay_cameras.c.camera.in_({key[2] for key, _visit in visits}),
    )
    rows = (await connection.execute(question)).all()
    recent = {(row.dock, row.bay, row.camera): visits_of(row.recent) for row in rows}
    changed: set[tuple[str, str, str]] = set()
    for key, visit in visits:
        if key in recent or visit.outcome is Outcome.FAILED:
            recent[key] = since_first_failure(remember(recent.get(key, ()), visit, MOST_PAIR_VISITS))
            changed.add(key)
    await insert_or_replace(
        connection,
        bay_cameras,
        (
            {"dock": key[0], "bay": key[1], "camera": key[2], **_remembered(recent[key])}
            for key in sorted(changed)
            if recent[key]
        ),
    )
    for dock, bay, camera in sorted(key for key in changed if not recent[key]):
        # All that failed has recovered since: nothing is left to be remembered.
        await connection.execute(
            delete(bay_cameras).where(
                bay_cameras.c.dock == dock, bay_cameras.c.bay == bay, bay_cameras.c.camera == camera
            )
        )


async def _note_cameras(connection: AsyncConnection, told: Iterable[Visit]) -> None:
    visits: dict[str, list[Visit]] = {}
    for visit in told:
        if visit.camera is not None:
            visits.setdefault(visit.camera, []).append(visit)
    if not visits:
        return
    failed = sorted(name for name, some in visits.items() if any(one.outcome is Outcome.FAILED for one in some))
    await insert_new(
        connection, camera_faults, ({"camera": name, "recent": NO_VISITS, "failures_in_row": 0} for name in failed)
    )
    question = (
        select(camera_faults)
        .where(camera_faults.c.camera.in_(visits))
        .order_by(camera_faults.c.camera)
        .with_for_update()
    )
    changed = []
    for row in (await connection.execute(question)).all():
        recent = visits_of(row.recent)
        for visit in visits[row.camera]:
            recent = remember(recent, visit, MOST_VISITS)
        kept = since_first_failure(recent)
        if kept:
            changed.append({"camera": row.camera, **_remembered(kept)})
        else:
            await connection.execute(delete(camera_faults).where(camera_faults.c.camera == row.camera))
    await insert_or_replace(connection, camera_faults, changed)


async def _note_sums(connection: AsyncConnection, folds: Sequence[FleetFold]) -> None:
    weeks, days, hours = [], [], []
    for fold in folds:
        dock, sums = {"dock": fold.dock}, fold.sums
        weeks += [dock | {"bay": bay, "week": week, **counts} for (bay, week), counts in sorted(sums.weeks.items())]
        days += [dock | {"day": day, **counts} for day, counts in sorted(sums.days.items())]
        hours += [dock | {"hour": hour, **counts} for hour, counts in sorted(sums.hours.items())]
    await insert_or_add(connection, bay_weeks, weeks)
    await insert_or_add(connection, dock_days, days)
    await insert_or_add(connection, dock_hours, hours)


def _kept(number: int) -> int:
    """A status is a dock's own word; a number that no column holds must not stop it from being heard. The fleet adds
    the numbers of all docks up, so they stay far below what a column holds."""
    return max(0, min(number, _LARGEST_FIGURE))


def _remembered(recent: Sequence[Visit]) -> dict[str, Any]:
    return {"recent": visits_text(recent), "failures_in_row": failures_in_row(recent)}
