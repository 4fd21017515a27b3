"""What nginx of docs/deploy.md lets through: nothing for nobody, at once nothing for a dock that was put out."""

from __future__ import annotations

import asyncio
import random
import re
import ssl

import aiohttp
import pytest

from dockd.central.people.permits import PERMITS, Gate
from dockd.dock.centre_tls import context_trusting
from tests.support.aftermath import check_journal
from tests.support.deployment import ADMINISTRATOR, Deployment
from tests.support.dock_voice import Chain, DockVoice, refused
from tests.support.nginx import DOCKS_EXAMPLE
from tests.support.postgres import PostgresServer
from tests.support.processes import is_everything_told, is_ready, until
from tests.support.sign_in import Browser

pytestmark = [pytest.mark.slow, pytest.mark.postgresql, pytest.mark.stores]

DOCK = "blackfriars-1"
OPEN = {("GET", "/api/v1/enrolment/authority"), ("POST", "/api/v1/enrolment"), ("GET", "/api/v1/store")}
OPEN |= {("GET", "/api/v1/openapi.json")}
WORDS_WHEN_PUT_OUT = "the host was stolen"


async def test_a_dock_that_was_put_out_is_refused_at_once_and_keeps_what_it_has_until_it_is_invited_again(
    deployment: Deployment, seed: int
) -> None:
    town, dice = deployment.town, random.Random(seed)
    town.enrol(DOCK)
    station = town.station(DOCK)
    daemon = await station.start()
    voice = await town.voice(DOCK)
    head = f"/api/v1/docks/{DOCK}/facts/head"
    assert (await voice.ask("GET", head)).status == 200
    poll = asyncio.create_task(voice.ask("GET", f"/api/v1/docks/{DOCK}/orders?after=0&wait=50"))
    await asyncio.sleep(0)
    assert "1 certificates revoked" in await asyncio.to_thread(town.put_out, DOCK)
    refused(await voice.ask("GET", head), "certificate-revoked", WORDS_WHEN_PUT_OUT)
    refused(await asyncio.wait_for(poll, 20), "certificate-revoked", WORDS_WHEN_PUT_OUT)
    station.rig.camera("A1", {"DCIM/1.MP4": dice.randbytes(300_000)})
    station.rig.dock("A1", 1)
    await station.until(lambda shown: WORDS_WHEN_PUT_OUT in shown.centre_words, "the page to say why", 60)
    await station.until(lambda shown: any(one.recordings_safe_here for one in shown.bays), "copied all the same", 60)
    bay = await station.bay("bay-1")
    assert bay is not None
    assert bay.recordings_erased == 0
    station.rig.oracle.check_nothing_lost()
    await daemon.stop()
    town.enrol(DOCK)
    daemon = await station.start()
    await station.until(is_ready(1), "ready", 120)
    station.rig.undock("A1", 1)
    await station.until(is_everything_told, "everything told", 60)
    await daemon.stop()
    await check_journal(station.rig)


async def test_nobody_gets_anything_through_nginx_without_signing_in_or_a_certificate(
    deployment: Deployment, postgres: PostgresServer
) -> None:
    url, docks_url = deployment.nginx.url, deployment.nginx.docks_url
    async with deployment.session(is_signed_in=False) as nobody:
        for (method, path), permit in PERMITS.items():
            if permit.asks not in (Gate.ANYONE, Gate.INVITED):
                async with nobody.request(method, url + filled_in(path), allow_redirects=False) as answer:
                    assert answer.status in (303, 401, 403), (method, path, answer.status)
                    assert ADMINISTRATOR not in await answer.text()
    trusting = context_trusting((deployment.folder / "centre" / "ca.pem").read_text("utf-8"))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as stranger:
        for method, path in PERMITS:
            if (method, path) not in OPEN:
                async with stranger.request(method, docks_url + filled_in(path), allow_redirects=False) as answer:
                    assert answer.status in (401, 403), (method, path, answer.status)
    # Who has signed in may look, but never speaks for a dock.
    chain = Chain("nobody-1")
    chain.start()
    async with deployment.session() as administrator:
        assert (await DockVoice(administrator, url).ask("GET", "/api/v1/docks")).json["docks"] == []
        reply = await DockVoice(administrator, url, "nobody-1").put_facts(chain.facts)
        assert reply.status == 403, reply.body
    assert postgres.query("SELECT dock FROM facts", "dockd") == []


async def test_the_centre_hears_a_callers_address_from_nginx_alone(
    deployment: Deployment, postgres: PostgresServer
) -> None:
    lies = {"X-Forwarded-For": "192.0.2.77", "X-Real-IP": "192.0.2.77"}
    async with Browser(deployment.nginx.url, tls=deployment.tls.client_context(), **lies) as browser:
        await browser.sign_in(ADMINISTRATOR, "not the password", status=401)
    ((told,),) = postgres.query("SELECT about FROM centre_facts WHERE kind = 'SignInFailed'", "dockd")
    assert '"address":"127.0.0.1"' in str(told)


async def test_one_address_cannot_take_all_connections_of_docks(deployment: Deployment) -> None:
    (limit,) = re.findall(r"limit_conn dockd_docks_addresses (\d+);", DOCKS_EXAMPLE.read_text("utf-8"))
    deployment.town.enrol(DOCK)
    port = deployment.nginx.docks_port
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(int(limit) + 5)]
    closed = await asyncio.gather(*(_is_closed(reader) for reader, _ in held))
    assert sum(closed) == 5
    for _, writer in held:
        writer.close()
    voice = await deployment.town.voice(DOCK)

    async def is_let_in() -> bool:
        try:
            return (await voice.ask("GET", f"/api/v1/docks/{DOCK}/facts/head")).status == 200
        except (aiohttp.ClientError, ssl.SSLError, ConnectionError):
            return False

    await until(is_let_in, lambda: "the dock to be let in once the others are gone", 20)
    assert "limiting connections by zone" in (deployment.nginx.folder / "error.log").read_text("utf-8")


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    """Whether nginx hung up; who is let in hears nothing, because TLS begins with the caller."""
    try:
        return await asyncio.wait_for(reader.read(1), 3.0) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def filled_in(path: str) -> str:
    """An address with something in every place of its pattern."""
    known = {"{number}": "1", "{hold}": "1", "{digest}": "a" * 64, "{list_digest}": "a" * 64}
    return re.sub(r"\{[a-z_]+\}", lambda found: known.get(found[0], "a" * 16), path)
