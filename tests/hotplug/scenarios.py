"""What must hold at the USB ports of a dock. Run under umockdev by `test_under_umockdev.py`, not by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

import pytest

from dockd.cli import exit_status_of
from dockd.dock.bay_map import BayMap, MappedBay, learn_bays, load_bay_map
from dockd.dock.hotplug import UsbWatcher
from dockd.dock.privilege import HostPrivilege, PrivilegeConfig
from dockd.dock.udev_source import Change, DeviceSource, Item, SourceBroken, UdevSource
from dockd.dock.usb_policy import UsbConfig
from dockd.driver_api import Occupied, PortEvent, Vacated
from dockd.errors import CameraGone, DriverTimeout, ForbiddenDevice, ServiceFailed
from dockd.model.ids import BayId
from tests.support.usb_bytes import KEYBOARD, MOUSE, PTP, STORAGE, VENDOR
from tests.support.usb_testbed import UsbTestbed

SOON_SECONDS = 5.0
QUIET_SECONDS = 0.05
BUFFER_BYTES = 1024 * 1024
BAYS = [f"1-1.{number}" for number in range(1, 17)]


@pytest.fixture
def testbed() -> UsbTestbed:
    bed = UsbTestbed()
    bed.add_hub("1-1")
    return bed


def new_watcher(
    bays: Collection[str] | None = BAYS,
    *,
    hubs: tuple[str, ...] = (),
    open_source: Callable[[], DeviceSource] | None = None,
    settle_timeout_seconds: float = SOON_SECONDS,
) -> UsbWatcher:
    config = UsbConfig(hubs=hubs, settle_timeout_seconds=settle_timeout_seconds, receive_buffer_bytes=BUFFER_BYTES)
    return UsbWatcher(config, HostPrivilege(PrivilegeConfig(), config), bays, open_source=open_source)


async def take(events: AsyncIterator[PortEvent], count: int) -> list[PortEvent]:
    async with asyncio.timeout(SOON_SECONDS):
        return [await anext(events) for _ in range(count)]


async def assert_quiet(events: AsyncIterator[PortEvent]) -> None:
    try:
        async with asyncio.timeout(QUIET_SECONDS):
            surplus = await anext(events)
    except TimeoutError:
        return
    pytest.fail(f"one event too many: {surplus}")


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_SECONDS):
        while not is_so():
            await asyncio.sleep(0.005)


def arrivals(events: list[PortEvent]) -> list[str]:
    return [event.port.path for event in events if isinstance(event, Occupied)]


class Relay:
    """udev's source behind a cable that can be held back or cut. What was not received when it is cut is lost."""

    def __init__(self, testbed: UsbTestbed, before_enumeration: Callable[[], None] = lambda: None) -> None:
        self._source = UdevSource(BUFFER_BYTES)
        self._before_enumeration = before_enumeration
        self._bell = os.eventfd(0, os.EFD_NONBLOCK)
        self._changes: deque[Change] = deque()
        self._is_cut = False
        self.is_held_back = False
        self.is_closed = False
        testbed.after_event = self.pump

    def pump(self) -> None:
        while not self.is_closed and (change := self._source.receive()) is not None:
            self._changes.append(change)
        self.ring()

    def ring(self) -> None:
        if not self.is_closed and not self.is_held_back:
            os.eventfd_write(self._bell, 1)

    def cut(self) -> None:
        self._is_cut = True
        self.ring()

    def fileno(self) -> int:
        return self._bell

    def receive(self) -> Change | None:
        if self._is_cut:
            raise SourceBroken("[Errno 105] No buffer space available")
        if self._changes:
            return self._changes.popleft()
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        return None

    def enumerate(self) -> list[Item]:
        self._before_enumeration()
        return self._source.enumerate()

    def close(self) -> None:
        self._source.close()
        os.close(self._bell)
        self.is_closed = True


class Relays:
    """Opens relays, one after the other, and cuts the one in use."""

    def __init__(self, testbed: UsbTestbed) -> None:
        self._testbed = testbed
        self.opened: list[Relay] = []
        self.failures_to_come = 0

    def open(self) -> DeviceSource:
        if self.failures_to_come:
            self.failures_to_come -= 1
            raise SourceBroken("no socket")
        self.opened.append(Relay(self._testbed))
        return self.opened[-1]

    def cut(self) -> None:
        self.opened[-1].cut()


