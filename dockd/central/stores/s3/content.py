"""An answer that sends an object from the bucket to whoever asked, in ranges where the request asks for them.

Knows HTTP ranges and the bucket. An object that ends early ends the connection: the reader sees that bytes
are missing, and never takes a part for the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import structlog
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from dockd.central.stores.s3.bucket import Bucket
from dockd.central.stores.s3.failures import NotThere, RangeNotThere
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)
_RETRY_SECONDS = 30


class BucketContent(web.StreamResponse):
    """Sends the object `key` when it is prepared."""

    def __init__(self, bucket: Bucket, key: str, headers: Mapping[str, str]) -> None:
        super().__init__(headers=dict(headers))
        self._bucket = bucket
        self._key = key

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Ask the store, send status and headers, then the bytes. Whoever made this saw that the object is there."""
        try:
            told = await self._bucket.get(self._key, byte_range=request.headers.get("Range"))
        except RangeNotThere:
            return await self._without_body(request, 416)
        except NotThere:
            return await self._without_body(request, 404)
        except Refusal as refusal:
            self.headers["Retry-After"] = str(refusal.retry_after_seconds or _RETRY_SECONDS)
            return await self._without_body(request, refusal.kind.status)
        self._take_over(told)
        writer = await super().prepare(request)
        if request.method == "HEAD":
            told["Body"].close()
            return writer
        try:
            async with aclosing(self._bucket.chunks(told)) as pieces:
                async for piece in pieces:
                    await self.write(piece)
        except Refusal as refusal:  # the headers are out: only an ended connection can say it now
            _log.warning("content_cut_off", object_key=self._key, reason=refusal.what)
            raise ConnectionResetError from refusal
        await self.write_eof()
        return writer

    async def _without_body(self, request: web.BaseRequest, status: int) -> AbstractStreamWriter | None:
        self.set_status(status)
        self.content_length = 0
        return await super().prepare(request)

    def _take_over(self, told: Mapping[str, Any]) -> None:
        self.content_length = told["ContentLength"]
        self.headers["Accept-Ranges"] = "bytes"
        if told.get("ContentRange"):
            self.set_status(206)
            self.headers["Content-Range"] = told["ContentRange"]
