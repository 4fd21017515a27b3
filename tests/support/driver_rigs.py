"""Rigs: each driver with a camera that needs no hardware, and a hand that pulls its cable.

A rig gives the conformance suite a configured driver, a port, a context made of the production parts,
and the card's folder as the camera itself would see it. Another driver joins the suite by adding its rig
to `RIGS`.
"""

from __future__ import annotations

import asyncio
import errno
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from dockd.dock.driver_context import NoPortEvents, PortEvents, SessionDriverContext
from dockd.dock.worker import CameraThread
from dockd.driver_api import Camera, Driver, Privilege, SourceReader, Volume
from dockd.errors import CameraGone, CardUnreadable
from dockd.model.camera import Port, SpaceReading
from dockd.model.recording import SourceFile
from drivers.massstorage.driver import MassStorageDriver
from drivers.simulated import CameraDescription, SimulatedDriver, make_camera_folder
from tests.support.clock import ManualClock

T = TypeVar("T")

CARD_SIZE_BYTES = 64_000_000_000


class Rig(ABC):
    """One camera in one port of its driver."""

    keeps_assignment = True
    reads_clock = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.thread = CameraThread("rig")

    driver: Driver
    port: Port

    @property
    @abstractmethod
    def card(self) -> Path:
        """The card's files, wherever they are mounted now."""

    @abstractmethod
    def unplug(self) -> None:
        """Pull the cable."""

    @abstractmethod
    def plug_in(self) -> None:
        """Put it back: the same camera in the same port, another docking."""

    @property
    def privilege(self) -> Privilege:
        return NoPrivilege()

    @property
    def events(self) -> PortEvents:
        return NoPortEvents()

    @property
    def open_mounts(self) -> int:
        """Volumes that are mounted."""
        return 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Camera]:
        context = SessionDriverContext(
            clock=self.clock, privilege=self.privilege, port=self.port, thread=self.thread, events=self.events
        )
        async with self.driver.open(self.port, context) as camera:
            yield camera

    async def blocking(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run a reader's call where the offload runs it."""
        return await self.thread.run_blocking(work, *arguments, timeout_seconds=30)

    async def read(self, camera: Camera, source: SourceFile, *, start: int = 0, at_most: int | None = None) -> bytes:
        """The bytes of one recording through the driver."""
        return await self.blocking(_read_all, camera.storage.open_reader, source, start, at_most)

    def put(self, path: bytes, content: bytes = b"footage", *, modified_ns: int = 1_763_791_200_000_000_000) -> Path:
        """A file on the card; `path` is the names joined by a slash."""
        place = self.card / os.fsdecode(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        os.utime(place, ns=(modified_ns, modified_ns))
        return place

    def close(self) -> None:
        self.thread.close()


def _read_all(
    open_reader: Callable[[SourceFile], SourceReader], source: SourceFile, start: int, at_most: int | None
) -> bytes:
    reader = open_reader(source)
    try:
        wanted = source.size_bytes - start if at_most is None else at_most
        content, buffer = bytearray(), memoryview(bytearray(64 * 1024))
        while len(content) < wanted:
            count = reader.read_into(start + len(content), buffer[: wanted - len(content)])
            if count == 0:
                break
            content += buffer[:count]
        return bytes(content)
    finally:
        reader.close()


class NoPrivilege:
    """For drivers that need no privilege: every use is a failure."""

    async def set_block_read_only(self, device_node: Path, read_only: bool) -> None:
        raise AssertionError("this driver has no block device")

    async def mount(self, volume: Volume, *, read_only: bool) -> Path:
        raise AssertionError("this driver has nothing to mount")

    async def unmount(self, mount_point: Path) -> None:
        raise AssertionError("this driver has nothing to unmount")


class SimulatedRig(Rig):
    """A camera folder in a folder bay."""

    def __init__(self, folder: Path, **description: Any) -> None:
        super().__init__(folder)
        self._bays = folder / "bays"
        self._docked = self._bays / "1" / "cam"
        self._away = folder / "pocket"
        described = CameraDescription(serial="RIG-0001", **{"card_size_bytes": CARD_SIZE_BYTES, **description})
        make_camera_folder(self._away, described)
        (self._bays / "1").mkdir(parents=True)
        self.driver = SimulatedDriver()
        self.driver.configure({"bays_folder": str(self._bays)})
        self.port = Port(path="folder:1", node=str(self._docked), driver_hint="simulated")
        self.plug_in()

    @property
    def card(self) -> Path:
        place = self._docked if self._docked.exists() else self._away
        return place / "card"

    def unplug(self) -> None:
        self._docked.rename(self._away)

    def plug_in(self) -> None:
        self._away.rename(self._docked)


class MovingMounts:
    """A `Privilege` whose device is a directory and which mounts by moving it: nothing is reachable elsewhere.

    Like the kernel it refuses to mount a protected device for writing, and to mount it twice.
    """

    def __init__(self, device: Path, mounts: Path) -> None:
        self._device = device
        self._mounts = mounts
        self._count = 0
        self.mounted: Path | None = None
        self.is_read_only = False
        self.is_mounted_read_only = True
        self.history: list[str] = []

    async def set_block_read_only(self, device_node: Path, read_only: bool) -> None:
        assert device_node == self._device
        await asyncio.sleep(0)
        self.history.append("setro" if read_only else "setrw")
        self.is_read_only = read_only

    async def mount(self, volume: Volume, *, read_only: bool) -> Path:
        assert volume.device_node == self._device
        assert self.mounted is None, "mounted twice"
        if self.is_read_only and not read_only:
            raise CardUnreadable("mount: the device is write-protected.")
        await asyncio.sleep(0)
        assert read_only == self.is_read_only, "the block layer does not protect what is mounted read-only"
        self._count += 1
        self.mounted = self._mounts / str(self._count)
        self._device.rename(self.mounted)
        self.is_mounted_read_only = read_only
        self.history.append("mount ro" if read_only else "mount rw")
        return self.mounted

    async def unmount(self, mount_point: Path) -> None:
        assert mount_point == self.mounted
        await asyncio.sleep(0)
        mount_point.rename(self._device)
        self.mounted = None
        self.history.append("unmount")


class OneVolume:
    """`PortEvents` of a port on which a volume has appeared."""

    def __init__(self, volume: Volume, node: Path) -> None:
        self.present = volume
        self._node = node

    async def volume(self, port_path: str, *, timeout_seconds: float) -> Volume:
        if not self._node.exists():
            raise CameraGone("The camera is no longer connected.")
        return self.present

    async def expect_reenumeration(self, port_path: str, *, timeout_seconds: float) -> Port:
        raise AssertionError("a disk does not re-enumerate")


_FILES_PROFILE = """
name = "rig-files"
summary = "a camera with a clock file and an assignment file"
[recognised]
usb_ids = ["1234:5678"]
folders = ["DCIM"]
[footage]
roots = ["DCIM"]
patterns = ["*"]
[identity]
source = "file"
path = "SETUP/ID.TXT"
pattern = 'ID=(?P<serial>[A-Z0-9]+)'
[clock]
path = "SETUP/TIME.TXT"
format = "%Y%m%d%H%M%S"
[assignment]
path = "SETUP/OFFICER.TXT"
max_characters = 6
"""

_PLAIN_PROFILE = """
name = "dcim"
summary = "as shipped, but every name is footage"
[recognised]
folders = ["DCIM"]
is_for_empty_cards = true
[footage]
roots = ["DCIM"]
patterns = ["*"]
"""


class MassStorageRig(Rig):
    """A directory as the volume of a USB disk."""

    reads_clock = False
    keeps_assignment = False
    profile = _PLAIN_PROFILE
    usb_id = (0x0BDA, 0x0316)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._device, self._node = folder / "device", folder / "sysfs" / "1-1.3"
        (folder / "profiles").mkdir()
        (folder / "profiles" / "rig.toml").write_text(self.profile, encoding="utf-8")
        (folder / "mounts").mkdir()
        (self._device / "DCIM").mkdir(parents=True)
        self.room = MovingMounts(self._device, folder / "mounts")
        self.is_card_answering = True
        self.driver = MassStorageDriver(measure_room=self._measure, first_block=self._read_first_block)
        self.driver.configure({"profiles_folder": str(folder / "profiles")})
        vendor, product = self.usb_id
        self.port = Port(
            path="1-1.3",
            node=str(self._node),
            usb_vendor_id=vendor,
            usb_product_id=product,
            usb_interfaces=((8, 6, 80),),
            usb_serial="RIG0001",
        )
        self._arrivals = 0
        self.plug_in()

    def _read_first_block(self, device_node: Path) -> None:
        assert device_node == self._device
        if not self.is_card_answering:
            raise OSError(errno.EIO, "Input/output error")

    @property
    def privilege(self) -> Privilege:
        return self.room

    @property
    def events(self) -> PortEvents:
        return OneVolume(Volume(self._device, "vfat", "NO NAME"), self._node)

    @property
    def open_mounts(self) -> int:
        return int(self.room.mounted is not None)

    @property
    def card(self) -> Path:
        return self.room.mounted or self._device

    def unplug(self) -> None:
        # Kept aside, so that its inode is not given to the next arrival: the kernel never does that either.
        self._arrivals += 1
        self._node.rename(self.folder / f"left-{self._arrivals}")

    def plug_in(self) -> None:
        self._node.mkdir(parents=True)

    def _measure(self, descriptor: int) -> SpaceReading:
        """Room by the files' sizes: the host's own file system is shared with everything else."""
        below = Path(f"/proc/self/fd/{descriptor}").resolve().rglob("*")
        used = sum(place.lstat().st_size for place in below if place.is_file() and not place.is_symlink())
        return SpaceReading(total_bytes=CARD_SIZE_BYTES, free_bytes=CARD_SIZE_BYTES - used)


class MassStorageFilesRig(MassStorageRig):
    """One whose profile names an identity, a clock and an assignment file."""

    keeps_assignment = True
    profile = _FILES_PROFILE
    usb_id = (0x1234, 0x5678)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.put(b"SETUP/ID.TXT", b"ID=BWC77\r\n")


RIGS: dict[str, Callable[[Path], Rig]] = {
    "simulated": SimulatedRig,
    "massstorage": MassStorageRig,
    "massstorage-files": MassStorageFilesRig,
}
