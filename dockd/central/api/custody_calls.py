"""Calls about custody: the account in pages, whole exports, and the signed bundle. Each is a fact of the centre's."""

from __future__ import annotations

from contextlib import aclosing

from aiohttp import web

from dockd.central.acting import acting_person
from dockd.central.api.answers import NO_STORE, download_headers, json_answer
from dockd.central.api.route import IntegerValue, TextValue, query_number
from dockd.central.custody.desk import Pieces
from dockd.central.custody.question import read_selection
from dockd.central.custody.reading import MOST_ROWS
from dockd.central.custody.search import CURSOR_PATTERN, Cursor
from dockd.central.services import SERVICES

AFTER_ROW = TextValue(
    CURSOR_PATTERN, "`next_after` of the page before", "2026-11-22T06:00:00.000000Z~dock-7~recording-1"
)
ROWS = IntegerValue(1, MOST_ROWS, "how many rows at most", default=100)
ONLY = TextValue(r"^differences$", "`differences`: only rows that have one", "differences")
FOOTAGE = TextValue(r"^yes$", "`yes`: the list names the footage too, for whoever fetches it", "yes")
EXPORT_NAME = TextValue(
    r"^(custody\.json|(differences|recordings|sessions|holders)\.(csv|jsonl))$",
    "which rows, in which form; `custody.json` is all of them",
    "recordings.csv",
)


async def get_recordings(request: web.Request) -> web.StreamResponse:
    """Recordings with their whole way from the card to the store, the newest first."""
    desk, query = request.app[SERVICES].custody, request.query
    wanted = await desk.look(acting_person(request), read_selection(query), "recordings", after=query.get("after"))
    return json_answer(
        await desk.reader.recordings(wanted, after=_after(request), limit=_limit(request), only="only" in query)
    )


async def get_sessions(request: web.Request) -> web.StreamResponse:
    """Sessions with their reconciliation, the newest first."""
    desk, query = request.app[SERVICES].custody, request.query
    wanted = await desk.look(acting_person(request), read_selection(query), "sessions", after=query.get("after"))
    return json_answer(
        await desk.reader.sessions(wanted, after=_after(request), limit=_limit(request), only="only" in query)
    )


async def get_holders(request: web.Request) -> web.StreamResponse:
    """Who held which camera from when to when, the newest first."""
    desk, query = request.app[SERVICES].custody, request.query
    wanted = await desk.look(acting_person(request), read_selection(query), "holders", after=query.get("after"))
    return json_answer(await desk.reader.holders(wanted, after=_after(request), limit=_limit(request)))


async def get_conflicts(request: web.Request) -> web.StreamResponse:
    """What docks sent that contradicts the facts held of them, and was refused."""
    desk = request.app[SERVICES].custody
    wanted = await desk.look(acting_person(request), read_selection(request.query), "conflicts")
    return json_answer(await desk.reader.conflicts(wanted))


async def export_rows(request: web.Request) -> web.StreamResponse:
    """All rows of one kind as CSV or JSON lines, or everything as one JSON object."""
    name = request.match_info["name"]
    desk = request.app[SERVICES].custody
    pieces = await desk.export(acting_person(request), read_selection(request.query), name)
    return await _streamed(request, pieces, name)


async def get_bundle(request: web.Request) -> web.StreamResponse:
    """The signed bundle as a tar archive; `dockd custody export` fetches and checks it."""
    desk = request.app[SERVICES].custody
    has_footage = "footage" in request.query
    pieces = await desk.bundle(acting_person(request), read_selection(request.query), has_footage=has_footage)
    return await _streamed(request, pieces, "custody.tar")


async def _streamed(request: web.Request, pieces: Pieces, name: str) -> web.StreamResponse:
    """Send all pieces; an answer that cannot be finished ends in a broken connection and never looks whole."""
    async with aclosing(pieces):
        first = await anext(pieces, b"")
        response = web.StreamResponse(headers={**NO_STORE, **download_headers(name)})
        await response.prepare(request)
        is_whole = False
        try:
            await response.write(first)
            async for piece in pieces:
                await response.write(piece)
            await response.write_eof()
            is_whole = True
        finally:
            if not is_whole and request.transport is not None:
                request.transport.abort()
    return response


def _after(request: web.Request) -> Cursor | None:
    text = request.query.get("after")
    return None if text is None else Cursor.parse(text)


def _limit(request: web.Request) -> int:
    return query_number(request, "limit", ROWS)
