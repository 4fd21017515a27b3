"""Puts the page and the local API together into one aiohttp application; starts no server."""

from __future__ import annotations

from aiohttp import web

from dockd.dock.kiosk.api import KioskApi
from dockd.dock.kiosk.config import KioskConfig
from dockd.dock.kiosk.page import KioskPage
from dockd.dock.kiosk.view import DockActions, DockView
from dockd.web.assets import Assets
from dockd.web.page_errors import page_errors
from dockd.web.pages import Pages
from dockd.web.problems import problem_middleware
from dockd.web.requests import guard_requests
from dockd.web.sse import Streams

_LARGEST_BODY_BYTES = 16 * 1024


def build_kiosk(
    view: DockView, actions: DockActions, config: KioskConfig, *, streams: Streams | None = None
) -> web.Application:
    """The application for `view` and `actions`. `streams` is for tests that want other intervals."""
    app = web.Application(client_max_size=_LARGEST_BODY_BYTES)
    assets = Assets()
    pages = Pages("dockd.dock.kiosk", assets)
    guard_requests(app, allowed_hosts=config.served_names)
    app.middlewares.append(page_errors(pages))
    app.middlewares.append(problem_middleware)
    streams = streams or Streams(maximum=config.maximum_streams)
    streams.attach(app)
    assets.attach(app)
    KioskApi(view, actions, streams).attach(app)
    KioskPage(view, actions, pages=pages, streams=streams, version=assets.version).attach(app)
    return app
