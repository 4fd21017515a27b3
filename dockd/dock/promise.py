"""Giving one READY camera to an officer, and what becomes of that promise.

Undocking confirms it and begins the interval; docking ends the interval; a fault or a person may
withdraw it. Writes the facts; which camera is chosen is `dock/issuing.py`'s business.
"""

from __future__ import annotations

from datetime import datetime

from dockd.dock.bay_board import BayBoard
from dockd.dock.journal.assigning import AssignmentState
from dockd.dock.services import DockServices
from dockd.dock.stages.prepare import write_assignment
from dockd.driver_api import Camera
from dockd.errors import DockdError
from dockd.model import facts
from dockd.model.ids import BayId, CameraId, OfficerNumber, SessionId


class Promise:
    """The promise of one docked camera: none, or one officer."""

    def __init__(self, services: DockServices, session: SessionId, bay: BayId, camera: Camera, board: BayBoard) -> None:
        self._services = services
        self._session = session
        self._bay = bay
        self._camera = camera
        self._board = board
        self._assignment: str | None = None
        self.officer: OfficerNumber | None = None

    async def make(self, assignment: str, camera: CameraId, officer: OfficerNumber) -> bool:
        """Promise the camera: intent, write, read back, done. Returns whether the camera keeps the number.

        Raises AssignmentNotWritten, CameraGone, DriverTimeout; then the assignment is cancelled.
        """
        self.officer = officer  # taken at once, so that nobody else is offered this camera meanwhile
        journal = self._services.journal
        await journal.append(
            facts.AssignmentIntended(
                assignment=assignment, session=self._session, bay=self._bay, camera=camera, officer=officer
            )
        )
        try:
            is_on_camera = await write_assignment(self._camera.assignment, officer)
        except DockdError as error:
            self.officer = None
            await journal.append(facts.AssignmentCancelled(assignment=assignment, reason=error.what))
            raise
        await journal.append(
            facts.AssignmentWritten(assignment=assignment, session=self._session, is_on_camera=is_on_camera)
        )
        self._assignment = assignment
        self._board.promise(officer)
        return is_on_camera

    async def withdraw(self, reason: str) -> None:
        """Take the promise back and clear the number from the camera. Raises as `make`."""
        if self._assignment is None:
            return
        await self._services.journal.append(facts.AssignmentCancelled(assignment=self._assignment, reason=reason))
        self._assignment = None
        self.officer = None
        self._board.promise(None)
        await write_assignment(self._camera.assignment, None)

    def taken(self, camera: CameraId) -> list[facts.Fact]:
        """The camera left while it was READY: the officer took it, the interval begins now."""
        if self._assignment is None or self.officer is None:
            return []
        return [
            facts.AssignmentStarted(
                assignment=self._assignment,
                camera=camera,
                officer=self.officer,
                started_at=self._services.clock.now(),
            )
        ]

    async def settle_earlier(self, camera: CameraId, *, docked_at: datetime, has_footage: bool) -> None:
        """Close what an earlier session of this camera left open.

        A started interval ends at `docked_at`. A promise that was written but never seen taken (the dock was down
        at that moment) is believed when the camera comes back with footage, from the time of
        the promise; else it is cancelled.
        """
        earlier = await self._services.journal.open_assignment_of(camera)
        if earlier is None:
            return
        closing: list[facts.Fact] = []
        started_at = earlier.started_at
        if earlier.state is AssignmentState.WRITTEN and has_footage:
            started_at = earlier.began_at
            closing.append(
                facts.AssignmentStarted(
                    assignment=earlier.assignment, camera=camera, officer=earlier.officer, started_at=started_at
                )
            )
        if started_at is not None:
            closing.append(
                facts.AssignmentEnded(
                    assignment=earlier.assignment, camera=camera, officer=earlier.officer, ended_at=docked_at
                )
            )
        else:
            closing.append(
                facts.AssignmentCancelled(
                    assignment=earlier.assignment, reason="the camera was not seen to leave and holds no footage"
                )
            )
        await self._services.journal.append(*closing)
