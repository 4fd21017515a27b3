"""`dockd status`: the dock's page for a terminal, a pipe or a program.

Exit status: 0 all fine, 1 something needs a person (a bay HELD or FAULT), 2 the daemon does not answer.
"""

from __future__ import annotations

import asyncio

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dockd.cli.dock_client import open_dock, url_option
from dockd.dock.kiosk.tiles import Tile, board_of, tile_of
from dockd.errors import DockUnreachable
from dockd.web.looks import NEEDS_PERSON
from dockd.wire.status import DockStatus

EXIT_FINE = 0
EXIT_NEEDS_PERSON = 1
_BAR_WIDTH = 34

_STYLES = {
    "empty": "dim",
    "busy": "bold blue",
    "go": "bold green",
    "ready": "bold green",
    "charging": "bold cyan",
    "take": "bold magenta",
    "held": "bold white on red",
    "fault": "bold black on yellow",
}
_BATTERY_STYLES = {"good": "green", "medium": "yellow", "low": "bold red", "unknown": "dim"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the DockStatus as JSON; with --watch one per line.")
@click.option("--watch", is_flag=True, help="Go on until interrupted; on a pipe, print a bay's line when it changes.")
@url_option
def status(as_json: bool, watch: bool, url: str) -> int:
    """Show what every bay of a running dock is doing.

    Exit status 0 when all is fine, 1 when a bay needs a person, 2 when the daemon does not answer.
    """
    return asyncio.run(_watch(url, as_json=as_json) if watch else _once(url, as_json=as_json))


def exit_status(dock: DockStatus) -> int:
    """1 when any bay is HELD or FAULT, else 0."""
    needs_person = any(bay.headline in NEEDS_PERSON for bay in dock.bays)
    return EXIT_NEEDS_PERSON if needs_person else EXIT_FINE


def printable(text: str) -> str:
    """`text` without control characters but line feeds: a camera's model must not steer a terminal."""
    return "".join(one if one.isprintable() or one == "\n" else "�" for one in text)


async def _once(url: str, *, as_json: bool) -> int:
    async with open_dock(url) as client:
        dock = await client.status()
    console = Console()
    if as_json:
        click.echo(dock.model_dump_json(indent=2))
    elif console.is_terminal:
        console.print(picture(dock))
    else:
        click.echo("\n".join((*dock_lines(dock), *bay_lines(dock))))
    return exit_status(dock)


async def _watch(url: str, *, as_json: bool) -> int:
    console = Console()
    async with open_dock(url) as client:
        if as_json:
            async for dock in client.watch():
                click.echo(dock.model_dump_json())
        elif console.is_terminal:
            with Live(console=console, screen=True, auto_refresh=False) as live:
                async for dock in client.watch():
                    live.update(picture(dock), refresh=True)
        else:
            told: dict[str, str] = {}
            async for dock in client.watch():
                lines = dict(zip((bay.bay for bay in dock.bays), bay_lines(dock), strict=True))
                for line in (line for bay, line in lines.items() if told.get(bay) != line):
                    click.echo(line)
                told = lines
    raise DockUnreachable(f"The dock at {url} has stopped answering.")


# --- lines, for a pipe ------------------------------------------------------------------------


def dock_lines(dock: DockStatus) -> tuple[str, ...]:
    """The dock itself, a line for each thing."""
    board = board_of(dock)
    centre = "reachable" if board.is_centre_reachable else "OUT OF REACH"
    waiting = "nothing"
    if board.waiting_count:
        oldest = f", oldest {board.oldest_waiting}" if board.oldest_waiting else ""
        waiting = f"{board.waiting_count}, {board.waiting_size}{oldest}"
    lines = [
        f"{board.site} ({board.dock}): {board.ready} of {board.bays} bays ready",
        f"Central store {centre}. {board.centre_words}".rstrip(),
        f"To be sent: {waiting}; {board.facts}",
        f"Room on this dock: {board.staging_free} free, {board.staging_used_percent} % used",
    ]
    if board.attention:
        lines.append(f"Need a person: bay{'s' if len(board.attention) > 1 else ''} {', '.join(board.attention)}")
    if board.clock_warning:
        lines.append(board.clock_warning)
    return tuple(printable(line) for line in lines)


def bay_lines(dock: DockStatus) -> tuple[str, ...]:
    """A line per bay, in the order of the bays."""
    return tuple(printable(_bay_line(tile_of(bay, dock.at))).replace("\n", " ") for bay in dock.bays)


def _bay_line(tile: Tile) -> str:
    headline = f"{tile.headline} {tile.officer}" if tile.officer else tile.headline
    parts = [f"Bay {tile.bay}: {headline}"]
    if tile.camera:
        parts.append(tile.camera)
    if tile.battery:
        parts.append(tile.battery.label.lower())
    if tile.bar:
        parts.append(_pace(tile))
    if tile.next_try:
        parts.append(f"next try {tile.next_try}")
    if tile.code:
        parts.append(tile.code)
    parts.append(tile.words)
    return " | ".join(parts)


def _pace(tile: Tile) -> str:
    bar = tile.bar
    if bar is None:
        return ""
    words = (f"{bar.percent} %", bar.rate, bar.remaining)
    return ", ".join(word for word in words if word)


# --- a picture, for a terminal ----------------------------------------------------------------


def picture(dock: DockStatus) -> Group:
    """The whole dock with progress bars."""
    table = Table(box=None, padding=(0, 1), expand=True, pad_edge=False)
    table.add_column("Bay", justify="right", style="bold", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("Progress", width=_BAR_WIDTH)
    table.add_column("Battery", justify="right", no_wrap=True)
    table.add_column("Camera", overflow="fold", max_width=24)
    table.add_column("What it means", overflow="fold", ratio=1)
    for bay in dock.bays:
        _add_row(table, tile_of(bay, dock.at))
    needs_person = exit_status(dock) == EXIT_NEEDS_PERSON
    heads = [Text(line, style="bold" if place == 0 else "") for place, line in enumerate(dock_lines(dock))]
    if needs_person:
        heads = [Text(head.plain, style="bold red") if head.plain.startswith("Need a") else head for head in heads]
    return Group(*heads, Text(), table)


def _add_row(table: Table, tile: Tile) -> None:
    headline = f"{tile.headline} {tile.officer}" if tile.officer else tile.headline
    bar = Table.grid()
    if tile.bar:
        bar.add_row(ProgressBar(total=tile.bar.total, completed=tile.bar.done, width=_BAR_WIDTH))
        bar.add_row(Text(_pace(tile)))
    battery = Text("")
    if tile.battery:
        percent = "?" if tile.battery.percent is None else f"{tile.battery.percent} %"
        low = " low" if tile.battery.level == "low" else ""
        plug = " +" if tile.battery.is_charging else ""
        battery = Text(f"{percent}{low}{plug}", style=_BATTERY_STYLES[tile.battery.level])
    words = f"{tile.words} Next try at {tile.next_try}." if tile.next_try else tile.words
    table.add_row(
        Text(tile.bay),
        Text(f" {headline} ", style=_STYLES[tile.tone]),
        bar,
        battery,
        Text(printable(tile.camera or "")),
        Text(printable(words)),
    )
