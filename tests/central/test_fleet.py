"""The fleet over the real API and pages, on both databases: health, fault history, search, charts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.config import CentreConfig
from dockd.central.fleet.config import AlertsConfig
from dockd.central.fleet.tables import dock_days, force_hours
from dockd.model import facts as f
from dockd.model.camera import CameraIdentity
from dockd.wire.fleet import DockHistory, Fleet, Found, UnitDocks
from tests.support.centre_reading import bring_in, get, page
from tests.support.clock import ManualClock
from tests.support.dock_voice import Chain, DockVoice
from tests.support.kiosk_fakes import DockOnPaper, held_bay, ready_bay

EVIL = '"><script>alert(1)</script>'
QUOTED = EVIL.replace('"', '""')
SITES = f"""site,name,unit,state,planned_on,live_on,closed_on,cameras_planned,docks
cam-1,Kentish Town,Camden,live,,2026-10-01,,400,dock-7 dock-8
bar-1,Barnet,Barnet,live,,2026-11-01,,,dock-9
bar-2,High Road,Barnet,planned,2027-01-01,,,,dock-10
old-1,Old Street,Camden,closed,,2025-01-01,2026-01-01,,dock-11
ofo,"{QUOTED}","{QUOTED}",planned,,,,60,
"""
OFFICERS = f"""officer,name,site,state
PC1,Ann,cam-1,
PC2,"{QUOTED}",bar-1,
"""
CAMERAS = """camera,model,state,site
simulated:A1,Sim,in-use,cam-1
simulated:A2,Sim,lost,cam-1
"""


async def tell(dock: DockVoice, name: str, **changes: object) -> None:
    bays = (ready_bay("1"), ready_bay("2"), held_bay("3") if changes.pop("is_held", False) else ready_bay("3"))
    status = DockOnPaper(*bays, dock=name, facts=0, facts_at_centre=0, **changes).snapshot()
    answer = await dock.ask("PUT", f"/api/v1/docks/{name}/status", json=status.model_dump(mode="json"))
    assert answer.status == 204, answer.body


async def fleet(session: aiohttp.ClientSession, centre: ServedCentre) -> Fleet:
    return Fleet.model_validate_json(await get(session, centre, "/api/v1/fleet"))


def visit(chain: Chain, session: str, bay: str, camera: str, *states: tuple[str, str | None]) -> None:
    identity = CameraIdentity(camera=camera, maker="m", model="Sim")
    chain.add(
        f.CameraDocked(session=session, bay=bay, port="1-1"),
        f.CameraIdentified(session=session, bay=bay, driver="simulated", identity=identity),
    )
    for state, code in states:
        chain.add(f.SessionMoved(session=session, from_state="x", to_state=state, code=code))
    chain.add(f.CameraUndocked(session=session, bay=bay, camera=camera))


GOOD = (("securing", None), ("ready", None))
BAD = (("faulted", "driver-timeout"), ("held", "card-unreadable"))


async def test_places_come_worst_first_and_closed_sites_are_nobodys_worry(
    config: CentreConfig, session: aiohttp.ClientSession, clock: ManualClock, tmp_path: Path
) -> None:
    # Nobody judges alerts meanwhile: an alert on dock-9 from before it was heard would rightly stay for a while.
    async with serving_centre(config, clock=clock, alerts_config=AlertsConfig(evaluate_seconds=3600)) as centre:
        await _places_come_worst_first(centre, session, clock, tmp_path)


async def _places_come_worst_first(
    centre: ServedCentre, session: aiohttp.ClientSession, clock: ManualClock, tmp_path: Path
) -> None:
    dock = DockVoice(session, centre.url)
    await bring_in(centre, tmp_path, sites=SITES, officers=OFFICERS, cameras=CAMERAS)
    for name in ("dock-7", "dock-8", "dock-11"):
        await tell(dock, name)
    clock.advance(1800)
    await tell(dock, "dock-7", is_held=True, waiting_recordings=3, waiting_bytes=5_000)
    await tell(dock, "dock-9")
    found = await fleet(session, centre)
    assert [(one.unit, one.figures.health) for one in found.units] == [
        ("Camden", "trouble"),  # dock-8 is silent
        (EVIL, "fine"),
        ("Barnet", "fine"),
    ]
    camden = found.units[0].figures
    assert (camden.docks, camden.docks_in_trouble, camden.docks_to_look_at) == (2, 1, 1)
    assert (camden.ready, camden.bays, camden.waiting_bytes) == (5, 6, 5_000)
    assert [one.site for one in found.worst_sites] == ["cam-1"]
    assert found.docks_without_site == ()
    unit = UnitDocks.model_validate_json(await get(session, centre, "/api/v1/fleet/sites?unit=Camden"))
    assert [(one.dock, one.health) for one in unit.docks] == [("dock-8", "trouble"), ("dock-7", "attention")]
    assert unit.docks[0].reasons[0].words == "Dock dock-8 has not been heard for more than 10 minutes."
    shown = (await page(session, centre, "/fleet")).words
    assert "Look now Kentish Town Camden 2: 1 to look at now, 1 today" in shown
    assert "Look today dock-7 Kentish Town 1 bay waits for a person at the station." in (
        (await page(session, centre, "/fleet/sites?unit=Camden")).words
    )


async def test_a_dock_at_no_site_is_shown_too(
    centre: ServedCentre, session: aiohttp.ClientSession, dock: DockVoice
) -> None:
    await tell(dock, "dock-55", staging_free_bytes=5, staging_total_bytes=1000)
    found = await fleet(session, centre)
    assert [(one.dock, one.health) for one in found.docks_without_site] == [("dock-55", "trouble")]
    assert "Only 0 % of the disk of dock dock-55 is free" in (await page(session, centre, "/fleet")).words


async def test_an_empty_centre_has_a_page_too(centre: ServedCentre, session: aiohttp.ClientSession) -> None:
    assert "No list of sites has been imported yet" in (await page(session, centre, "/fleet")).words
    assert "No alert is open." in (await page(session, centre, "/alerts")).words
    await page(session, centre, "/fleet/search")


async def test_the_history_of_a_dock_tells_bad_bays_from_bad_cameras(
    centre: ServedCentre, session: aiohttp.ClientSession, dock: DockVoice, clock: ManualClock
) -> None:
    chain = Chain(clock=clock)
    chain.start()
    for number in range(4):  # every camera fails in bay 3; camera Z fails in bays 1 and 2 alike; D only in bay 2
        for bay, camera, states in (
            ("3", f"simulated:{'ABCD'[number]}", BAD),
            ("1", "simulated:A", GOOD),
            ("2", "simulated:D", BAD),
            ("2", "simulated:B", GOOD),
            (str(1 + number % 2), "simulated:Z", BAD),
        ):
            visit(chain, f"s{number}-{bay}-{camera[-1]}", bay, camera, *states)
            clock.advance(60)
    assert (await dock.put_facts(chain.facts)).status == 200
    await tell(dock, "dock-7")
    found = DockHistory.model_validate_json(await get(session, centre, "/api/v1/docks/dock-7/faults"))
    bays = {one.bay: one for one in found.bays}
    assert {bay: one.verdict for bay, one in bays.items()} == {"1": "fine", "2": "often fails", "3": "failing"}
    assert bays["2"].always_failing == ("simulated:D",)
    assert (bays["3"].sessions, bays["3"].faulted, bays["3"].held) == (4, 4, 4)
    assert (bays["3"].connection_losses, bays["3"].card_faults) == (4, 4)
    assert [one.outcome for one in bays["3"].recent] == ["failed"] * 4
    shown = (await page(session, centre, "/docks/dock-7")).words
    assert "Bay 3 failing Every camera fails here." in shown
    found_camera = Found.model_validate_json(await get(session, centre, "/api/v1/fleet/search?q=simulated:z")).cameras[
        0
    ]
    assert found_camera.verdict == "failing"
    assert "Fails in every bay" in (await page(session, centre, "/fleet/search?q=simulated:Z")).words
    assert "Every camera fails in bay 3." in (await page(session, centre, "/fleet")).words


async def test_search_finds_cameras_officers_and_docks_by_a_part_of_their_name(
    centre: ServedCentre, session: aiohttp.ClientSession, dock: DockVoice, clock: ManualClock, tmp_path: Path
) -> None:
    await bring_in(centre, tmp_path, sites=SITES, officers=OFFICERS, cameras=CAMERAS)
    chain = Chain(clock=clock)
    chain.start()
    visit(chain, "s1", "1", "simulated:A1", *GOOD)
    clock.advance(60)
    chain.add(
        f.AssignmentStarted(assignment="a", camera="simulated:A1", officer="PC1", started_at=clock.now()),
        f.AssignmentStarted(assignment="b", camera="simulated:X9", officer="PC77", started_at=clock.now()),
    )
    await dock.put_facts(chain.facts)
    clock.advance(3 * 86_400)

    async def search(text: str) -> Found:
        return Found.model_validate_json(await get(session, centre, f"/api/v1/fleet/search?q={text}"))

    (camera,) = (await search("a1")).cameras
    assert (camera.camera, camera.is_out, camera.issued_to, camera.seen_bay) == ("simulated:A1", True, "PC1", "1")
    assert camera.retention_days_left == 28
    assert [one.camera for one in (await search("simulated")).cameras] == [
        "simulated:A1",
        "simulated:A2",
        "simulated:X9",
    ]
    assert [(one.officer, one.cameras) for one in (await search("pc7")).officers] == [("PC77", ("simulated:X9",))]
    assert {one.dock for one in (await search("kentish")).docks} == {"dock-7", "dock-8"}
    assert [one.dock for one in (await search("DOCK-9")).docks] == ["dock-9"]
    for nothing in ("%25", "_", "'--"):
        found = await search(nothing)
        assert (found.cameras, found.officers, found.docks) == ((), (), ())
    shown = (await page(session, centre, "/fleet/search?q=A1")).words
    assert "Out with officer PC1 since" in shown
    assert "28 days of its retention left" in shown


async def test_no_name_becomes_markup_or_sql(
    centre: ServedCentre, session: aiohttp.ClientSession, dock: DockVoice, tmp_path: Path
) -> None:
    await bring_in(centre, tmp_path, sites=SITES, officers=OFFICERS, cameras=CAMERAS)
    await tell(dock, "dock-66", site=EVIL)
    for path in ("/fleet", "/fleet/search?q=PC2", f"/fleet/search?q={EVIL}", "/fleet/search?q='; DROP TABLE alerts;--"):
        html = await get(session, centre, path)
        assert "<script" not in html
    reader = await page(session, centre, "/fleet")
    (link,) = [one for one in reader.links if "script" in one]
    assert EVIL in (await page(session, centre, link)).words


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/fleet/sites", 400),
        ("/fleet/sites?unit=%00", 400),
        ("/fleet/sites?unit=Nowhere", 404),
        ("/fleet/search?q=%00", 400),
        (f"/fleet/search?q={'x' * 101}", 400),
    ],
)
async def test_what_is_no_question_is_refused(
    centre: ServedCentre, session: aiohttp.ClientSession, path: str, status: int
) -> None:
    await page(session, centre, path, status)
    assert str(status) in await get(session, centre, f"/api/v1{path}", status)


async def test_charts_have_a_table_with_every_figure(
    centre: ServedCentre, session: aiohttp.ClientSession, dock: DockVoice, clock: ManualClock
) -> None:
    chain = Chain(clock=clock)
    chain.start()
    for number in range(7):
        visit(chain, f"s{number}", "1", "simulated:A", *GOOD)
    await dock.put_facts(chain.facts)
    await tell(dock, "dock-7", waiting_recordings=2, waiting_bytes=4_000_000_000)
    looked = {"looks": 60, "ready_least": 3, "ready_last": 9, "bays": 24, "waiting_recordings_most": 5}
    looked |= {"waiting_bytes_most": 4_000_000_000, "oldest_waiting_seconds_most": 7200}
    async with centre.services.lists._database.writing() as connection:
        await connection.execute(force_hours.insert().values(hour=clock.now(), **looked))
    clock.jump_wall_clock(3600)  # nobody wakes and looks
    found = await fleet(session, centre)
    last, now = found.hours[-2:]
    assert (last.dockings, last.made_ready, last.ready_least, last.waiting_bytes_most) == (7, 7, 3, 4_000_000_000)
    assert (now.dockings, now.ready_least) == (0, None)  # nobody looked: not nought
    reader = await page(session, centre, "/fleet")
    shown = reader.words
    assert "Most: 7 at 06:00. Last: 0 at 07:00." in shown
    assert "06:00 7 07:00 0" in shown
    assert "06:00 4.0 GB 07:00 not known" in shown
    assert reader.tags["svg"] >= 4


async def test_figures_that_no_column_holds_do_not_stop_a_dock_from_being_heard(
    centre: ServedCentre, session: aiohttp.ClientSession, dock: DockVoice
) -> None:
    huge: dict[str, Any] = dict.fromkeys(
        ("waiting_recordings", "waiting_bytes", "staging_free_bytes", "staging_total_bytes"), 10**40
    )
    await tell(dock, "dock-7", ready_count=10**30, version="0\0", **huge)
    await tell(dock, "dock-8", ready_count=-5, **huge)
    found = await fleet(session, centre)
    assert found.total.docks == 2
    assert found.total.ready <= 6


async def test_bytes_are_told_by_site(
    centre: ServedCentre, session: aiohttp.ClientSession, dock: DockVoice, clock: ManualClock, tmp_path: Path
) -> None:
    await bring_in(centre, tmp_path, sites=SITES, officers=OFFICERS, cameras=CAMERAS)
    async with centre.services.lists._database.writing() as connection:
        for days, name, size in ((0, "dock-7", 5), (6, "dock-8", 7), (7, "dock-8", 1000), (1, "dock-99", 2)):
            day = clock.now().date() - timedelta(days=days)
            row = {"day": day, "dock": name, "copied_bytes": size, "accepted_bytes": size - 1}
            await connection.execute(dock_days.insert().values(row))
    found = await fleet(session, centre)
    assert [(one.site, one.copied_bytes, one.accepted_bytes) for one in found.bytes_by_site] == [
        ("cam-1", 12, 10),
        (None, 2, 1),
    ]
    unit = UnitDocks.model_validate_json(await get(session, centre, "/api/v1/fleet/sites?unit=Camden"))
    assert [one.copied_bytes for one in unit.days[-8:]] == [1000, 7, 0, 0, 0, 0, 0, 5]
