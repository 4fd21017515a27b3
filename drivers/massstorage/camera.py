"""A mass-storage camera as the dock sees it: the async side of a mounted card.

Knows which work goes to the worker thread. Must not know how cards are mounted or laid out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from dockd.driver_api import Clearance, DriverContext, Listing, SourceReader
from dockd.errors import EraseFailed, UnusableIdentity
from dockd.model.camera import BatteryReading, CameraIdentity, ClockReading, SpaceReading
from dockd.model.ids import CameraId, OfficerNumber, camera_id
from dockd.model.recording import SourceFile
from drivers.massstorage.card_mount import CardMount
from drivers.massstorage.mounted_card import MountedCard
from drivers.massstorage.profile import AssignmentFile, ClockFile, Profile

DRIVER_NAME = "massstorage"

_LIST_TIMEOUT_SECONDS = 300.0
_ACT_TIMEOUT_SECONDS = 60.0


class MassStorageCamera:
    """`Camera` on a mounted volume."""

    lights = None

    def __init__(
        self,
        mount: CardMount,
        profile: Profile,
        context: DriverContext,
        *,
        untrusted_label: str | None,
        usb_serial: str | None,
    ) -> None:
        self._mount = mount
        self._profile = profile
        self._context = context
        self._untrusted_label = untrusted_label
        self._usb_serial = usb_serial
        self.battery = UnknownBattery()
        self.storage = MassStorage(mount, context, self._camera_id)
        self.clock = FileClock(mount, profile.clock, context) if profile.clock else None
        self.assignment = FileAssignment(mount, profile.assignment, context) if profile.assignment else None

    async def identify(self) -> CameraIdentity:
        camera = await self._context.run_blocking(self._camera_id, timeout_seconds=_ACT_TIMEOUT_SECONDS)
        return CameraIdentity(camera=camera, maker=self._profile.maker, model=self._profile.model)

    def _camera_id(self) -> CameraId:
        serial = self._mount.card.untrusted_serial(self._untrusted_label, self._usb_serial)
        if serial and len(set(serial.strip())) <= 1:
            raise UnusableIdentity(f"The camera gives {serial[:60]!r}, which many devices give, as its serial number.")
        return camera_id(DRIVER_NAME, serial)


class MassStorage:
    """`Storage` on a mounted volume."""

    def __init__(self, mount: CardMount, context: DriverContext, camera: Callable[[], CameraId]) -> None:
        self._mount = mount
        self._context = context
        self._camera = camera

    async def list(self) -> Listing:
        return await self._context.run_blocking(self._mount.card.list, timeout_seconds=_LIST_TIMEOUT_SECONDS)

    def open_reader(self, source: SourceFile) -> SourceReader:
        return self._mount.card.open_reader(source)

    @asynccontextmanager
    async def erasing(self) -> AsyncIterator[MassStorageEraser]:
        camera = await self._context.run_blocking(self._camera, timeout_seconds=_ACT_TIMEOUT_SECONDS)
        async with self._mount.writable() as card:
            eraser = MassStorageEraser(card, camera, self._context)
            try:
                yield eraser
            finally:
                eraser.end()

    async def measure(self) -> SpaceReading:
        return await self._context.run_blocking(self._mount.card.measure, timeout_seconds=_ACT_TIMEOUT_SECONDS)


class MassStorageEraser:
    """`Eraser`, while the volume is writable."""

    def __init__(self, card: MountedCard, camera: CameraId, context: DriverContext) -> None:
        self._card: MountedCard | None = card
        self._camera = camera
        self._context = context

    async def erase(self, clearance: Clearance) -> None:
        if self._card is None:
            raise EraseFailed("The card is protected again.")
        await self._context.run_blocking(
            self._card.erase, clearance, self._camera, timeout_seconds=_ACT_TIMEOUT_SECONDS
        )

    def end(self) -> None:
        """The card is about to be protected; this permission to write is over."""
        self._card = None


class UnknownBattery:
    """A disk does not tell how full its battery is."""

    async def read(self) -> BatteryReading:
        return BatteryReading(percent=None, is_charging=None)


class FileClock:
    """A file from which the camera takes its time when it next starts."""

    def __init__(self, mount: CardMount, file: ClockFile, context: DriverContext) -> None:
        self._mount = mount
        self._file = file
        self._context = context

    async def read(self) -> ClockReading | None:
        return None

    async def set(self, at: datetime) -> None:
        async with self._mount.writable() as card:
            await self._context.run_blocking(card.write_clock, self._file, at, timeout_seconds=_ACT_TIMEOUT_SECONDS)


class FileAssignment:
    """A file that holds the officer's number."""

    def __init__(self, mount: CardMount, file: AssignmentFile, context: DriverContext) -> None:
        self._mount = mount
        self._file = file
        self._context = context

    async def read(self) -> str | None:
        return await self._context.run_blocking(
            self._mount.card.read_officer, self._file, timeout_seconds=_ACT_TIMEOUT_SECONDS
        )

    async def write(self, officer: OfficerNumber | None) -> None:
        self._file.render(officer)  # refuse a number that does not fit before the card is opened for writing
        async with self._mount.writable() as card:
            await self._context.run_blocking(
                card.write_officer, self._file, officer, timeout_seconds=_ACT_TIMEOUT_SECONDS
            )
