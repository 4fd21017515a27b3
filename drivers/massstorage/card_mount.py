"""Where a card's volume is mounted: read-only, but for the moments in which something is written.

Knows the order of block protection, mounting and opening. Must not know what is on the card. Every
change between read-only and writable is a fresh mount, so that what is read afterwards comes from the
card and not from what was meant to be written.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from dockd.driver_api import DriverContext, Volume
from dockd.ending import to_the_end
from dockd.errors import CameraGone, DockdError
from drivers.massstorage.mounted_card import MountedCard

_ACT_TIMEOUT_SECONDS = 60.0

_BLOCK_BYTES = 4096

OpenCard = Callable[[Path], MountedCard]
ReadFirstBlock = Callable[[Path], None]


class PortPresence:
    """Proof that the device is still in its port: the same kernel object under the same path."""

    def __init__(self, node: Path) -> None:
        """Raises CameraGone when there is nothing at `node` (a sysfs path)."""
        self._node = node
        self._identity: tuple[int, int] | None = None
        self._identity = self._ask()

    def check(self) -> None:
        """Raise CameraGone unless it is the device that was there first."""
        if self._ask() != self._identity:
            raise CameraGone("The camera left its port and something else came.")

    def _ask(self) -> tuple[int, int]:
        try:
            status = self._node.stat()
        except OSError as failure:
            raise CameraGone("The camera is no longer connected.") from failure
        return (status.st_dev, status.st_ino)


class CardPresence:
    """Proof, after an access failed, that the card as a whole still answers and only a place on it is bad."""

    def __init__(self, port: PortPresence, device_node: Path, first_block: ReadFirstBlock) -> None:
        self._port = port
        self._device_node = device_node
        self._first_block = first_block

    def check(self) -> None:
        """Raise CameraGone unless the device is in its port and gives its first block, without which no card mounts."""
        self._port.check()
        try:
            self._first_block(self._device_node)
        except OSError as failure:
            raise CameraGone(f"The camera's card does not answer any more: {failure.strerror}.") from failure


def read_first_block(device_node: Path) -> None:
    """Read the first 4 KiB of a disk past the page cache (open(2), O_DIRECT). Blocking. Raises OSError."""
    descriptor = os.open(device_node, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    try:
        with mmap.mmap(-1, _BLOCK_BYTES) as block:
            os.preadv(descriptor, [block], 0)
    finally:
        os.close(descriptor)


class CardMount:
    """One volume during one docking."""

    def __init__(self, volume: Volume, context: DriverContext) -> None:
        self._volume = volume
        self._context = context
        self._mount_point: Path | None = None
        self._open_card: OpenCard | None = None
        self._lock = threading.Lock()
        self._card: MountedCard | None = None
        self._is_ended = False

    @property
    def card(self) -> MountedCard:
        """The card, open. Raises CameraGone while it is not."""
        card = self._card
        if card is None:
            raise CameraGone("The camera's card is not open any more.")
        return card

    async def mount(self) -> Path:
        """Block writing at the device, then mount read-only; returns the mount point. First of all.

        Raises CardUnreadable, CameraGone, DriverTimeout.
        """
        await self._context.privilege.set_block_read_only(self._volume.device_node, read_only=True)
        self._mount_point = await self._context.privilege.mount(self._volume, read_only=True)
        return self._mount_point

    async def open(self, open_card: OpenCard) -> None:
        """Open the card in the mount; `open_card` is used again after each change. Raises as `mount`."""
        self._open_card = open_card
        await self._open()

    @asynccontextmanager
    async def writable(self) -> AsyncIterator[MountedCard]:
        """The card, mounted for writing; leaving makes what was written durable and protects it again.

        Raises CardWriteProtected, CardUnreadable, CameraGone, DriverTimeout. When the body fails, its error is
        the one that is told, and the card is protected as far as that still goes.
        """
        await self._close()
        is_done = False
        try:
            await self._context.privilege.set_block_read_only(self._volume.device_node, read_only=False)
            self._mount_point = await self._context.privilege.mount(self._volume, read_only=False)
            await self._open()
            yield self.card
            await self._context.run_blocking(self.card.sync, timeout_seconds=_ACT_TIMEOUT_SECONDS)
            is_done = True
        finally:
            if is_done:
                await to_the_end(self._protect())
            else:
                with suppress(DockdError):
                    await to_the_end(self._protect())

    async def end(self) -> None:
        """Close and unmount. Never raises for a card that is gone or stuck: there is nothing more to lose."""
        with self._lock:
            self._is_ended = True
        with suppress(DockdError):
            await to_the_end(self._close())

    async def _protect(self) -> None:
        await self._close()
        await self.mount()
        await self._open()

    async def _open(self) -> None:
        await self._context.run_blocking(self._open_blocking, timeout_seconds=_ACT_TIMEOUT_SECONDS)

    def _open_blocking(self) -> None:
        if self._mount_point is None or self._open_card is None:
            raise CameraGone("The camera's card is not mounted any more.")
        card = self._open_card(self._mount_point)
        with self._lock:
            if self._is_ended or self._card is not None:  # the dock stopped waiting; nobody else would close it
                card.close()
                raise CameraGone("The camera's card is not open any more.")
            self._card = card

    async def _close(self) -> None:
        with self._lock:
            card, self._card = self._card, None
        if card is not None:
            card.close()
        if self._mount_point is not None:
            # Forgotten only when it is done: a docking cancelled in here is unmounted by `end`.
            await self._context.privilege.unmount(self._mount_point)
            self._mount_point = None
