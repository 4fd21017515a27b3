"""Every dock with its place and its figures, as the rules judge it: one question, however many docks there are.

Knows the tables; judges nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.fleet.tables import bay_visits, dock_gauges
from dockd.central.fleet.visits import visits_of
from dockd.central.places.rows import SiteState
from dockd.central.tables import docks, site_docks, sites
from dockd.rules.alerts import DockState, FailingBay
from dockd.rules.faults import FAILING_RUN, Verdict, bays_run, judge_bay

MOST_DOCKS = 5_000
_FIGURES = (
    "bays",
    "ready",
    "needing_person",
    "waiting_recordings",
    "waiting_bytes",
    "staging_free_bytes",
    "staging_total_bytes",
    "facts_waiting",
)
_TIMES = ("oldest_waiting_since", "clock_unsynchronised_since")


@dataclass(frozen=True, slots=True)
class PlacedDock:
    """A dock and where it stands. `site_words` is what it calls its site itself."""

    state: DockState
    unit: str | None
    site_name: str | None
    site_words: str | None
    version: str | None


async def placed_docks(
    connection: AsyncConnection,
    failing: Mapping[str, tuple[str, ...]],
    wanted: ColumnElement[bool] | None = None,
    *,
    only: Collection[str] | None = None,
) -> tuple[PlacedDock, ...]:
    """All docks heard of or standing at a site, by name, at most MOST_DOCKS; `wanted` is a condition on `sites`,
    `only` names of docks.

    `failing` are the failing bays by dock.
    """
    names = union_all(
        select(docks.c.dock),
        select(site_docks.c.dock).where(site_docks.c.dock.not_in(select(docks.c.dock))),
    ).subquery()
    question = (
        select(
            names.c.dock,
            docks.c.last_heard_at,
            site_docks.c.site,
            sites.c.unit,
            sites.c.name,
            sites.c.state,
            dock_gauges.c.site_words,
            dock_gauges.c.version,
            *(dock_gauges.c[name] for name in (*_FIGURES, *_TIMES)),
        )
        .select_from(
            names.outerjoin(docks, docks.c.dock == names.c.dock)
            .outerjoin(dock_gauges, dock_gauges.c.dock == names.c.dock)
            .outerjoin(site_docks, site_docks.c.dock == names.c.dock)
            .outerjoin(sites, sites.c.site == site_docks.c.site)
        )
        .order_by(names.c.dock)
        .limit(MOST_DOCKS)
    )
    if wanted is not None:
        question = question.where(wanted)
    if only is not None:
        question = question.where(names.c.dock.in_(only))
    rows = (await connection.execute(question)).mappings()
    return tuple(_placed(dict(row), failing) for row in rows)


async def failing_bays(connection: AsyncConnection, dock: str | None = None) -> tuple[FailingBay, ...]:
    """Every bay in which every camera fails, by dock and bay; without its site, which `placed_docks` tells."""
    question = (
        select(bay_visits.c.dock, bay_visits.c.bay, bay_visits.c.recent)
        .where(bay_visits.c.failures_in_row >= FAILING_RUN, text("failures_in_row > 0"))
        .order_by(bay_visits.c.dock, bay_visits.c.bay)
    )
    if dock is not None:
        question = question.where(bay_visits.c.dock == dock)
    found = []
    for row in await connection.execute(question):
        recent = visits_of(row.recent)
        if judge_bay(recent) is not Verdict.FAILING:
            continue
        run = bays_run(recent)
        different = {one.camera for one in run if one.camera is not None}
        found.append(FailingBay(row.dock, row.bay, None, run[0].at, len(run), len(different)))
    return tuple(found)


def by_dock(bays: tuple[FailingBay, ...]) -> dict[str, tuple[str, ...]]:
    """The names of failing bays by dock."""
    found: dict[str, tuple[str, ...]] = {}
    for one in bays:
        found[one.dock] = (*found.get(one.dock, ()), one.bay)
    return found


def _placed(row: Mapping[str, Any], failing: Mapping[str, tuple[str, ...]]) -> PlacedDock:
    is_live = row["state"] == SiteState.LIVE.value
    is_closed = row["state"] == SiteState.CLOSED.value
    state = DockState(
        dock=row["dock"],
        site=row["site"],
        is_expected=not is_closed and (is_live or row["last_heard_at"] is not None),
        last_heard_at=row["last_heard_at"],
        failing_bays=failing.get(row["dock"], ()),
        oldest_waiting_since=row["oldest_waiting_since"],
        clock_unsynchronised_since=row["clock_unsynchronised_since"],
        **{name: row[name] or 0 for name in _FIGURES},
    )
    return PlacedDock(state, row["unit"], row["name"], row["site_words"], row["version"])
