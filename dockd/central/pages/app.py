"""The addresses of the centre's pages. Every one here is a GET and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from dockd.central.acting import seen_docks
from dockd.central.pages.account import AccountPages
from dockd.central.pages.alerts import AlertPages
from dockd.central.pages.custody import CustodyPages
from dockd.central.pages.fleet import FleetPages
from dockd.central.pages.people import PeoplePages
from dockd.central.pages.retention import RetentionPages
from dockd.central.pages.rollout import RolloutPages
from dockd.central.pages.search import read_search
from dockd.central.pages.sign_in import SignInPages
from dockd.central.pages.views import SHOWN_RECORDINGS, dock_card, recordings_of_session, sort_docks
from dockd.central.pages.words import CONTAINER_WORDS, CUSTODY_WORDS
from dockd.central.retention.entries import recording_standing
from dockd.central.services import SERVICES
from dockd.central.store_checks import store_checks
from dockd.central.viewer import viewer
from dockd.errors import NotFound
from dockd.model.ids import parse_digest, parse_id
from dockd.web.assets import Assets
from dockd.web.looks import LOOKS, state_name
from dockd.web.page_errors import page_errors
from dockd.web.pages import Pages

_PER_PAGE = 100
_SESSIONS_SHOWN = 100
_REPORTS_SHOWN = 30
_WEEKS_SHOWN = 12


def add_pages(app: web.Application) -> None:
    """Add the pages and their files to `app`, and make refusals outside `/api/` pages too.

    Call it after the other middlewares were added. The pages need `app[SERVICES]` once it runs.
    """
    assets = Assets()
    assets.attach(app)
    pages = Pages("dockd.central.pages", assets, words={"viewer": viewer})
    app.middlewares.insert(0, page_errors(pages))
    CentrePages(pages).attach(app)
    RolloutPages(pages).attach(app)
    for area in (
        FleetPages(pages),
        AlertPages(pages),
        CustodyPages(pages),
        RetentionPages(pages),
        SignInPages(pages),
        AccountPages(pages),
        PeoplePages(pages),
    ):
        area.attach(app)


class CentrePages:
    """One method for each page."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def attach(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/", self.docks)
        app.router.add_get("/docks/{dock}", self.dock)
        app.router.add_get("/docks/{dock}/recordings/{recording}", self.reported)
        app.router.add_get("/sessions/{dock}/{session}", self.session)
        app.router.add_get("/recordings", self.recordings)
        app.router.add_get("/store", self.store)
        app.router.add_get("/recordings/{digest}", self.recording)
        app.router.add_get("/recordings/{digest}/receipt.json", self.receipt)

    async def docks(self, request: web.Request) -> web.Response:
        """All docks, those that need a person first."""
        services = request.app[SERVICES]
        now = services.clock.now()
        only = seen_docks(request)
        cards = sort_docks(dock_card(dock, now) for dock in await services.queries.docks(only))
        store = await store_checks(services.bucket, now, limit=1)
        return self._respond("docks.html", docks=cards, totals=await services.queries.totals(only), store=store, at=now)

    async def dock(self, request: web.Request) -> web.Response:
        """One dock: its bays as it last said, and its sessions."""
        name = _named(request, "dock")
        services = request.app[SERVICES]
        overview = await services.queries.dock(name)
        sessions = await services.queries.sessions(dock=name, limit=_SESSIONS_SHOWN)
        return self._respond(
            "dock.html",
            dock=dock_card(overview, services.clock.now()),
            overview=overview,
            sessions=sessions,
            most=_SESSIONS_SHOWN,
            history=await services.fleet.history.dock(name, weeks=_WEEKS_SHOWN),
        )

    async def session(self, request: web.Request) -> web.Response:
        """One session: reconciliation, clock evidence, recordings, manifests."""
        detail = await request.app[SERVICES].queries.session(_named(request, "dock"), _named(request, "session"))
        return self._respond(
            "session.html",
            session=detail.overview,
            recordings=recordings_of_session(detail),
            left_out=max(0, len(detail.recordings) - SHOWN_RECORDINGS),
            manifests=detail.manifests,
        )

    async def recordings(self, request: web.Request) -> web.Response:
        """Search by camera, officer, dock and date, a page at a time."""
        search = read_search(request.query)
        wanted = replace(search.wanted, docks=seen_docks(request))
        found = await request.app[SERVICES].queries.recordings(wanted, before=search.before, limit=_PER_PAGE)
        older = None
        if found.next_after is not None:
            older = f"/recordings?{urlencode({**search.fields, 'before': found.next_after})}"
        return self._respond(
            "recordings.html", found=found.recordings, search=search, older=older, is_first=search.before is None
        )

    async def recording(self, request: web.Request) -> web.Response:
        """Everything known of one digest, with its custody from card to store."""
        digest = parse_digest(request.match_info["digest"])
        services = request.app[SERVICES]
        detail = await services.queries.recording(digest)
        standing = recording_standing(digest, await services.retention.recording(digest, detail.receipt))
        return self._respond(
            "recording.html",
            digest=digest,
            detail=detail,
            first=detail.sources[0],
            standing=standing,
            categories=tuple(await services.retention.policies()),
        )

    async def store(self, request: web.Request) -> web.Response:
        """Where footage lies, what the store was found to refuse, and whether it is read back for that."""
        services = request.app[SERVICES]
        now = services.clock.now()
        checks = await store_checks(services.bucket, now, limit=_REPORTS_SHOWN)
        return self._respond("store.html", checks=checks, most=_REPORTS_SHOWN, at=now)

    async def reported(self, request: web.Request) -> web.Response:
        """A recording that the store has not accepted yet, as its dock tells of it."""
        dock, name = _named(request, "dock"), _named(request, "recording")
        reported, custody = await request.app[SERVICES].queries.reported(dock, name)
        return self._respond("reported.html", recording=reported, custody=custody)

    async def receipt(self, request: web.Request) -> web.Response:
        """The signed receipt as JSON, for checking with public tools."""
        receipt = await request.app[SERVICES].queries.receipt(parse_digest(request.match_info["digest"]))
        if receipt is None:
            raise NotFound("The store has not accepted a recording with this digest.")
        return web.json_response(text=receipt.model_dump_json(), headers={"Cache-Control": "no-store"})

    def _respond(self, template: str, **values: Any) -> web.Response:
        return self._pages.respond(
            template,
            looks=LOOKS,
            state_name=state_name,
            custody_words=CUSTODY_WORDS,
            container_words=CONTAINER_WORDS,
            **values,
        )


def _named(request: web.Request, what: str) -> str:
    return parse_id(request.match_info[what], what)
