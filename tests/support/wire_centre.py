"""A small centre that keeps the contract of `wire/messages.py`, for tests of the dock's side of the wire.

It really stores bytes, checks every part against its digest and length, proves the whole before it signs,
and answers as the contract says. A test scripts faults: the next requests that match get another answer,
or none at all. Everything that arrived is counted, so that a test can say what was *not* sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from aiohttp import web
from pydantic import ValidationError

from dockd.model.facts import RecordedFact
from dockd.model.ids import GENESIS
from dockd.model.recording import PART_SIZE_BYTES, Receipt
from dockd.model.value import Value
from dockd.wire.messages import (
    Claim,
    ClaimAnswer,
    FactBatch,
    FactsTaken,
    Order,
    Orders,
    PartAddress,
    StoreDescription,
    StoredManifest,
    Upload,
)
from dockd.wire.problems import CONTENT_TYPE, Problem
from tests.support.clock import START
from tests.support.custody import Signer, sha256

Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Fault:
    """For the next `times` requests whose `METHOD /path` begins with `at`: answer by `answer` instead."""

    at: str
    answer: Answerer
    times: int = 1


@dataclass
class OpenUpload:
    """An upload under way."""

    claim: Claim
    parts: dict[int, bytes] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_hex(4))


def answers(
    status: int, *, retry_after: str | None = None, body: str = "", content_type: str = "text/plain"
) -> Answerer:
    """A fixed answer, sent before the body is read, as a proxy or a busy store would."""

    async def answer(_: web.Request) -> web.StreamResponse:
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        return web.Response(status=status, text=body, headers=headers, content_type=content_type)

    return answer


def refuses(status: int, code: str, detail: str = "as it is") -> Answerer:
    """A problem+json answer."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return problem(status, code, detail)

    return answer


