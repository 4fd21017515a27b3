"""The stage of `dockd demo`: a folder with a centre, a dock, bays, cameras with footage, and two processes.

Makes what an administrator would make by hand, with the same commands: `dockd central init`, two
configuration files, `dockd central run`, `dockd run`. Knows drivers only by their entry points.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from dockd.errors import NotFound, PortInUse, ServiceFailed

DOCK_ID = "demo-dock"
_DICE = random.SystemRandom()
_FIRST_PORT = 10_000
_STOP_SECONDS = 25.0
_CLIP_BYTES = 4_000_000
_USUAL_SPEED = 3_000_000
_SLOW_SPEED = 1_200_000


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What to show. `pulled` is the index of the camera that is taken out in the middle of its copy."""

    cameras: int
    clips: int
    seed: int
    dock_port: int
    centre_port: int

    @property
    def truncated(self) -> int:
        """Index of the camera whose last recording ends in the middle."""
        return min(1, self.cameras - 1)

    @property
    def pulled(self) -> int:
        """Index of the camera that is pulled mid-copy."""
        return min(2, self.cameras - 1)


@dataclass(frozen=True, slots=True)
class DemoSite:
    """The folders of one demonstration."""

    root: Path
    plan: DemoPlan

    @property
    def bays(self) -> Path:
        """Folder of the folder bays."""
        return self.root / "bays"

    @property
    def shelf(self) -> Path:
        """Where cameras lie that are not docked."""
        return self.root / "shelf"

    @property
    def dock_url(self) -> str:
        """Address of the dock's page."""
        return f"http://127.0.0.1:{self.plan.dock_port}"

    @property
    def centre_url(self) -> str:
        """Address of the centre."""
        return f"http://127.0.0.1:{self.plan.centre_port}"

    def serial(self, index: int) -> str:
        """Serial number of the camera with this index."""
        return f"BWC{index + 1:04}"

    def bay(self, index: int) -> Path:
        """The bay folder with this index; there is one more than cameras."""
        return self.bays / str(index + 1)

    def is_built(self) -> bool:
        """Whether an earlier demonstration was kept here."""
        return (self.root / "dock.toml").exists()

    async def build(self) -> None:
        """Make everything. Raises what the commands raise."""
        await self.build_empty()
        await asyncio.to_thread(self._make_cameras)

    async def build_empty(self) -> None:
        """Make bays, centre and configuration, but no cameras. Raises what the commands raise."""
        for index in range(self.plan.cameras + 1):
            self.bay(index).mkdir(parents=True, exist_ok=True)
        self.shelf.mkdir(exist_ok=True)
        await _run(["central", "init", "--folder", str(self.root / "centre")])
        self.write_configuration()

    def write_configuration(self) -> None:
        """Write both configuration files, with the ports of this run."""
        pinned = json.loads((self.root / "centre" / "pinned-store.json").read_text(encoding="utf-8"))
        (self.root / "centre.toml").write_text(self._centre_toml(), encoding="utf-8")
        (self.root / "dock.toml").write_text(self._dock_toml(pinned), encoding="utf-8")

    def _make_cameras(self) -> None:
        make = _camera_maker()
        dice = random.Random(self.plan.seed)  # noqa: S311 - a story to be told again with the same seed, not a secret
        seeds = [dice.randrange(2**31) for _ in range(self.plan.cameras)]

        def make_one(index: int) -> None:
            make(
                self.shelf / self.serial(index),
                serial=self.serial(index),
                seed=seeds[index],
                clips=self.plan.clips,
                size_bytes=_CLIP_BYTES,
                read_bytes_per_second=_SLOW_SPEED if index == self.plan.pulled else _USUAL_SPEED,
                is_last_truncated=index == self.plan.truncated,
                prefer_ffmpeg=True,
            )

        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(make_one, range(self.plan.cameras)))

    def _centre_toml(self) -> str:
        return f"""\
# The centre of this demonstration: SQLite and a folder.
[central]
folder = {_quoted(self.root / "centre")}
host = "127.0.0.1"
port = {self.plan.centre_port}
free_space_floor_bytes = 500_000_000
"""

    def _dock_toml(self, pinned: dict[str, str]) -> str:
        return f"""\
# The dock of this demonstration: folders instead of USB ports.
[dock]
id = "{DOCK_ID}"
site = "Demonstration"
state_folder = {_quoted(self.root / "dock")}

[staging]
folder = {_quoted(self.root / "staging")}
floor_bytes = 500_000_000

[centre]
url = "{self.centre_url}"
store = {_quoted(pinned["store"])}
key = {_quoted(pinned["key"])}
public_key = {_quoted(pinned["public_key"])}

[reporter]
# Somebody watches; a force's docks gather for longer, to spare the centre.
heartbeat_seconds = 2
gather_seconds = 0.2

[kiosk]
port = {self.plan.dock_port}

[usb]
is_enabled = false

[policy]
retry_seconds = [2, 5, 10]
# Only because a demonstration must also run where no time service does; see docs/configuration.md.
set_clock_from_unsynchronised_host = true
when_host_cannot_tell = "set"

[drivers.simulated]
bays_folder = {_quoted(self.bays)}
"""


