"""A whole force in a centre's database: sites, docks, cameras, officers, and a year of projected history.

What the projections would have kept is written straight into their tables: the facts of a year of 22,000 cameras would
take hours. Every number is made from names by arithmetic, so that two runs are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central import tables
from dockd.central.database import Database
from dockd.central.fleet import tables as fleet
from dockd.central.fleet.fold import monday
from dockd.central.fleet.visits import NO_VISITS, visits_text
from dockd.model.moment import format_utc
from dockd.rules.faults import Outcome, Visit, failures_in_row
from tests.support.kiosk_fakes import DockOnPaper, ready_bay

_LOT = 2_000
_GB = 10**9


@dataclass(frozen=True, slots=True)
class Force:
    """How large it is. The default is London's: 22,000 cameras in 32 boroughs and a specialist unit."""

    units: int = 33
    sites: int = 110
    docks: int = 460
    bays: int = 24
    cameras: int = 22_000
    officers: int = 27_000
    weeks: int = 53
    days: int = 365
    hours: int = 92 * 24
    """What is kept of hours."""


def camera(number: int) -> str:
    """Its id."""
    return f"massstorage:BWC{number:06d}"


def dock(number: int) -> str:
    """Its name."""
    return f"dock-{number:04d}"


async def seed_force(database: Database, now: datetime, force: Force | None = None) -> None:
    """Write everything; takes seconds."""
    size = force or Force()
    async with database.writing() as connection:
        for table, rows in (
            (tables.sites, _sites(size, now)),
            (tables.site_docks, _site_docks(size)),
            (tables.docks, _docks(size, now)),
            (fleet.dock_gauges, _gauges(size, now)),
            (tables.cameras, _cameras(size, now)),
            (tables.officers, _officers(size, now)),
            (tables.camera_whereabouts, _whereabouts(size, now)),
            (fleet.bay_visits, _visits(size, now)),
            (fleet.camera_faults, _camera_faults(size, now)),
            (fleet.alerts, _alerts(size, now)),
            (fleet.force_hours, _force_hours(now)),
        ):
            await _write(connection, table, rows)
        await _year(connection, size, now)


