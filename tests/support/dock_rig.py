"""A whole dock in one process, over folders: the production daemon with simulated cameras.

Nothing is replaced: journal, staging, drivers, sessions, uploader and page are the real ones. A test
docks a camera by moving its folder, as a person would.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dockd.clock import SystemClock
from dockd.dock.app import RunningDock, run_dock
from dockd.dock.disk import Disk
from dockd.dock.kiosk.config import KioskConfig
from dockd.dock.policy import DockSection, PolicyConfig, WhenHostCannotTell
from dockd.dock.privilege import PrivilegeConfig
from dockd.dock.sections import CentreConfig, ReporterConfig, UploaderConfig
from dockd.dock.staging import StagingConfig
from dockd.dock.transfer.settings import CopySettings
from dockd.dock.usb_policy import UsbConfig
from dockd.rules.receipts import PinnedStore
from dockd.wire.status import BayStatus
from drivers.simulated import CameraDescription, Faults, make_camera_folder
from tests.support.oracle import Oracle

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class RigSettings:
    """Sections as the configuration file would give them; short times, so that tests need not wait."""

    dock: DockSection
    policy: PolicyConfig
    staging: StagingConfig
    copying: CopySettings
    centre: CentreConfig
    uploader: UploaderConfig
    reporter: ReporterConfig
    kiosk: KioskConfig
    usb: UsbConfig
    privilege: PrivilegeConfig
    drivers: Mapping[str, Mapping[str, Any]]


@dataclass
class DockRig:
    """Folders, settings and the judge of one simulated station."""

    root: Path
    centre_url: str
    pinned: PinnedStore
    store: Path
    bay_count: int = 3
    dock_id: str = "dock-1"
    policy: dict[str, Any] = field(default_factory=dict)
    copying: dict[str, Any] = field(default_factory=dict)
    staging: dict[str, Any] = field(default_factory=dict)
    clock: Any = field(default_factory=SystemClock)
    disk: Disk | None = None
    running: RunningDock | None = None

    def __post_init__(self) -> None:
        for number in range(1, self.bay_count + 1):
            self.bay(number).mkdir(parents=True, exist_ok=True)
        self.shelf.mkdir(exist_ok=True)
        self.oracle = Oracle(
            card_folders=[self.bays, self.shelf],
            staging=self.root / "staging",
            store=self.store,
            journal=self.root / "state" / "journal" / "journal.sqlite3",
        )

    @property
    def bays(self) -> Path:
        return self.root / "bays"

    @property
    def shelf(self) -> Path:
        return self.root / "shelf"

    def bay(self, number: int) -> Path:
        return self.bays / f"bay-{number}"

    def settings(self) -> RigSettings:
        """What the configuration file says."""
        return RigSettings(
            dock=DockSection(id=self.dock_id, site="Test station", state_folder=str(self.root / "state")),
            policy=PolicyConfig(
                **{
                    "retry_seconds": (1,),
                    "set_clock_from_unsynchronised_host": True,
                    "when_host_cannot_tell": WhenHostCannotTell.SET,
                    "not_charging_after_seconds": 5,
                    "battery_interval_seconds": 0.5,
                    **self.policy,
                }
            ),
            staging=StagingConfig(**{"folder": str(self.root / "staging"), "floor_bytes": 1_000_000, **self.staging}),
            copying=CopySettings(**{"checkpoint_interval_seconds": 0.2, **self.copying}),
            centre=CentreConfig(
                url=self.centre_url,
                store=self.pinned.store,
                key=self.pinned.key,
                public_key=self.pinned.public_key,
            ),
            uploader=UploaderConfig(longest_retry_seconds=2.0),
            reporter=ReporterConfig(heartbeat_seconds=1.0, gather_seconds=0.0),
            kiosk=KioskConfig(port=0),
            usb=UsbConfig(is_enabled=False),
            privilege=PrivilegeConfig(mount_folder=str(self.root / "mounts")),
            drivers={"simulated": {"bays_folder": str(self.bays)}},
        )

    # --- cameras ------------------------------------------------------------------------------

    def camera(
        self,
        serial: str,
        files: Mapping[str, bytes],
        *,
        faults: Faults | None = None,
        **description: Any,
    ) -> Path:
        """Make a camera on the shelf with `files` (card-relative names) and remember them."""
        described = CameraDescription(serial=serial, faults=faults or Faults(), **description)
        card = make_camera_folder(self.shelf / serial, described)
        for name, content in files.items():
            path = card / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.oracle.remember(self.shelf / serial)
        return self.shelf / serial

    def dock(self, camera: str, bay: int) -> None:
        """Put a camera from the shelf into a bay."""
        (self.shelf / camera).rename(self.bay(bay) / camera)

    def undock(self, camera: str, bay: int) -> None:
        """Pull it out again."""
        (self.bay(bay) / camera).rename(self.shelf / camera)

    def lose_copies(self) -> None:
        """The staging disk forgets every copy, as when another disk was put in."""
        copies = [path for path in (self.root / "staging").rglob("*") if path.is_file()]
        assert copies, "there is no copy to lose"
        for path in copies:
            path.unlink()

    # --- the daemon ---------------------------------------------------------------------------

    @asynccontextmanager
    async def run(self) -> AsyncIterator[RunningDock]:
        """Run the daemon for the length of the block; what ends it early is raised here."""
        stop = asyncio.Event()
        started: asyncio.Future[RunningDock] = asyncio.get_running_loop().create_future()
        daemon = asyncio.create_task(run_dock(self.settings(), self.clock, stop, started.set_result, disk=self.disk))
        await asyncio.wait({daemon, started}, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            await daemon
        self.running = started.result()
        try:
            yield self.running
        finally:
            self.running = None
            stop.set()
            await daemon

    def status(self, bay: int) -> BayStatus:
        """One bay as the page shows it."""
        assert self.running is not None
        for one in self.running.desk.snapshot().bays:
            if one.bay == f"bay-{bay}":
                # A reason without the state that goes with it would put the wrong word on the tile.
                assert (one.code is not None) == (one.state in ("held", "faulted")), one
                return one
        raise LookupError(f"bay-{bay} is not on the page")

    async def until(self, holds: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for an event that the board tells of; fails with the board when it does not come."""
        assert self.running is not None
        with self.running.desk.changes() as changes:
            try:
                async with asyncio.timeout(seconds):
                    while not self._holds(holds):
                        await changes.wait()
            except TimeoutError:
                bays = "\n".join(f"{b.bay}: {b.state} {b.words}" for b in self.running.desk.snapshot().bays)
                raise AssertionError(f"waited {seconds:g} s for: {what}\n{bays}") from None

    @staticmethod
    def _holds(holds: Callable[[], bool]) -> bool:
        try:
            return holds()
        except LookupError:
            return False

    async def until_state(self, bay: int, state: str, seconds: float = PATIENCE_SECONDS) -> BayStatus:
        """Wait until the session in `bay` is in `state`."""
        await self.until(lambda: self.status(bay).state == state, f"bay-{bay} {state}", seconds)
        return self.status(bay)

    def is_copying(self, bay: int) -> bool:
        """Whether bytes of the camera in `bay` are on their way to the staging disk."""
        shown = self.status(bay)
        return shown.state == "offloading" and shown.progress is not None and shown.progress.done_bytes > 0
