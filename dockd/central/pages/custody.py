"""The custody page for auditors: a form, differences first, then the rows; every look is a fact of the centre's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from dockd.central.acting import acting_person
from dockd.central.custody.question import FIELDS, read_selection
from dockd.central.custody.reading import CustodyReader
from dockd.central.custody.search import Cursor
from dockd.central.pages.words import CONTAINER_WORDS, CUSTODY_WORDS
from dockd.central.services import SERVICES
from dockd.errors import BadRequest
from dockd.model.moment import ClockSync
from dockd.rules.differences import DIFFERENCE_WORDS, GRAVE, Difference
from dockd.web.pages import Pages
from dockd.wire.custody import CustodySelection

_ROWS_SHOWN = 50
_DIFFERENCES_SHOWN = 25
_VIEWS = {"recordings": "Recordings", "sessions": "Sessions", "holders": "Who held which camera"}
_URGENT = frozenset(
    {
        Difference.REPLACED,
        Difference.REJECTED,
        Difference.DUPLICATE_IDENTITY,
        Difference.COUNTS_DIFFER,
        Difference.NEVER_STORED,
        Difference.NOT_RECONCILED,
    }
)
_SHORT = {
    Difference.ERASED_UNACCEPTED: "Erased without acceptance",
    Difference.BROKEN_ORDER: "Facts contradict each other",
    Difference.REPLACED: "Replaced before it was stored",
    Difference.REJECTED: "Rejected",
    Difference.DUPLICATE_IDENTITY: "Identity claimed twice",
    Difference.COUNTS_DIFFER: "Counts differ",
    Difference.NEVER_STORED: "Never stored",
    Difference.NOT_ERASED: "Stored, not erased",
    Difference.NOT_RECONCILED: "Not reconciled",
    Difference.UNREADABLE: "Partly unreadable",
    Difference.NO_HOLDER: "Holder not known",
    Difference.NO_TIME: "Time not known",
    Difference.HOST_CLOCK: "Dock's clock not synchronised",
    Difference.CAMERA_CLOCK: "Camera's clock not measured",
    Difference.NOT_IDENTIFIED: "Never identified",
}
_CLOCK_WORDS = {
    ClockSync.SYNCHRONISED.value: "synchronised",
    ClockSync.UNSYNCHRONISED.value: "not synchronised",
    ClockSync.UNKNOWN.value: "not known",
}


@dataclass(frozen=True, slots=True)
class Chip:
    """A difference as the page shows it: word, tone, icon, and the whole sentence."""

    word: str
    tone: str
    icon: str
    sentence: str


def chip(code: str) -> Chip:
    """How a difference looks: the grave, the urgent and the rest have each a shape of their own."""
    one = Difference(code)
    if one in GRAVE:
        return Chip(_SHORT[one].upper(), "held", "hand", DIFFERENCE_WORDS[one])
    tone, icon = ("fault", "warning") if one in _URGENT else ("empty", "stay")
    return Chip(_SHORT[one], tone, icon, DIFFERENCE_WORDS[one])


class CustodyPages:
    """The page."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def attach(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_get("/custody", self.custody)

    async def custody(self, request: web.Request) -> web.Response:
        """The form alone, or with the account that it asks for."""
        desk = request.app[SERVICES].custody
        fields = {name: text for name in FIELDS if (text := request.query.get(name, "").strip())}
        view = request.query.get("view", "recordings")
        if view not in _VIEWS:
            raise BadRequest("The account shows recordings, sessions or holders.")
        values: dict[str, Any] = {
            "fields": fields,
            "view": view,
            "views": _VIEWS,
            "asked": bool(request.query),
            "is_whole": await desk.reader.is_whole(),
        }
        if request.query:
            places = _places(request.query)
            after = request.query.get("after")
            wanted = await desk.look(acting_person(request), read_selection(request.query), view, after=after)
            values |= await _account(desk.reader, wanted, view, places)
            values |= {
                "addresses": _Addresses(fields, view, request.query),
                "is_first": after is None,
                "export": urlencode(fields),
                "at": request.app[SERVICES].clock.now(),
            }
        return self._pages.respond(
            "custody.html",
            chip=chip,
            custody_words=CUSTODY_WORDS,
            container_words=CONTAINER_WORDS,
            clock_words=_CLOCK_WORDS,
            **values,
        )


class _Addresses:
    """Addresses of this page that go on somewhere."""

    def __init__(self, fields: Mapping[str, str], view: str, query: Mapping[str, str]) -> None:
        self._fields = fields
        self._view = view
        self._query = query

    def on(self, place: str, cursor: str) -> str:
        """The page with one list gone on to `cursor`, the others where they are."""
        kept = {name: self._query[name] for name in _PLACES if name in self._query}
        return self._address({"view": self._view, **kept, place: cursor})

    def of(self, view: str) -> str:
        """The page with other rows."""
        return self._address({"view": view})

    def _address(self, more: Mapping[str, str]) -> str:
        return f"/custody?{urlencode({**self._fields, **more})}"


_PLACES = ("after", "differing", "sessions_differing")


def _places(query: Mapping[str, str]) -> dict[str, Cursor | None]:
    return {name: Cursor.parse(query[name]) if name in query else None for name in _PLACES}


async def _account(
    reader: CustodyReader, wanted: CustodySelection, view: str, places: Mapping[str, Cursor | None]
) -> dict[str, Any]:
    after = places["after"]
    rows: Any
    if view == "recordings":
        rows = await reader.recordings(wanted, after=after, limit=_ROWS_SHOWN)
    elif view == "sessions":
        rows = await reader.sessions(wanted, after=after, limit=_ROWS_SHOWN)
    else:
        rows = await reader.holders(wanted, after=after, limit=_ROWS_SHOWN)
    differing = await reader.recordings(wanted, after=places["differing"], limit=_DIFFERENCES_SHOWN, only=True)
    sessions = await reader.sessions(wanted, after=places["sessions_differing"], limit=_DIFFERENCES_SHOWN, only=True)
    conflicts = (await reader.conflicts(wanted)).conflicts
    return {
        "rows": rows,
        "differing": differing,
        "sessions_differing": sessions,
        "conflicts": conflicts,
        "grave": await reader.grave(wanted),
    }