async def _write(connection: AsyncConnection, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    lot: list[dict[str, Any]] = []
    for row in rows:
        lot.append(row)
        if len(lot) == _LOT:
            await connection.execute(insert(table), lot)
            lot = []
    if lot:
        await connection.execute(insert(table), lot)


async def _year(connection: AsyncConnection, size: Force, now: datetime) -> None:
    """The millions of rows are made by the database itself."""
    first = monday(now.date())
    weeks = [(first - timedelta(weeks=number)).isoformat() for number in range(size.weeks)]
    await connection.execute(
        text(
            f"WITH w(week) AS ({_values(weeks)}) INSERT INTO bay_weeks "
            "SELECT dock, w.week, bay, 14, failures_in_row % 3, 0, failures_in_row % 2, 0, 0, 90000000000, 2500000 "
            "FROM bay_visits CROSS JOIN w"
            if connection.dialect.name == "sqlite"
            else "INSERT INTO bay_weeks "
            "SELECT dock, w.week, bay, 14, failures_in_row % 3, 0, failures_in_row % 2, 0, 0, 90000000000, 2500000 "
            f"FROM bay_visits CROSS JOIN ({_values(weeks)}) AS w(week)"
        )
    )
    days = [(now.date() - timedelta(days=number)).isoformat() for number in range(size.days)]
    hour = now.replace(minute=0, second=0, microsecond=0)
    hours = [format_utc(hour - timedelta(hours=number)) for number in range(size.hours)]
    for table, names, columns in (
        ("dock_days", days, "t.name, dock, length(dock) * 7000000000, length(dock) * 6900000000"),
        ("dock_hours", hours, "t.name, dock, 2, 2"),
    ):
        with_names = f"WITH t(name) AS ({_values(names)}) "
        statement = f"INSERT INTO {table} SELECT {columns} FROM docks CROSS JOIN "
        if connection.dialect.name == "sqlite":
            await connection.execute(text(f"{with_names}{statement} t"))
        else:
            await connection.execute(text(f"{statement} ({_values(names)}) AS t(name)"))
    if connection.dialect.name == "postgresql":
        await connection.execute(text("ANALYZE"))


def _values(names: Sequence[str]) -> str:
    return "VALUES " + ", ".join(f"('{name}')" for name in names)


def _site_of_dock(size: Force, number: int) -> str:
    return f"site-{number % size.sites:03d}"


def _sites(size: Force, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(size.sites):
        yield {
            "site": f"site-{number:03d}",
            "name": f"Station {number}",
            "unit": f"Borough {number % size.units:02d}",
            "state": "live",
            "changed_at": now,
        }


def _site_docks(size: Force) -> Iterator[dict[str, Any]]:
    for number in range(size.docks):
        yield {"dock": dock(number), "site": _site_of_dock(size, number)}


def _heard(number: int, now: datetime) -> datetime:
    return now - (timedelta(hours=3) if number % 97 == 5 else timedelta(seconds=number % 5))


def _docks(size: Force, now: datetime) -> Iterator[dict[str, Any]]:
    paper = DockOnPaper(*(ready_bay(str(bay)) for bay in range(size.bays)))
    for number in range(size.docks):
        status = paper.snapshot().model_copy(update={"dock": dock(number)})
        yield {
            "dock": dock(number),
            "facts": 1_000_000,
            "head": "0" * 64,
            "last_heard_at": _heard(number, now),
            "status": status.model_dump_json(),
            "status_at": _heard(number, now),
        }


def _gauges(size: Force, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(size.docks):
        yield {
            "dock": dock(number),
            "told_at": _heard(number, now),
            "site_words": f"Station {number % size.sites}",
            "version": "0.1.0",
            "bays": size.bays,
            "ready": size.bays // 2,
            "needing_person": int(number % 41 == 7),
            "waiting_recordings": number % 60,
            "waiting_bytes": (number % 60) * _GB,
            "oldest_waiting_since": now - timedelta(hours=1 + number % 30) if number % 60 else None,
            "staging_free_bytes": 900 * _GB if number % 83 else 100 * _GB,
            "staging_total_bytes": 1000 * _GB,
            "clock_sync": "synchronised",
            "clock_unsynchronised_since": None,
            "facts_waiting": 0,
        }


def _cameras(size: Force, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(size.cameras):
        yield {
            "camera": camera(number),
            "model": "BWC-2",
            "state": "in-use" if number % 500 else "in-repair",
            "site": f"site-{number % size.sites:03d}",
            "changed_at": now,
        }


def _officers(size: Force, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(size.officers):
        yield {
            "officer": f"PC{number:05d}",
            "name": f"Officer {number}",
            "site": f"site-{number % size.sites:03d}",
            "state": "active",
            "changed_at": now,
        }


def _whereabouts(size: Force, now: datetime) -> Iterator[dict[str, Any]]:
    """Half of all are out, some of them for days."""
    for number in range(size.cameras):
        is_out = number % 2 == 0
        hours = 30 + number % 300 if number % 250 == 0 else 1 + number % 9
        seen_at = now - timedelta(hours=hours + 10)
        yield {
            "camera": camera(number),
            "seen_at": seen_at,
            "seen_dock": dock(number % size.docks),
            "seen_session": f"s{number}",
            "seen_bay": str(number % size.bays),
            "issued_at": now - timedelta(hours=hours) if is_out else seen_at - timedelta(hours=8),
            "issued_to": f"PC{number:05d}",
            "issued_dock": dock(number % size.docks),
            "ended_at": None if is_out else seen_at,
        }


def _recent(size: Force, place: int, now: datetime, failures: int) -> tuple[Visit, ...]:
    return tuple(
        Visit(
            now - timedelta(hours=12 * (12 - number)),
            dock(place // size.bays),
            f"s{place}-{number}",
            str(place % size.bays),
            camera((place * 7 + number) % size.cameras),
            Outcome.FAILED if number >= 12 - failures else Outcome.GOOD,
            "driver-timeout" if number >= 12 - failures else None,
        )
        for number in range(12)
    )


def _visits(size: Force, now: datetime) -> Iterator[dict[str, Any]]:
    for place in range(size.docks * size.bays):
        recent = _recent(size, place, now, failures=4 if place % 1103 == 3 else int(place % 50 == 1))
        last = recent[-1]
        yield {
            "dock": last.dock,
            "bay": last.bay,
            "session": last.session,
            "camera": camera(place * 2 + 1) if place % 3 and place * 2 + 1 < size.cameras else None,
            "docked_at": last.at,
            "left_at": None if place % 3 else last.at + timedelta(hours=6),
            "was_undocked": place % 3 == 0,
            "outcome": last.outcome.value,
            "code": last.code,
            "is_made_ready": True,
            "copied_bytes": 0,
            "recent": visits_text(recent),
            "failures_in_row": failures_in_row(recent),
        }


def _camera_faults(size: Force, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(0, size.cameras, 20):
        yield {"camera": camera(number), "recent": NO_VISITS, "failures_in_row": 0}
    for number in range(1, size.cameras, 4_000):
        recent = tuple(
            Visit(
                now - timedelta(hours=9 - place),
                dock(1),
                f"x{place}",
                str(place),
                camera(number),
                Outcome.FAILED,
                "card-unreadable",
            )
            for place in range(3)
        )
        yield {"camera": camera(number), "recent": visits_text(recent), "failures_in_row": 3}


def _alerts(size: Force, now: datetime) -> Iterator[dict[str, Any]]:
    """A year of alerts that are over, and a bad day's that are open."""
    for number in range(20_000):
        is_open = number % 100 == 0
        yield {
            "kind": "camera-overdue" if number % 3 else "dock-silent",
            "subject": camera(number) if number % 3 else f"old-{dock(number)}",
            "site": f"site-{number % size.sites:03d}",
            "severity": 2 + number % 2,
            "words": "Out for more than 24 hours." if number % 3 else "Not heard for more than 10 minutes.",
            "since": now - timedelta(hours=number % 8760),
            "opened_at": now - timedelta(hours=number % 8760),
            "resolved_at": None if is_open else now - timedelta(hours=number % 8760) + timedelta(minutes=50),
            "announcements": 1,
            "is_resolution_told": not is_open,
        }


def _force_hours(now: datetime) -> Iterator[dict[str, Any]]:
    hour = now.replace(minute=0, second=0, microsecond=0)
    for number in range(8760):
        yield {
            "hour": hour - timedelta(hours=number),
            "looks": 60,
            "ready_least": 5_000 + number % 24 * 100,
            "ready_last": 6_000,
            "bays": 11_040,
            "waiting_bytes_most": (number % 24) * 300 * _GB,
            "waiting_recordings_most": number % 24 * 900,
            "oldest_waiting_seconds_most": 3600 * (1 + number % 7),
        }
