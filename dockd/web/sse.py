"""Server-sent events (WHATWG HTML, section 9.2), bounded in every direction.

There is no queue per client: a client is told what is true now whenever something changed, at most
once per interval, so a slow one misses steps and never makes memory grow. One that takes nothing for
`write_timeout_seconds` is dropped. The number of open streams is limited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web


class Changes(Protocol):
    """Something that can be waited for."""

    async def wait(self) -> None:
        """Return when anything changed since the last wait."""


@dataclass(frozen=True, slots=True)
class Message:
    """One event. `event` is a plain word; `data` may have several lines."""

    event: str
    data: str

    def encoded(self) -> bytes:
        """As it goes over the wire. CR and LF both end a line there, so data is split at both."""
        lines = self.data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return "".join([f"event: {self.event}\n", *(f"data: {line}\n" for line in lines), "\n"]).encode()


HEARTBEAT_COMMENT = b": still here\n\n"


class Streams:
    """All open event streams of one application."""

    def __init__(
        self,
        *,
        maximum: int = 64,
        heartbeat_seconds: float = 5.0,
        write_timeout_seconds: float = 10.0,
        interval_seconds: float = 0.5,
    ) -> None:
        self._maximum = maximum
        self._heartbeat_seconds = heartbeat_seconds
        self._write_timeout_seconds = write_timeout_seconds
        self._interval_seconds = interval_seconds
        self._open = 0
        self._is_closing = False
        self._waits: set[asyncio.Timeout] = set()

    @property
    def open_count(self) -> int:
        """How many clients listen now."""
        return self._open

    def attach(self, app: web.Application) -> None:
        """End all streams when `app` shuts down, so that it need not wait for its clients."""

        async def close(_app: web.Application) -> None:
            self._is_closing = True
            for limit in tuple(self._waits):
                if not limit.expired():
                    limit.reschedule(asyncio.get_running_loop().time())

        app.on_shutdown.append(close)

    async def serve(
        self,
        request: web.Request,
        changes: AbstractContextManager[Changes],
        tell: Callable[[], Iterable[Message]],
        beat: Callable[[], Message] | None = None,
    ) -> web.StreamResponse:
        """Send what `tell` returns now and after every change, until the client or the app goes.

        `tell` returns only what this client has not been told yet. While nothing changes a comment
        is sent as a heartbeat, and the message of `beat` with it, for a page that must notice silence.
        """
        if self._open >= self._maximum or self._is_closing:
            return web.Response(
                status=503, text="Too many pages are open. Close some.\n", headers={"Retry-After": "30"}
            )
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # nginx would hold events back
            }
        )
        self._open += 1
        try:
            with changes as watched:
                await response.prepare(request)
                await self._pump(response, watched, tell, beat)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the client has gone; nothing is owed to it
        finally:
            self._open -= 1
        return response

    async def _pump(
        self,
        response: web.StreamResponse,
        changes: Changes,
        tell: Callable[[], Iterable[Message]],
        beat: Callable[[], Message] | None,
    ) -> None:
        while not self._is_closing:
            for message in tell():
                await self._write(response, message.encoded())
            if await self._changed(changes):
                await asyncio.sleep(self._interval_seconds)
            elif not self._is_closing:
                await self._write(response, HEARTBEAT_COMMENT + (beat().encoded() if beat else b""))

    async def _changed(self, changes: Changes) -> bool:
        limit = asyncio.timeout(self._heartbeat_seconds)
        try:
            async with limit:
                self._waits.add(limit)
                await changes.wait()
                return True
        except TimeoutError:
            return False
        finally:
            self._waits.discard(limit)

    async def _write(self, response: web.StreamResponse, content: bytes) -> None:
        async with asyncio.timeout(self._write_timeout_seconds):
            await response.write(content)
