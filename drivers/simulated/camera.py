"""A simulated camera as the dock sees it: identity, battery, clock and officer's number.

Knows what the keys of `camera.toml` mean for a docked camera. Must not know how folders are watched.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from dockd.clock import Clock
from dockd.driver_api import DriverContext
from dockd.errors import ClockNotSettable, UnusableIdentity
from dockd.model.camera import BatteryReading, CameraIdentity, ClockReading
from dockd.model.ids import CameraId, OfficerNumber, camera_id
from drivers.simulated.card import SimulatedCard
from drivers.simulated.description import CameraDescription
from drivers.simulated.docked import DockedFolder
from drivers.simulated.read_path import Cable

DRIVER_NAME = "simulated"
_TIMEOUT_SECONDS = 10.0


class SimulatedCamera:
    """`Camera` on a docked folder."""

    def __init__(self, docked: DockedFolder, context: DriverContext) -> None:
        """`docked` is open."""
        self._docked = docked
        self.battery = SimulatedBattery(docked, context.clock)
        self.clock = SimulatedClock(docked, context)
        self.assignment = SimulatedAssignment(docked, context)
        self.lights = None
        self.storage = SimulatedCard(docked, Cable(docked), _id_or_none(docked.description), context)

    async def identify(self) -> CameraIdentity:
        self._docked.check_present()
        description = self._docked.description
        return CameraIdentity(
            camera=camera_id(DRIVER_NAME, description.serial),
            maker=description.maker,
            model=description.model,
            firmware=description.firmware,
        )


class SimulatedBattery:
    """Rises with the time that the camera is open in its bay."""

    def __init__(self, docked: DockedFolder, clock: Clock) -> None:
        self._docked = docked
        self._clock = clock
        self._since_monotonic = clock.monotonic()
        self._percent_then = self._percent_in_file = docked.description.battery_percent
        self._was_charging = self._is_charging

    async def read(self) -> BatteryReading:
        self._docked.check_present()
        if not self._docked.description.has_battery_gauge:
            return BatteryReading(percent=None, is_charging=None)
        return BatteryReading(percent=int(self.percent), is_charging=self._is_charging)

    @property
    def percent(self) -> float:
        """Charge now."""
        description, now = self._docked.description, self._clock.monotonic()
        if self._was_charging:
            minutes = (now - self._since_monotonic) / 60
            self._percent_then = min(100.0, self._percent_then + minutes * description.charge_percent_per_minute)
        if description.battery_percent != self._percent_in_file:  # a person edited the file
            self._percent_then = self._percent_in_file = description.battery_percent
        self._since_monotonic, self._was_charging = now, self._is_charging
        return self._percent_then

    def save(self) -> None:
        """Write the charge back to the camera's file. Raises CameraGone, CardUnreadable."""
        percent = self._percent_in_file = round(self.percent, 3)
        self._docked.update(lambda _: {"battery_percent": percent})

    @property
    def _is_charging(self) -> bool:
        description = self._docked.description
        return description.is_charging and not description.faults.not_charging


class SimulatedClock:
    """Runs beside the host's clock at a kept offset."""

    def __init__(self, docked: DockedFolder, context: DriverContext) -> None:
        self._docked = docked
        self._context = context

    async def read(self) -> ClockReading:
        self._docked.check_present()
        offset = self._docked.description.clock_offset_milliseconds
        host_at = self._context.clock.now()
        return ClockReading(
            camera_at=host_at + timedelta(milliseconds=offset),
            host_at=host_at,
            offset_milliseconds=offset,
            uncertainty_milliseconds=1,
        )

    async def set(self, at: datetime) -> None:
        if self._docked.description.faults.clock_not_settable:
            raise ClockNotSettable("The camera did not take the time.")
        offset = round((at - self._context.clock.now()) / timedelta(milliseconds=1))
        await self._context.run_blocking(
            self._docked.update, lambda _: {"clock_offset_milliseconds": offset}, timeout_seconds=_TIMEOUT_SECONDS
        )


class SimulatedAssignment:
    """The officer's number in `camera.toml`."""

    def __init__(self, docked: DockedFolder, context: DriverContext) -> None:
        self._docked = docked
        self._context = context

    async def read(self) -> str | None:
        self._docked.check_present()
        return self._docked.description.officer

    async def write(self, officer: OfficerNumber | None) -> None:
        if self._docked.description.faults.assignment_not_kept:
            self._docked.check_present()
            return
        await self._context.run_blocking(
            self._docked.update, lambda _: {"officer": officer}, timeout_seconds=_TIMEOUT_SECONDS
        )


def _id_or_none(description: CameraDescription) -> CameraId | None:
    try:
        return camera_id(DRIVER_NAME, description.serial)
    except UnusableIdentity:
        return None
