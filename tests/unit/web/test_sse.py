"""Event streams: prompt, bounded, and gone when the client or the daemon is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from dockd.web.sse import Changes, Message, Streams
from tests.support.kiosk_fakes import Waiter


class Source:
    """A number that changes, and who waits for it."""

    def __init__(self, padding: str = "") -> None:
        self.number = 0
        self.padding = padding
        self.waiters: list[Waiter] = []

    @contextmanager
    def changes(self) -> Iterator[Changes]:
        waiter = Waiter()
        self.waiters.append(waiter)
        try:
            yield waiter
        finally:
            self.waiters.remove(waiter)

    def grow(self) -> None:
        self.number += 1
        for waiter in self.waiters:
            waiter.event.set()

    def tell(self) -> Iterable[Message]:
        yield Message("number", f"{self.number}{self.padding}")


@asynccontextmanager
async def serving(
    source: Source, streams: Streams, beat: Callable[[], Message] | None = None
) -> AsyncIterator[TestClient]:
    app = web.Application()
    streams.attach(app)

    async def events(request: web.Request) -> web.StreamResponse:
        return await streams.serve(request, source.changes(), source.tell, beat)

    app.router.add_get("/", events)
    async with TestClient(TestServer(app)) as client:
        yield client


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.005)


async def test_a_change_is_told_at_once() -> None:
    source = Source()
    async with serving(source, Streams(interval_seconds=0)) as client, client.get("/") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert await response.content.readuntil(b"\n\n") == b"event: number\ndata: 0\n\n"
        source.grow()
        assert await response.content.readuntil(b"\n\n") == b"event: number\ndata: 1\n\n"


async def test_changes_in_a_burst_are_told_once() -> None:
    source = Source()
    async with serving(source, Streams(interval_seconds=0.05)) as client, client.get("/") as response:
        await response.content.readuntil(b"\n\n")
        for _ in range(100):
            source.grow()
        assert await response.content.readuntil(b"\n\n") == b"event: number\ndata: 100\n\n"


async def test_silence_is_filled_with_a_heartbeat() -> None:
    streams = Streams(heartbeat_seconds=0.01)
    async with serving(Source(), streams, lambda: Message("beat", "")) as client, client.get("/") as response:
        await response.content.readuntil(b"\n\n")
        assert await response.content.readuntil(b"\n\n") == b": still here\n\n"
        assert await response.content.readuntil(b"\n\n") == b"event: beat\ndata: \n\n"


async def test_one_client_too_many_is_told_to_come_later() -> None:
    streams = Streams(maximum=1)
    async with serving(Source(), streams) as client, client.get("/") as first:
        await first.content.readuntil(b"\n\n")
        async with client.get("/") as second:
            assert second.status == 503
            assert second.headers["Retry-After"]


async def test_client_that_went_is_forgotten() -> None:
    streams, source = Streams(heartbeat_seconds=0.01), Source()
    async with serving(source, streams) as client:
        async with client.get("/") as response:
            await response.content.readuntil(b"\n\n")
            assert streams.open_count == 1
        await until(lambda: streams.open_count == 0 and not source.waiters)


async def test_client_that_reads_nothing_is_dropped() -> None:
    streams = Streams(write_timeout_seconds=0.05, interval_seconds=0)
    source = Source(padding="x" * 4_000_000)
    async with serving(source, streams) as client:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(slow, (client.host, client.port))
            await loop.sock_sendall(slow, f"GET / HTTP/1.1\r\nHost: {client.host}\r\n\r\n".encode())
            await until(lambda: streams.open_count == 1)
            source.grow()
            await until(lambda: streams.open_count == 0)


async def test_shutdown_does_not_wait_for_those_who_watch() -> None:
    streams = Streams(heartbeat_seconds=3600)
    async with serving(Source(), streams) as client:
        response = await client.get("/")
        await response.content.readuntil(b"\n\n")
        async with asyncio.timeout(2):
            await client.server.close()
        assert streams.open_count == 0
        response.close()


@pytest.mark.parametrize("data", ["a\nb", "a\r\nb", "a\rb"])
def test_a_line_end_in_data_cannot_begin_another_event(data: str) -> None:
    assert Message("one", data).encoded() == b"event: one\ndata: a\ndata: b\n\n"
