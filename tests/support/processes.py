"""Docks and centres as real processes over a simulated station: start, wait until they answer, kill, look.

Nothing of the program is replaced and nothing is asked of it but what everybody may ask: its page's API,
its log, its exit status.
"""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.cli.demo_site import free_port
from dockd.config.central import CentralConfig
from dockd.config.dock import DockConfig
from dockd.config.toml_text import config_text
from dockd.rules.receipts import PinnedStore
from dockd.wire.messages import FactsTaken
from dockd.wire.status import BayStatus, DockStatus
from tests.support.dock_rig import DockRig
from tests.support.launchers import PATIENCE_SECONDS, Daemon, Launcher

_LOOK_AGAIN_SECONDS = 0.08


def quiet_port() -> int:
    """A free port that the system gives to nobody by itself, so that a daemon can come back to it."""
    return free_port(0)


async def until(
    holds: Callable[[], Any],
    what: Callable[[], str],
    seconds: float = PATIENCE_SECONDS,
    *,
    look_again: float = _LOOK_AGAIN_SECONDS,
) -> None:
    """Look again and again; `holds` may be a coroutine function. Fails with `what()`."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = holds()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return
                await asyncio.sleep(look_again)
    except TimeoutError:
        raise AssertionError(f"waited {seconds:g} s for: {what()}") from None


async def side_by_side(lives: Mapping[str, Callable[[], Awaitable[None]]], at_once: int = 6) -> None:
    """Live through all of them, `at_once` at a time; fails with every failure under its name."""
    places = asyncio.Semaphore(at_once)

    async def one(name: str, live: Callable[[], Awaitable[None]]) -> str | None:
        async with places:
            try:
                await live()
            except Exception:  # noqa: BLE001 # whatever it is, the others go on and all are told
                return f"--- {name}\n{traceback.format_exc()}"
            return None

    told = await asyncio.gather(*(one(name, live) for name, live in lives.items()))
    failed = [words for words in told if words is not None]
    assert not failed, f"{len(failed)} of {len(lives)} were not survived\n" + "\n".join(failed)


async def launch_centre(launcher: Launcher, section: CentreConfig, name: str) -> Daemon:
    """Start a centre; its configuration and its log lie beside its folder and are called `name`."""
    beside = Path(section.folder).parent
    config = beside / f"{name}.toml"
    config.write_text(config_text(CentralConfig(central=section), changed_only=True), encoding="utf-8")
    return await launcher.launch("dockd", "central", "run", "--config", str(config), log=beside / f"{name}.log")


async def serving(centre: Daemon) -> Daemon:
    """The centre, once it serves; fails with the end of its log when it ends instead."""
    await until(
        lambda: centre.told("centre_serving") or centre.status is not None,
        lambda: f"the centre to serve\n{centre.end_of_log()}",
    )
    assert centre.status is None, f"the centre ended with {centre.status}\n{centre.end_of_log()}"
    return centre


@dataclass
class CentreProcess:
    """A centre in `folder` that runs in a process and can be killed and started again at the same address."""

    folder: Path
    pinned: PinnedStore
    port: int
    launcher: Launcher
    daemon: Daemon | None = None

    @classmethod
    async def make(cls, folder: Path, launcher: Launcher) -> CentreProcess:
        """Make the centre; it does not run yet."""
        pinned = await initialise_centre(folder)
        return cls(folder, pinned, quiet_port(), launcher)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def launch(self) -> Daemon:
        """Start it."""
        section = CentreConfig(folder=str(self.folder), port=self.port, free_space_floor_bytes=0)
        self.daemon = await launch_centre(self.launcher, section, "centre")
        return self.daemon

    async def start(self) -> Daemon:
        """Start it and wait until it serves."""
        return await serving(await self.launch())

    async def facts_head(self, dock: str) -> FactsTaken:
        """Where its record of a dock ends."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/api/v1/docks/{dock}/facts/head") as answer:
            assert answer.status == 200, await answer.text()
            return FactsTaken.model_validate_json(await answer.read())

    async def content(self, digest: str) -> bytes:
        """A recording as anybody may export it."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{self.url}/api/v1/recordings/{digest}/content") as answer,
        ):
            assert answer.status == 200, await answer.text()
            return await answer.read()


@dataclass
class StationProcess:
    """A simulated station whose dock runs in a process, again and again."""

    rig: DockRig
    launcher: Launcher
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Changes to the rig's sections, e.g. `{"uploader": {"parallel_parts": 1}}`."""
    daemon: Daemon | None = None
    _page: str = ""

    @property
    def config(self) -> Path:
        return self.rig.root / "dock.toml"

    def write_configuration(self) -> None:
        """As an administrator would leave it."""
        settings = self.rig.settings()
        sections = {
            name: getattr(settings, name).model_dump() | self.sections.get(name, {})
            for name in DockConfig.model_fields
            if name not in ("drivers", "log")
        }
        drivers = {name: dict(options) for name, options in settings.drivers.items()}
        config = DockConfig.model_validate({**sections, "drivers": drivers})
        self.config.write_text(config_text(config, changed_only=True), encoding="utf-8")

    async def launch(self, *doom: str) -> Daemon:
        """Start the dock, or with `doom` (options of `crashing_dock`) one that kills itself."""
        if not self.config.exists():
            self.write_configuration()
        verb = ("tests.support.crashing_dock", *doom) if doom else ("dockd", "run")
        log = self.rig.root / "dock.log"
        self._page = ""
        self.daemon = await self.launcher.launch(*verb, "--config", str(self.config), log=log)
        return self.daemon

    async def start(self) -> Daemon:
        """Start the real dock and wait until its page answers."""
        daemon = await self.launch()
        await until(
            lambda: daemon.told("dock runs") or daemon.status is not None,
            lambda: f"the dock to run\n{daemon.end_of_log()}",
        )
        assert daemon.status is None, f"the dock ended with {daemon.status}\n{daemon.end_of_log()}"
        return daemon

    async def status(self) -> DockStatus | None:
        """What the page shows; None while no dock answers."""
        daemon = self.daemon
        if daemon is None or daemon.status is not None:
            return None
        if not self._page:
            told = daemon.told("dock runs")
            if told is None:
                return None
            self._page = str(told["page"])
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{self._page}api/v1/status") as answer:
                return DockStatus.model_validate_json(await answer.read())
        except (aiohttp.ClientError, ConnectionError):
            return None

    async def issue(self, officer: str) -> bool:
        """Ask for a camera; whether one was given."""
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.post(f"{self._page}api/v1/issue", json={"officer": officer}) as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, ConnectionError):
            return False

    async def bay(self, bay: str) -> BayStatus | None:
        """One bay as the page shows it."""
        shown = await self.status()
        return next((one for one in shown.bays if one.bay == bay), None) if shown else None

    async def until(
        self,
        holds: Callable[[DockStatus], bool],
        what: str,
        seconds: float = PATIENCE_SECONDS,
        *,
        may_die: bool = False,
    ) -> bool:
        """Wait until the page shows it; returns False when the dock died before, and fails unless it may."""
        last: DockStatus | None = None
        daemon = self.daemon
        assert daemon is not None

        async def is_over() -> bool:
            nonlocal last
            last = await self.status() or last
            return daemon.status is not None or (last is not None and holds(last))

        def told() -> str:
            bays = "\n".join(f"{one.bay}: {one.state} {one.words}" for one in (last.bays if last else ()))
            return f"{what}\n{bays}\n{last.centre_words if last else ''}\n{daemon.end_of_log()}"

        await until(is_over, told, seconds)
        if daemon.status is None:
            return True
        assert may_die, f"the dock died with {daemon.status} before: {what}\n{daemon.end_of_log()}"
        return False


