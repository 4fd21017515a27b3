"""One part: only these bytes, only here, only now; else nothing is kept."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from dockd.central.app import ServedCentre
from tests.support.clock import ManualClock
from tests.support.dock_voice import DockVoice

CONTENT = os.urandom(5_000_000)


@pytest_asyncio.fixture
async def upload(dock: DockVoice) -> Any:
    return (await dock.claim(CONTENT, part_size_bytes=3_000_000)).json["upload"]


async def listed(dock: DockVoice, upload: Any) -> list[int]:
    return list((await dock.ask("GET", f"/api/v1/uploads/{upload['upload']}")).json["finished_parts"])


async def is_forgotten(folder: Path, upload: Any) -> bool:
    """Whether nothing of a failed part is left, once the disk has had its moment."""
    file = folder / "uploads" / upload["upload"]
    for _ in range(200):
        if not any(await asyncio.to_thread(file.read_bytes)):
            return True
        await asyncio.sleep(0.01)
    return False


async def test_room_for_the_whole_recording_is_kept_from_the_claim_on(folder: Path, upload: Any) -> None:
    file = folder / "uploads" / upload["upload"]
    assert file.stat().st_blocks * 512 >= len(CONTENT)


async def test_finished_part_sent_again_is_acknowledged_again(dock: DockVoice, upload: Any) -> None:
    for _ in range(3):
        assert (await dock.put_part(upload["parts"][0], CONTENT)).status == 204
    assert await listed(dock, upload) == [1]


async def test_replay_with_other_bytes_changes_nothing(dock: DockVoice, upload: Any) -> None:
    part = upload["parts"][0]
    await dock.put_part(part, CONTENT)
    assert (await dock.put_part(part, CONTENT, data=io.BytesIO(b"x" * 3_000_000))).status == 204
    await dock.put_part(upload["parts"][1], CONTENT)
    assert (await dock.complete(upload["upload"])).status == 200


async def test_bytes_that_differ_from_the_digest_are_not_kept(dock: DockVoice, folder: Path, upload: Any) -> None:
    wrong = b"x" * 3_000_000
    reply = await dock.put_part(upload["parts"][0], CONTENT, data=io.BytesIO(wrong))
    assert (reply.status, reply.code) == (400, "part-differs")
    assert await listed(dock, upload) == []
    assert await is_forgotten(folder, upload)


@pytest.mark.parametrize("size_bytes", [0, 1, 2_999_999, 3_000_001])
async def test_length_must_be_the_parts(dock: DockVoice, upload: Any, size_bytes: int) -> None:
    reply = await dock.put_part(upload["parts"][0], CONTENT, data=io.BytesIO(b"x" * size_bytes))
    assert (reply.status, reply.code) == (400, "length-differs")
    assert await listed(dock, upload) == []


async def test_chunked_coding_is_refused(dock: DockVoice, upload: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield CONTENT[:3_000_000]

    reply = await dock.put_part(upload["parts"][0], CONTENT, data=chunks())
    assert (reply.status, reply.code) == (411, "length-required")


async def test_content_type_must_be_octets(dock: DockVoice, upload: Any) -> None:
    reply = await dock.put_part(upload["parts"][0], CONTENT, headers={"Content-Type": "application/json"})
    assert (reply.status, reply.code) == (415, "wrong-content-type")


async def test_expired_address_is_refused(dock: DockVoice, upload: Any, clock: ManualClock) -> None:
    clock.advance(15 * 60 + 1)
    reply = await dock.put_part(upload["parts"][0], CONTENT)
    assert (reply.status, reply.code) == (403, "expired")
    fresh = (await dock.ask("GET", f"/api/v1/uploads/{upload['upload']}")).json["parts"][0]
    assert (await dock.put_part(fresh, CONTENT)).status == 204


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/parts/1?", "/parts/2?"),
        ("size=3000000", "size=3000001"),
        ("offset=0", "offset=1"),
        ("digest=", "digest=" + "0" * 64 + "&was="),
        ("expires=1", "expires=2"),
        ("signature=", "signature=" + "0" * 64 + "&was="),
        ("signature=", "signature=%00"),
        ("/uploads/up-", "/uploads/UP-"),
    ],
)
async def test_address_that_was_changed_is_refused(dock: DockVoice, upload: Any, old: str, new: str) -> None:
    part = upload["parts"][0]
    assert old in part["url"]
    reply = await dock.put_part({**part, "url": part["url"].replace(old, new, 1)}, CONTENT)
    assert (reply.status, reply.code) in [(403, "bad-address"), (400, "bad-request")]


async def test_address_of_one_part_takes_no_other(dock: DockVoice, upload: Any) -> None:
    first, second = upload["parts"]
    path = urlsplit(second["url"]).path
    crossed = f"{dock.url}{path}?{urlsplit(first['url']).query}"
    assert (await dock.put_part({**first, "url": crossed}, CONTENT)).code == "bad-address"


async def _begin(served: ServedCentre, part: Any, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    parts = urlsplit(part["url"])
    writer.write(
        f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {part['size_bytes']}\r\n\r\n".encode()
        + sent
    )
    await writer.drain()
    return reader, writer


async def test_connection_lost_within_a_part_leaves_nothing(
    centre: ServedCentre, dock: DockVoice, folder: Path, upload: Any
) -> None:
    _reader, writer = await _begin(centre, upload["parts"][0], CONTENT[:2_500_000])
    await asyncio.sleep(0.2)
    assert (folder / "uploads" / upload["upload"]).stat().st_blocks > 0  # it really was under way
    writer.transport.abort()
    assert await is_forgotten(folder, upload)
    assert await listed(dock, upload) == []
    assert (await dock.put_part(upload["parts"][0], CONTENT)).status == 204


async def test_part_that_goes_silent_is_given_up(
    centre: ServedCentre, dock: DockVoice, folder: Path, upload: Any
) -> None:
    reader, writer = await _begin(centre, upload["parts"][0], CONTENT[:1_500_000])
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert b" 408 " in head
    assert await is_forgotten(folder, upload)
    writer.close()
    await writer.wait_closed()


async def test_part_sent_again_after_a_half_open_connection_takes_its_place(
    centre: ServedCentre, dock: DockVoice, upload: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockd.central.stores.part_intake._STALE_SECONDS", 0.2)
    _reader, writer = await _begin(centre, upload["parts"][0], CONTENT[:1_000_000])
    await asyncio.sleep(0.1)
    assert (await dock.put_part(upload["parts"][0], CONTENT)).status == 204
    assert await listed(dock, upload) == [1]
    writer.close()
    await writer.wait_closed()


async def test_part_of_an_upload_that_is_gone_is_not_found(
    centre: ServedCentre, dock: DockVoice, upload: Any, clock: ManualClock
) -> None:
    clock.advance(60)
    await centre.services.claims.give_up_abandoned(clock.now() - clock.now().replace(second=30))
    reply = await dock.put_part(upload["parts"][0], CONTENT)
    assert (reply.status, reply.code) == (404, "not-found")


async def test_many_parts_at_once_keep_memory_and_order(dock: DockVoice, session: aiohttp.ClientSession) -> None:
    content = os.urandom(6_000_000)
    upload = (await dock.claim(content, part_size_bytes=250_000)).json["upload"]
    replies = await asyncio.gather(*(dock.put_part(part, content) for part in reversed(upload["parts"])))
    assert {reply.status for reply in replies} == {204}
    assert (await dock.complete(upload["upload"])).status == 200
