"""Each role over real HTTP: what it gets, what it does not, and that looking is written down first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from dockd.central.app import ServedCentre, build_centre
from dockd.central.config import CentreConfig
from dockd.central.people.permits import PERMITS, Gate, Reach
from dockd.rules.roles import HELD, Permission, Role
from tests.support import centre_records as records
from tests.support.clock import ManualClock
from tests.support.html_check import read_html
from tests.support.kiosk_fakes import DockOnPaper, empty_bay
from tests.support.sign_in import Browser

OpenBrowser = Callable[..., Browser]
DAY = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
WHO = {Role.ADMINISTRATOR: "ada", Role.IT: "ian", Role.AUDITOR: "aud", Role.STATION: "stan"}
LOOKS = {address for address, permit in PERMITS.items() if permit.look is not None}


@pytest_asyncio.fixture
async def filled(centre: ServedCentre) -> str:
    """Two docks at two sites, each with a session and recordings; returns a digest of the first."""
    database = centre.services.queries._database
    digests = []
    for first, dock, camera in ((0, "dock-7", "simulated:HERE"), (2, "dock-9", "simulated:THERE")):
        status = DockOnPaper(empty_bay("1"), dock=dock, site=dock).snapshot()
        await records.add_dock(database, dock, heard_at=DAY, status=status)
        await records.add_session(database, dock, f"s-{dock}", camera=camera, started_at=DAY)
        digests += await records.add_recordings(
            database, dock, f"s-{dock}", camera=camera, recorded_at=DAY + timedelta(hours=1), count=2, first=first
        )
        await records.add_manifest(database, dock, f"s-{dock}", "manifest-sha256.txt", stored_at=DAY)
    return digests[0]


def filled_in(path: str, digest: str) -> str:
    for name, value in {
        "dock": "dock-7",
        "session": "0" * 16 if path.startswith("/account/") else "s-dock-7",
        "digest": digest,
        "recording": "s-dock-7-0",
        "name": "manifest-sha256.txt",
        "upload": "up-1",
        "number": "1",
        "category": "routine",
        "hold": "1",
        "list_digest": digest,
        "token": "0" * 16,
        "person": "ian",
    }.items():
        path = path.replace(f"{{{name}}}", value)
    return path + ("?unit=Camden" if path.endswith("rollout/sites") else "")


@pytest.mark.parametrize("role", Role)
async def test_each_role_gets_what_it_holds_and_nothing_else(
    browser: Browser, centre: ServedCentre, filled: str, role: Role
) -> None:
    await browser.sign_in(WHO[role])
    for (method, path), permit in PERMITS.items():
        if method != "GET" or not isinstance(permit.asks, Permission):
            continue
        holds = permit.asks in HELD[role] and (role is not Role.STATION or permit.reach is not Reach.FORCE)
        address = f"{centre.url}{filled_in(path, filled)}"
        async with browser.session.get(address, allow_redirects=False) as answer:
            if holds:
                # Let in: what it then says of values that were not given is the call's own matter.
                assert answer.status in (200, 400, 404, 503), (path, answer.status, await answer.text())
            else:
                assert answer.status == 403, (path, answer.status)


async def test_nobody_who_has_not_signed_in_gets_anything(browser: Browser, centre: ServedCentre, filled: str) -> None:
    for (method, path), permit in PERMITS.items():
        if permit.asks in (Gate.ANYONE, Gate.INVITED):
            continue
        address = f"{centre.url}{filled_in(path, filled)}"
        async with browser.session.request(method, address, allow_redirects=False) as answer:
            text = await answer.text()
            assert answer.status in (303, 401, 403), (method, path, answer.status)
            if answer.status == 303:
                assert answer.headers["Location"].startswith("/sign-in")
            if answer.status == 401:
                assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "simulated:" not in text
    assert not await centre.services.centre_facts.read(limit=10, kind="Looked")


@pytest.mark.parametrize("role", Role)
async def test_no_person_speaks_as_a_dock(browser: Browser, centre: ServedCentre, filled: str, role: Role) -> None:
    await browser.sign_in(WHO[role])
    for (method, path), permit in PERMITS.items():
        if permit.asks is Gate.DOCKS:
            async with browser.session.request(method, f"{centre.url}{filled_in(path, filled)}", json={}) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, "docks-only"), path


async def test_station_staff_see_their_own_site_and_no_other(browser: Browser, filled: str) -> None:
    await browser.sign_in("stan")
    for path in ("/", "/recordings", "/api/v1/docks", "/api/v1/recordings"):
        text = await browser.get(path)
        assert "dock-7" in text or "simulated:HERE" in text, path
        for other in ("dock-9", "THERE", "s-dock-9"):
            assert other not in text, (path, other)
    for path in ("/?dock=dock-9", "/recordings?dock=dock-9", "/api/v1/recordings?dock=dock-9"):
        assert "THERE" not in await browser.get(path)
    for path in ("/docks/dock-9", "/sessions/dock-9/s-dock-9", "/api/v1/docks/dock-9/facts/head"):
        there = await browser.get(path, 403)
        nowhere = await browser.get(path.replace("dock-9", "dock-0"), 403)
        assert there == nowhere  # what is elsewhere and what is nowhere cannot be told apart
    words = " ".join(" ".join(read_html(await browser.get("/")).text).split())
    assert "Docks 1 " in words
    assert "2 recordings" in words


async def test_station_staff_find_no_link_that_leads_nowhere(
    browser: Browser, centre: ServedCentre, filled: str
) -> None:
    await browser.sign_in("stan")
    for path in ("/", "/recordings", "/docks/dock-7", "/sessions/dock-7/s-dock-7", "/account"):
        reader = read_html(await browser.get(path))
        assert reader.mistakes == []
        for link in reader.links:
            if link.startswith("/"):
                async with browser.session.get(f"{centre.url}{link}", allow_redirects=False) as answer:
                    assert answer.status == 200, (path, link, answer.status)


async def test_a_site_that_lost_its_dock_sees_it_no_more(
    browser: Browser, centre: ServedCentre, filled: str, tmp_path: Path
) -> None:
    await browser.sign_in("stan")
    await browser.get("/docks/dock-7")
    file = tmp_path / "moved.csv"
    file.write_text(
        "site,name,unit,state,live_on,docks\n"
        "cam-1,Kentish Town,Camden,live,2026-10-01,dock-8\nbar-1,Barnet,Barnet,live,2026-10-01,dock-7 dock-9\n"
    )
    await centre.services.lists.bring_in("sites", file)
    await browser.get("/docks/dock-7", 403)


async def test_a_role_that_was_taken_away_counts_with_the_next_request(
    browser: Browser, open_browser: OpenBrowser, filled: str
) -> None:
    other = open_browser()
    await other.sign_in("aud")
    await other.get(f"/recordings/{filled}")
    await browser.sign_in("ada")
    await browser.post("/people/aud/role", {"role": "it"}, on="/people/aud")
    await other.get(f"/recordings/{filled}", 403)
    await browser.post("/people/aud/disable", {}, on="/people/aud")
    await other.get("/account", 303)


@pytest.mark.parametrize("name", ["aud", "ada"])
async def test_every_look_at_custody_and_footage_is_a_fact_also_of_administrators(
    browser: Browser, centre: ServedCentre, filled: str, name: str
) -> None:
    await browser.sign_in(name)
    for method, path in sorted(LOOKS):
        async with browser.session.request(method, f"{centre.url}{filled_in(path, filled)}") as answer:
            await answer.read()
    looked = await centre.services.centre_facts.read(limit=100, kind="Looked")
    assert len(looked) == len(LOOKS)
    assert {one.actor for one in looked} == {name}
    assert {one.about["what"] for one in looked} == {"custody", "receipt", "facts", "manifest", "content"}
    assert all(one.about.get("digest", filled) == filled for one in looked)


async def test_a_look_that_cannot_be_written_down_does_not_happen(
    browser: Browser, centre: ServedCentre, filled: str
) -> None:
    await browser.sign_in("aud")
    database = centre.services.queries._database
    async with database.writing() as connection:
        await connection.exec_driver_sql("ALTER TABLE centre_facts RENAME TO centre_facts_away")
    text = await browser.get(f"/recordings/{filled}", None)
    assert "simulated:HERE" not in text


async def test_head_is_as_well_guarded_as_get(browser: Browser, centre: ServedCentre, filled: str) -> None:
    async with browser.session.head(f"{centre.url}/recordings/{filled}", allow_redirects=False) as answer:
        assert answer.status == 303
    await browser.sign_in("ian")
    async with browser.session.head(f"{centre.url}/recordings/{filled}") as answer:
        assert answer.status == 403


async def test_an_address_that_is_in_no_list_is_served_to_nobody(config: CentreConfig, clock: ManualClock) -> None:
    async def secret(_request: web.Request) -> web.Response:
        return web.Response(text="a secret")

    app = build_centre(config, clock=clock)
    app.router.add_get("/brand-new", secret)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        async with session.get(server.make_url("/brand-new")) as answer:
            assert answer.status == 403
            assert "a secret" not in await answer.text()


async def test_what_does_not_exist_is_told_to_anyone_as_just_that(browser: Browser) -> None:
    await browser.get("/nothing/here", 404)
    await browser.get("/api/v1/nothing", 404)
