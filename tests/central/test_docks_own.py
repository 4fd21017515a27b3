"""What is a dock's own, and that it gets nothing else: real TLS on loopback, properly enrolled docks."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from dockd.central.api.route import Access, Route, TextValue
from dockd.central.api.routes import ROUTES
from dockd.dock.centre_tls import context_trusting
from dockd.dock.enrolment_files import certificate_request, new_key
from tests.support.dock_voice import Chain, DockVoice, refused, sha256
from tests.support.enrolled_site import EnrolledSite, enrolled_site


@pytest_asyncio.fixture
async def site(tmp_path: Path, where: dict[str, Any]) -> AsyncIterator[EnrolledSite]:
    async with enrolled_site(tmp_path, **where) as one:
        yield one


def address_of(route: Route) -> str:
    """The route's path, with the example of each of its values."""
    examples = {
        name: value.example if isinstance(value, TextValue) else value.lowest
        for name, value in route.path_values.items()
    }
    return route.path.format(**examples)


async def test_without_a_certificate_only_enrolment_is_open(site: EnrolledSite) -> None:
    nobody = await site.voice("dock-1", context=context_trusting(site.ca_pem))
    for route in ROUTES:
        reply = await nobody.ask(route.method, address_of(route))
        if route.access is Access.ANYONE:
            assert reply.status in (200, 415), (route.path, reply.body)
        else:
            refused(reply, "certificate-required", "dockd enrol")
    page = await nobody.ask("GET", "/")
    assert (page.status, b"not-for-docks" in page.body) == (403, True)


# --- plain HTTP ---------------------------------------------------------------------------------


async def test_plain_http_looks_and_changes_nothing_where_docks_have_their_own_address(site: EnrolledSite) -> None:
    async with aiohttp.ClientSession() as session:
        plain = DockVoice(session, site.centre.url, "dock-1")
        refused(await plain.claim(b"x"), "tls-required", "dockd enrol")
        refused(await plain.put_facts(Chain("dock-1").start()), "tls-required")
        token = (await site.invite()).text
        body = {"token": token, "dock": "dock-1", "request": certificate_request(new_key(), "dock-1")}
        refused(await plain.ask("POST", "/api/v1/enrolment", json=body), "tls-required", "in the clear")
        assert (await plain.ask("GET", "/api/v1/docks")).status == 200
        assert (await plain.ask("GET", "/")).status == 200


# --- a dock's own, and nothing else -------------------------------------------------------------


@pytest_asyncio.fixture
async def thief(site: EnrolledSite) -> DockVoice:
    """A properly enrolled dock that wants what is dock-7's."""
    return await site.voice("thief")


async def test_a_dock_can_do_its_whole_job_with_its_own(site: EnrolledSite) -> None:
    dock, chain, footage = await site.voice("dock-7"), Chain("dock-7"), os.urandom(2500)
    assert (await dock.put_facts(chain.start())).status == 200
    receipt = await dock.send(footage)
    assert receipt["digest"] == sha256(footage)
    assert (await dock.ask("GET", f"/api/v1/recordings/{sha256(footage)}/content")).body == footage
    manifest = b"0" * 64 + b"  a\n"
    headers = {"X-Content-SHA256": sha256(manifest), "Content-Type": "text/plain"}
    path = "/api/v1/sessions/dock-7/s-1/manifests/manifest-sha256.txt"
    assert (await dock.ask("PUT", path, data=manifest, headers=headers)).status == 200
    assert (await dock.ask("GET", path)).body == manifest
    assert (await dock.ask("GET", "/api/v1/docks/dock-7/facts")).json["facts"]


def _wrong_calls(upload: str, part: dict[str, Any], digest: str) -> list[tuple[Access, str, str, str]]:
    """Access, method, path and the code that a thief gets, for every route that is somebody's own."""
    mine = "/api/v1/docks/dock-7"
    manifest = "/api/v1/sessions/dock-7/s-1/manifests/manifest-sha256.txt"
    return [
        (Access.OWN_DOCK, "PUT", f"{mine}/facts", "not-yours"),
        (Access.OWN_DOCK, "GET", f"{mine}/facts/head", "not-yours"),
        (Access.OWN_DOCK, "GET", f"{mine}/facts", "not-yours"),
        (Access.OWN_DOCK, "PUT", f"{mine}/status", "not-yours"),
        (Access.OWN_DOCK, "GET", f"{mine}/orders", "not-yours"),
        (Access.OWN_DOCK, "POST", f"{mine}/certificate", "not-yours"),
        (Access.OWN_DOCK, "PUT", manifest, "not-yours"),
        (Access.OWN_DOCK, "GET", manifest, "not-yours"),
        (Access.OWN_UPLOAD, "GET", f"/api/v1/uploads/{upload}", "not-yours"),
        (Access.OWN_UPLOAD, "POST", f"/api/v1/uploads/{upload}/complete", "not-yours"),
        (Access.OWN_UPLOAD, "PUT", part["url"], "not-yours"),
        (Access.OWN_CONTENT, "GET", f"/api/v1/recordings/{digest}/content", "not-yours"),
    ]