async def drops(request: web.Request) -> web.StreamResponse:
    """The cable is pulled: no answer, the connection ends."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def drops_after(size_bytes: int) -> Answerer:
    """The cable is pulled after so many bytes of the body."""

    async def answer(request: web.Request) -> web.StreamResponse:
        left = size_bytes
        while left > 0 and (piece := await request.content.read(left)):
            left -= len(piece)
        return await drops(request)

    return answer


def problem(status: int, code: str, detail: str = "as it is") -> web.Response:
    body = Problem(title=code, status=status, code=code, detail=detail)
    return web.Response(status=status, body=body.model_dump_json().encode(), content_type=CONTENT_TYPE)


def as_json(value: Value, status: int = 200) -> web.Response:
    return web.Response(status=status, body=value.model_dump_json().encode(), content_type="application/json")


class WireCentre:
    """One centre; serve it with `serving`."""

    def __init__(self, signer: Signer | None = None) -> None:
        self.signer = signer or Signer()
        self.objects: dict[str, bytes] = {}
        self.receipts: dict[str, Receipt] = {}
        self.uploads: dict[str, OpenUpload] = {}
        self.facts: list[RecordedFact] = []
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.statuses = 0
        self.orders: list[Order] = []
        self.faults: list[Fault] = []
        self.seen: Counter[str] = Counter()
        self.part_bodies: Counter[tuple[str, int]] = Counter()
        """Bodies taken in full, by (digest of the recording, part number)."""
        self.proves_parts = True
        """Whether wrong bytes are refused when they arrive; some stores do not look."""
        self.most_at_once = 0
        self.part_seconds = 0.0
        """How long the store takes over each part."""
        self.resigned: Callable[[Receipt], Receipt] = lambda receipt: receipt
        """What a lying centre does to its receipts."""
        self.described: Callable[[StoreDescription], StoreDescription] = lambda description: description
        self.url = ""
        self._at_once = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[WireCentre]:
        """Serve on loopback until the block is left."""
        app = web.Application(middlewares=[self._scripted], client_max_size=64 * 1024 * 1024)
        app.add_routes(
            [
                web.get("/api/v1/store", self._describe),
                web.get("/api/v1/docks/{dock}/facts/head", self._head),
                web.put("/api/v1/docks/{dock}/facts", self._take_facts),
                web.put("/api/v1/docks/{dock}/status", self._take_status),
                web.get("/api/v1/docks/{dock}/orders", self._give_orders),
                web.post("/api/v1/recordings", self._claim),
                web.get("/api/v1/recordings/{digest}/content", self._content),
                web.get("/api/v1/uploads/{upload}", self._upload),
                web.post("/api/v1/uploads/{upload}/complete", self._complete),
                web.put("/parts/{upload}/{number}", self._take_part),
                web.put("/api/v1/sessions/{dock}/{session}/manifests/{name}", self._take_manifest),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    def break_next(self, at: str, answer: Answerer, times: int = 1) -> None:
        """Script a fault; `at` is like `PUT /parts`."""
        self.faults.append(Fault(at, answer, times))

    def expire_addresses(self) -> None:
        """Every address given so far is too old."""
        for upload in self.uploads.values():
            upload.token = secrets.token_hex(4)

    @web.middleware
    async def _scripted(self, request: web.Request, handler: Answerer) -> web.StreamResponse:
        line = f"{request.method} {request.path}"
        self.seen[line] += 1
        for fault in self.faults:
            if fault.times > 0 and line.startswith(fault.at):
                fault.times -= 1
                return await fault.answer(request)
        return await handler(request)

    def count(self, prefix: str) -> int:
        """How many requests began like `prefix`."""
        return sum(number for line, number in self.seen.items() if line.startswith(prefix))

    # --- uploads -----------------------------------------------------------------------------------

    async def _describe(self, _: web.Request) -> web.Response:
        pinned = self.signer.pinned
        description = StoreDescription(
            store=pinned.store,
            key=pinned.key,
            public_key=pinned.public_key,
            version="test",
            part_size_bytes=PART_SIZE_BYTES,
        )
        return as_json(self.described(description))

    async def _claim(self, request: web.Request) -> web.Response:
        try:
            claim = Claim.model_validate_json(await request.read())
        except ValidationError as error:
            return problem(422, "invalid-body", str(error))
        if claim.digest in self.receipts:
            return as_json(ClaimAnswer(receipt=self.resigned(self.receipts[claim.digest])))
        for name, upload in self.uploads.items():
            if upload.claim.digest == claim.digest:
                return as_json(ClaimAnswer(upload=self._offer(name)), 201)
        name = f"up-{secrets.token_hex(6)}"
        self.uploads[name] = OpenUpload(claim)
        return as_json(ClaimAnswer(upload=self._offer(name)), 201)

    def _offer(self, name: str) -> Upload:
        upload = self.uploads[name]
        claim = upload.claim
        parts = []
        for index, digest in enumerate(claim.part_digests):
            if index + 1 in upload.parts:
                continue
            offset = index * claim.part_size_bytes
            parts.append(
                PartAddress(
                    part_number=index + 1,
                    offset_bytes=offset,
                    size_bytes=min(claim.part_size_bytes, claim.size_bytes - offset),
                    digest=digest,
                    url=f"{self.url}/parts/{name}/{index + 1}?token={upload.token}",
                    headers={"X-Part-Digest": digest},
                    expires_at=START + timedelta(days=36500),
                )
            )
        return Upload(
            upload=name,
            digest=claim.digest,
            size_bytes=claim.size_bytes,
            finished_parts=tuple(sorted(upload.parts)),
            parts=tuple(parts),
        )

    async def _upload(self, request: web.Request) -> web.Response:
        name = request.match_info["upload"]
        return as_json(self._offer(name)) if name in self.uploads else problem(404, "not-found")

    async def _take_part(self, request: web.Request) -> web.Response:
        upload = self.uploads.get(request.match_info["upload"])
        number = int(request.match_info["number"])
        if upload is None or request.query["token"] != upload.token:
            return problem(403, "expired")
        if "Transfer-Encoding" in request.headers or request.content_length is None:
            return problem(411, "length-required")
        claim = upload.claim
        if request.headers.get("X-Part-Digest") != claim.part_digests[number - 1]:
            return problem(403, "bad-address", "the signed header is missing")
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            body = await request.read()
            await asyncio.sleep(self.part_seconds)
        finally:
            self._at_once -= 1
        self.part_bodies[claim.digest, number] += 1
        if self.proves_parts and sha256(body) != claim.part_digests[number - 1]:
            return problem(400, "part-differs")
        upload.parts[number] = body
        return web.Response(status=204)

    async def _complete(self, request: web.Request) -> web.Response:
        name = request.match_info["upload"]
        upload = self.uploads.get(name)
        if upload is None:
            return problem(404, "not-found")
        if len(upload.parts) < len(upload.claim.part_digests):
            return problem(409, "parts-missing")
        whole = b"".join(upload.parts[number] for number in sorted(upload.parts))
        digest = hashlib.sha256(whole).hexdigest()
        if digest != upload.claim.digest:
            del self.uploads[name]
            return problem(409, "digest-differs")
        self.objects[digest] = whole
        self.receipts[digest] = self.signer.receipt(sha256(whole), len(whole))
        return as_json(self.resigned(self.receipts[digest]))

    async def _content(self, request: web.Request) -> web.Response:
        digest = request.match_info["digest"]
        return web.Response(body=self.objects[digest]) if digest in self.objects else problem(404, "not-found")

    # --- facts, status, orders, manifests ------------------------------------------------------------

    async def _head(self, _: web.Request) -> web.Response:
        return as_json(self._taken())

    def _taken(self) -> FactsTaken:
        return FactsTaken(number=len(self.facts), head=self.facts[-1].hash if self.facts else GENESIS)

    async def _take_facts(self, request: web.Request) -> web.Response:
        for fact in FactBatch.model_validate_json(await request.read()).facts:
            if fact.number <= len(self.facts):
                if self.facts[fact.number - 1] != fact:
                    return problem(409, "rewrite")
                continue
            if fact.number != len(self.facts) + 1:
                return problem(409, "gap")
            if fact.previous != self._taken().head:
                return problem(409, "fork")
            self.facts.append(fact)
        return as_json(self._taken())

    async def _take_status(self, request: web.Request) -> web.Response:
        await request.read()
        self.statuses += 1
        return web.Response(status=204)

    async def _give_orders(self, request: web.Request) -> web.Response:
        after = int(request.query["after"])
        given = tuple(order for order in self.orders if order.number > after)
        if not given:
            await asyncio.sleep(0.05)
        return as_json(Orders(orders=given))

    async def _take_manifest(self, request: web.Request) -> web.Response:
        content = await request.read()
        if sha256(content) != request.headers["X-Content-SHA256"]:
            return problem(400, "body-differs")
        key = (request.match_info["session"], request.match_info["name"])
        if self.manifests.setdefault(key, content) != content:
            return problem(409, "manifest-differs")
        return as_json(StoredManifest(name=key[1], digest=sha256(content), size_bytes=len(content)))
