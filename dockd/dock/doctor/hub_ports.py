"""USB hub ports as sysfs shows them: where a port's folder is, and what stands in it.

Facts only; what they mean is said in `bays_on_host.py`. Names: kernel Documentation/ABI/testing/sysfs-bus-usb and
Documentation/usb; port 3 of the hub at `1-1` is the folder `1-1:1.0/1-1-port3`, port 3 of a controller's own hub
is `1-0:1.0/usb1-port3`.
"""

from __future__ import annotations

from pathlib import Path

from dockd.dock.doctor.host import Host

USB_DEVICES = "sys/bus/usb/devices"


def hub_of(port_path: str) -> tuple[str, int]:
    """The hub's sysfs name and the number of its port: `1-1.3` is port 3 of `1-1`, `1-3` is port 3 of `usb1`."""
    before, dot, number = port_path.rpartition(".")
    if dot:
        return before, int(number)
    bus, _, number = port_path.partition("-")
    return f"usb{bus}", int(number)


def controller_of(port_path: str) -> str:
    """The sysfs name of the controller's own hub: `usb1` for `1-1.3`."""
    return f"usb{port_path.partition('-')[0]}"


def controllers(host: Host) -> tuple[str, ...]:
    """Every USB controller's own hub, such as `usb1`. None where the kernel has no USB. Raises OSError."""
    folder = host.path(USB_DEVICES)
    return tuple(sorted(path.name for path in folder.glob("usb*"))) if folder.is_dir() else ()


def device(host: Host, name: str) -> Path | None:
    """The sysfs folder of a USB device, or None when nothing of that name is there."""
    folder = host.path(USB_DEVICES) / name
    return folder if folder.is_dir() else None


def port_folder(host: Host, port_path: str) -> Path | None:
    """The sysfs folder of a hub's port, or None when there is no such port."""
    hub, number = hub_of(port_path)
    folder = device(host, hub)
    interface = f"{hub[3:]}-0" if hub.startswith("usb") else hub
    found = sorted(folder.glob(f"{interface}:*/{hub}-port{number}")) if folder else []
    return found[0] if found else None


def port_count(host: Host, hub: str) -> int | None:
    """How many ports a hub says that it has (`maxchild`); None when it is not there. Raises OSError."""
    text = host.read(host.path(USB_DEVICES) / hub / "maxchild")
    return int(text) if text is not None and text.isdecimal() else None
