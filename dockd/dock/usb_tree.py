"""What sits at the dock's USB ports, kept from a stream of changes. Pure: no socket, no sysfs, no waiting.

Changes may come twice, late, or not at all; what counts is what the latest look said. A device is told
from its successor at the same port by the number that the kernel gives with every enumeration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from dockd.dock.udev_source import Appeared, BlockDevice, Change, Disappeared, Item, UsbDevice, UsbInterface
from dockd.driver_api import Occupied, PortEvent, Vacated, Volume
from dockd.model.camera import Port

T = TypeVar("T")


class UsbTree:
    """The present state. `is_occupant` decides which devices are someone's to look at."""

    def __init__(self, is_occupant: Callable[[UsbDevice], bool]) -> None:
        self._is_occupant = is_occupant
        self._devices: dict[str, UsbDevice] = {}
        self._interfaces: dict[str, UsbInterface] = {}
        self._blocks: dict[str, BlockDevice] = {}

    def apply(self, change: Change) -> list[PortEvent]:
        """Take one change in; return what it means for the ports, mostly nothing."""
        match change:
            case Appeared(UsbDevice() as device):
                return self._take_device(device)
            case Appeared(UsbInterface() as interface):
                self._interfaces[interface.sys_path] = interface
            case Appeared(BlockDevice() as block):
                self._blocks[block.sys_path] = block
            case Disappeared(sys_path, device_number):
                return self._drop(sys_path, device_number)
        return []

    def replace(self, items: Iterable[Item]) -> list[PortEvent]:
        """Take a whole enumeration in place of what was known; return the difference."""
        present = list(items)
        devices = {item.sys_path: item for item in present if isinstance(item, UsbDevice)}
        # Shallow paths last, so that the ports below a hub are vacated before the hub itself is forgotten.
        gone = sorted((path for path in self._devices if path not in devices), key=len, reverse=True)
        events = [event for path in gone for event in self._drop(path, None)]
        # A hub before what hangs below it: a hub that was enumerated afresh takes its old ports with it.
        for device in sorted(devices.values(), key=lambda one: len(one.sys_path)):
            events += self._take_device(device)
        self._interfaces = {item.sys_path: item for item in present if isinstance(item, UsbInterface)}
        self._blocks = {item.sys_path: item for item in present if isinstance(item, BlockDevice)}
        return events

    def occupant(self, port_path: str) -> Port | None:
        """What is in the port now."""
        for device in self._devices.values():
            if device.port.path == port_path and self._is_occupant(device):
                return device.port
        return None

    def occupied_ports(self) -> frozenset[str]:
        """The paths of all ports with something in them."""
        return frozenset(device.port.path for device in self._devices.values() if self._is_occupant(device))

    def has_interfaces(self, port_path: str) -> bool:
        """Whether the kernel has switched the device on and offers its interfaces."""
        return any(interface.port_path == port_path for interface in self._interfaces.values())

    def volume(self, port_path: str) -> Volume | None:
        """The file system on this port, once it can be told which one it is; None until then.

        The first partition that has one; the whole disk where there are no partitions. Partitions are looked at
        by udev in any order, so nothing is chosen before each of a disk's partitions has been seen.
        """
        disks = (block for block in self._blocks.values() if block.partition_number is None)
        for disk in sorted(disks, key=lambda block: block.sys_path):
            if disk.port_path == port_path and (chosen := self._volume_of(disk)) is not None:
                return chosen
        return None

    def _volume_of(self, disk: BlockDevice) -> Volume | None:
        parts = {
            block.sys_path.rpartition("/")[2]: block
            for block in self._blocks.values()
            if block.partition_number is not None and block.disk_path == disk.sys_path
        }
        if not disk.partitions <= parts.keys():
            return None
        ordered = sorted(parts.values(), key=lambda block: block.partition_number or 0) or [disk]
        for block in ordered:
            if block.file_system is not None:
                return Volume(block.node, block.file_system, block.untrusted_label)
        return None

    def _take_device(self, device: UsbDevice) -> list[PortEvent]:
        known = self._devices.get(device.sys_path)
        if known is not None and _is_same_incarnation(known, device):
            self._devices[device.sys_path] = device
            return []
        events = [] if known is None else self._drop(device.sys_path, None)
        self._devices[device.sys_path] = device
        if self._is_occupant(device):
            events.append(Occupied(device.port))
        return events

    def _drop(self, sys_path: str, device_number: str | None) -> list[PortEvent]:
        known = self._devices.get(sys_path)
        if known is not None and not _may_be_same(known.device_number, device_number):
            return []  # late news of the one that was here before
        below = f"{sys_path}/"
        gone = [path for path in self._devices if path == sys_path or path.startswith(below)]
        self._interfaces = _without(self._interfaces, sys_path)
        self._blocks = _without(self._blocks, sys_path)
        events: list[PortEvent] = []
        for path in sorted(gone, key=len, reverse=True):
            device = self._devices.pop(path)
            if self._is_occupant(device):
                events.append(Vacated(device.port.path))
        return events


def _without(items: dict[str, T], sys_path: str) -> dict[str, T]:
    below = f"{sys_path}/"
    return {path: item for path, item in items.items() if path != sys_path and not path.startswith(below)}


def _may_be_same(known_number: str | None, told_number: str | None) -> bool:
    return known_number is None or told_number is None or known_number == told_number


def _is_same_incarnation(known: UsbDevice, seen: UsbDevice) -> bool:
    """Whether both looks were at one stay of one device. Its texts may be filled in late; what it is may not change."""
    return _may_be_same(known.device_number, seen.device_number) and (
        (known.port.usb_vendor_id, known.port.usb_product_id, known.port.usb_interfaces)
        == (seen.port.usb_vendor_id, seen.port.usb_product_id, seen.port.usb_interfaces)
    )