async def test_every_call_on_what_is_another_docks_is_refused(site: EnrolledSite, thief: DockVoice) -> None:
    dock = await site.voice("dock-7")
    done, open_ = os.urandom(1500), os.urandom(1700)
    await dock.send(done)
    upload = (await dock.claim(open_)).json["upload"]
    part = upload["parts"][0]
    tried = set()
    for _access, method, path, code in _wrong_calls(upload["upload"], part, sha256(done)):
        refused(await thief.ask(method, path, data=b"{}", headers={"Content-Type": "application/json"}), code)
        tried.add((method, path.removeprefix(site.url).partition("?")[0]))
    # One more call in the list of routes must come with one more try here.
    owned = [one for one in ROUTES if one.access in (Access.OWN_DOCK, Access.OWN_UPLOAD, Access.OWN_CONTENT)]
    assert len(tried) == len(owned)
    assert len(dock.session.cookie_jar) == 0
    reply = await dock.put_part(part, open_)
    assert reply.status == 204, "and its owner goes on undisturbed"


async def test_no_dock_gets_what_is_for_people(site: EnrolledSite, thief: DockVoice) -> None:
    for_people = [one for one in ROUTES if one.access is Access.PEOPLE]
    assert {"/api/v1/docks", "/api/v1/recordings", "/api/v1/rollout"} <= {one.path for one in for_people}
    for route in for_people:
        refused(await thief.ask(route.method, address_of(route)), "not-for-docks", "other address")
    for page in ("/", "/docks", "/static/dockd.css"):
        assert (await thief.ask("GET", page)).status in (403, 404)


async def test_an_upload_that_was_given_up_is_gone_and_not_somebody_elses(site: EnrolledSite) -> None:
    """So that its dock claims the recording again, instead of waiting to be let in."""
    dock, footage = await site.voice("dock-7"), os.urandom(1200)
    upload = (await dock.claim(footage)).json["upload"]["upload"]
    await site.centre.services.claims.give_up_abandoned(timedelta(seconds=-1))
    assert (await dock.ask("GET", f"/api/v1/uploads/{upload}")).code == "not-found"
    assert (await dock.send(footage))["digest"] == sha256(footage)


async def test_a_claim_in_another_docks_name_is_refused_and_leaves_no_trace(
    site: EnrolledSite, thief: DockVoice
) -> None:
    footage = os.urandom(800)
    refused(await thief.claim(footage, dock="dock-7"), "not-yours", "dock thief")
    async with aiohttp.ClientSession() as session:
        people = DockVoice(session, site.centre.url)
        assert (await people.ask("GET", "/api/v1/recordings")).json["recordings"] == []


async def test_facts_and_status_of_another_dock_under_the_own_address_are_refused(
    site: EnrolledSite, thief: DockVoice
) -> None:
    assert (await thief.put_facts(Chain("dock-7").start())).code == "wrong-dock"


async def test_a_claim_of_footage_that_the_store_has_already_does_not_open_it(
    site: EnrolledSite, thief: DockVoice
) -> None:
    """A dock that heard of a digest claims it as its own, and asks for the content."""
    dock, footage = await site.voice("dock-7"), os.urandom(900)
    await dock.send(footage)
    assert (await thief.claim(footage)).json["receipt"] is not None, "a card re-docked elsewhere costs no WAN"
    refused(await thief.ask("GET", f"/api/v1/recordings/{sha256(footage)}/content"), "not-yours")


async def test_part_addresses_of_another_dock_are_of_no_use(site: EnrolledSite, thief: DockVoice) -> None:
    dock, footage = await site.voice("dock-7"), os.urandom(1200)
    upload = (await dock.claim(footage)).json["upload"]
    assert upload["parts"][0]["url"].startswith(site.url), "over TLS too"
    refused(await thief.put_part(upload["parts"][0], footage), "not-yours")
