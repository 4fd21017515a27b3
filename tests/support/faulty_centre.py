"""A real centre that misbehaves on command: the same API, wrapped in scripted faults.

Every call reaches the production code unless a planned fault says otherwise, so that what a test sees
after a fault is what a dock would see: after `lost_answer` the fact really is in the database.

    async with faulty_centre(tmp_path) as centre:
        centre.plan("complete_upload", lost_answer())
        centre.plan("put_part", busy(retry_after_seconds=1), times=3)

Calls are named as in the OpenAPI document (`operationId`); `centre.calls` lists what was asked, in order.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.central.api.routes import ROUTES
from dockd.central.app import build_centre
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.central.refusals import BUSY, STORE_FULL
from dockd.central.services import SERVICES, Services
from dockd.central.serving import serving_app
from dockd.clock import Clock
from dockd.model.recording import Receipt
from dockd.rules.receipts import PinnedStore, receipt_bytes
from dockd.web.problems import Refusal, WebHandler, problem_of, problem_response

Behaviour = Callable[[web.Request, WebHandler], Awaitable[web.StreamResponse]]
ReceiptChange = Callable[[Receipt, Services], Receipt]

_NAMES = {(route.method, route.path): route.name for route in ROUTES}
CALLS = frozenset(_NAMES.values())


@dataclass(slots=True)
class PlannedFault:
    """`behaviour` for the next `times` calls of `call` (None: for ever), after letting `after` of them pass."""

    call: str
    behaviour: Behaviour
    times: int | None
    after: int


@dataclass(slots=True)
class FaultyCentre:
    """A serving centre with its plan of faults."""

    url: str
    pinned: PinnedStore
    services: Services
    faults: list[PlannedFault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def plan(self, call: str, behaviour: Behaviour, *, times: int | None = 1, after: int = 0) -> None:
        """Let `call` misbehave. Faults of one call come in the order in which they were planned."""
        if call not in CALLS:
            raise ValueError(f"{call!r} is none of {sorted(CALLS)}")
        self.faults.append(PlannedFault(call, behaviour, times, after))

    def behave(self) -> None:
        """Forget every planned fault."""
        self.faults.clear()

    def count(self, call: str) -> int:
        """How often `call` was asked so far."""
        return self.calls.count(call)

    def next_fault(self, call: str) -> Behaviour | None:
        """What to do with this call, counting it."""
        for fault in self.faults:
            if fault.call != call:
                continue
            if fault.after:
                fault.after -= 1
                return None
            if fault.times is not None:
                fault.times -= 1
                if fault.times == 0:
                    self.faults.remove(fault)
            return fault.behaviour
        return None


@asynccontextmanager
async def faulty_centre(
    folder: Path, *, clock: Clock | None = None, port: int = 0, free_space_floor_bytes: int = 0
) -> AsyncIterator[FaultyCentre]:
    """A centre in `folder` (made there when there is none), served on loopback; well-behaved until told otherwise."""
    if not (folder / "pinned-store.json").exists():
        await initialise_centre(folder)
    pinned = PinnedStore.model_validate_json((folder / "pinned-store.json").read_bytes())
    config = CentreConfig(folder=str(folder), port=port, free_space_floor_bytes=free_space_floor_bytes)
    app = build_centre(config, clock=clock)
    served: list[FaultyCentre] = []

    @web.middleware
    async def play(request: web.Request, handler: WebHandler) -> web.StreamResponse:
        centre = served[0]
        resource = request.match_info.route.resource
        name = _NAMES.get((request.method, resource.canonical if resource else ""), "unknown")
        centre.calls.append(name)
        behaviour = centre.next_fault(name)
        return await handler(request) if behaviour is None else await behaviour(request, handler)

    app.middlewares.insert(0, play)
    async with serving_app(app, config.host, config.port) as real_port:
        served.append(FaultyCentre(f"http://{config.host}:{real_port}", pinned, app[SERVICES]))
        yield served[0]


# --- ways to misbehave ----------------------------------------------------------------------------


def busy(retry_after_seconds: int | None = 1) -> Behaviour:
    """503, nothing done."""
    return _refusing(Refusal(BUSY, "Scripted: busy.", retry_after_seconds=retry_after_seconds))


def full(retry_after_seconds: int | None = 1) -> Behaviour:
    """507, nothing done."""
    return _refusing(Refusal(STORE_FULL, "Scripted: full.", retry_after_seconds=retry_after_seconds))


def refused(refusal: Refusal) -> Behaviour:
    """Any other problem answer, nothing done."""
    return _refusing(refusal)


def not_the_centre(status: int = 404) -> Behaviour:
    """A proxy's own HTML answer, as of something that stands between dock and centre."""

    async def answer(_request: web.Request, _handler: WebHandler) -> web.StreamResponse:
        return web.Response(status=status, text="<html>gateway</html>", content_type="text/html")

    return answer