@dataclass
class Town:
    """One centre and as many stations as are wanted; `dice` makes footage that no other station has."""

    folder: Path
    centre: CentreProcess
    dice: random.Random

    def station(
        self, name: str, *, bays: int = 2, centre_url: str | None = None, **sections: dict[str, Any]
    ) -> StationProcess:
        """A new station called `name`, its dock not running; `sections` change its configuration."""
        root = self.folder / name
        root.mkdir()
        rig = DockRig(
            root,
            centre_url or self.centre.url,
            self.centre.pinned,
            self.centre.folder,
            bay_count=bays,
            dock_id=name,
            policy={"battery_interval_seconds": 0.2},
        )
        return StationProcess(rig, self.centre.launcher, {**QUICK, **sections})


QUICK = {
    "uploader": {"longest_retry_seconds": 2.0},
    "reporter": {"longest_retry_seconds": 2.0, "heartbeat_seconds": 5.0, "gather_seconds": 0.0},
}
"""Sections of a dock whose tests need not wait for what a force gains by patience."""


def is_ready(bay: int) -> Callable[[DockStatus], bool]:
    """Whether the camera in this bay is ready."""
    return lambda shown: any(one.bay == f"bay-{bay}" and one.state == "ready" for one in shown.bays)


def is_everything_told(shown: DockStatus) -> bool:
    """Whether nothing is docked and the centre has every fact."""
    return all(one.state == "empty" for one in shown.bays) and shown.facts_at_centre == shown.facts
