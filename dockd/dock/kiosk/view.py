"""What the page asks of the dock: a picture, a way to wait for the next one, and three actions."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from dockd.model.ids import BayId, CameraId, OfficerNumber
from dockd.web.sse import Changes
from dockd.wire.status import DockStatus

__all__ = ["Changes", "DockActions", "DockView", "Issued"]


class DockView(Protocol):
    """The dock as it is now."""

    def snapshot(self) -> DockStatus:
        """The whole dock at this moment; cheap, from memory."""

    def changes(self) -> AbstractContextManager[Changes]:
        """Wait for the next change: `wait` returns when anything changed since the last wait."""


@dataclass(frozen=True, slots=True)
class Issued:
    """The camera that an officer is to take, and where it is. `battery_percent` None: not known."""

    bay: BayId
    camera: CameraId
    officer: OfficerNumber
    battery_percent: int | None


class DockActions(Protocol):
    """What a person at the page may do."""

    async def issue(self, officer: OfficerNumber) -> Issued:
        """Choose a READY camera and write the assignment. Raises NothingReady, AlreadyHolding, BadRequest."""

    async def release(self, bay: BayId) -> None:
        """A person has looked at a HELD bay: go on from the beginning. Raises NotFound, BadRequest."""

    async def cancel_issue(self, bay: BayId) -> None:
        """The promised camera is not taken after all. Raises NotFound, BadRequest."""
