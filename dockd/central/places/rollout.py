"""Counts the rollout: what lists say is planned and delivered, and what facts say is enrolled and issued.

Knows the tables; changes nothing. The number of questions does not depend on the number of places, and each is
one pass over the cameras at most. Errors: NotFound; Refusal (503) when the database cannot be read now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Column, ColumnElement, Select, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.database import Database
from dockd.central.places.rows import CameraState, OfficerState, SiteState
from dockd.central.places.whereabouts import is_held_in_tables
from dockd.central.tables import camera_whereabouts, cameras, docks, list_imports, officers, site_docks, sites
from dockd.clock import Clock
from dockd.errors import NotFound
from dockd.wire.rollout import (
    CameraFigures,
    ListState,
    PlaceFigures,
    Rollout,
    SiteRollout,
    UnitRollout,
    UnitSites,
)
from dockd.wire.status import DockStatus

MOST_UNITS = 1_000
MOST_SITES = 1_000
MOST_LATE = 20

Counts = Mapping[str, int]
_NO_CAMERAS = {"delivered": 0, "enrolled": 0, "issued": 0, "out_of_service": 0}
_NO_DOCKS = {"docks": 0, "docks_heard": 0}


class RolloutQueries:
    """Answers from the database, each from one consistent view."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def rollout(self) -> Rollout:
        """The whole force by borough and unit."""
        at = self._clock.now()
        today = at.date()
        async with self._database.reading() as connection:
            by_unit = await _sites_by_unit(connection, today)
            of_cameras = await _cameras(connection, sites.c.unit)
            of_officers = await _officers(connection, sites.c.unit)
            of_docks = await _docks(connection, sites.c.unit)
            units = tuple(
                UnitRollout(
                    unit=unit,
                    next_planned_on=next_day,
                    figures=_place(counts, of_cameras.get(unit), of_officers.get(unit, 0), of_docks.get(unit)),
                )
                for unit, (next_day, counts) in by_unit.items()
            )
            is_late = and_(sites.c.state == SiteState.PLANNED.value, sites.c.planned_on < today)
            return Rollout(
                at=at,
                total=_total(
                    [one.figures for one in units], _camera_figures(of_cameras.get(None)), of_officers.get(None, 0)
                ),
                units=units,
                late=await _site_list(connection, is_late, sites.c.planned_on, MOST_LATE, today),
                without_site=_camera_figures(of_cameras.get(None)),
                unlisted_cameras=await _unlisted(connection),
                lists=await _lists(connection),
            )

    async def unit(self, name: str) -> UnitSites:
        """The sites of one borough or unit. Raises NotFound."""
        at = self._clock.now()
        async with self._database.reading() as connection:
            found = await _site_list(connection, sites.c.unit == name, sites.c.name, MOST_SITES, at.date())
        if not found:
            raise NotFound("No list of sites names this borough or unit.")
        return UnitSites(at=at, unit=name, sites=found)


async def _sites_by_unit(connection: AsyncConnection, today: date) -> dict[str, tuple[date | None, dict[str, int]]]:
    is_planned = sites.c.state == SiteState.PLANNED.value
    question = (
        select(
            sites.c.unit,
            _how_many(is_planned).label("sites_planned"),
            _how_many(sites.c.state == SiteState.LIVE.value).label("sites_live"),
            _how_many(sites.c.state == SiteState.CLOSED.value).label("sites_closed"),
            _how_many(and_(is_planned, sites.c.planned_on < today)).label("sites_late"),
            func.coalesce(
                func.sum(case((sites.c.state != SiteState.CLOSED.value, sites.c.cameras_planned), else_=0)), 0
            ).label("cameras_planned"),
            func.min(case((and_(is_planned, sites.c.planned_on >= today), sites.c.planned_on))).label("next"),
        )
        .group_by(sites.c.unit)
        .order_by(sites.c.unit)
        .limit(MOST_UNITS)
    )
    found = {}
    for row in (await connection.execute(question)).mappings():
        counts = {name: int(value) for name, value in row.items() if name not in ("unit", "next")}
        found[row["unit"]] = (row["next"], counts)
    return found


async def _cameras(
    connection: AsyncConnection, group: Column[str], wanted: ColumnElement[bool] | None = None
) -> dict[str | None, Counts]:
    """Counts by `group`, a column of sites; under None those without a site, unless `wanted` leaves them out."""
    by_site = (
        select(
            cameras.c.site,
            func.count().label("delivered"),
            _how_many(camera_whereabouts.c.seen_at.is_not(None)).label("enrolled"),
            _how_many(is_held_in_tables()).label("issued"),
            _how_many(cameras.c.state != CameraState.IN_USE.value).label("out_of_service"),
        )
        .select_from(cameras.outerjoin(camera_whereabouts, camera_whereabouts.c.camera == cameras.c.camera))
        .group_by(cameras.c.site)
    )
    return await _by_place(connection, by_site, cameras.c.site, group, wanted)


async def _officers(
    connection: AsyncConnection, group: Column[str], wanted: ColumnElement[bool] | None = None
) -> dict[str | None, int]:
    by_site = (
        select(officers.c.site, func.count().label("officers"))
        .where(officers.c.state == OfficerState.ACTIVE.value)
        .group_by(officers.c.site)
    )
    found = await _by_place(connection, by_site, officers.c.site, group, wanted)
    return {place: counts["officers"] for place, counts in found.items()}