# --- coming and going -----------------------------------------------------------------------------


async def test_camera_put_into_a_bay_is_reported_with_ids_and_interfaces(testbed: UsbTestbed) -> None:
    async with new_watcher().ports() as events:
        node = testbed.add_device("1-1.3", [STORAGE, PTP], serial="BWC0001")
        [event] = await take(events, 1)
        assert isinstance(event, Occupied)
        assert event.port.path == "1-1.3"
        assert event.port.node == node
        assert (event.port.usb_vendor_id, event.port.usb_product_id) == (0x4255, 0x0001)
        assert event.port.usb_interfaces == (STORAGE, PTP)
        await assert_quiet(events)
        testbed.remove("1-1.3")
        assert await take(events, 1) == [Vacated("1-1.3")]
        await assert_quiet(events)


async def test_serial_number_set_on_the_device_is_passed_on(testbed: UsbTestbed) -> None:
    testbed.add_device("1-1.3", serial="BWC0001")
    async with new_watcher().ports() as events:
        [event] = await take(events, 1)
        assert isinstance(event, Occupied)
        assert event.port.usb_serial == "BWC0001"


async def test_sixteen_cameras_in_one_burst_arrive_once_each(testbed: UsbTestbed) -> None:
    """All of their 65 events are waiting when the watcher wakes up."""
    relays = Relays(testbed)
    async with new_watcher(open_source=relays.open).ports() as events:
        relays.opened[0].is_held_back = True
        for path in BAYS:
            testbed.add_device(path, authorised=True)
        await assert_quiet(events)
        relays.opened[0].is_held_back = False
        relays.opened[0].ring()
        assert arrivals(await take(events, 16)) == BAYS
        await assert_quiet(events)


async def test_flood_longer_than_one_burst_is_taken_in_whole(testbed: UsbTestbed) -> None:
    relays = Relays(testbed)
    async with new_watcher(open_source=relays.open).ports() as events:
        relays.opened[0].is_held_back = True
        node = testbed.add_device("1-1.1")
        for _ in range(1200):
            testbed.send(node, "change")
        testbed.add_device("1-1.2")
        relays.opened[0].is_held_back = False
        relays.opened[0].ring()
        assert arrivals(await take(events, 2)) == ["1-1.1", "1-1.2"]
        await assert_quiet(events)


async def test_hub_that_vanishes_empties_all_its_bays(testbed: UsbTestbed) -> None:
    async with new_watcher(open_source=Relays(testbed).open).ports() as events:
        for path in BAYS:
            testbed.add_device(path)
        await take(events, 16)
        testbed.remove("1-1")
        gone = await take(events, 16)
        assert {event.port_path for event in gone if isinstance(event, Vacated)} == set(BAYS)
        await assert_quiet(events)


async def test_hub_that_vanishes_with_only_its_own_event_empties_its_bays_too(testbed: UsbTestbed) -> None:
    hub = testbed.add_hub("1-2")
    async with new_watcher(["1-2.1", "1-2.2"]).ports() as events:
        testbed.add_device("1-2.1")
        testbed.add_device("1-2.2")
        await take(events, 2)
        testbed.send(hub, "remove")
        assert {event.port_path for event in await take(events, 2) if isinstance(event, Vacated)} == {"1-2.1", "1-2.2"}


async def test_cameras_present_before_the_start_are_reported_once(testbed: UsbTestbed) -> None:
    testbed.add_device("1-1.1")
    testbed.add_device("1-1.2", authorised=True)
    watcher = new_watcher()
    async with watcher.ports() as events:
        assert watcher.occupied_ports() == {"1-1.1", "1-1.2"}
        assert sorted(arrivals(await take(events, 2))) == ["1-1.1", "1-1.2"]
        await assert_quiet(events)


