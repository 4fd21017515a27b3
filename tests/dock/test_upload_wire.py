"""The wire under a hostile or broken network: bounded, never followed, never believed. And the real centre."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from dockd.central.app import serving_centre
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.clock import SystemClock
from dockd.dock.centre_client import CentreClient
from dockd.dock.centre_wire import SMALL_ANSWER_BYTES, open_http_session
from dockd.dock.pace import NoPace
from dockd.dock.part_sender import Part, PartNotTaken, PartSender, StagedCopyDamaged
from dockd.errors import CentreRefused, CentreUnavailable
from dockd.model.recording import PART_SIZE_BYTES
from dockd.rules.custody import Custody
from tests.support.custody import sha256
from tests.support.upload_site import DOCK, PART_BYTES, UploadSite, open_site, until
from tests.support.wire_centre import WireCentre, answers, drops


@pytest.fixture
async def centre() -> AsyncIterator[WireCentre]:
    async with WireCentre().serving() as running:
        yield running


@pytest.fixture
async def client(centre: WireCentre) -> AsyncIterator[CentreClient]:
    async with open_http_session() as http:
        yield CentreClient(http, centre.url, DOCK, SystemClock())


async def test_answer_without_end_is_cut_off(client: CentreClient, centre: WireCentre) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while sent < 100 * SMALL_ANSWER_BYTES:
            await response.write(b" " * 65536)
            sent += 65536
        return response

    centre.break_next("GET /api/v1/store", endless, times=10)
    with pytest.raises(CentreUnavailable, match="longer than"):
        await client.describe()
    assert sent < 30 * SMALL_ANSWER_BYTES


async def test_compressed_answer_is_not_unpacked(client: CentreClient, centre: WireCentre) -> None:
    async def bomb(_: web.Request) -> web.StreamResponse:
        body = gzip.compress(b" " * 50_000_000)
        return web.Response(body=body, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    centre.break_next("GET /api/v1/store", bomb, times=10)
    with pytest.raises(CentreUnavailable, match="not a StoreDescription"):
        await client.describe()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirections_are_never_followed(client: CentreClient, centre: WireCentre, status: int) -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": f"{centre.url}/api/v1/elsewhere"})

    centre.break_next("GET /api/v1/store", elsewhere, times=10)
    with pytest.raises(CentreUnavailable):
        await client.describe()
    assert centre.count("GET /api/v1/elsewhere") == 0


async def test_passing_fault_is_tried_again_at_once(client: CentreClient, centre: WireCentre) -> None:
    centre.break_next("GET /api/v1/store", drops, times=2)
    assert (await client.describe()).store == "store-1"
    assert client.reachability.is_reachable


async def test_long_retry_after_is_left_to_the_caller(client: CentreClient, centre: WireCentre) -> None:
    centre.break_next("GET /api/v1/store", answers(503, retry_after="600"), times=10)
    began = time.monotonic()
    with pytest.raises(CentreUnavailable) as later:
        await client.describe()
    assert later.value.retry_after_seconds == 600.0
    assert time.monotonic() - began < 2.0
    assert centre.count("GET /api/v1/store") == 1
    assert not client.reachability.is_reachable
    assert client.reachability.unreachable_seconds() >= 0.0


async def test_nobody_there_is_later(client: CentreClient) -> None:
    async with open_http_session() as http:
        nobody = CentreClient(http, "http://127.0.0.1:1", DOCK, SystemClock())
        with pytest.raises(CentreUnavailable, match="cannot be reached"):
            await nobody.describe()


async def test_centre_that_says_it_stored_another_manifest_is_not_believed(
    client: CentreClient, centre: WireCentre
) -> None:
    body = f'{{"name": "a.txt", "digest": "{"ab" * 32}", "size_bytes": 3}}'
    centre.break_next("PUT /api/v1/sessions", answers(200, body=body, content_type="application/json"))
    with pytest.raises(CentreUnavailable, match="another manifest"):
        await client.put_manifest("session-1", "a.txt", b"abc")


async def one_byte() -> AsyncIterator[bytes]:
    yield b"x"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/part", "file:///etc/passwd", "http://[::broken/"])
async def test_address_that_is_not_http_is_not_used(client: CentreClient, url: str) -> None:
    with pytest.raises(CentreUnavailable):
        await client.put_part(url, {}, 1, one_byte())


@pytest.mark.parametrize("headers", [{"X-Bad": "a\r\nX-Injected: b"}, {"Bad Name": "x"}, {"X": "a\0b"}])
async def test_headers_that_would_smuggle_are_not_sent(
    client: CentreClient, centre: WireCentre, headers: dict[str, str]
) -> None:
    with pytest.raises(CentreUnavailable):
        await client.put_part(f"{centre.url}/parts/a/1?token=b", headers, 1, one_byte())
    assert centre.count("PUT") == 0


async def test_length_is_ours_whatever_the_address_says(client: CentreClient, centre: WireCentre) -> None:
    seen: dict[str, str] = {}

    async def look(request: web.Request) -> web.StreamResponse:
        seen.update(request.headers)
        assert await request.read() == b"abc"
        return web.Response(status=204)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    centre.break_next("PUT /parts", look)
    lies = {"content-length": "999", "Transfer-Encoding": "chunked", "Host": "evil", "X-Signed": "yes"}
    assert (await client.put_part(f"{centre.url}/parts/a/1", lies, 3, chunks())).status == 204
    assert seen["Content-Length"] == "3"
    assert "Transfer-Encoding" not in seen
    assert seen["Host"] != "evil"
    assert seen["X-Signed"] == "yes"


def sender(client: CentreClient, stall_seconds: float = 60.0) -> PartSender:
    return PartSender(client, NoPace(), SystemClock(), lambda _: None, stall_seconds)


async def test_store_that_stops_taking_bytes_is_given_up(
    client: CentreClient, centre: WireCentre, tmp_path: Path
) -> None:
    released = asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        await request.content.read(1)
        await released.wait()
        return await drops(request)

    content = bytes(20_000_000)
    (tmp_path / "part").write_bytes(content)
    centre.break_next("PUT /parts", stall)
    part = Part(1, 0, len(content), sha256(content))
    with pytest.raises(CentreUnavailable, match="took no bytes"):
        await sender(client, 0.3).send(tmp_path / "part", part, f"{centre.url}/parts/a/1", {})
    released.set()


async def test_early_acknowledgement_is_not_believed(client: CentreClient, tmp_path: Path) -> None:
    async def acknowledge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        while await reader.read(65536):
            await asyncio.sleep(0.001)
        writer.close()

    content = bytes(30_000_000)
    (tmp_path / "part").write_bytes(content)
    part = Part(1, 0, len(content), sha256(content))
    async with await asyncio.start_server(acknowledge, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(CentreUnavailable):
            await sender(client).send(tmp_path / "part", part, f"http://127.0.0.1:{port}/part", {})


@pytest.mark.parametrize("is_damaged", [True, False])
async def test_part_not_taken_is_blamed_on_the_copy_only_when_the_copy_is_damaged(
    client: CentreClient, centre: WireCentre, tmp_path: Path, *, is_damaged: bool
) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.Response(status=400)

    content = bytes(5_000_000)
    (tmp_path / "part").write_bytes(content[:-1] + b"\1" if is_damaged else content)
    centre.break_next("PUT /parts", refuse)
    part = Part(1, 0, len(content), sha256(content))
    with pytest.raises(StagedCopyDamaged if is_damaged else PartNotTaken):
        await sender(client).send(tmp_path / "part", part, f"{centre.url}/parts/a/1", {})


async def test_cap_holds_on_the_wire(centre: WireCentre, tmp_path: Path) -> None:
    async with open_site(tmp_path, centre.url, centre.signer.pinned) as site:
        site.config["bytes_per_second"] = 400_000
        recordings = [await site.stage(bytes([number]) * 200_000, b"%d.MP4" % number) for number in range(3)]
        began = time.monotonic()
        async with site.uploading():
            for recording in recordings:
                await site.reaches(recording, Custody.ACCEPTED)
        assert 600_000 / (time.monotonic() - began) <= 400_000 * 1.25


# --- with the real centre ---------------------------------------------------------------------------


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[UploadSite]:
    folder = tmp_path / "centre"
    pinned = await initialise_centre(folder)
    config = CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0)
    async with serving_centre(config) as served, open_site(tmp_path / "dock", served.url, pinned) as site:
        yield site


async def stored_bytes(site: UploadSite, digest: str) -> bytes:
    async with site.client.content(digest) as pieces:  # type: ignore[arg-type]
        return b"".join([piece async for piece in pieces])


async def test_real_centre_takes_footage_of_every_shape(real: UploadSite) -> None:
    shapes = [b"", b"x", bytes(PART_SIZE_BYTES), bytes(PART_SIZE_BYTES) + b"one more", bytes(3 * PART_SIZE_BYTES - 1)]
    recordings = [
        await real.stage(content, b"%d.MP4" % number, part_bytes=PART_SIZE_BYTES)
        for number, content in enumerate(shapes)
    ]
    async with real.uploading():
        for recording in recordings:
            await real.reaches(recording, Custody.ACCEPTED)
    for content in shapes:
        assert await stored_bytes(real, sha256(content)) == content


async def test_same_footage_from_two_cards_is_sent_once(real: UploadSite) -> None:
    content = bytes(range(256)) * 2000
    first = await real.stage(content, b"1.MP4")
    async with real.uploading() as uploader:
        await real.reaches(first, Custody.ACCEPTED)
        second = await real.stage(content, b"2.MP4")
        entry = await real.reaches(second, Custody.ACCEPTED)
        await until(lambda: not uploader.status().transfers)
    assert entry.receipt == (await real.entry(first)).receipt


async def test_killed_again_and_again_ends_with_the_whole_recording(real: UploadSite) -> None:
    content = bytes(range(256)) * (PART_BYTES // 256) * 12 + b"end"
    recording = await real.stage(content)
    real.config["parallel_parts"] = 2
    for milliseconds in range(5, 60, 5):
        async with real.uploading():
            await asyncio.sleep(milliseconds / 1000)
    async with real.uploading():
        await real.reaches(recording, Custody.ACCEPTED)
    assert await stored_bytes(real, await real.digest(recording)) == content


async def test_real_centre_refuses_unknown_uploads_in_the_agreed_form(real: UploadSite) -> None:
    with pytest.raises(CentreRefused) as refused:
        await real.client.upload("up-000000000000000000000000")
    assert (refused.value.status, refused.value.refusal) == (404, "not-found")
