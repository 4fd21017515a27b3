"""What sits in a USB bay is judged before it is switched on, and again after every release."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from dockd.clock import SystemClock
from dockd.dock.bay_board import DockBoard
from dockd.dock.bays import Bays
from dockd.dock.journal import Journal
from dockd.dock.policy import PolicyConfig
from dockd.dock.registry import DriverRegistry
from dockd.dock.services import DockedIdentities, DockServices
from dockd.dock.session import Session
from dockd.dock.staging import Staging, StagingConfig
from dockd.dock.transfer.settings import CopySettings
from dockd.dock.usb_policy import UsbConfig, check_interfaces
from dockd.driver_api import Occupied, PortEvent, Vacated
from dockd.model.camera import Port
from dockd.model.ids import BayId, DockId
from tests.support.custody import Signer

STORAGE = (0x08, 0x06, 0x50)
KEYBOARD = (0x03, 0x01, 0x01)


class UsbBays:
    """Sessions over made-up USB ports; `admitted` are the ports that were switched on."""

    def __init__(self, journal: Journal, staging: Staging) -> None:
        clock = SystemClock()
        self.events: asyncio.Queue[PortEvent] = asyncio.Queue()
        self.admitted: list[str] = []
        self.board = DockBoard(clock, [BayId("1")])
        self.services = DockServices(
            journal=journal,
            staging=staging,
            registry=DriverRegistry.load({}),
            clock=clock,
            policy=PolicyConfig(),
            copying=CopySettings(),
            pinned=Signer().pinned,
            centre=self,
            board=self.board,
            identities=DockedIdentities(),
            check_port=lambda port: check_interfaces(port, UsbConfig()),
            admit=self.admit,
            context_for=lambda _port, _thread: pytest.fail("no driver may be asked"),
            check_agrees=lambda: None,
            sign_chain=self.sign,
        )
        self.bays = Bays(lambda _path: BayId("1"), lambda bay, port: Session(self.services, bay, port))

    def unreachable_seconds(self) -> float:
        return 0.0

    async def admit(self, port: Port) -> None:
        self.admitted.append(port.path)

    async def sign(self, why: str) -> None:
        assert why

    @asynccontextmanager
    async def ports(self) -> AsyncIterator[AsyncIterator[PortEvent]]:
        async def events() -> AsyncIterator[PortEvent]:
            while True:
                yield await self.events.get()

        yield events()

    async def until(self, state: str) -> None:
        with self.board.changes() as changes:
            async with asyncio.timeout(5):
                while self.board.statuses()[0].state != state:
                    await changes.wait()


@pytest.fixture
async def usb(tmp_path: Path) -> AsyncIterator[UsbBays]:
    journal = await Journal.open(tmp_path / "journal", dock=DockId("dock-1"), clock=SystemClock())
    staging = Staging(StagingConfig(folder=str(tmp_path / "staging"), floor_bytes=0))
    await staging.open()
    bays = UsbBays(journal, staging)
    serving = asyncio.create_task(bays.bays.serve([bays.ports]))
    try:
        yield bays
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
        await journal.close()


def port(*interfaces: tuple[int, int, int]) -> Port:
    return Port(path="1-1.1", node="/sys/nowhere", usb_vendor_id=1, usb_product_id=2, usb_interfaces=interfaces)


@pytest.mark.parametrize("interfaces", [(KEYBOARD,), (STORAGE, KEYBOARD)], ids=["keyboard", "disk with a keyboard"])
async def test_keyboard_in_a_bay_is_held_and_never_switched_on_also_not_by_a_release(
    usb: UsbBays, interfaces: tuple[tuple[int, int, int], ...]
) -> None:
    usb.events.put_nowait(Occupied(port(*interfaces)))
    await usb.until("held")
    bay = usb.board.statuses()[0]
    assert bay.code == "forbidden-device"
    assert "keyboard" in bay.words
    usb.bays.release(BayId("1"))
    await usb.until("unlocking")
    await usb.until("held")
    assert usb.admitted == []


async def test_device_that_no_driver_knows_is_held_and_never_switched_on(usb: UsbBays) -> None:
    usb.events.put_nowait(Occupied(port((0x06, 0x01, 0x01))))
    await usb.until("held")
    assert usb.board.statuses()[0].code == "unknown-camera"
    assert usb.admitted == []
    usb.events.put_nowait(Vacated("1-1.1"))
    await usb.until("empty")