async def test_camera_arriving_between_listening_and_enumerating_is_reported_once(testbed: UsbTestbed) -> None:
    testbed.add_device("1-1.1")

    def arrive() -> None:
        testbed.add_device("1-1.2", authorised=True)

    async with new_watcher(open_source=lambda: Relay(testbed, before_enumeration=arrive)).ports() as events:
        assert sorted(arrivals(await take(events, 2))) == ["1-1.1", "1-1.2"]
        await assert_quiet(events)


async def test_camera_exchanged_between_listening_and_enumerating_is_reported_once(testbed: UsbTestbed) -> None:
    testbed.add_device("1-1.1")

    def exchange() -> None:
        testbed.remove("1-1.1")
        testbed.add_device("1-1.1", [PTP])

    async with new_watcher(open_source=lambda: Relay(testbed, before_enumeration=exchange)).ports() as events:
        [event] = await take(events, 1)
        assert isinstance(event, Occupied)
        assert event.port.usb_interfaces == (PTP,)
        await assert_quiet(events)


async def test_repeated_and_meaningless_events_are_folded(testbed: UsbTestbed) -> None:
    async with new_watcher().ports() as events:
        node = testbed.add_device("1-1.3")
        for action in ("add", "change", "bind", "unbind", "add"):
            testbed.send(node, action)
        assert arrivals(await take(events, 1)) == ["1-1.3"]
        await assert_quiet(events)


async def test_devices_elsewhere_on_the_host_and_hubs_are_not_reported(testbed: UsbTestbed) -> None:
    async with new_watcher(["1-1.1"]).ports() as events:
        testbed.add_device("1-2", [KEYBOARD])
        testbed.add_hub("1-1.4")
        testbed.add_device("1-1.4.1")
        await assert_quiet(events)


async def test_unlearned_port_of_a_configured_hub_is_reported_but_not_the_hubs_below_it(testbed: UsbTestbed) -> None:
    async with new_watcher([], hubs=("1-1",)).ports() as events:
        testbed.add_hub("1-1.4")
        testbed.add_device("1-1.4.1")
        testbed.add_device("1-2", [KEYBOARD])
        assert arrivals(await take(events, 1)) == ["1-1.4.1"]
        await assert_quiet(events)


# --- what may be switched on ----------------------------------------------------------------------


