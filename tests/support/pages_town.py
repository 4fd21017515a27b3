"""A town for the browser tests: one centre at which people sign in, docks that told it much, and two docks' own pages.

Everything comes in as in production: an enrolled dock over mutual TLS with real cameras' files, facts in signed chains,
lists as CSV, claims and bytes, alerts by judging. Only the two-day past is told by a clock that is set back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.central.retention.config import RetentionConfig
from dockd.central.retention.holds import HoldScope
from dockd.dock.kiosk.app import build_kiosk
from dockd.dock.kiosk.config import KioskConfig
from dockd.model import facts as f
from dockd.model.camera import CameraIdentity
from dockd.model.moment import ClockSync
from dockd.rules.headline import Headline
from dockd.rules.roles import Role
from dockd.wire.status import Progress
from drivers.simulated import Faults
from drivers.simulated.footage import make_clip
from tests.support.dock_voice import Chain
from tests.support.enrolled_rig import EnrolledRig, enrolled_rig
from tests.support.enrolled_site import EnrolledSite, ShiftedClock
from tests.support.kiosk_fakes import DockOnPaper, empty_bay, held_bay, ready_bay
from tests.support.retention_site import RetentionSite
from tests.support.sign_in import add_person, sign_in_config

HERE = "dock-1"
"""The dock that really runs."""
THERE = "bar-1"
HELD_SERIAL, READY_SERIAL, TAKEN_SERIAL = "CAM-1", "CAM-2", "CAM-3"
_PAST_HOURS = 48
_VISITS = 8
_OLD_DAYS = 40

_SITES = """site,name,unit,state,planned_on,live_on,closed_on,cameras_planned,docks
kentish,Test station,Camden,live,2026-09-01,2026-10-01,,40,dock-1 dock-2
holborn,Holborn,Camden,planned,2026-10-01,,,29,dock-4
barnet,Barnet,Barnet,live,2026-09-01,2026-10-01,,12,bar-1
museum,Old Street,Camden,closed,,2025-01-01,2026-01-01,9,
"""
_OFFICERS = """officer,name,site,state
MX4521,Ann Abbot,kentish,active
PC1,Bea Brown,barnet,active
PC2,Cat Cole,kentish,left
"""
_CAMERAS = "camera,model,state,site\n" + "".join(
    f"simulated:{serial},Simulated BWC,{state},{site}\n"
    for serial, state, site in (
        (HELD_SERIAL, "in-use", "kentish"),
        (READY_SERIAL, "in-use", "kentish"),
        (TAKEN_SERIAL, "in-use", "kentish"),
        ("Out", "in-use", "barnet"),
        ("Z", "in-repair", "barnet"),
        ("Old", "lost", "holborn"),
    )
)


@dataclass(frozen=True, slots=True)
class Town:
    """Where everything is. `recording` is the digest of a stored one; `session` and `reported` are of HERE."""

    centre: ServedCentre
    rig: EnrolledRig
    dock_page: str
    paper_page: str
    session: str
    recording: str
    reported: str
    alert: int


@asynccontextmanager
async def pages_town(root: Path) -> AsyncIterator[Town]:
    """Build it, let it run, take it down."""
    folder, clock = root / "centre", ShiftedClock()
    await initialise_centre(folder, store="store-test")
    config = CentreConfig(
        folder=str(folder), port=0, docks_host="127.0.0.1", docks_port=0, sign_in="required", free_space_floor_bytes=0
    )
    deleting = RetentionConfig(delete=True, hour_utc=23, most_percent=1)
    async with serving_centre(config, clock=clock, sign_in=sign_in_config(), retention_config=deleting) as served:
        site = EnrolledSite(root, folder, served, clock)
        await _lists_and_people(served, root)
        await _footage(site)
        await _past(site)
        await served.services.retention.runs.run(actor="ada")
        rig = await enrolled_rig(site, HERE, bay_count=4)
        async with rig.run() as running, paper_page() as on_paper:
            session = await _cameras_come(rig)
            recordings = await served.services.queries.session(HERE, session)
            known = recordings.recordings[0]
            assert known.digest is not None
            await _judge(site)
            alerts = (await served.services.fleet.desk.alerts()).alerts
            yield Town(
                served, rig, running.page_url, on_paper, session, known.digest, known.recording, alerts[0].number
            )


async def _lists_and_people(served: ServedCentre, root: Path) -> None:
    for name, text in (("sites", _SITES), ("officers", _OFFICERS), ("cameras", _CAMERAS)):
        file = root / f"{name}.csv"
        file.write_text(text)
        await served.services.lists.bring_in(name, file)
    await add_person(served.services, "ada", Role.ADMINISTRATOR, full_name="Ada Able")
    await add_person(served.services, "ian", Role.IT, full_name="Ian Innes")
    await add_person(served.services, "stan", Role.STATION, site="kentish", full_name="Stan Stone")
    await add_person(served.services, "nora", Role.AUDITOR, must_change_password=True, full_name="Nora Noon")


async def _past(site: EnrolledSite) -> None:
    """Two days of a dock where bays fail and cameras fail, one whose clock is off, one that falls silent."""
    services, clock = site.centre.services, site.clock
    chains = {name: Chain(name, clock=clock) for name in ("dock-2", THERE)}  # type: ignore[arg-type] # as far as used
    clock.ahead = -timedelta(hours=_PAST_HOURS)
    for chain in chains.values():
        chain.start()
        _dock_in(chain, "twice", "9", "simulated:Double")
    chains[THERE].add(
        f.AssignmentStarted(assignment="a", camera="simulated:Out", officer="PC1", started_at=clock.now())
    )
    for visit in range(_VISITS):
        hours_ago = _PAST_HOURS - _PAST_HOURS // _VISITS * visit
        clock.ahead = -timedelta(hours=hours_ago)
        chain = chains["dock-2" if visit % 2 else THERE]
        code = "driver-timeout" if visit % 2 else None
        _dock_in(chain, f"s{visit}", str(visit % 2 + 1), f"simulated:N{visit}", code)
        if visit % 2 == 0:
            _dock_in(chain, f"z{visit}", str(visit // 2 + 5), "simulated:Z", "card-unreadable")
        await services.facts.take(chain.dock, tuple(chain.facts))
        await _tell_states(site, hours_ago)
        await services.fleet.evaluator.evaluate()
    clock.ahead = timedelta(0)
    await _tell_states(site, 0)


async def _tell_states(site: EnrolledSite, hours_ago: int) -> None:
    now = site.clock.now()
    waiting: dict[str, Any] = {"waiting_recordings": 3 + hours_ago, "waiting_bytes": (3 + hours_ago) * 10**9}
    states = {
        "dock-2": ((ready_bay("1"), held_bay("2"), empty_bay("3"), ready_bay("4")), waiting),
        THERE: ((ready_bay("1", percent=40), empty_bay("2")), {"staging_free_bytes": 9 * 10**9}),
        "dock-4": ((empty_bay("1"),), {"clock_sync": ClockSync.UNSYNCHRONISED}),
    }
    told = []
    for name, (bays, changes) in states.items():
        if name == "dock-4" and hours_ago < _PAST_HOURS // 2:
            continue  # it was carried away
        oldest = now - timedelta(hours=30) if "waiting_bytes" in changes else None
        paper = DockOnPaper(
            *bays, dock=name, site=name, at=now, oldest_waiting_since=oldest, facts=0, facts_at_centre=0
        )
        told.append(site.centre.services.facts.note_status(paper.snapshot().model_copy(update=changes)))
    await asyncio.gather(*told)


def _dock_in(chain: Chain, session: str, bay: str, camera: str, code: str | None = None) -> None:
    identity = CameraIdentity(camera=camera, maker="m", model="Simulated BWC")
    chain.add(
        f.CameraDocked(session=session, bay=bay, port="1-1"),
        f.CameraIdentified(session=session, bay=bay, driver="simulated", identity=identity),
    )
    if code is not None:
        chain.add(f.SessionMoved(session=session, from_state="offloading", to_state="faulted", code=code))
    chain.add(f.CameraUndocked(session=session, bay=bay, camera=camera))


async def _footage(site: EnrolledSite) -> None:
    """Old recordings that would go tonight, more than may go at once, and one that is held."""
    services = site.centre.services
    site.clock.ahead = -timedelta(days=_OLD_DAYS)
    brought = RetentionSite(
        site.folder,
        services.queries._database,
        services.store,
        services.claims,
        services.retention,
        site.clock,  # type: ignore[arg-type] # as far as used
    )
    digests = [
        await brought.bring(f"old {number}".encode() * 99, recorded_at=site.clock.now(), dock="dock-3")
        for number in range(3)
    ]
    decisions, holds = services.retention.decisions, services.retention.holds
    await decisions.set_policy("routine", 31, by="ada", reason="The force's policy of October")
    await decisions.classify(digests, "routine", by="ada", reason="Looked at: nothing of interest")
    await holds.set_hold(HoldScope(digest=digests[0]), by="ada", reason="Case 12/2026, asked by DS Hall")
    await holds.set_hold(HoldScope(officer="PC9"), by="ada", reason="Complaint 7")
    await holds.release((await holds.lines())[0].number, by="ada", reason="Complaint withdrawn")


async def _cameras_come(rig: EnrolledRig) -> str:
    """Three cameras: one ends held, one ready, one is promised to an officer. Returns the ready one's session."""
    rig.camera(HELD_SERIAL, {"DCIM/100BWC/A0001.MP4": _clip(rig.root, 1)}, faults=Faults(erase_refused=True))
    rig.camera(READY_SERIAL, {f"DCIM/100BWC/B000{n}.MP4": _clip(rig.root, 1 + n) for n in (1, 2, 3)})
    rig.camera(TAKEN_SERIAL, {})
    for bay, serial in enumerate((HELD_SERIAL, READY_SERIAL, TAKEN_SERIAL), start=1):
        rig.dock(serial, bay)
    await rig.until_state(1, "held", 60)
    for bay in (2, 3):
        await rig.until_state(bay, "ready", 60)
    assert rig.running is not None
    session = rig.status(2).session
    assert session is not None
    await rig.until(lambda: _is_told(rig), "every fact at the centre", 60)
    return session


