"""Ask a camera who it is, how full its battery and card are, and what its clock says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from dockd.driver_api import Camera
from dockd.model.camera import BatteryReading, CameraIdentity, ClockReading, SpaceReading


@dataclass(frozen=True, slots=True)
class Identified:
    """What the camera said, before anything was read from its card or set on it."""

    identity: CameraIdentity
    battery: BatteryReading
    space: SpaceReading
    clock: ClockReading | None
    """None where the camera has no clock, or one that cannot be read."""

    @property
    def clock_offset(self) -> timedelta | None:
        """Camera minus host."""
        return timedelta(milliseconds=self.clock.offset_milliseconds) if self.clock else None


async def identify(camera: Camera) -> Identified:
    """Return what `camera` says of itself.

    The clock is measured first: every later question would only make the offset less certain. Raises
    UnusableIdentity, CameraGone, DriverTimeout, CardUnreadable.
    """
    clock = await camera.clock.read() if camera.clock is not None else None
    return Identified(
        identity=await camera.identify(),
        battery=await camera.battery.read(),
        space=await camera.storage.measure(),
        clock=clock,
    )
