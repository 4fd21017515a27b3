"""A kernel's USB ports, played by umockdev: sysfs and udev events, as libudev and the daemon see them.

Works only in a process started under `umockdev-wrapper`. The order of events is that of a real kernel:
usb device, then (once authorised) its interfaces, then the disk, then its partitions with what udev found.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.support.usb_bytes import HUB, STORAGE, Triple, descriptors_of

DEBIAN_PACKAGES = "/usr/lib/python3/dist-packages"


@functools.cache
def _testbed() -> Any:
    """The process's one testbed: a second one would take the environment from the first when that is freed."""
    if DEBIAN_PACKAGES not in sys.path:
        sys.path.append(DEBIAN_PACKAGES)  # python3-gi is Debian's, built for the same Python ABI
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Debian's gi uses import hooks that Python 3.11 calls old
        import gi  # noqa: PLC0415 - only here, where umockdev is

        gi.require_version("UMockdev", "1.0")
        from gi.repository import UMockdev  # noqa: PLC0415 - as above
    return UMockdev.Testbed.new()


class UsbTestbed:
    """Plug things in and out.

    `after_event` is called after every event that was sent. umockdev stands in for netlink with a datagram socket,
    which holds only net.unix.max_dgram_qlen (10) events: a longer burst must be taken out of it meanwhile.
    """

    def __init__(self) -> None:
        self.after_event: Callable[[], None] | None = None
        self._testbed = _testbed()
        self._testbed.clear()
        self._nodes: dict[str, str] = {}
        self._children: dict[str, list[str]] = {}
        self._next_number = 1

    def add_hub(self, path: str, parent: str | None = None) -> str:
        """A hub: authorised, with its interface."""
        return self.add_device(path, [HUB], parent=parent, device_class=(9, 0, 0), authorised=True)

    def add_device(
        self,
        path: str,
        triples: Sequence[Triple] = (STORAGE,),
        *,
        parent: str | None = None,
        device_class: Triple = (0, 0, 0),
        authorised: bool = False,
        descriptors: bytes | None = None,
        serial: str | None = None,
    ) -> str:
        """A device at port `path`, below the hub that its path names. Returns its sysfs path."""
        number = self._next_number
        self._next_number += 1
        hub = parent if parent is not None else self._nodes.get(path.rpartition(".")[0])
        attributes = ["authorized", "1" if authorised else "0", "devnum", str(number)]
        if serial is not None:
            attributes += ["serial", serial]
        node: str = self._testbed.add_device(
            "usb", path, hub, attributes, ["DEVTYPE", "usb_device", "BUSNUM", "001", "DEVNUM", f"{number:03}"]
        )
        content = descriptors_of(triples, device_class=device_class) if descriptors is None else descriptors
        self._testbed.set_attribute_binary(node, "descriptors", content)
        self._sent()
        self._nodes[path] = node
        self._children[path] = []
        if authorised:
            self.add_interfaces(path, triples)
        return node

    def add_interfaces(self, path: str, triples: Sequence[Triple] = (STORAGE,)) -> None:
        """What the kernel does once a device is authorised; then the device itself is bound."""
        for number, triple in enumerate(triples):
            name = f"{path}:1.{number}"
            attributes = ["bInterfaceClass", f"{triple[0]:02x}"]
            node = self._testbed.add_device("usb", name, self._nodes[path], attributes, ["DEVTYPE", "usb_interface"])
            self._sent()
            self._children[path].append(node)
            self.send(node, "bind")
        self.send(self._nodes[path], "bind")

    def add_disk(self, path: str, name: str, *, partitions: int = 0, file_system: str | None = None) -> str:
        """A disk below the device's first interface. Its partitions exist, but udev has not told of them yet."""
        parent = self._children[path][0]
        properties = ["DEVTYPE", "disk", "DEVNAME", f"/dev/{name}", *_file_system(file_system)]
        if partitions:
            properties += ["ID_PART_TABLE_TYPE", "dos"]
        node: str = self._testbed.add_device("block", name, parent, [], properties)
        self._sent()
        self._children[path].append(node)
        for number in range(1, partitions + 1):
            self._testbed.set_attribute(node, f"{name}{number}/partition", str(number))
        return node

    def add_partition(self, path: str, disk: str, number: int, file_system: str | None) -> None:
        """udev has looked into a partition."""
        name = f"{Path(disk).name}{number}"
        properties = ["DEVTYPE", "partition", "DEVNAME", f"/dev/{name}", *_file_system(file_system)]
        node = self._testbed.add_device("block", name, disk, ["partition", str(number)], properties)
        self._sent()
        self._children[path].append(node)

    def set_property(self, node: str, name: str, value: str) -> None:
        """Change what udev says of a device, without an event."""
        self._testbed.set_property(node, name, value)

    def send(self, node: str, action: str) -> None:
        """An event by itself."""
        self._testbed.uevent(node, action)
        self._sent()

    def remove(self, path: str, *, silently: bool = False) -> None:
        """Pull the device out, with all that hangs below it; `silently`: the events are lost."""
        for below in sorted((one for one in self._nodes if one.startswith(f"{path}.")), key=len, reverse=True):
            self.remove(below, silently=silently)
        for node in [*reversed(self._children.pop(path)), self._nodes.pop(path)]:
            if not silently:
                self.send(node, "remove")
            self._testbed.remove_device(node)

    def _sent(self) -> None:
        if self.after_event is not None:
            self.after_event()

    def authorized(self, path: str) -> str:
        """What the sysfs attribute `authorized` says."""
        return (Path(self._nodes[path]) / "authorized").read_text(encoding="ascii").strip()


def _file_system(file_system: str | None) -> list[str]:
    if file_system is None:
        return []
    return ["ID_FS_TYPE", file_system, "ID_FS_USAGE", "filesystem", "ID_FS_LABEL", "BWC0001"]