def _is_told(rig: EnrolledRig) -> bool:
    assert rig.running is not None
    shown = rig.running.desk.snapshot()
    return shown.facts_at_centre == shown.facts


def _clip(folder: Path, number: int) -> bytes:
    file = folder / f"clip-{number}.mp4"
    began_at = datetime.now(UTC) - timedelta(hours=3, minutes=number)
    make_clip(file, seconds=1.0, size_bytes_hint=60_000, seed=number, started_at=began_at)
    return file.read_bytes()


async def _judge(site: EnrolledSite) -> None:
    """Alerts, a little later than the centre judges by itself."""
    site.clock.ahead += timedelta(minutes=2)
    assert await site.centre.services.fleet.evaluator.evaluate()


@asynccontextmanager
async def paper_page() -> AsyncIterator[str]:
    """A dock's page with a tile of every kind, and a dock in trouble."""
    dock = DockOnPaper(
        *(_tile(str(place), headline) for place, headline in enumerate(Headline, start=1)),
        is_centre_reachable=False,
        centre_words="No answer for 12 min; trying again at 06:03.",
        waiting_recordings=83,
        waiting_bytes=214 * 10**9,
        clock_sync=ClockSync.UNKNOWN,
        staging_free_bytes=40 * 10**9,
    )
    runner = web.AppRunner(build_kiosk(dock, dock, KioskConfig()))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def _tile(bay: str, headline: Headline) -> Any:
    if headline is Headline.EMPTY:
        return empty_bay(bay)
    at = DockOnPaper().snapshot().at
    update: dict[str, Any] = {"headline": headline, "battery_percent": (int(bay) * 23) % 100}
    if headline is Headline.TAKE:
        update |= {"officer": "MX4521"}
    elif headline in (Headline.HELD, Headline.FAULT):
        update |= {"code": "not-charging", "retry_at": at, "words": "The battery has not risen for 15 minutes (14 %)."}
    elif headline is not Headline.READY:
        progress = Progress(
            done_bytes=3 * 10**9,
            total_bytes=8 * 10**9,
            done_recordings=4,
            total_recordings=12,
            rate_bytes_per_second=34_000_000,
            eta_seconds=170,
        )
        update |= {"progress": progress, "recordings_listed": 12, "blockers": ("battery at 43 %, 80 % needed",)}
    return ready_bay(bay).model_copy(update=update)
