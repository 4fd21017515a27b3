"""Making one docked camera fit for issue, and telling when it is: clock, assignment, battery, card.

Knows the capabilities of the camera that matter for issuing, the policy and the readiness rule. Footage
is none of its business; how many recordings are not yet safe it is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dockd.dock.bay_board import BayBoard
from dockd.dock.services import DockServices
from dockd.dock.stages.charge import ChargeWatch
from dockd.dock.stages.prepare import set_camera_clock, write_assignment
from dockd.driver_api import Camera
from dockd.errors import ClockNotSettable
from dockd.model import facts
from dockd.model.camera import BatteryReading
from dockd.model.ids import CameraId, SessionId
from dockd.rules.readiness import Condition, ReadinessPolicy, blockers


class Fitness:
    """Of one camera in one session."""

    def __init__(self, services: DockServices, session: SessionId, camera: Camera, board: BayBoard) -> None:
        self._services = services
        self._session = session
        self._camera = camera
        self._board = board
        self._is_clock_set: bool | None = None
        self._is_unassigned: bool | None = None

    async def prepare(self, camera: CameraId) -> None:
        """Set the clock and clear the last assignment, each read back.

        Raises ClockNotSettable, AssignmentNotWritten.
        """
        await self._set_clock(camera)
        if self._camera.assignment is not None:
            self._is_unassigned = await write_assignment(self._camera.assignment, None)

    async def read_battery(self, camera: CameraId) -> BatteryReading:
        """The battery now; a fact when it crosses what staff see."""
        reading = await self._camera.battery.read()
        if self._board.battery_crossed(reading):
            await self._services.journal.append(
                facts.BatteryRead(session=self._session, camera=camera, battery=reading)
            )
        return reading

    async def wait_until_ready(self, camera: CameraId, count_unsafe: Callable[[], Awaitable[int]]) -> None:
        """Return when the battery is full enough and nothing else blocks. Raises NotCharging."""
        policy = self._services.policy
        watch = ChargeWatch(policy.minimum_battery_percent, policy.not_charging_after_seconds)
        while True:
            battery = await self.read_battery(camera)
            is_full = watch.judge(battery, self._services.clock.monotonic())
            found = blockers(
                Condition(
                    unsafe_recordings=await count_unsafe(),
                    space=await self._camera.storage.measure(),
                    battery=battery,
                    is_clock_set=self._is_clock_set,
                    is_unassigned=self._is_unassigned,
                ),
                ReadinessPolicy(policy.minimum_battery_percent, policy.minimum_free_percent),
            )
            self._board.blocked(tuple(blocker.words for blocker in found))
            if is_full and not found:
                return
            await self._services.clock.sleep(policy.battery_interval_seconds)

    async def _set_clock(self, camera: CameraId) -> None:
        if self._camera.clock is None:
            return
        sync = self._services.clock.moment().clock_sync
        self._is_clock_set = False
        if not self._services.policy.may_set_camera_clock(sync):
            raise ClockNotSettable(f"This dock's own clock is {sync.value}, so it may not set a camera's clock.")
        reading = await set_camera_clock(self._camera, self._services.clock.now())
        self._is_clock_set = True
        if reading is not None:
            await self._services.journal.append(facts.ClockSet(session=self._session, camera=camera, reading=reading))
