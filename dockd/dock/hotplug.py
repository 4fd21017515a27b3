"""Cameras coming and going at USB ports, as events.

Knows the event loop's side of hotplug: listen first and enumerate then, drain bursts, start afresh when
events were lost, hold back a departure that was announced. What the events mean is in `usb_tree.py`,
where they come from in `udev_source.py`, what may be switched on in `usb_policy.py`. Knows no bay names
and no sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import Protocol

import structlog

from dockd.dock.udev_source import DeviceSource, SourceBroken, UdevSource, UsbDevice
from dockd.dock.usb_policy import UsbConfig
from dockd.dock.usb_tree import UsbTree
from dockd.driver_api import Occupied, PortEvent, Vacated, Volume
from dockd.errors import CameraGone, DriverTimeout, ServiceFailed
from dockd.model.camera import Port

_BURST_CHANGES = 512
"""How many changes are taken in one go before the other tasks get their turn."""
_REOPEN_DELAYS_SECONDS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)

_log = structlog.get_logger(__name__)


class UsbSwitch(Protocol):
    """The part of the privilege room that switches USB devices on."""

    async def authorise(self, port: Port) -> None:
        """Let the kernel use the device in `port`, if its interfaces are allowed.

        Raises ForbiddenDevice (the device is then off), CameraGone, DriverTimeout.
        """


@dataclass(slots=True)
class _Expected:
    """A departure that was announced: away or back, and what came back."""

    is_away: bool = False
    returned: Port | None = None


class _Events:
    """The queue as an iterator that outlives a cancelled wait. It ends when the watcher ends, in the same way."""

    def __init__(self, queue: asyncio.Queue[PortEvent | asyncio.Task[None]]) -> None:
        self._queue = queue

    def __aiter__(self) -> AsyncIterator[PortEvent]:
        return self

    async def __anext__(self) -> PortEvent:
        event = await self._queue.get()
        if not isinstance(event, asyncio.Task):
            return event
        self._queue.put_nowait(event)
        if not event.cancelled():
            event.result()
        raise StopAsyncIteration


class UsbWatcher:
    """The dock's USB ports.

    `bay_ports` are the kernel paths of the ports that are bays; None while learning which ones they are, and then
    every port counts (below the configured hubs, where there are any). `open_source` opens a source of
    events that listens from then on.
    """

    def __init__(
        self,
        config: UsbConfig,
        switch: UsbSwitch,
        bay_ports: Collection[str] | None,
        *,
        open_source: Callable[[], DeviceSource] | None = None,
    ) -> None:
        self._config = config
        self._switch = switch
        self._bay_ports = None if bay_ports is None else frozenset(bay_ports)
        self._open_source = open_source or (lambda: UdevSource(config.receive_buffer_bytes))
        self._tree = UsbTree(self._is_occupant)
        self._source: DeviceSource | None = None
        self._expected: dict[str, _Expected] = {}
        self._events: asyncio.Queue[PortEvent | asyncio.Task[None]] = asyncio.Queue()
        self._pulse = asyncio.Event()

    @contextlib.asynccontextmanager
    async def ports(self) -> AsyncIterator[AsyncIterator[PortEvent]]:
        """Watch. The iterator first yields what is there, then every change, each once.

        Raises ServiceFailed, here or from the iterator, when device events cannot be had.
        """
        self._tree = UsbTree(self._is_occupant)
        self._events = asyncio.Queue()
        self._open()
        listening = asyncio.create_task(self._listen(), name="usb-watcher")
        listening.add_done_callback(self._events.put_nowait)
        try:
            yield _Events(self._events)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            self._close()

    def occupied_ports(self) -> frozenset[str]:
        """The kernel paths of the ports that have something in them now."""
        return self._tree.occupied_ports()

    async def authorise(self, port: Port) -> None:
        """Switch the device in `port` on and wait for the event that says its interfaces are there.

        Raises ForbiddenDevice (it stays or is switched off), CameraGone, DriverTimeout.
        """
        await self._switch.authorise(port)
        try:
            async with asyncio.timeout(self._config.settle_timeout_seconds):
                while not self._tree.has_interfaces(port.path):
                    self._check_present(port.path)
                    await self._next_change()
        except TimeoutError:
            raise DriverTimeout(
                f"The camera at USB port {port.path} was switched on and offered nothing within "
                f"{self._config.settle_timeout_seconds:g} s."
            ) from None

    async def volume(self, port_path: str, *, timeout_seconds: float) -> Volume:
        """Wait for the event that says there is a file system on this port.

        Raises DriverTimeout, and CameraGone when the port is or becomes empty.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                while (volume := self._tree.volume(port_path)) is None:
                    self._check_present(port_path)
                    await self._next_change()
                return volume
        except TimeoutError:
            raise DriverTimeout(
                f"The camera at USB port {port_path} showed no readable card within {timeout_seconds:g} s."
            ) from None

    async def expect_reenumeration(self, port_path: str, *, timeout_seconds: float) -> Port:
        """Wait until the device has left and come back on the same port, checked and switched on again.

        To be awaited from before the device is told to leave (start it as a task): a departure in the time given
        is not reported as one. What comes back is a new device and is judged anew. Raises DriverTimeout when it
        stays, or stays away (which is then reported), ForbiddenDevice, CameraGone.
        """
        self._check_present(port_path)
        expected = self._expected[port_path] = _Expected()
        try:
            async with asyncio.timeout(timeout_seconds):
                while expected.returned is None:
                    await self._next_change()
        except TimeoutError:
            what = "left and did not come back" if expected.is_away else "did not restart as it was told to"
            raise DriverTimeout(f"The camera at USB port {port_path} {what} within {timeout_seconds:g} s.") from None
        finally:
            del self._expected[port_path]
            if expected.is_away:
                self._publish([Vacated(port_path)])
        await self.authorise(expected.returned)
        return expected.returned

    def _is_occupant(self, device: UsbDevice) -> bool:
        path = device.port.path
        if self._bay_ports is None:
            return not device.is_hub and (not self._config.hubs or self._config.is_below_hub(path))
        if path in self._bay_ports:
            return True  # also a hub: something is in the bay, and it is not a camera
        if any(path.startswith(f"{bay}.") for bay in self._bay_ports):
            return False  # behind a hub that someone put into a bay; the hub itself is refused
        return not device.is_hub and self._config.is_below_hub(path)

    def _open(self) -> None:
        """Listen, then enumerate, so that nothing can fall between the two."""
        try:
            self._source = self._open_source()
        except SourceBroken as error:
            raise ServiceFailed(f"The dock cannot listen for cameras at its USB ports: {error}.") from error
        try:
            self._publish(self._tree.replace(self._source.enumerate()))
        except SourceBroken as error:
            self._close()
            raise ServiceFailed(f"The dock cannot list what is at its USB ports: {error}.") from error

    def _close(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None

    async def _listen(self) -> None:
        while True:
            if self._source is None:
                await self._reopen()
            else:
                try:
                    await self._follow(self._source)
                except SourceBroken as error:
                    _log.warning("usb-events-lost", reason=str(error), consequence="listening and enumerating afresh")
                    self._close()

    async def _follow(self, source: DeviceSource) -> None:
        """Take changes in until the source breaks."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        file_descriptor = source.fileno()
        loop.add_reader(file_descriptor, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                self._take_burst(source)
        finally:
            loop.remove_reader(file_descriptor)

    def _take_burst(self, source: DeviceSource) -> None:
        """Drain, up to a limit; what is left makes the socket readable again in the loop's next round."""
        for _ in range(_BURST_CHANGES):
            change = source.receive()
            if change is None:
                return
            self._publish(self._tree.apply(change))

    async def _reopen(self) -> None:
        *soon, last_delay_seconds = _REOPEN_DELAYS_SECONDS
        for delay_seconds in soon:
            await asyncio.sleep(delay_seconds)
            with contextlib.suppress(ServiceFailed):
                return self._open()
        await asyncio.sleep(last_delay_seconds)
        return self._open()

    def _publish(self, events: list[PortEvent]) -> None:
        """Pass events on, except those that belong to an announced departure; wake all who wait."""
        for event in events:
            path = event.port.path if isinstance(event, Occupied) else event.port_path
            expected = self._expected.get(path)
            if expected is None:
                self._events.put_nowait(event)
            elif isinstance(event, Occupied):
                expected.is_away, expected.returned = False, event.port
            else:
                expected.is_away, expected.returned = True, None
        self._pulse.set()
        self._pulse = asyncio.Event()

    async def _next_change(self) -> None:
        await self._pulse.wait()

    def _check_present(self, port_path: str) -> None:
        if self._tree.occupant(port_path) is None and port_path not in self._expected:
            raise CameraGone(f"The camera at USB port {port_path} is gone.")
