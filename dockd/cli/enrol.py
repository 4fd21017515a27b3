"""`dockd enrol TOKEN`: give this dock its identity at the centre."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from dockd.cli.options import config_option
from dockd.clock import SystemClock
from dockd.config.dock import load_enrolment_config
from dockd.dock.enrolment import enrol as enrol_dock
from dockd.model.ids import DockId


@click.command("enrol")
@config_option
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to keep it, when enrolment_folder in [centre] is not set yet; for the daemon's user alone.",
)
@click.argument("token")
def enrol(config_file: Path, folder: Path | None, token: str) -> None:
    """Enrol this dock with the TOKEN that `dockd central invite` printed (`-` reads it from standard input).

    Run it as the daemon's user. The dock's TLS key is made here and never leaves this host; what the token pins is
    checked before anything secret is sent. After a break in the middle run the same command again.
    """
    config = load_enrolment_config(config_file)
    chosen = folder or config.folder
    text = sys.stdin.read() if token == "-" else token  # noqa: S105 - no password
    pinned = asyncio.run(enrol_dock(text, DockId(config.dock.id), chosen, SystemClock()))
    click.echo(f"Dock {pinned.dock} is enrolled with the centre {pinned.store} at {pinned.url}.")
    if not config.is_folder_named or folder not in (None, config.folder):
        click.echo(
            f"Put this in {config_file}, in place of what [centre] holds now:\n\n[centre]\n"
            f'enrolment_folder = "{chosen}"\n'
        )
    click.echo("Start the daemon again if it runs: systemctl restart dockd")
