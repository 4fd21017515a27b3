"""The rollout: what lists say beside what docks tell, over the real API and pages, on both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import insert

from dockd.central import tables
from dockd.central.app import ServedCentre
from dockd.central.places.rollout import MOST_LATE
from dockd.model import facts as f
from dockd.model.camera import CameraIdentity
from dockd.wire.rollout import Rollout, UnitSites
from tests.support.centre_reading import bring_in, get, page
from tests.support.clock import START, ManualClock
from tests.support.dock_voice import Chain, DockVoice
from tests.support.kiosk_fakes import DockOnPaper, empty_bay, ready_bay
from tests.support.questions import questions_in, statements_to

EVIL = '"><script>alert(1)</script>'
SQL = "'; DROP TABLE sites;--"
SITES = f"""site,name,unit,state,planned_on,live_on,closed_on,cameras_planned,docks
cam-1,Kentish Town,Camden,live,2026-09-01,2026-10-01,,400,dock-7 dock-8
cam-2,Holborn,Camden,planned,2026-12-01,,,290,
cam-3,Old Street,Camden,closed,,2025-01-01,2026-01-01,999,
bar-1,Barnet,Barnet,planned,2026-11-21,,,,dock-9
ofo,"{EVIL.replace('"', '""')}","{EVIL.replace('"', '""')} & {SQL}",planned,,,,60,
"""
OFFICERS = f"""officer,name,site,state
PC1,Ann,cam-1,
PC2,{SQL},cam-1,left
PC3,Cat,bar-1,active
PC4,Dan,,
"""
CAMERAS = """camera,model,state,site
simulated:A1,Sim,in-use,cam-1
simulated:A2,Sim,lost,cam-1
simulated:A3,Sim,in-use,cam-2
simulated:A4,Sim,in-use,bar-1
simulated:A5,Sim,in-use,
"""
ZERO = {"delivered": 0, "enrolled": 0, "issued": 0, "out_of_service": 0}


def seen(camera: str, session: str) -> tuple[f.CameraDocked, f.CameraIdentified]:
    identity = CameraIdentity(camera=camera, maker="m", model="Sim")
    return (
        f.CameraDocked(session=session, bay="1", port="1-1"),
        f.CameraIdentified(session=session, bay="1", driver="simulated", identity=identity),
    )


def taken(camera: str, clock: ManualClock) -> f.AssignmentStarted:
    return f.AssignmentStarted(assignment=f"a-{camera[-2:]}", camera=camera, officer="PC1", started_at=clock.now())


async def rollout(session: aiohttp.ClientSession, centre: ServedCentre) -> Rollout:
    return Rollout.model_validate_json(await get(session, centre, "/api/v1/rollout"))


async def test_figures_are_what_lists_and_facts_say(
    centre: ServedCentre, session: aiohttp.ClientSession, dock: DockVoice, clock: ManualClock, tmp_path: Path
) -> None:
    await bring_in(centre, tmp_path, sites=SITES, officers=OFFICERS, cameras=CAMERAS)
    chain = Chain(clock=clock)
    chain.start()
    chain.add(*seen("simulated:A1", "s1"), *seen("simulated:A3", "s2"), *seen("simulated:X9", "s3"))
    clock.advance(60)
    chain.add(taken("simulated:A1", clock), taken("simulated:A3", clock))
    await dock.put_facts(chain.facts)
    status = DockOnPaper(empty_bay("1"), ready_bay("2"), dock="dock-7").snapshot()
    await dock.ask("PUT", "/api/v1/docks/dock-7/status", json=status.model_dump(mode="json"))
    found = await rollout(session, centre)
    assert [one.unit for one in found.units] == [f"{EVIL} & {SQL}", "Barnet", "Camden"]
    camden = found.units[2]
    assert camden.model_dump(mode="json") == {
        "unit": "Camden",
        "next_planned_on": "2026-12-01",
        "figures": {
            "sites_planned": 1,
            "sites_live": 1,
            "sites_closed": 1,
            "sites_late": 0,
            "cameras_planned": 690,  # a closed site plans for none
            "cameras": {"delivered": 3, "enrolled": 2, "issued": 2, "out_of_service": 1},
            "officers": 1,
            "docks": 2,
            "docks_heard": 1,
        },
    }
    assert (found.units[1].figures.sites_late, found.units[1].next_planned_on) == (1, None)
    assert [one.site for one in found.late] == ["bar-1"]
    assert found.without_site.model_dump() == {**ZERO, "delivered": 1}
    assert found.total.cameras.model_dump() == {"delivered": 5, "enrolled": 2, "issued": 2, "out_of_service": 1}
    assert (found.total.officers, found.total.cameras_planned, found.total.sites_live) == (3, 750, 1)
    assert found.unlisted_cameras == 1
    assert [(one.name, one.rows) for one in found.lists] == [("cameras", 5), ("officers", 4), ("sites", 5)]


async def test_a_camera_docked_elsewhere_is_no_longer_issued(
    centre: ServedCentre, session: aiohttp.ClientSession, clock: ManualClock, tmp_path: Path
) -> None:
    """The dock that issued it never hears of it, and its facts may arrive after those of the other."""
    await bring_in(centre, tmp_path, sites=SITES, cameras=CAMERAS)
    first, second = Chain("dock-7", clock=clock), Chain("dock-8", clock=clock)
    first.start()
    first.add(*seen("simulated:A1", "s1"))
    clock.advance(60)
    first.add(taken("simulated:A1", clock))
    clock.advance(8 * 3600)
    second.start()
    second.add(*seen("simulated:A1", "s1"))
    await DockVoice(session, centre.url, "dock-8").put_facts(second.facts)
    await DockVoice(session, centre.url, "dock-7").put_facts(first.facts)
    figures = (await rollout(session, centre)).total.cameras
    assert (figures.enrolled, figures.issued) == (1, 0)


async def test_two_docks_that_tell_of_the_same_cameras_at_once_both_get_in(
    centre: ServedCentre, session: aiohttp.ClientSession, clock: ManualClock, tmp_path: Path
) -> None:
    await bring_in(centre, tmp_path, sites=SITES, cameras=CAMERAS)
    chains = []
    for name in ("dock-7", "dock-8", "dock-9", "dock-10"):
        chain = Chain(name, clock=clock)
        chain.start()
        order = ("A1", "A2", "A3", "A4") if len(chains) % 2 else ("A4", "A3", "A2", "A1")
        for number in range(40):
            chain.add(*seen(f"simulated:{order[number % 4]}", f"s{number}"))
        chains.append(chain)
    replies = await asyncio.gather(
        *(DockVoice(session, centre.url, chain.dock).put_facts(chain.facts) for chain in chains)
    )
    assert [one.status for one in replies] == [200] * 4
    assert (await rollout(session, centre)).total.cameras.enrolled == 4


async def test_a_unit_is_told_by_site(
    centre: ServedCentre, session: aiohttp.ClientSession, dock: DockVoice, tmp_path: Path
) -> None:
    await bring_in(centre, tmp_path, sites=SITES, officers=OFFICERS, cameras=CAMERAS)
    status = DockOnPaper(empty_bay("1"), ready_bay("2"), dock="dock-7").snapshot()
    await dock.ask("PUT", "/api/v1/docks/dock-7/status", json=status.model_dump(mode="json"))
    found = UnitSites.model_validate_json(await get(session, centre, "/api/v1/rollout/sites?unit=Camden"))
    assert [one.name for one in found.sites] == ["Holborn", "Kentish Town", "Old Street"]
    one = found.sites[1]
    assert (one.docks, one.docks_heard, one.bays) == (("dock-7", "dock-8"), ("dock-7",), 2)
    assert (one.cameras.delivered, one.cameras.out_of_service, one.officers) == (2, 1, 1)
    assert found.sites[0].cameras_planned == 290
    shown = (await page(session, centre, "/rollout/sites?unit=Camden")).words
    for expected in ("Kentish Town cam-1", "Live since 1 Oct 2026", "1 of 2, 2 bays", "planned for 1 Dec 2026"):
        assert expected in shown


async def test_the_page_says_what_the_api_says_and_needs_no_script(
    centre: ServedCentre, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await bring_in(centre, tmp_path, sites=SITES, officers=OFFICERS, cameras=CAMERAS)
    reader = await page(session, centre, "/rollout")
    shown = reader.words
    assert "Cameras delivered 5 of 750 planned · 1 out of service" in shown
    assert "Barnet ( Barnet ) is not live; it was planned for 21 Nov 2026." in shown
    assert "Camden 1 live, 1 planned, 1 closed 1 Dec 2026 690 3 0 0 1" in shown
    assert "At no site yet" in shown
    assert "sites 2026-11-22 06:00:00 UTC (5 rows)" in shown
    assert reader.tags["script"] == 0
    assert "/rollout/sites?unit=Camden" in reader.links


async def test_an_empty_centre_says_where_to_begin(centre: ServedCentre, session: aiohttp.ClientSession) -> None:
    assert "No list has been imported yet." in (await page(session, centre, "/rollout")).words
    assert (await rollout(session, centre)).total.cameras.model_dump() == ZERO


async def test_no_name_in_a_list_becomes_markup_or_sql(
    centre: ServedCentre, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await bring_in(centre, tmp_path, sites=SITES, officers=OFFICERS, cameras=CAMERAS)
    html = await get(session, centre, "/rollout")
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    (link,) = [one for one in (await page(session, centre, "/rollout")).links if "script" in one]
    reader = await page(session, centre, link)
    assert reader.tags["script"] == 0
    assert f"{EVIL} & {SQL}" in reader.words
    assert len((await rollout(session, centre)).units) == 3


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/rollout/sites", 400),
        ("/rollout/sites?unit=", 400),
        ("/rollout/sites?unit=%00", 400),
        (f"/rollout/sites?unit={'x' * 101}", 400),
        ("/rollout/sites?unit=Nowhere", 404),
        ("/rollout/sites?unit=camden'--", 404),
    ],
)
async def test_units_that_are_none_are_refused(
    centre: ServedCentre, session: aiohttp.ClientSession, path: str, status: int
) -> None:
    await page(session, centre, path, status)
    assert str(status) in await get(session, centre, f"/api/v1{path}", status)


async def test_a_site_is_late_from_the_day_after_its_day(
    centre: ServedCentre, session: aiohttp.ClientSession, clock: ManualClock, tmp_path: Path
) -> None:
    day = START.date()
    site = f"site,name,unit,state,planned_on\ns1,One,Camden,planned,{day}\n"
    await bring_in(centre, tmp_path, sites=site)
    found = await rollout(session, centre)
    assert (found.late, found.units[0].next_planned_on) == ((), day)
    clock.advance(timedelta(days=1).total_seconds())
    found = await rollout(session, centre)
    assert [one.planned_on for one in found.late] == [day]
    assert found.units[0].next_planned_on is None


async def test_late_sites_are_bounded_and_the_rest_is_counted(
    centre: ServedCentre, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    lines = "".join(f"s{n},N{n},Camden,planned,2026-01-{n % 28 + 1:02d}\n" for n in range(MOST_LATE + 5))
    await bring_in(centre, tmp_path, sites=f"site,name,unit,state,planned_on\n{lines}")
    found = await rollout(session, centre)
    assert (len(found.late), found.total.sites_late) == (MOST_LATE, MOST_LATE + 5)
    assert found.late[0].planned_on == min(one.planned_on for one in found.late if one.planned_on)
    assert "5 more sites are late; the table says where." in (await page(session, centre, "/rollout")).words


async def test_the_number_of_questions_does_not_grow_with_the_force(
    centre: ServedCentre, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async def questions() -> int:
        # The centre's own services ask things at any time.
        with statements_to(centre.services.lists._database, by=asyncio.current_task()) as asked:
            await centre.services.rollout.rollout()
        return len(questions_in(asked))

    await bring_in(centre, tmp_path, sites=SITES, cameras=CAMERAS)
    few = await questions()
    now = centre.services.clock.now()
    async with centre.services.lists._database.writing() as connection:
        for table, rows in (
            (
                tables.sites,
                [
                    {"site": f"x{n}", "name": "N", "unit": f"U{n % 40}", "state": "planned", "changed_at": now}
                    for n in range(400)
                ],
            ),
            (
                tables.cameras,
                [
                    {"camera": f"a:{n}", "model": "m", "state": "in-use", "site": f"x{n % 400}", "changed_at": now}
                    for n in range(3000)
                ],
            ),
        ):
            await connection.execute(insert(table), rows)
    assert (await rollout(session, centre)).total.cameras.delivered == 3005
    assert await questions() == few
    assert 0 < few <= 12
