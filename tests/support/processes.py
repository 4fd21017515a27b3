"""Docks and centres as real processes over a simulated station: start, wait until they answer, kill, look.

Nothing of the program is replaced and nothing is asked of it but what everybody may ask: its page's API,
its log, its exit status. Whoever started a process here ends it, by its id, also when the test fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from dockd.central.app import initialise_centre
from dockd.central.config import CentreConfig
from dockd.config import CentralConfig, DockConfig, config_text
from dockd.rules.receipts import PinnedStore
from dockd.wire.messages import FactsTaken
from dockd.wire.status import BayStatus, DockStatus
from tests.support.dock_rig import DockRig

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.08
_LEAVE_SECONDS = 30.0


class Daemon:
    """One process. `ended` becomes its exit status, negative for a signal."""

    def __init__(self, pid: int, ended: asyncio.Future[int], log: Path) -> None:
        self.pid = pid
        self.log = log
        self._ended = ended
        self._log_begins_at = 0

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def kill(self) -> int:
        """SIGKILL, as a power cut would; returns the exit status."""
        return await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM, as systemd would; returns the exit status."""
        return await self._end(signal.SIGTERM)

    async def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for the end; returns the exit status."""
        try:
            return await asyncio.wait_for(asyncio.shield(self._ended), seconds)
        except TimeoutError:
            raise AssertionError(f"process {self.pid} did not end within {seconds:g} s\n{self.end_of_log()}") from None

    async def _end(self, how: signal.Signals) -> int:
        if self.status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, how)
        return await self.wait(_LEAVE_SECONDS)

    def told(self, event: str) -> dict[str, Any] | None:
        """The first log line of this process that tells `event`."""
        for line in self._lines():
            with suppress(ValueError):
                told = json.loads(line)
                if isinstance(told, dict) and told.get("event") == event:
                    return told
        return None

    def end_of_log(self, lines: int = 12) -> str:
        """For messages."""
        return "\n".join(self._lines()[-lines:])

    def skip_log(self, size_bytes: int) -> None:
        """What an earlier process wrote to the same file is not this one's."""
        self._log_begins_at = size_bytes

    def _lines(self) -> list[str]:
        if not self.log.exists():
            return []
        return self.log.read_bytes()[self._log_begins_at :].decode("utf-8", "replace").splitlines()


class Launcher(Protocol):
    """Starts `python -m MODULE ARGUMENTS` with its output appended to `log`."""

    async def launch(self, module: str, *arguments: str, log: Path) -> Daemon: ...


class PlainLauncher:
    """Starts a new interpreter for every process, as an administrator does."""

    def __init__(self) -> None:
        self._running: list[tuple[Daemon, asyncio.Task[int]]] = []

    async def launch(self, module: str, *arguments: str, log: Path) -> Daemon:
        begins_at = log.stat().st_size if log.exists() else 0
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, *arguments),
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        ended = asyncio.create_task(process.wait())
        daemon = Daemon(process.pid, ended, log)
        daemon.skip_log(begins_at)
        self._running.append((daemon, ended))
        return daemon

    async def close(self) -> None:
        """Kill whatever still runs."""
        for daemon, _ in self._running:
            await daemon.kill()


class Nursery:
    """Starts processes in no time; see `tests/support/nursery.py`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._started: asyncio.Queue[tuple[int, asyncio.Future[int]]] = asyncio.Queue()
        self._running: dict[int, asyncio.Future[int]] = {}
        self._asking = asyncio.Lock()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls) -> Nursery:
        """Start it; returns when it is ready."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.nursery"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        nursery = cls(process)
        await asyncio.wait_for(nursery._started.get(), PATIENCE_SECONDS)
        return nursery

    async def launch(self, module: str, *arguments: str, log: Path) -> Daemon:
        begins_at = log.stat().st_size if log.exists() else 0
        request = {"module": module, "arguments": list(arguments), "log": str(log)}
        async with self._asking:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            pid, ended = await asyncio.wait_for(self._started.get(), PATIENCE_SECONDS)
        daemon = Daemon(pid, ended, log)
        daemon.skip_log(begins_at)
        return daemon

    async def close(self) -> None:
        """End it; it kills what it started and is still there."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "started" in told:
                pid = told["started"]
                self._running[pid] = asyncio.get_running_loop().create_future()
                self._started.put_nowait((pid, self._running[pid]))
            else:
                self._running.pop(told["ended"]).set_result(told["status"])


@asynccontextmanager
async def launching(launcher: PlainLauncher | Nursery) -> AsyncIterator[Launcher]:
    """Nothing that was launched inside the block outlives it."""
    try:
        yield launcher
    finally:
        await launcher.close()


def quiet_port() -> int:
    """A free port that the system gives to nobody by itself, so that a daemon can come back to it."""
    first_given_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    dice = random.SystemRandom()
    while True:
        port = dice.randrange(10_000, first_given_out)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


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
        config = self.folder.parent / "centre.toml"
        config.write_text(config_text(CentralConfig(central=section), changed_only=True), encoding="utf-8")
        log = self.folder.parent / "centre.log"
        self.daemon = await self.launcher.launch("dockd", "central", "run", "--config", str(config), log=log)
        return self.daemon

    async def start(self) -> Daemon:
        """Start it and wait until it serves."""
        daemon = await self.launch()
        await until(
            lambda: daemon.told("centre_serving") or daemon.status is not None,
            lambda: f"the centre to serve\n{daemon.end_of_log()}",
        )
        assert daemon.status is None, f"the centre ended with {daemon.status}\n{daemon.end_of_log()}"
        return daemon

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
        quick = {"uploader": {"longest_retry_seconds": 2.0}, "reporter": {"longest_retry_seconds": 2.0}}
        return StationProcess(rig, self.centre.launcher, {**quick, **sections})


def is_ready(bay: int) -> Callable[[DockStatus], bool]:
    """Whether the camera in this bay is ready."""
    return lambda shown: any(one.bay == f"bay-{bay}" and one.state == "ready" for one in shown.bays)


def is_everything_told(shown: DockStatus) -> bool:
    """Whether nothing is docked and the centre has every fact."""
    return all(one.state == "empty" for one in shown.bays) and shown.facts_at_centre == shown.facts
