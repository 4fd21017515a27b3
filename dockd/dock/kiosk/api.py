"""The local API that `dockd status` and `dockd issue` use; the same picture and actions as the page.

| call | body | answer |
|---|---|---|
| `GET /api/v1/status` | | `DockStatus` |
| `GET /api/v1/status/events` | | server-sent events `status`, each a `DockStatus` |
| `POST /api/v1/issue` | `{"officer": "1234"}` | bay, camera, officer, battery_percent, headline, words |
| `POST /api/v1/bays/{bay}/release` | | 204 |
| `POST /api/v1/bays/{bay}/cancel` | | 204 |

Refusals are problem+json with the error's code.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from dockd.dock.kiosk.page import take_notice
from dockd.dock.kiosk.view import DockActions, DockView
from dockd.model.ids import BayId, parse_id, parse_officer_number
from dockd.model.value import ShortText, Value
from dockd.web.problems import read_model
from dockd.web.sse import Message, Streams

_LARGEST_BODY_BYTES = 4096


class IssueRequest(Value):
    """Body of `POST /api/v1/issue`."""

    officer: ShortText


class KioskApi:
    """The routes under `/api/v1`."""

    def __init__(self, view: DockView, actions: DockActions, streams: Streams) -> None:
        self._view = view
        self._actions = actions
        self._streams = streams

    def attach(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/api/v1/status", self.status)
        app.router.add_get("/api/v1/status/events", self.events)
        app.router.add_post("/api/v1/issue", self.issue)
        app.router.add_post("/api/v1/bays/{bay}/release", self.release)
        app.router.add_post("/api/v1/bays/{bay}/cancel", self.cancel)

    async def status(self, _request: web.Request) -> web.Response:
        """The dock now."""
        return web.json_response(text=self._view.snapshot().model_dump_json(), headers={"Cache-Control": "no-store"})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The dock now and after every change."""

        def tell() -> Iterator[Message]:
            yield Message("status", self._view.snapshot().model_dump_json())

        return await self._streams.serve(request, self._view.changes(), tell)

    async def issue(self, request: web.Request) -> web.Response:
        """Issue a camera. Refuses with 4xx problem+json: BadRequest, NothingReady, AlreadyHolding."""
        body = await read_model(request, IssueRequest, limit_bytes=_LARGEST_BODY_BYTES)
        issued = await self._actions.issue(parse_officer_number(body.officer))
        notice = take_notice(issued)
        return web.json_response(
            {
                "bay": issued.bay,
                "camera": issued.camera,
                "officer": issued.officer,
                "battery_percent": issued.battery_percent,
                "headline": notice.headline,
                "words": notice.words,
            }
        )

    async def release(self, request: web.Request) -> web.Response:
        """Release a HELD bay."""
        await self._actions.release(BayId(parse_id(request.match_info["bay"], "bay")))
        return web.Response(status=204)

    async def cancel(self, request: web.Request) -> web.Response:
        """Give a promised camera back."""
        await self._actions.cancel_issue(BayId(parse_id(request.match_info["bay"], "bay")))
        return web.Response(status=204)
