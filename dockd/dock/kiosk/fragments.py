"""The moving parts of the page as HTML, rendered once for all who watch.

The same templates make the whole page and its live parts, so that there is one picture with or
without scripts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from dockd.dock.kiosk.tiles import board_of, tile_of
from dockd.web.pages import Pages
from dockd.web.sse import Message
from dockd.wire.status import BayStatus, DockStatus

BOARD_ID = "board"


def tile_id(bay: str) -> str:
    """The HTML id of a bay's tile; bay names are ids already (`model/ids.py`)."""
    return f"bay-{bay}"


@dataclass(frozen=True, slots=True)
class Fragment:
    """One part of the page: its HTML id, its content, and what to say when `headline` changes."""

    id: str
    html: str
    tone: str
    headline: str
    spoken: str


class Fragments:
    """Renders the parts of a `DockStatus`; a tile that has not changed is not rendered again."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._tiles: dict[str, tuple[BayStatus, date, Fragment]] = {}

    def of(self, status: DockStatus) -> tuple[Fragment, ...]:
        """The bar first, then the tiles in the order of the bays."""
        tiles = [self._tile(bay, status) for bay in status.bays]
        known = {bay.bay for bay in status.bays}
        self._tiles = {bay: kept for bay, kept in self._tiles.items() if bay in known}
        return (self._board(status), *tiles)

    def _board(self, status: DockStatus) -> Fragment:
        html = self._pages.render("board.html", board=board_of(status))
        return Fragment(BOARD_ID, html, tone="", headline="", spoken="")

    def _tile(self, bay: BayStatus, status: DockStatus) -> Fragment:
        today = status.at.astimezone().date()
        kept = self._tiles.get(bay.bay)
        if kept is not None and kept[:2] == (bay, today):
            return kept[2]
        tile = tile_of(bay, status.at)
        fragment = Fragment(
            id=tile_id(bay.bay),
            html=self._pages.render("tile.html", tile=tile),
            tone=tile.tone,
            headline=tile.headline,
            spoken=tile.spoken,
        )
        self._tiles[bay.bay] = (bay, today, fragment)
        return fragment


class Watcher:
    """What one open page has been told; yields only what is new to it."""

    def __init__(self, fragments: Fragments, snapshot: Callable[[], DockStatus], version: str) -> None:
        self._fragments = fragments
        self._snapshot = snapshot
        self._version = version
        self._told: dict[str, str] = {}

    def tell(self) -> Iterator[Message]:
        """Messages for the script: `hello` once, `fragment` for every part that changed, `beat` at the end."""
        parts = self._fragments.of(self._snapshot())
        if not self._told:
            yield Message("hello", json.dumps({"version": self._version, "ids": [part.id for part in parts]}))
        for part in parts:
            if self._told.get(part.id) == part.html:
                continue
            self._told[part.id] = part.html
            yield Message(
                "fragment",
                json.dumps(
                    {
                        "id": part.id,
                        "html": part.html,
                        "tone": part.tone,
                        "headline": part.headline,
                        "spoken": part.spoken,
                    }
                ),
            )
        yield self.beat()

    def beat(self) -> Message:
        """Tells the script that the daemon is alive, although nothing changed."""
        return Message("beat", "")
