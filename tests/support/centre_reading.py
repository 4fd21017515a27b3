"""What a served centre answers, read as a browser gets it, and lists brought in as the command does."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from dockd.central.app import ServedCentre
from tests.support.html_check import HtmlReader, read_html


async def get(session: aiohttp.ClientSession, centre: ServedCentre, path: str, status: int = 200) -> str:
    """The body of the answer, which has this status."""
    async with session.get(f"{centre.url}{path}") as response:
        text = await response.text()
        assert response.status == status, text
        return text


async def page(session: aiohttp.ClientSession, centre: ServedCentre, path: str, status: int = 200) -> HtmlReader:
    """A page without mistakes and without scripts."""
    reader = read_html(await get(session, centre, path, status))
    assert reader.mistakes == []
    assert reader.tags["script"] == 0
    return reader


async def bring_in(centre: ServedCentre, folder: Path, **lists: str) -> None:
    """Bring in the lists given by name, each a CSV text, sites first."""
    for name in ("sites", "officers", "cameras"):
        if name in lists:
            file = folder / f"{name}.csv"
            file.write_text(lists[name])
            await centre.services.lists.bring_in(name, file)
