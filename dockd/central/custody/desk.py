"""Where auditors are served: every look and every export is a fact of the centre's before anything is shown.

Knows the reader, the bundles and the centre's facts; must not know HTTP. Errors: NotFound, Refusal (503, 507).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, cast

from dockd.central.centre_facts import CentreFacts
from dockd.central.custody.bundling import Bundling, Sources
from dockd.central.custody.reading import MOST_ROWS, CustodyReader
from dockd.central.custody.search import Cursor
from dockd.central.refusals import BUSY
from dockd.custody_out.accounts import recording_differences, session_differences
from dockd.custody_out.csv_rows import csv_head, csv_row
from dockd.custody_out.custody_bundle import KINDS, row_line
from dockd.model.canonical import Json, canonical_json
from dockd.model.value import Value
from dockd.web.problems import Refusal
from dockd.wire.custody import (
    CustodyDifference,
    CustodyHolder,
    CustodyRecording,
    CustodySelection,
    CustodySession,
)

_KIND_OF = {folder: kind for kind, folder in KINDS.items()}

Pieces = AsyncGenerator[bytes, None]
"""An export on its way, to be closed by whoever takes it."""


class CustodyDesk:
    """Looks and exports, each under the name of whoever asks."""

    def __init__(self, sources: Sources, centre_facts: CentreFacts) -> None:
        self.reader: CustodyReader = sources.reader
        self._sources = sources
        self._facts = centre_facts

    async def look(self, actor: str, wanted: CustodySelection, what: str, **more: Json) -> CustodySelection:
        """Write down that `actor` looks at `what`; return the selection with the docks of its site."""
        resolved = await self.reader.resolve(wanted)
        await self._facts.add(kind="CustodyLooked", actor=actor, about={**_about(wanted), "what": what, **more})
        return resolved

    async def export(self, actor: str, wanted: CustodySelection, name: str) -> Pieces:
        """Write down that `actor` exports, and return the whole of `name`, piece by piece.

        `name` is `<kind>.csv`, `<kind>.jsonl` or `custody.json`.
        """
        resolved = await self._begin(actor, wanted, name)
        folder, _, form = name.rpartition(".")
        if name == "custody.json":
            pieces = self._document(resolved)
        elif form == "csv":
            kind = _KIND_OF[folder]
            pieces = _after(csv_head(kind), self._lines(kind, resolved, lambda row: csv_row(row).encode("utf-8")))
        else:
            pieces = self._lines(_KIND_OF[folder], resolved, row_line)
        return self._closed(pieces, actor, wanted, name)

    async def bundle(self, actor: str, wanted: CustodySelection, *, has_footage: bool) -> Pieces:
        """Write down that `actor` exports, and return the signed bundle as a tar archive, piece by piece."""
        name = "bundle with footage" if has_footage else "bundle"
        resolved = await self._begin(actor, wanted, name)
        made = Bundling(self._sources, resolved, has_footage=has_footage)
        return self._closed(made.stream(), actor, wanted, name, lambda: made.digest)

    async def _begin(self, actor: str, wanted: CustodySelection, name: str) -> CustodySelection:
        if not await self.reader.is_whole():
            raise Refusal(
                BUSY,
                "The account of custody is still being gathered from facts that were held before an upgrade.",
                retry_after_seconds=60,
            )
        resolved = await self.reader.resolve(wanted)
        await self._facts.add(kind="CustodyExportBegun", actor=actor, about={**_about(wanted), "what": name})
        return resolved

    async def _closed(
        self,
        pieces: Pieces,
        actor: str,
        wanted: CustodySelection,
        name: str,
        digest: Callable[[], str | None] = lambda: None,
    ) -> Pieces:
        """All `pieces`; the last is only given away once the fact of the export is written."""
        held: bytes | None = None
        async with aclosing(pieces):
            async for piece in pieces:
                if held is not None:
                    yield held
                held = piece
        about = {**_about(wanted), "what": name, "manifest_sha256": digest()}
        await self._facts.add(kind="CustodyExported", actor=actor, about=about)
        if held is not None:
            yield held

    # --- all rows of a kind ------------------------------------------------------------------------

    async def _lines(self, kind: type[Value], wanted: CustodySelection, line: Callable[[Value], bytes]) -> Pieces:
        async for rows in self._pages(kind, wanted):
            yield b"".join(map(line, rows))

    async def _document(self, wanted: CustodySelection) -> Pieces:
        """One JSON object, written piece by piece."""
        yield b'{"selection":' + canonical_json(wanted.to_json())
        conflicts = (await self.reader.conflicts(wanted)).to_json()
        yield b',"conflicts":' + canonical_json(cast(dict[str, Json], conflicts)["conflicts"])
        for kind, folder in KINDS.items():
            yield f',"{folder}":['.encode()
            is_first = True
            async for rows in self._pages(kind, wanted):
                for row in rows:
                    yield (b"" if is_first else b",") + row_line(row).rstrip()
                    is_first = False
            yield b"]"
        yield b"}\n"

    async def _pages(self, kind: type[Value], wanted: CustodySelection) -> AsyncIterator[list[Value]]:
        if kind is CustodyRecording:
            async for recordings in _each(lambda after: self._recordings(wanted, after, False)):
                yield list(recordings)
        elif kind is CustodySession:
            async for sessions in _each(lambda after: self._sessions(wanted, after, False)):
                yield list(sessions)
        elif kind is CustodyHolder:
            async for holders in _each(lambda after: self._holders(wanted, after)):
                yield list(holders)
        elif kind is CustodyDifference:
            async for recordings in _each(lambda after: self._recordings(wanted, after, True)):
                yield [one for row in recordings for one in recording_differences(row)]
            async for sessions in _each(lambda after: self._sessions(wanted, after, True)):
                yield [one for row in sessions for one in session_differences(row)]

    async def _recordings(
        self, wanted: CustodySelection, after: Cursor | None, only: bool
    ) -> tuple[Iterable[CustodyRecording], str | None]:
        page = await self.reader.recordings(wanted, after=after, limit=MOST_ROWS, only=only)
        return page.recordings, page.next_after

    async def _sessions(
        self, wanted: CustodySelection, after: Cursor | None, only: bool
    ) -> tuple[Iterable[CustodySession], str | None]:
        page = await self.reader.sessions(wanted, after=after, limit=MOST_ROWS, only=only)
        return page.sessions, page.next_after

    async def _holders(
        self, wanted: CustodySelection, after: Cursor | None
    ) -> tuple[Iterable[CustodyHolder], str | None]:
        page = await self.reader.holders(wanted, after=after, limit=MOST_ROWS)
        return [one.holder for one in page.holders], page.next_after


async def _each(page: Callable[[Cursor | None], Awaitable[tuple[Iterable[Any], str | None]]]) -> AsyncIterator[Any]:
    after: Cursor | None = None
    while True:
        rows, end = await page(after)
        yield rows
        if end is None:
            return
        after = Cursor.parse(end)


async def _after(head: str, pieces: Pieces) -> Pieces:
    yield head.encode("utf-8")
    async for piece in pieces:
        yield piece


def _about(wanted: CustodySelection) -> dict[str, Json]:
    given = cast(dict[str, Json], wanted.to_json())
    return {"selection": {name: value for name, value in given.items() if value is not None}}
