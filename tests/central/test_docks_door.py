"""Strangers and enrolled docks that are slow, endless or malformed at the docks' address: real TLS on loopback."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from dockd.central import serving
from dockd.dock.centre_tls import context_trusting
from dockd.web import problems
from tests.support.dock_voice import DockVoice
from tests.support.enrolled_site import EnrolledSite, enrolled_site

FACTS = "/api/v1/docks/dock-1/facts"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits themselves are too long for a test; what they do is not."""
    monkeypatch.setattr(serving, "_HANDSHAKE_SECONDS", 1.0)
    monkeypatch.setattr(serving, "_IDLE_SECONDS", 1.0)
    monkeypatch.setattr(problems, "_BODY_GRACE_SECONDS", 1.0)
    monkeypatch.setattr(problems, "_SLOWEST_BYTES_PER_SECOND", 1024**3)


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[EnrolledSite]:
    async with enrolled_site(tmp_path) as one:
        yield one


async def connect(site: EnrolledSite, tls: ssl.SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port = int(site.url.rpartition(":")[2])
    return await asyncio.open_connection("127.0.0.1", port, ssl=tls)


async def closed_within(reader: asyncio.StreamReader, seconds: float) -> bytes:
    """What still came until the other side closed. Raises TimeoutError when it does not."""
    async with asyncio.timeout(seconds):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def still_serves(site: EnrolledSite) -> bool:
    voice = await site.voice("dock-1")
    return (await voice.ask("GET", f"{FACTS}/head")).status == 200


# --- slow ---------------------------------------------------------------------------------------


async def test_handshakes_that_never_end_are_closed_and_hold_up_nobody(site: EnrolledSite) -> None:
    open_ones = [await connect(site, None) for _ in range(200)]
    for _, writer in open_ones:
        writer.write(b"\x16\x03\x01\x02\x00\x01")  # the first bytes of a ClientHello
    assert await still_serves(site)
    for reader, writer in open_ones:
        assert await closed_within(reader, 5.0) == b""
        writer.close()


async def test_headers_that_never_end_are_closed(site: EnrolledSite) -> None:
    reader, writer = await connect(site, context_trusting(site.ca_pem))

    async def drip() -> None:
        writer.write(b"GET /api/v1/store HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        while True:
            writer.write(b"X-Slow: y\r\n")
            await asyncio.sleep(0.1)

    dripping = asyncio.create_task(drip())
    assert await closed_within(reader, 5.0) == b""
    dripping.cancel()
    writer.close()
    assert await still_serves(site)


async def test_a_body_that_comes_byte_by_byte_is_given_up_in_words(site: EnrolledSite) -> None:
    """From a stranger: `/enrolment` must be open to those who have no certificate yet."""

    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.1)

    nobody = await site.voice("dock-1", context=context_trusting(site.ca_pem))
    reply = await nobody.ask("POST", "/api/v1/enrolment", data=drops(), headers=JSON)
    assert (reply.status, reply.code) == (408, "too-slow")
    assert "within 1 s" in reply.json["detail"]
    assert await still_serves(site)


# --- too large, not what it says ----------------------------------------------------------------


async def test_an_endless_body_is_refused_at_its_limit(site: EnrolledSite) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 * 1024 * 1024:
            sent += 16 * 1024
            yield b"A" * 16 * 1024

    nobody = await site.voice("dock-1", context=context_trusting(site.ca_pem))
    try:
        reply = await nobody.ask("POST", "/api/v1/enrolment", data=endless(), headers=JSON)
        assert (reply.status, reply.code) == (413, "too-large")
    except aiohttp.ClientConnectionError:
        pass  # closed while it was still being sent
    assert sent < 64 * 1024 * 1024, "nobody read it to its end"
    assert await still_serves(site)


async def test_a_decompression_bomb_is_refused_at_its_limit(site: EnrolledSite) -> None:
    voice = await site.voice("dock-1")
    bomb = gzip.compress(b"0" * (80 * 1024 * 1024), compresslevel=9)
    assert len(bomb) < 100_000
    packed = {**JSON, "Content-Encoding": "gzip"}
    for path in (FACTS, "/api/v1/docks/dock-1/status"):
        reply = await voice.ask("PUT", path, data=bomb, headers=packed)
        assert reply.status in (400, 413), reply.body
    assert await still_serves(site)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00" * 100,
        b"[" * 100_000,
        b'{"facts":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"facts":[{"a":"\\u0000"}]}',
        b'{"facts":[1e999]}',
        b'{"facts":[{}], "facts":[{}]}',
        b"\xff\xfe{}",
        b'{"token":"<script>alert(1)</script>","dock":"x\' OR 1=1 --","request":"-----BEGIN-----"}',
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("PUT", FACTS), ("POST", "/api/v1/enrolment"), ("POST", "/api/v1/docks/dock-1/certificate")]
)
async def test_malformed_bodies_are_refused_and_never_repeated(
    site: EnrolledSite, method: str, path: str, body: bytes
) -> None:
    voice = await site.voice("dock-1")
    reply = await voice.ask(method, path, data=body, headers=JSON)
    assert (reply.status, reply.code) in ((422, "invalid-body"), (413, "too-large")), reply.body
    assert b"script" not in reply.body


@pytest.mark.parametrize(
    "request_pem",
    [
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n" * 1,
        "-----BEGIN CERTIFICATE REQUEST-----\n" + "A" * 6000 + "\n-----END CERTIFICATE REQUEST-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAK\n-----END RSA PRIVATE KEY-----\n",
    ],
)
async def test_certificate_requests_that_are_none_are_refused_and_spend_no_token(
    site: EnrolledSite, request_pem: str
) -> None:
    token = (await site.invite()).text
    nobody = await site.voice("dock-9", context=context_trusting(site.ca_pem))
    body: dict[str, Any] = {"token": token, "dock": "dock-9", "request": request_pem}
    assert (await nobody.ask("POST", "/api/v1/enrolment", json=body)).code == "bad-key-request"
    await site.enrol("dock-9", token)


async def test_what_is_no_tls_at_all_gets_nothing(site: EnrolledSite) -> None:
    reader, writer = await connect(site, None)
    writer.write(b"GET /api/v1/enrolment/authority HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"HTTP" not in await closed_within(reader, 5.0)
    writer.close()
    async with aiohttp.ClientSession() as session:
        plain = DockVoice(session, site.centre.url)
        assert (await plain.ask("GET", "/api/v1/enrolment/authority")).status == 200, "it is public"
