"""The page for people: works with forms and links alone; the script only makes it live."""

from __future__ import annotations

from typing import NoReturn
from urllib.parse import parse_qs

from aiohttp import web

from dockd.dock.kiosk.fragments import Fragments, Watcher
from dockd.dock.kiosk.notices import Notice, Notices
from dockd.dock.kiosk.tiles import Tile, tile_of
from dockd.dock.kiosk.view import DockActions, DockView, Issued
from dockd.errors import BadRequest, DockdError, NotFound
from dockd.model.ids import BayId, parse_id, parse_officer_number
from dockd.web.pages import Pages
from dockd.web.problems import read_bytes
from dockd.web.sse import Streams
from dockd.wire.status import Headline

_LARGEST_FORM_BYTES = 4096
_FORM_TYPE = "application/x-www-form-urlencoded"
_FEW_BAYS, _SOME_BAYS = 8, 12


class KioskPage:
    """GET and POST of the dock's page."""

    def __init__(self, view: DockView, actions: DockActions, *, pages: Pages, streams: Streams, version: str) -> None:
        self._view = view
        self._actions = actions
        self._pages = pages
        self._fragments = Fragments(pages)
        self._streams = streams
        self._version = version
        self._notices = Notices()

    def attach(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/", self.show)
        app.router.add_get("/live", self.live)
        app.router.add_get("/issue", self.show_issue)
        app.router.add_post("/issue", self.issue)
        app.router.add_get("/bays/{bay}/release", self.ask_release)
        app.router.add_post("/bays/{bay}/release", self.release)
        app.router.add_get("/bays/{bay}/cancel", self.ask_cancel)
        app.router.add_post("/bays/{bay}/cancel", self.cancel)

    async def show(self, request: web.Request) -> web.Response:
        """The whole picture."""
        status = self._view.snapshot()
        board, *tiles = self._fragments.of(status)
        return self._pages.respond(
            "dock.html",
            status=200,
            dock=status,
            board=board,
            tiles=tiles,
            density=density(len(tiles)),
            notice=self._notices.read(request.query.get("notice")),
        )

    async def live(self, request: web.Request) -> web.StreamResponse:
        """The moving parts, for the script."""
        watcher = Watcher(self._fragments, self._view.snapshot, self._version)
        return await self._streams.serve(request, self._view.changes(), watcher.tell, watcher.beat)

    async def show_issue(self, request: web.Request) -> web.Response:
        """Only the form, on a page that never reloads: for browsers without scripts, and for phones."""
        return self._pages.respond(
            "issue.html", dock=self._view.snapshot(), notice=self._notices.read(request.query.get("notice"))
        )

    async def issue(self, request: web.Request) -> web.Response:
        """Issue a camera to the officer number of the form, then back to the page with the answer."""
        try:
            issued = await self._actions.issue(parse_officer_number(await _typed_number(request)))
        except DockdError as refused:
            self._back(refusal(refused))
        self._back(take_notice(issued))

    async def ask_release(self, request: web.Request) -> web.Response:
        """The confirm step before a HELD bay goes on."""
        return self._confirm(self._tile(request, Headline.HELD), "release.html")

    async def release(self, request: web.Request) -> web.Response:
        """Release a HELD bay."""
        bay = _bay_of(request)
        try:
            await self._actions.release(bay)
        except DockdError as refused:
            self._back(refusal(refused))
        self._back(Notice(f"Bay {bay} goes on", "The dock starts again with this camera. Watch its tile.", True))

    async def ask_cancel(self, request: web.Request) -> web.Response:
        """The confirm step before a promised camera is given back."""
        return self._confirm(self._tile(request, Headline.TAKE), "cancel.html")

    async def cancel(self, request: web.Request) -> web.Response:
        """The promised camera is not taken after all."""
        bay = _bay_of(request)
        try:
            await self._actions.cancel_issue(bay)
        except DockdError as refused:
            self._back(refusal(refused))
        self._back(Notice(f"Bay {bay} was given back", "The camera is not issued; anyone may get it.", True))

    def _tile(self, request: web.Request, headline: Headline) -> Tile | None:
        bay = _bay_of(request)
        status = self._view.snapshot()
        for one in status.bays:
            if one.bay == bay:
                return tile_of(one, status.at) if one.headline is headline else None
        raise NotFound(f"This dock has no bay {bay}.")

    def _confirm(self, tile: Tile | None, template: str) -> web.Response:
        if tile is None:
            self._back(Notice("Nothing to do", "The bay has changed in the meantime. Look at its tile.", False))
        return self._pages.respond(template, dock=self._view.snapshot(), tile=tile)

    def _back(self, notice: Notice) -> NoReturn:
        raise web.HTTPSeeOther(f"/?notice={self._notices.keep(notice)}")


def take_notice(issued: Issued) -> Notice:
    """What the officer is told."""
    battery = "" if issued.battery_percent is None else f" Battery {issued.battery_percent} %."
    words = f"It is for officer {issued.officer} from the moment you take it out.{battery}"
    return Notice(f"Take the camera from bay {issued.bay}", words, True)


def refusal(error: DockdError) -> Notice:
    """A refusal in words: what happened, and what to do."""
    return Notice("Not done", f"{error.what} {error.action}", False)


def density(bays: int) -> str:
    """How closely the tiles are set."""
    if bays <= _FEW_BAYS:
        return "few"
    return "some" if bays <= _SOME_BAYS else "many"


def _bay_of(request: web.Request) -> BayId:
    try:
        return BayId(parse_id(request.match_info["bay"], "bay"))
    except BadRequest as error:
        raise NotFound(error.what) from None


async def _typed_number(request: web.Request) -> str:
    body = await read_bytes(request, limit_bytes=_LARGEST_FORM_BYTES, content_types=(_FORM_TYPE,))
    fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10)
    if "officer" not in fields:
        raise BadRequest("No officer number was typed.")
    return fields["officer"][0]
