"""Make a wiped camera fit for its next officer: clock set and read back, old assignment removed."""

from __future__ import annotations

from datetime import datetime, timedelta

from dockd.driver_api import AssignmentSlot, Camera
from dockd.errors import AssignmentNotWritten, ClockNotSettable
from dockd.model.camera import ClockReading
from dockd.model.ids import OfficerNumber

CLOCK_TOLERANCE = timedelta(seconds=2)
"""A FAT time stamp has a resolution of two seconds; a camera clock within it counts as set."""


async def set_camera_clock(camera: Camera, now: datetime) -> ClockReading | None:
    """Set the camera's clock to `now` (aware, UTC) and return the read-back.

    None where the camera has no clock or one that cannot be read back. The offset was measured and
    recorded before. Raises ClockNotSettable when the read-back is off by more than the tolerance.
    """
    if camera.clock is None:
        return None
    await camera.clock.set(now)
    reading = await camera.clock.read()
    if reading is None:
        return None
    allowed = CLOCK_TOLERANCE + timedelta(milliseconds=reading.uncertainty_milliseconds)
    if abs(timedelta(milliseconds=reading.offset_milliseconds)) > allowed:
        raise ClockNotSettable(
            f"The camera's clock was set but is {reading.offset_milliseconds} milliseconds away from the dock's."
        )
    return reading


async def write_assignment(slot: AssignmentSlot | None, officer: OfficerNumber | None) -> bool:
    """Write (None: clear) the officer's number, read it back and compare.

    Returns False where the camera keeps no number. Raises AssignmentNotWritten.
    """
    if slot is None:
        return False
    await slot.write(officer)
    untrusted_read_back = await slot.read()
    if (untrusted_read_back or None) != officer:
        wanted = f"officer {officer}" if officer else "no officer"
        raise AssignmentNotWritten(f"The camera was told it belongs to {wanted}, but it did not keep that.")
    return True
