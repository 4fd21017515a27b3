"""Where device events come from: udev's netlink socket and sysfs, as plain values.

The only module that imports pyudev. Knows how Linux names and describes USB ports, interfaces and block
devices; knows nothing of bays, sessions or policy. `DeviceSource` is the interface; the tests put
faulty sources behind it.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyudev

from dockd.dock.usb_descriptors import DescriptorsMalformed, parse_descriptors
from dockd.model.camera import Port

_PORT_NAME = re.compile(r"^[1-9]\d*-[1-9]\d*(\.[1-9]\d*)*$")
_ROOT_PORT = re.compile(r"^usb(\d+)-port(\d+)$")
_HUB_PORT = re.compile(r"^(.+)-port(\d+)$")
_TELLING_ACTIONS = frozenset({"add", "bind", "change", "move"})
"""Reasons to look at sysfs again. `unbind` only says that a `remove` will follow, or that a driver lets go."""
_SERIAL_CHARACTERS = 126
"""A string descriptor has at most 255 bytes, two of them its head, in UTF-16 (USB 2.0 specification §9.6.7)."""
_FILE_SYSTEM_USAGE = "filesystem"


class SourceBroken(OSError):
    """Events were lost, or the socket is in an error that does not go away: start afresh."""


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """A USB device as sysfs describes it now. `device_number` changes with every enumeration by the kernel."""

    sys_path: str
    port: Port
    device_number: str | None
    is_hub: bool


@dataclass(frozen=True, slots=True)
class UsbInterface:
    """The kernel offers an interface of the device in `port_path`: it is authorised and configured."""

    sys_path: str
    port_path: str


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A disk or partition below a USB port, after udev has looked into it.

    `file_system` is None where there is none. `partition_number` is None for a whole disk; `partitions`
    are the names of a disk's partitions, as the kernel read them.
    """

    sys_path: str
    port_path: str
    node: Path
    partition_number: int | None
    partitions: frozenset[str]
    file_system: str | None
    untrusted_label: str | None

    @property
    def disk_path(self) -> str:
        """The sysfs path of the disk that it is or belongs to."""
        return self.sys_path if self.partition_number is None else self.sys_path.rpartition("/")[0]


Item = UsbDevice | UsbInterface | BlockDevice


@dataclass(frozen=True, slots=True)
class Appeared:
    """It is there, or is there in another form."""

    item: Item


@dataclass(frozen=True, slots=True)
class Disappeared:
    """It left. `device_number` says which incarnation of a USB device; None: unknown, or not a USB device."""

    sys_path: str
    device_number: str | None


Change = Appeared | Disappeared


class DeviceSource(Protocol):
    """An open, listening source of changes."""

    def fileno(self) -> int:
        """Readable when there may be something to receive, or when the source is broken."""

    def receive(self) -> Change | None:
        """The next change, or None when there is none now; never blocks. Raises SourceBroken."""

    def enumerate(self) -> list[Item]:
        """Everything that is there now. Raises SourceBroken."""

    def close(self) -> None:
        """Release the socket."""


class UdevSource:
    """udev's events about USB and block devices. Listens from the moment it is made.

    `group` is udev's netlink group; "kernel" hears the kernel itself, before udev has looked.
    Raises SourceBroken when the socket cannot be opened.
    """

    def __init__(self, receive_buffer_bytes: int, *, group: str = "udev") -> None:
        try:
            self._context = pyudev.Context()
            self._monitor = pyudev.Monitor.from_netlink(self._context, source=group)
            self._monitor.filter_by("usb")
            self._monitor.filter_by("block")
            self._raise_buffer(receive_buffer_bytes)
            self._monitor.start()
        except OSError as error:
            raise SourceBroken(error.errno, f"cannot listen to udev: {error}") from error

    def _raise_buffer(self, wanted_bytes: int) -> None:
        try:
            self._monitor.set_receive_buffer_size(wanted_bytes)
        except OSError:
            # Going past net.core.rmem_max needs CAP_NET_ADMIN. Take what everyone may have.
            with socket.socket(fileno=os.dup(self._monitor.fileno())) as view:
                view.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted_bytes)

    def fileno(self) -> int:
        return int(self._monitor.fileno())

    def receive(self) -> Change | None:
        try:
            while (device := self._monitor.poll(timeout=0)) is not None:
                change = _read_change(device)
                if change is not None:
                    return change
        except OSError as error:
            raise SourceBroken(error.errno, f"device events were lost: {error}") from error
        self._raise_if_hung_up()
        return None

    def _raise_if_hung_up(self) -> None:
        """Find the error that shows as readable for ever and never gives an event (POLLHUP without POLLIN)."""
        poller = select.poll()
        poller.register(self._monitor.fileno(), 0)
        if poller.poll(0):
            raise SourceBroken("the socket of udev's events is broken")

    def enumerate(self) -> list[Item]:
        try:
            return list(self._present())
        except OSError as error:
            raise SourceBroken(error.errno, f"cannot enumerate devices: {error}") from error

    def _present(self) -> Iterator[Item]:
        for subsystem in ("usb", "block"):
            for device in self._context.list_devices(subsystem=subsystem):
                item = _read_item(device)
                if item is not None:
                    yield item

    def close(self) -> None:
        # pyudev has no close: the socket goes with the last reference to the monitor.
        del self._monitor


