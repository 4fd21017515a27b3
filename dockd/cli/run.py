"""`dockd run`: the dock's daemon."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from dockd.cli.options import config_option
from dockd.clock import SystemClock
from dockd.config.dock import DockConfig, load_dock_config
from dockd.dock.app import run_dock
from dockd.dock.threads import hand_over_quickly, keep_one_heap
from dockd.log import start_logging


@click.command("run")
@config_option
def run(config_file: Path) -> None:
    """Run this dock until SIGTERM or SIGINT.

    Leaves with a named exit status when it cannot start or go on; docs/errors.md lists them. Nothing is
    erased for it, and the next start goes on from the journal.
    """
    config = load_dock_config(config_file)
    start_logging(config.log)
    keep_one_heap()
    hand_over_quickly()
    asyncio.run(_run_until_told(config))


async def _run_until_told(config: DockConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stop.set)
    await run_dock(config, SystemClock(), stop)