def slow(seconds: float) -> Behaviour:
    """The right answer, late."""

    async def answer(request: web.Request, handler: WebHandler) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await handler(request)

    return answer


def dropped(after_bytes: int = 0) -> Behaviour:
    """The connection breaks, nothing done; after `after_bytes` of the body where there is one.

    aiohttp's client repeats GET and PUT once by itself when a kept connection breaks: plan it twice to be seen.
    """

    async def answer(request: web.Request, _handler: WebHandler) -> web.StreamResponse:
        read = 0
        while read < after_bytes and not request.content.at_eof():
            read += len(await request.content.readany())
        return _cut(request)

    return answer


def lost_answer() -> Behaviour:
    """Everything is done and durable, but the answer never arrives."""

    async def answer(request: web.Request, handler: WebHandler) -> web.StreamResponse:
        await handler(request)
        return _cut(request)

    return answer


def garbled() -> Behaviour:
    """200 with a body that is not what was agreed."""

    async def answer(request: web.Request, handler: WebHandler) -> web.StreamResponse:
        await handler(request)
        return web.Response(body=b'{"version":"of another planet"}', content_type="application/json")

    return answer


def changed_receipt(change: ReceiptChange) -> Behaviour:
    """The real answer of a claim or completion, its receipt (if there is one) changed."""

    async def answer(request: web.Request, handler: WebHandler) -> web.StreamResponse:
        response = await handler(request)
        assert isinstance(response, web.Response)
        if response.status != 200 or not isinstance(response.body, bytes):
            return response
        body = json.loads(response.body)
        is_claim = "receipt" in body
        if is_claim and body["receipt"] is None:
            return response
        real = Receipt.model_validate_json(json.dumps(body["receipt"] if is_claim else body))
        wrong = change(real, request.app[SERVICES]).model_dump(mode="json")
        return web.json_response({**body, "receipt": wrong} if is_claim else wrong)

    return answer


def wrong_store_id() -> Behaviour:
    """Receipts in another store's name, signed with the pinned key; also the description of the store."""

    async def answer(request: web.Request, handler: WebHandler) -> web.StreamResponse:
        if request.path == "/api/v1/store":
            response = await handler(request)
            assert isinstance(response, web.Response)
            assert isinstance(response.body, bytes)
            return web.json_response({**json.loads(response.body), "store": "store-of-somebody-else"})
        change = changed_receipt(lambda real, here: _resigned(real, here, {"store": "store-of-somebody-else"}))
        return await change(request, handler)

    return answer


def wrong_key() -> Behaviour:
    """Receipts signed with, and naming, another key."""
    return changed_receipt(lambda real, _here: _signed_by(Ed25519PrivateKey.generate(), real, {"key": "key-other"}))


def forged_signature() -> Behaviour:
    """Receipts that name the pinned key and are signed with another."""
    return changed_receipt(lambda real, _here: _signed_by(Ed25519PrivateKey.generate(), real, {}))


def wrong_digest() -> Behaviour:
    """Receipts for another digest, in order otherwise."""
    return changed_receipt(lambda real, here: _resigned(real, here, {"digest": real.digest[::-1]}))


def wrong_size() -> Behaviour:
    """Receipts for another size, in order otherwise."""
    return changed_receipt(lambda real, here: _resigned(real, here, {"size_bytes": real.size_bytes + 1}))


def stale_receipt(other: Receipt) -> Behaviour:
    """The genuine receipt of another recording."""
    return changed_receipt(lambda _real, _here: other)


def old_receipt(age: timedelta) -> Behaviour:
    """A genuine receipt, accepted long ago."""
    return changed_receipt(lambda real, here: _resigned(real, here, {"accepted_at": real.accepted_at - age}))


def _refusing(refusal: Refusal) -> Behaviour:
    async def answer(_request: web.Request, _handler: WebHandler) -> web.StreamResponse:
        problem, headers = problem_of(refusal)
        return problem_response(problem, headers)

    return answer


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # goes nowhere


def _resigned(real: Receipt, here: Services, changes: dict[str, object]) -> Receipt:
    return _signed_by(here.identity._private, real, changes)


def _signed_by(private: Ed25519PrivateKey, real: Receipt, changes: dict[str, object]) -> Receipt:
    unsigned = real.model_copy(update=changes)
    signature = base64.b64encode(private.sign(receipt_bytes(unsigned))).decode("ascii")
    return unsigned.model_copy(update={"signature": signature})