def port_path_in(sys_path: str) -> str | None:
    """The USB port that a device hangs at: the innermost part of its sysfs path that is a port, or None."""
    names = [name for name in sys_path.split("/") if _PORT_NAME.fullmatch(name)]
    return names[-1] if names else None


def companion_port(node: Path) -> str | None:
    """The other kernel path of the same socket: USB 3 sockets are a USB 2 and a SuperSpeed port at once.

    `node` is the sysfs path of a device in it. None where the kernel names no peer.
    """
    return peer_port(node / "port")


def peer_port(port_folder: Path) -> str | None:
    """The other kernel path of the socket whose port has this sysfs folder. None where the kernel names no peer."""
    try:
        name = (port_folder / "peer").resolve(strict=True).name
    except OSError:
        return None
    if root := _ROOT_PORT.fullmatch(name):
        return f"{root[1]}-{root[2]}"
    if hub := _HUB_PORT.fullmatch(name):
        return f"{hub[1]}.{hub[2]}"
    return None


def _read_change(device: Any) -> Change | None:
    if device.action == "remove":
        number = device.properties.get("DEVNUM") if device.device_type == "usb_device" else None
        return Disappeared(device.sys_path, _normal_number(number))
    if device.action not in _TELLING_ACTIONS:
        return None
    item = _read_item(device)
    return None if item is None else Appeared(item)


def _read_item(device: Any) -> Item | None:
    port_path = port_path_in(device.sys_path)
    if port_path is None:
        return None
    match device.device_type:
        case "usb_device":
            return read_usb_device(Path(device.sys_path))
        case "usb_interface":
            return UsbInterface(device.sys_path, port_path)
        case "disk" | "partition":
            return _read_block(device, port_path)
    return None


def read_usb_device(node: Path) -> UsbDevice | None:
    """Describe the device at this sysfs path; None when it is no longer there.

    A device whose descriptors are damaged has no interfaces, and no interfaces are never allowed.
    """
    number = _attribute(node, "devnum")
    try:
        descriptors = parse_descriptors((node / "descriptors").read_bytes())
    except DescriptorsMalformed:
        descriptors = None
    except OSError:
        # The attribute is there for as long as the device is.
        return None
    port = Port(
        path=node.name,
        node=str(node),
        usb_vendor_id=descriptors.vendor_id if descriptors else None,
        usb_product_id=descriptors.product_id if descriptors else None,
        usb_interfaces=descriptors.interfaces if descriptors else (),
        usb_serial=(_attribute(node, "serial") or "")[:_SERIAL_CHARACTERS] or None,
    )
    return UsbDevice(str(node), port, _normal_number(number), is_hub=descriptors is not None and descriptors.is_hub)


def _read_block(device: Any, port_path: str) -> BlockDevice | None:
    words = device.properties
    if not (device.is_initialized or "ID_FS_TYPE" in words) or device.device_node is None:
        # udev has not looked into it yet; its event will come.
        return None
    is_partition = device.device_type == "partition"
    node = Path(device.sys_path)
    number = _normal_number(_attribute(node, "partition")) if is_partition else None
    if is_partition and number is None:
        return None
    has_file_system = words.get("ID_FS_USAGE", _FILE_SYSTEM_USAGE) == _FILE_SYSTEM_USAGE
    return BlockDevice(
        sys_path=device.sys_path,
        port_path=port_path,
        node=Path(device.device_node),
        partition_number=int(number) if number is not None else None,
        partitions=frozenset() if is_partition else _partitions_of(node),
        file_system=words.get("ID_FS_TYPE") if has_file_system else None,
        untrusted_label=words.get("ID_FS_LABEL"),
    )


def _partitions_of(disk: Path) -> frozenset[str]:
    with contextlib.suppress(OSError):
        return frozenset(child.name for child in disk.iterdir() if (child / "partition").exists())
    return frozenset()


def _attribute(node: Path, name: str) -> str | None:
    try:
        return (node / name).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _normal_number(text: str | None) -> str | None:
    """`005` in an event and `5` in sysfs are the same number."""
    return str(int(text)) if text is not None and text.isdecimal() else None
