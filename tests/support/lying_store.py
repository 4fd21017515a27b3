"""An HTTP proxy in front of a real object store that lies when it is told to.

Everything goes through unchanged, Host header and signatures included, except what `lies` names. Knows S3's
addresses by their shape; keeps nothing but the names of what it lost.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict
from yarl import URL

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "expect"})


class Lie(Enum):
    """What it can do wrong."""

    DAMAGED_OBJECT = "the disk holds other bytes than were acknowledged"
    LOST_OBJECT = "acknowledges the completion and has no object"
    CUT_CONTENT = "answers 200 with half of the body, and a Content-Length that fits"
    OTHER_CONTENT_ONCE = "gives other bytes, but only the first time"
    UNAVAILABLE = "503 to everything"
    FORBIDDEN = "403 to everything"
    SILENT = "does not answer"


@dataclass
class LyingStore:
    """The proxy; `lies` is what it does wrong now."""

    behind: str
    http: aiohttp.ClientSession
    lies: set[Lie] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        if Lie.UNAVAILABLE in self.lies:
            return _error(503, "SlowDown")
        if Lie.FORBIDDEN in self.lies:
            return _error(403, "AccessDenied")
        if Lie.SILENT in self.lies:
            await asyncio.sleep(5)
        if request.path in self.lost and request.method in ("GET", "HEAD"):
            return _error(404, "NoSuchKey")
        status, headers, content = await self._pass_on(request, await request.read())
        if Lie.LOST_OBJECT in self.lies and request.method == "POST" and "uploadId" in request.query:
            self.lost.add(request.path)
        if request.method == "HEAD":
            return web.Response(status=status, headers=headers)
        if request.method == "GET" and "/objects/" in request.path and not request.query and status == 200:
            content = self._distorted(content)
        headers.popall("Content-Length", None)
        return web.Response(status=status, headers=headers, body=content)

    def _distorted(self, content: bytes) -> bytes:
        if Lie.CUT_CONTENT in self.lies:
            return content[: len(content) // 2]
        if Lie.DAMAGED_OBJECT in self.lies or Lie.OTHER_CONTENT_ONCE in self.lies:
            self.lies.discard(Lie.OTHER_CONTENT_ONCE)
            return bytes([content[0] ^ 1]) + content[1:]
        return content

    async def _pass_on(self, request: web.Request, body: bytes) -> tuple[int, CIMultiDict[str], bytes]:
        url = URL(f"{self.behind}{request.raw_path}", encoded=True)
        given = CIMultiDict((name, one) for name, one in request.headers.items() if name.lower() not in _HOP_BY_HOP)
        data = io.BytesIO(body) if request.body_exists else None
        async with self.http.request(request.method, url, data=data, headers=given) as answer:
            told = ((name, one) for name, one in answer.headers.items() if name.lower() not in _HOP_BY_HOP)
            return answer.status, CIMultiDict(told), await answer.read()


@asynccontextmanager
async def lying_store(behind: str) -> AsyncIterator[tuple[str, LyingStore]]:
    """Serve one in front of the store at `behind`; yields its address and itself."""
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        liar = LyingStore(behind, http)
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", liar.answer)
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/"), liar


def _error(status: int, code: str) -> web.Response:
    return web.Response(status=status, content_type="application/xml", text=f"<Error><Code>{code}</Code></Error>")