async def test_camera_is_switched_on_and_awaited_by_event(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        testbed.add_device("1-1.3")
        [event] = await take(events, 1)
        assert isinstance(event, Occupied)
        authorising = asyncio.create_task(watcher.authorise(event.port))
        await eventually(lambda: testbed.authorized("1-1.3") == "1")
        await asyncio.sleep(QUIET_SECONDS)
        assert not authorising.done(), "it did not wait for the interfaces"
        testbed.add_interfaces("1-1.3")
        await asyncio.wait_for(authorising, SOON_SECONDS)
        await assert_quiet(events)


@pytest.mark.parametrize(
    ("triples", "words"),
    [
        ([KEYBOARD], "is a keyboard"),
        ([STORAGE, KEYBOARD], "also acts as a keyboard"),
        ([STORAGE, MOUSE, KEYBOARD], "a mouse and a keyboard"),
        ([VENDOR], "maker's own kind"),
    ],
)
async def test_keyboard_in_a_bay_is_never_switched_on(
    testbed: UsbTestbed, triples: list[tuple[int, int, int]], words: str
) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        testbed.add_device("1-1.3", triples)
        [event] = await take(events, 1)
        assert isinstance(event, Occupied)
        with pytest.raises(ForbiddenDevice, match=words):
            await watcher.authorise(event.port)
        assert testbed.authorized("1-1.3") == "0"


async def test_keyboard_that_the_host_had_switched_on_is_switched_off(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        testbed.add_device("1-1.3", [STORAGE, KEYBOARD], authorised=True)
        [event] = await take(events, 1)
        assert isinstance(event, Occupied)
        with pytest.raises(ForbiddenDevice, match="keyboard"):
            await watcher.authorise(event.port)
        assert testbed.authorized("1-1.3") == "0"


async def test_device_with_damaged_descriptors_is_reported_and_never_switched_on(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        testbed.add_device("1-1.3", descriptors=b"\x12\x01" + bytes(30))
        [event] = await take(events, 1)
        assert isinstance(event, Occupied)
        with pytest.raises(ForbiddenDevice, match="does not say properly"):
            await watcher.authorise(event.port)
        assert testbed.authorized("1-1.3") == "0"


async def test_hub_in_a_bay_is_refused_and_what_hangs_behind_it_is_not_reported(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        testbed.add_hub("1-1.3")
        testbed.add_device("1-1.3.1", [KEYBOARD])
        [event] = await take(events, 1)
        assert isinstance(event, Occupied)
        assert event.port.path == "1-1.3"
        with pytest.raises(ForbiddenDevice, match="a USB hub"):
            await watcher.authorise(event.port)
        assert testbed.authorized("1-1.3") == "0"
        await assert_quiet(events)


async def test_device_exchanged_for_a_keyboard_after_it_was_judged_is_not_switched_on(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        testbed.add_device("1-1.3")
        [event] = await take(events, 1)
        assert isinstance(event, Occupied)
        testbed.remove("1-1.3")
        testbed.add_device("1-1.3", [STORAGE, KEYBOARD])
        with pytest.raises(ForbiddenDevice):
            await watcher.authorise(event.port)
        assert testbed.authorized("1-1.3") == "0"


async def test_camera_that_leaves_while_it_is_switched_on_is_gone(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        testbed.add_device("1-1.3")
        [event] = await take(events, 1)
        assert isinstance(event, Occupied)
        authorising = asyncio.create_task(watcher.authorise(event.port))
        await eventually(lambda: testbed.authorized("1-1.3") == "1")
        testbed.remove("1-1.3")
        with pytest.raises(CameraGone):
            await authorising
        assert await take(events, 1) == [Vacated("1-1.3")]
        with pytest.raises(CameraGone):
            await watcher.authorise(event.port)


async def test_camera_that_offers_nothing_once_switched_on_times_out(testbed: UsbTestbed) -> None:
    watcher = new_watcher(settle_timeout_seconds=0.05)
    async with watcher.ports() as events:
        testbed.add_device("1-1.3")
        [event] = await take(events, 1)
        assert isinstance(event, Occupied)
        with pytest.raises(DriverTimeout, match="offered nothing"):
            await watcher.authorise(event.port)


# --- volumes --------------------------------------------------------------------------------------


async def test_volume_is_the_partition_with_a_file_system_and_comes_by_event(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports():
        testbed.add_device("1-1.3", authorised=True)
        await eventually(lambda: watcher.occupied_ports() == {"1-1.3"})
        waiting = asyncio.create_task(watcher.volume("1-1.3", timeout_seconds=SOON_SECONDS))
        disk = testbed.add_disk("1-1.3", "sdb", partitions=2)
        await asyncio.sleep(QUIET_SECONDS)
        assert not waiting.done(), "a disk is not a volume"
        testbed.add_partition("1-1.3", disk, 2, "exfat")
        await asyncio.sleep(QUIET_SECONDS)
        assert not waiting.done(), "udev looks at partitions in any order; the first was not seen yet"
        testbed.add_partition("1-1.3", disk, 1, "vfat")
        volume = await waiting
        assert (volume.device_node, volume.file_system) == (Path("/dev/sdb1"), "vfat")
        assert volume.untrusted_label == "BWC0001"


async def test_volume_is_the_first_partition_that_has_a_file_system(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports():
        testbed.add_device("1-1.3", authorised=True)
        disk = testbed.add_disk("1-1.3", "sdb", partitions=2)
        testbed.add_partition("1-1.3", disk, 1, None)
        testbed.add_partition("1-1.3", disk, 2, "exfat")
        await eventually(lambda: watcher.occupied_ports() == {"1-1.3"})
        assert (await watcher.volume("1-1.3", timeout_seconds=SOON_SECONDS)).device_node == Path("/dev/sdb2")


async def test_whole_disk_is_the_volume_when_the_change_event_brings_its_file_system(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports():
        testbed.add_device("1-1.3", authorised=True)
        await eventually(lambda: watcher.occupied_ports() == {"1-1.3"})
        waiting = asyncio.create_task(watcher.volume("1-1.3", timeout_seconds=SOON_SECONDS))
        disk = testbed.add_disk("1-1.3", "sdb")
        await asyncio.sleep(QUIET_SECONDS)
        assert not waiting.done()
        testbed.set_property(disk, "ID_FS_TYPE", "exfat")
        testbed.send(disk, "change")
        assert (await waiting).device_node == Path("/dev/sdb")


async def test_volume_present_before_the_start_is_found(testbed: UsbTestbed) -> None:
    testbed.add_device("1-1.3", authorised=True)
    testbed.add_disk("1-1.3", "sdb", file_system="vfat")
    watcher = new_watcher()
    async with watcher.ports():
        assert (await watcher.volume("1-1.3", timeout_seconds=SOON_SECONDS)).device_node == Path("/dev/sdb")


async def test_volume_of_another_port_or_of_the_camera_before_is_never_given(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        for path, name in (("1-1.1", "sdb"), ("1-1.3", "sdc")):
            testbed.add_device(path, authorised=True)
            testbed.add_disk(path, name, file_system="vfat")
        await take(events, 2)
        assert (await watcher.volume("1-1.3", timeout_seconds=SOON_SECONDS)).device_node == Path("/dev/sdc")
        testbed.remove("1-1.3")
        testbed.add_device("1-1.3", authorised=True)
        await take(events, 2)
        with pytest.raises(DriverTimeout, match="no readable card"):
            await watcher.volume("1-1.3", timeout_seconds=QUIET_SECONDS)


async def test_waiting_for_a_volume_ends_when_the_camera_leaves(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        testbed.add_device("1-1.3", authorised=True)
        await take(events, 1)
        waiting = asyncio.create_task(watcher.volume("1-1.3", timeout_seconds=SOON_SECONDS))
        await asyncio.sleep(0)
        testbed.remove("1-1.3")
        with pytest.raises(CameraGone):
            await waiting


# --- re-enumeration -------------------------------------------------------------------------------


async def test_announced_reenumeration_is_not_a_departure(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        testbed.add_device("1-1.3", [PTP], authorised=True)
        await take(events, 1)
        waiting = asyncio.create_task(watcher.expect_reenumeration("1-1.3", timeout_seconds=SOON_SECONDS))
        await asyncio.sleep(0)
        testbed.remove("1-1.3")
        await assert_quiet(events)
        testbed.add_device("1-1.3", [STORAGE])
        await eventually(lambda: testbed.authorized("1-1.3") == "1")
        testbed.add_interfaces("1-1.3")
        assert (await waiting).usb_interfaces == (STORAGE,)
        await assert_quiet(events)
        testbed.remove("1-1.3")
        assert await take(events, 1) == [Vacated("1-1.3")]


async def test_camera_that_comes_back_as_a_keyboard_is_not_switched_on(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        testbed.add_device("1-1.3", [PTP], authorised=True)
        await take(events, 1)
        waiting = asyncio.create_task(watcher.expect_reenumeration("1-1.3", timeout_seconds=SOON_SECONDS))
        await asyncio.sleep(0)
        testbed.remove("1-1.3")
        testbed.add_device("1-1.3", [STORAGE, KEYBOARD])
        with pytest.raises(ForbiddenDevice, match="keyboard"):
            await waiting
        assert testbed.authorized("1-1.3") == "0"


async def test_camera_that_does_not_come_back_is_reported_as_gone(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        testbed.add_device("1-1.3", authorised=True)
        await take(events, 1)
        waiting = asyncio.create_task(watcher.expect_reenumeration("1-1.3", timeout_seconds=0.1))
        await asyncio.sleep(0)
        testbed.remove("1-1.3")
        with pytest.raises(DriverTimeout, match="did not come back"):
            await waiting
        assert await take(events, 1) == [Vacated("1-1.3")]
        with pytest.raises(CameraGone):
            await watcher.expect_reenumeration("1-1.3", timeout_seconds=0.1)


async def test_camera_that_does_not_restart_times_out_and_is_still_there(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        testbed.add_device("1-1.3", authorised=True)
        await take(events, 1)
        with pytest.raises(DriverTimeout, match="did not restart"):
            await watcher.expect_reenumeration("1-1.3", timeout_seconds=0.05)
        await assert_quiet(events)
        assert watcher.occupied_ports() == {"1-1.3"}


async def test_session_that_gives_up_while_the_camera_is_away_does_not_hide_its_departure(testbed: UsbTestbed) -> None:
    watcher = new_watcher()
    async with watcher.ports() as events:
        testbed.add_device("1-1.3", authorised=True)
        await take(events, 1)
        waiting = asyncio.create_task(watcher.expect_reenumeration("1-1.3", timeout_seconds=SOON_SECONDS))
        await asyncio.sleep(0)
        testbed.remove("1-1.3")
        await assert_quiet(events)
        waiting.cancel()
        assert await take(events, 1) == [Vacated("1-1.3")]


# --- lost events ----------------------------------------------------------------------------------


async def test_after_lost_events_the_difference_is_reported_and_nothing_twice(testbed: UsbTestbed) -> None:
    relays = Relays(testbed)
    watcher = new_watcher(open_source=relays.open)
    async with watcher.ports() as events:
        for path in ("1-1.1", "1-1.2", "1-1.3"):
            testbed.add_device(path, authorised=True)
        await take(events, 3)
        relays.cut()
        testbed.remove("1-1.1", silently=True)
        testbed.remove("1-1.2", silently=True)
        testbed.add_device("1-1.2", [PTP], authorised=True)
        testbed.add_device("1-1.4", authorised=True)
        told = await take(events, 4)
        assert {event.port_path for event in told if isinstance(event, Vacated)} == {"1-1.1", "1-1.2"}
        assert sorted(arrivals(told)) == ["1-1.2", "1-1.4"]
        assert told.index(Vacated("1-1.2")) < next(
            index for index, event in enumerate(told) if isinstance(event, Occupied) and event.port.path == "1-1.2"
        )
        await assert_quiet(events)
        testbed.add_device("1-1.5")
        assert arrivals(await take(events, 1)) == ["1-1.5"]
    assert len(relays.opened) == 2
    assert all(source.is_closed for source in relays.opened)


async def test_volume_that_appeared_while_events_were_lost_is_found(testbed: UsbTestbed) -> None:
    relays = Relays(testbed)
    watcher = new_watcher(open_source=relays.open)
    async with watcher.ports() as events:
        testbed.add_device("1-1.3", authorised=True)
        await take(events, 1)
        waiting = asyncio.create_task(watcher.volume("1-1.3", timeout_seconds=SOON_SECONDS))
        await asyncio.sleep(0)
        relays.cut()
        testbed.add_disk("1-1.3", "sdb", file_system="vfat")
        assert (await waiting).device_node == Path("/dev/sdb")


async def test_announced_reenumeration_survives_lost_events(testbed: UsbTestbed) -> None:
    relays = Relays(testbed)
    watcher = new_watcher(open_source=relays.open)
    async with watcher.ports() as events:
        testbed.add_device("1-1.3", [PTP], authorised=True)
        await take(events, 1)
        waiting = asyncio.create_task(watcher.expect_reenumeration("1-1.3", timeout_seconds=SOON_SECONDS))
        await asyncio.sleep(0)
        relays.cut()
        testbed.remove("1-1.3", silently=True)
        testbed.add_device("1-1.3", [STORAGE], authorised=True)
        assert (await waiting).usb_interfaces == (STORAGE,)
        await assert_quiet(events)


async def test_source_that_cannot_be_opened_again_at_once_is_tried_again(testbed: UsbTestbed) -> None:
    relays = Relays(testbed)
    async with new_watcher(open_source=relays.open).ports() as events:
        relays.failures_to_come = 2
        relays.cut()
        testbed.add_device("1-1.3")
        assert arrivals(await take(events, 1)) == ["1-1.3"]


async def test_watching_ends_with_an_error_when_events_cannot_be_had_any_more(
    testbed: UsbTestbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockd.dock.hotplug._REOPEN_DELAYS_SECONDS", (0.0, 0.01))
    relays = Relays(testbed)
    async with new_watcher(open_source=relays.open).ports() as events:
        relays.failures_to_come = 100
        relays.cut()
        testbed.add_device("1-1.3")
        with pytest.raises(ServiceFailed, match="cannot listen"):
            await take(events, 1)


async def test_socket_in_permanent_error_is_found_and_replaced(testbed: UsbTestbed) -> None:
    """A pipe whose writer is gone answers every poll with POLLHUP and never has an event."""
    opened: list[UdevSource] = []

    def open_source() -> DeviceSource:
        source = UdevSource(BUFFER_BYTES)
        if not opened:
            reading, writing = os.pipe()
            os.dup2(reading, source.fileno())
            os.close(reading)
            os.close(writing)
        opened.append(source)
        return source

    testbed.add_device("1-1.3")
    async with new_watcher(open_source=open_source).ports() as events:
        assert arrivals(await take(events, 1)) == ["1-1.3"]
        await eventually(lambda: len(opened) == 2)
        testbed.add_device("1-1.4")
        assert arrivals(await take(events, 1)) == ["1-1.4"]
        assert len(opened) == 2


# --- the map -------------------------------------------------------------------------------------


async def test_bays_are_learned_by_putting_a_camera_into_each(testbed: UsbTestbed) -> None:
    testbed.add_device("1-1.9", [STORAGE])
    testbed.add_device("1-7", [KEYBOARD], authorised=True)
    watcher = new_watcher(None, hubs=("1-1",))
    prompts: asyncio.Queue[str] = asyncio.Queue()
    saved: list[BayMap] = []

    async def prompted(words: str) -> None:
        async with asyncio.timeout(SOON_SECONDS):
            prompt = await prompts.get()
        assert words in prompt

    async with watcher.ports() as events:
        learning = asyncio.create_task(
            learn_bays(
                events,
                [BayId("A"), BayId("B")],
                prompts.put_nowait,
                known=BayMap(),
                present=watcher.occupied_ports(),
                save=saved.append,
                companion=lambda _port: None,
            )
        )
        await prompted("into bay A")
        testbed.add_hub("1-1.4")
        testbed.add_device("1-1.4.1")
        await prompted("Bay A is USB port 1-1.4.1")
        testbed.remove("1-1.4.1")
        await prompted("into bay B")
        testbed.add_device("1-1.4.1")
        await prompted("This is bay A")
        testbed.remove("1-1.4.1")
        testbed.add_device("1-1.2")
        await prompted("Bay B is USB port 1-1.2")
        testbed.remove("1-1.2")
        learned = await learning
    assert learned.bays == (MappedBay(BayId("A"), "1-1.4.1"), MappedBay(BayId("B"), "1-1.2"))
    assert [len(one.bays) for one in saved] == [1, 2]


def test_bays_learn_from_the_command_line_writes_the_map(testbed: UsbTestbed, tmp_path: Path) -> None:
    bays_file = tmp_path / "bays.toml"
    config_file = tmp_path / "dockd.toml"
    config_file.write_text(
        f"""\
[dock]
id = "dock-1"
site = "Blackfriars"
[centre]
url = "http://127.0.0.1:8490"
store = "store-1"
key = "key-1"
public_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
[usb]
bays_file = "{bays_file}"
""",
        encoding="utf-8",
    )
    outcome: list[int] = []
    arguments = ["bays", "learn", "--config", str(config_file), "left", "right"]
    learning = threading.Thread(target=lambda: outcome.append(exit_status_of(arguments)), name="cli")
    learning.start()
    for path, name in (("1-1.2", "left"), ("1-1.5", "right")):
        deadline = time.monotonic() + SOON_SECONDS
        while not (bays_file.exists() and f'name = "{name}"' in bays_file.read_text(encoding="utf-8")):
            assert time.monotonic() < deadline, f"bay {name} was not learned"
            testbed.add_device(path)  # again and again: the command may not be listening yet
            time.sleep(QUIET_SECONDS)
            testbed.remove(path)
            time.sleep(QUIET_SECONDS)
    learning.join(SOON_SECONDS)
    assert outcome == [0]
    learned = load_bay_map(bays_file)
    assert learned.bays == (MappedBay(BayId("left"), "1-1.2"), MappedBay(BayId("right"), "1-1.5"))
