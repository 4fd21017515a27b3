"""A wire before a centre that breaks in the middle of chosen answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web


@asynccontextmanager
async def cutting(url: str, cut_after: Callable[[str], int | None]) -> AsyncIterator[str]:
    """Hand GETs on to the centre at `url`; break the connection after `cut_after(path)` bytes of body (None: never)."""

    async def hand_on(request: web.Request) -> web.StreamResponse:
        left = cut_after(request.path)
        headers = {"Range": request.headers["Range"]} if "Range" in request.headers else {}
        async with client.get(f"{url}{request.path_qs}", headers=headers) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            response.content_length = answer.content_length
            await response.prepare(request)
            async for piece in answer.content.iter_chunked(100):
                await response.write(piece)
                if left is not None:
                    left -= len(piece)
                    if left <= 0:
                        assert request.transport is not None
                        request.transport.abort()
                        return response
            await response.write_eof()
            return response

    app = web.Application()
    app.router.add_get("/{path:.*}", hand_on)
    runner = web.AppRunner(app)
    async with aiohttp.ClientSession(auto_decompress=False) as client:
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