class DemoProcesses:
    """The centre and the dock as processes of their own, with their logs in the demonstration's folder."""

    def __init__(self, site: DemoSite) -> None:
        self._site = site
        self._running: list[tuple[str, Process]] = []

    @property
    def process_ids(self) -> dict[str, int]:
        """Of `centre` and `dock`."""
        return {name: process.pid for name, process in self._running}

    async def start(self) -> None:
        """Start both; each must answer before the next begins. Raises ServiceFailed with the end of its log."""
        await self._start("centre", ["central", "run"], self._site.plan.centre_port)
        await self._start("dock", ["run"], self._site.plan.dock_port)

    async def stop(self) -> None:
        """Stop both, the dock first, as an administrator would; kill what has not left in time."""
        for _, process in reversed(self._running):
            if process.returncode is None:
                process.terminate()
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    def check(self) -> None:
        """Raises ServiceFailed when one of them has ended."""
        for name, process in self._running:
            if process.returncode is not None:
                raise ServiceFailed(f"The {name} has ended with status {process.returncode}: {self._end_of_log(name)}")

    async def _start(self, name: str, verb: Sequence[str], port: int) -> None:
        with (self._site.root / f"{name}.log").open("ab") as log_file:
            process = await asyncio.create_subprocess_exec(
                *_dockd(),
                *verb,
                "--config",
                str(self._site.root / f"{name}.toml"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,  # Ctrl-C in the terminal reaches the demonstration alone, which then stops both
            )
        self._running.append((name, process))
        while not await _listens(port):
            self.check()
            await asyncio.sleep(0.05)

    def _end_of_log(self, name: str) -> str:
        lines = (self._site.root / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return " / ".join(lines[-4:])


def free_port(wanted: int) -> int:
    """`wanted`, or (0) one that is free and that the system gives to nobody by itself, so that it stays free.

    Raises PortInUse when `wanted` is taken.
    """
    while True:
        port = wanted or _DICE.choice(_quiet_ports())
        with socket.socket() as probe:
            if wanted:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if wanted:
                    raise PortInUse(
                        f"Port {wanted} is in use.",
                        action="Choose another with --port, or --port 0 for any free one.",
                    ) from error
            else:
                return port


def _quiet_ports() -> range:
    """Ports that the kernel takes for no connection to elsewhere (ip(7), ip_local_port_range); all, if it takes all."""
    first_given_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    return range(_FIRST_PORT, first_given_out) or range(_FIRST_PORT, 1 << 16)


def _camera_maker() -> Callable[..., Any]:
    for point in entry_points(group="dockd.demo"):
        found: Callable[..., Any] = point.load()
        return found
    raise NotFound("No installed driver can make cameras for a demonstration.", action="Install the package anew.")


def _dockd() -> tuple[str, ...]:
    return (sys.executable, "-m", "dockd")


async def _run(verb: Sequence[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *_dockd(), *verb, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise ServiceFailed(f"dockd {' '.join(verb[:2])} failed: {output.decode('utf-8', 'replace').strip()}")


async def _listens(port: int) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True
    return False


def _quoted(value: object) -> str:
    return json.dumps(str(value))