async def _by_place(
    connection: AsyncConnection,
    by_site: Select[Any],
    site: Column[str],
    group: Column[str],
    wanted: ColumnElement[bool] | None,
) -> dict[str | None, Counts]:
    """Add up counts by site to counts by `group`: the many rows are gone through without looking at sites."""
    if wanted is not None:
        by_site = by_site.where(site.in_(select(sites.c.site).where(wanted)))
    counted = by_site.subquery()
    sums = [func.sum(column).label(column.name) for column in counted.c if column.name != "site"]
    question = (
        select(group.label("place"), *sums)
        .select_from(counted.outerjoin(sites, sites.c.site == counted.c.site))
        .group_by(group)
    )
    return await _counted(connection, question)


async def _docks(connection: AsyncConnection, group: Column[str]) -> dict[str | None, Counts]:
    joined = site_docks.join(sites, sites.c.site == site_docks.c.site).outerjoin(
        docks, docks.c.dock == site_docks.c.dock
    )
    question = (
        select(
            group.label("place"),
            func.count().label("docks"),
            _how_many(docks.c.last_heard_at.is_not(None)).label("docks_heard"),
        )
        .select_from(joined)
        .group_by(group)
    )
    return await _counted(connection, question)


async def _counted(connection: AsyncConnection, question: Any) -> dict[str | None, Counts]:
    rows = (await connection.execute(question)).mappings()
    return {row["place"]: {name: int(value) for name, value in row.items() if name != "place"} for row in rows}


async def _site_list(
    connection: AsyncConnection, wanted: ColumnElement[bool], order: Column[Any], limit: int, today: date
) -> tuple[SiteRollout, ...]:
    question = select(sites).where(wanted).order_by(order, sites.c.site).limit(limit)
    rows = (await connection.execute(question)).mappings().all()
    of_cameras = await _cameras(connection, sites.c.site, wanted)
    of_officers = await _officers(connection, sites.c.site, wanted)
    standing: dict[str, list[tuple[str, bool, int]]] = {}
    placed = (
        select(site_docks.c.site, site_docks.c.dock, docks.c.last_heard_at, docks.c.status)
        .select_from(
            site_docks.join(sites, sites.c.site == site_docks.c.site).outerjoin(
                docks, docks.c.dock == site_docks.c.dock
            )
        )
        .where(wanted)
        .order_by(site_docks.c.dock)
    )
    for row in await connection.execute(placed):
        standing.setdefault(row.site, []).append((row.dock, row.last_heard_at is not None, _bays(row.status)))
    return tuple(
        SiteRollout(
            **{name: row[name] for name in ("site", "name", "unit", "state", "planned_on", "live_on", "closed_on")},
            is_late=row["state"] == SiteState.PLANNED.value
            and row["planned_on"] is not None
            and row["planned_on"] < today,
            cameras_planned=row["cameras_planned"],
            cameras=_camera_figures(of_cameras.get(row["site"])),
            officers=of_officers.get(row["site"], 0),
            docks=tuple(dock for dock, _heard, _count in standing.get(row["site"], ())),
            docks_heard=tuple(dock for dock, heard, _count in standing.get(row["site"], ()) if heard),
            bays=sum(count for _dock, _heard, count in standing.get(row["site"], ())),
        )
        for row in rows
    )


async def _unlisted(connection: AsyncConnection) -> int:
    joined = camera_whereabouts.outerjoin(cameras, cameras.c.camera == camera_whereabouts.c.camera)
    question = (
        select(func.count())
        .select_from(joined)
        .where(cameras.c.camera.is_(None), camera_whereabouts.c.seen_at.is_not(None))
    )
    return int((await connection.execute(question)).scalar_one())


async def _lists(connection: AsyncConnection) -> tuple[ListState, ...]:
    newest = select(func.max(list_imports.c.number)).group_by(list_imports.c.list)
    question = select(list_imports).where(list_imports.c.number.in_(newest)).order_by(list_imports.c.list)
    return tuple(
        ListState(name=row.list, imported_at=row.imported_at, rows=row.row_count, digest=row.digest)
        for row in await connection.execute(question)
    )


# --- from rows to values ------------------------------------------------------------------------


def _how_many(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _camera_figures(counts: Counts | None) -> CameraFigures:
    return CameraFigures(**(counts or _NO_CAMERAS))


def _place(of_sites: Counts, of_cameras: Counts | None, of_officers: int, of_docks: Counts | None) -> PlaceFigures:
    return PlaceFigures(
        **of_sites, cameras=_camera_figures(of_cameras), officers=of_officers, **(of_docks or _NO_DOCKS)
    )


def _total(places: Iterable[PlaceFigures], without_site: CameraFigures, officers_without_site: int) -> PlaceFigures:
    every = list(places)
    own = {
        name: sum(getattr(one, name) for one in every)
        for name in PlaceFigures.model_fields
        if name not in ("cameras", "officers")
    }
    of_cameras = [*(one.cameras for one in every), without_site]
    return PlaceFigures(
        **own,
        officers=sum(one.officers for one in every) + officers_without_site,
        cameras=CameraFigures(
            **{name: sum(getattr(one, name) for one in of_cameras) for name in CameraFigures.model_fields}
        ),
    )


def _bays(status: str | None) -> int:
    """How many bays a dock last reported; 0 for what another version of dockd wrote."""
    if status is None:
        return 0
    try:
        return len(DockStatus.model_validate_json(status).bays)
    except ValidationError:
        return 0
