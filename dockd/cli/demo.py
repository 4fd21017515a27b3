"""`dockd demo`: the main job, live, with simulated cameras and real files.

Tells a story with folders that are moved: cameras are docked one after the other, one is pulled in the
middle of its copy and put into another bay. Everything else is the ordinary dock and centre.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import click
from rich.console import Console
from rich.table import Table

from dockd.cli.demo_site import DOCK_ID, DemoPlan, DemoProcesses, DemoSite, free_port
from dockd.cli.dock_client import DockClient, open_dock
from dockd.errors import DockUnreachable, ServiceFailed
from dockd.model.facts import RecordedFact, SessionReconciled
from dockd.rules.lifecycle import State
from dockd.wire.messages import FactBatch
from dockd.wire.status import BayStatus, DockStatus

_DOCKING_PAUSE_SECONDS = 0.4
_PULL_AT_PERCENT = 30
_LOOK_SECONDS = 0.25
_PATIENCE_SECONDS = 600.0
_CENTRE_AFTER_DOCK = 10


@click.command("demo")
@click.option("--cameras", default=8, show_default=True, type=click.IntRange(1, 24), help="How many cameras.")
@click.option("--clips", default=3, show_default=True, type=click.IntRange(1, 50), help="Recordings on each card.")
@click.option("--seed", default=None, type=int, help="Tell the same story again; printed at the start.")
@click.option("--port", default=8480, show_default=True, type=click.IntRange(0, 65525), help="The page; 0: any.")
@click.option("--keep", default=None, type=click.Path(file_okay=False, path_type=Path), help="Work in DIR, keep it.")
@click.option("--exit-when-ready", is_flag=True, help="End with status 0 once all is done and reconciled.")
def demo(cameras: int, clips: int, seed: int | None, port: int, keep: Path | None, exit_when_ready: bool) -> int:
    """Run a centre and a dock with simulated cameras, to watch it work."""
    dock_port = free_port(port)
    plan = DemoPlan(
        cameras=cameras,
        clips=clips,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        dock_port=dock_port,
        centre_port=free_port(dock_port + _CENTRE_AFTER_DOCK if port else 0),
    )
    with _folder(keep) as root:
        return asyncio.run(_show(DemoSite(root, plan), exit_when_ready=exit_when_ready))


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="dockd-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


async def _show(site: DemoSite, *, exit_when_ready: bool) -> int:
    console = Console()
    console.print(f"dockd demo: {site.plan.cameras} cameras, seed {site.plan.seed}, folder {site.root}", soft_wrap=True)
    is_new = not site.is_built()
    if is_new:
        console.print("Making footage …")
        await site.build()
    else:
        site.write_configuration()
    processes = DemoProcesses(site)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await processes.start()
        console.print(f"\n  The dock's page:   {site.dock_url}/\n  The centre's page: {site.centre_url}/\n")
        return await _until_stopped(_tell(site, processes, console, exit_when_ready=exit_when_ready), stop)
    finally:
        await processes.stop()


async def _until_stopped(story: Coroutine[Any, Any, int], stop: asyncio.Event) -> int:
    telling = asyncio.ensure_future(story)
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({telling, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if telling.done():
        return telling.result()
    telling.cancel()
    with suppress(asyncio.CancelledError):
        await telling
    return 0


async def _tell(site: DemoSite, processes: DemoProcesses, console: Console, *, exit_when_ready: bool) -> int:
    async with open_dock(site.dock_url) as dock:
        watching = asyncio.ensure_future(_print_changes(dock, console))
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS if exit_when_ready else None):
                await _dock_all(site, dock, console)
                await _wait_until_ready(site, dock, processes)
                reconciled = await _reconciled_at_centre(site, dock, processes)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError, DockUnreachable):
                await watching
    is_good = _print_reconciliation(console, reconciled)
    if exit_when_ready:
        return 0 if is_good else 1
    console.print(
        f"All {site.plan.cameras} cameras are READY and every recording is accepted. The pages stay up; Ctrl-C ends.\n"
        f"Move a camera yourself:  mv {site.bay(0)}/* {site.shelf}/   and back into any bay.",
        soft_wrap=True,
        highlight=False,
    )
    while True:
        processes.check()
        await asyncio.sleep(1)


async def _dock_all(site: DemoSite, dock: DockClient, console: Console) -> None:
    for index in range(site.plan.cameras):
        camera = site.shelf / site.serial(index)
        if camera.exists():
            camera.rename(site.bay(index) / camera.name)
            await asyncio.sleep(_DOCKING_PAUSE_SECONDS)
    await _pull_one(site, dock, console)


async def _pull_one(site: DemoSite, dock: DockClient, console: Console) -> None:
    """Take one camera out in the middle of its copy, and put it into the free bay."""
    index = site.plan.pulled
    camera = site.bay(index) / site.serial(index)
    while camera.exists():
        bay = _bay(await dock.status(), site.bay(index).name)
        if bay.state == State.OFFLOADING.value and bay.progress and bay.progress.total_bytes:
            percent = bay.progress.done_bytes * 100 // bay.progress.total_bytes
            if percent >= _PULL_AT_PERCENT:
                camera.rename(site.shelf / camera.name)
                console.print(f"  *** {camera.name} is pulled out at {percent} % of its copy, and put into another bay")
                await asyncio.sleep(1.0)
                (site.shelf / camera.name).rename(site.bay(site.plan.cameras) / camera.name)
                return
        elif bay.state not in (State.ARRIVED.value, State.UNLOCKING.value, State.IDENTIFYING.value):
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def _wait_until_ready(site: DemoSite, dock: DockClient, processes: DemoProcesses) -> None:
    while True:
        processes.check()
        status = await dock.status()
        ready = [bay for bay in status.bays if bay.state == State.READY.value]
        if len(ready) == site.plan.cameras and status.waiting_recordings == 0:
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def _reconciled_at_centre(site: DemoSite, dock: DockClient, processes: DemoProcesses) -> list[SessionReconciled]:
    """The closing records of all sessions, as the centre holds them: every fact has arrived there."""
    async with aiohttp.ClientSession() as http:
        while True:
            processes.check()
            wanted = (await dock.status()).facts
            facts = await _facts_at_centre(http, site)
            if len(facts) >= wanted:
                return [one.fact for one in facts if isinstance(one.fact, SessionReconciled)]
            await asyncio.sleep(_LOOK_SECONDS)


async def _facts_at_centre(http: aiohttp.ClientSession, site: DemoSite) -> list[RecordedFact]:
    facts: list[RecordedFact] = []
    while True:
        after = facts[-1].number if facts else 0
        url = f"{site.centre_url}/api/v1/docks/{DOCK_ID}/facts"
        async with http.get(url, params={"after": str(after), "limit": "500"}) as answer:
            if answer.status == 503:  # the centre says "later"
                return facts
            if answer.status != 200:
                raise ServiceFailed(f"The centre does not show the dock's facts (HTTP {answer.status}).")
            batch = FactBatch.model_validate_json(await answer.read())
        if not batch.facts:
            return facts
        facts += batch.facts


async def _print_changes(dock: DockClient, console: Console) -> None:
    told: dict[str, str] = {}
    async for status in dock.watch():
        for bay in status.bays:
            line = f"  bay {bay.bay:<3} {bay.headline.value:<13} {bay.words}"
            if told.get(bay.bay) != bay.headline.value and (bay.camera or bay.state != "empty"):
                console.print(line, soft_wrap=True, highlight=False, markup=False)
            told[bay.bay] = bay.headline.value


def _bay(status: DockStatus, name: str) -> BayStatus:
    for bay in status.bays:
        if bay.bay == name:
            return bay
    raise ServiceFailed(f"The dock does not show bay {name}.")


def _print_reconciliation(console: Console, records: list[SessionReconciled]) -> bool:
    """Print the closing record of each camera's last session; returns whether all agree."""
    last = {record.camera: record for record in records}
    table = Table(title="Reconciliation: listed = staged = stored = erased", title_justify="left")
    table.add_column("camera", no_wrap=True)
    for name in ("listed", "staged", "stored", "erased", "bytes"):
        table.add_column(name, justify="right")
    table.add_column("differences")
    for camera, record in sorted(last.items()):
        tallies = (record.listed, record.staged, record.stored, record.erased)
        table.add_row(
            camera.partition(":")[2],
            *(str(tally.count) for tally in tallies),
            f"{record.erased.size_bytes:,}",
            "; ".join(record.differences) or "none",
        )
    console.print(table)
    return all(not record.differences and record.listed == record.erased for record in last.values())
