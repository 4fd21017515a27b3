"""One session's view of the dock, for its driver: time, the small room, a worker thread, its own port's events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from dockd.clock import Clock
from dockd.dock.worker import CameraThread
from dockd.driver_api import Privilege, Volume
from dockd.errors import DriverTimeout
from dockd.model.camera import Port

T = TypeVar("T")


class PortEvents(Protocol):
    """What the USB watcher tells about one port."""

    async def volume(self, port_path: str, *, timeout_seconds: float) -> Volume:
        """Wait for a file system on the port. Raises DriverTimeout, CameraGone."""

    async def expect_reenumeration(self, port_path: str, *, timeout_seconds: float) -> Port:
        """Wait until the device left and came back. Raises DriverTimeout, ForbiddenDevice, CameraGone."""


class NoPortEvents:
    """For ports that are not USB ports: no volume ever appears on them."""

    async def volume(self, port_path: str, *, timeout_seconds: float) -> Volume:
        """Raises DriverTimeout at once."""
        raise DriverTimeout(f"{port_path} is not a USB port; no disk can appear there within {timeout_seconds:g} s.")

    async def expect_reenumeration(self, port_path: str, *, timeout_seconds: float) -> Port:
        """Raises DriverTimeout at once."""
        raise DriverTimeout(f"{port_path} is not a USB port; nothing restarts there within {timeout_seconds:g} s.")


@dataclass(frozen=True, slots=True)
class SessionDriverContext:
    """Implements `driver_api.DriverContext` for one port."""

    clock: Clock
    privilege: Privilege
    port: Port
    thread: CameraThread
    events: PortEvents

    async def run_blocking(self, work: Callable[..., T], *arguments: Any, timeout_seconds: float) -> T:
        """As `CameraThread.run_blocking`."""
        return await self.thread.run_blocking(work, *arguments, timeout_seconds=timeout_seconds)

    async def volume(self, *, timeout_seconds: float) -> Volume:
        """As `PortEvents.volume`, for this session's port."""
        return await self.events.volume(self.port.path, timeout_seconds=timeout_seconds)

    async def expect_reenumeration(self, *, timeout_seconds: float) -> Port:
        """As `PortEvents.expect_reenumeration`, for this session's port."""
        return await self.events.expect_reenumeration(self.port.path, timeout_seconds=timeout_seconds)
