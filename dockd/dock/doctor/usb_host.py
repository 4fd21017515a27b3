"""Checks of USB on the host as a whole: udev, which devices are switched on by themselves, and who else grabs cameras.

Listens to udev without waiting for an event: plugging something in is a person's part.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dockd.dock.bay_map import load_bay_map
from dockd.dock.doctor.bays_on_host import WRITE_RULES
from dockd.dock.doctor.check import Check
from dockd.dock.doctor.finding import Finding, note, ok, problem, warning
from dockd.dock.doctor.host import Examination, Host
from dockd.dock.doctor.hub_ports import USB_DEVICES, controller_of, controllers, device, hub_of
from dockd.dock.udev_source import SourceBroken, UsbDevice

_UDEV_SOCKET = "run/udev/control"
"""Is there while udevd runs; libudev looks at the same file."""
_RULE_FOLDERS = ("etc/udev/rules.d", "run/udev/rules.d", "usr/lib/udev/rules.d", "lib/udev/rules.d")
_DISK_GRABBERS = frozenset({"udisksd", "udiskie", "gvfs-udisks2-volume-monitor", "automount", "devmon", "autofs"})
_CAMERA_GRABBERS = frozenset({"gvfs-gphoto2-volume-monitor", "gvfs-mtp-volume-monitor", "gvfsd-mtp", "gvfsd-gphoto2"})
_ON_DEMAND = (
    "usr/share/dbus-1/system-services/org.freedesktop.UDisks2.service",
    "usr/share/gvfs/remote-volume-monitors/mtp.monitor",
    "usr/share/gvfs/remote-volume-monitors/gphoto2.monitor",
)

USB_OFF = note(
    "usb-off",
    "The configuration switches USB off.",
    "No camera at a USB port is looked at; the footage stays on them.",
    "Set is_enabled = true in [usb], unless this dock has only simulated cameras.",
)
UDEV_HEARD = ok("udev-heard", "udev runs, can be listened to, and lists the devices that are there.")
UDEV_NOT_RUNNING = problem(
    "udev-not-running",
    "udev does not run here (or its folder /run/udev is hidden from this program, as in a container).",
    "The dock never hears that a camera was put in; the footage stays on the cameras.",
    "On the host run: systemctl status systemd-udevd. In a container dockd cannot see USB events; run it on the host.",
)
UDEV_BROKEN = problem(
    "udev-broken",
    "udev runs and its events cannot be listened to.",
    "The dock does not start with USB switched on; cameras keep their footage.",
    "Tell IT with the reason; a service needs RestrictAddressFamilies to include AF_NETLINK.",
)
BUFFER_SMALL = note(
    "udev-buffer-small",
    "The host does not let a program without special rights have the receive buffer that is configured.",
    "None. When many devices come at once, events may be lost, and everything is listed again.",
    "Set net.core.rmem_max to receive_buffer_bytes of [usb] in /etc/sysctl.d, as dockd's package does.",
)
NO_CONTROLLER = problem(
    "usb-controller-missing",
    "The kernel shows no USB controller.",
    "No camera can be seen; the footage stays on the cameras.",
    "Check that USB is switched on in the firmware, and that the host is not a container without /sys.",
)
AUTHORISATION_ASKED = ok(
    "usb-authorisation-asked", "The controllers of the bays switch nothing on by themselves: dockd looks first."
)
AUTHORISATION_OPEN = warning(
    "usb-authorisation-open",
    "A controller with bays switches on whatever is plugged in, before dockd has looked at it.",
    "A device that poses as a camera can be a keyboard for a moment and type on this host.",
    WRITE_RULES,
)
HUB_OFF = problem(
    "usb-hub-off",
    "A hub that holds bays is not authorised, so the kernel does not use it.",
    "No camera in its bays is seen; the footage stays on them.",
    f"The dock's udev rules let its own hubs through, by their place. {WRITE_RULES}",
)
DEVICE_OFF = note(
    "usb-device-off",
    "A device outside the bays is not authorised: a keyboard or badge reader there does not work.",
    "None.",
    f"If it belongs to this host, plug it into another controller. {WRITE_RULES}",
)
NO_AUTOMOUNTER = ok("automounter-none", "No other program takes hold of cameras.")
AUTOMOUNTER_RUNS = warning(
    "automounter-runs",
    "Another program runs that takes hold of cameras or mounts their cards.",
    "It may write to a card before dockd has protected it, or hold a camera so that dockd cannot read it.",
    "A dock needs no desktop: remove it (apt-get remove udisks2 gvfs-backends gvfs-daemons), or install dockd's udev "
    "rules, which tell udisks to leave the bays alone (UDISKS_IGNORE).",
)
AUTOMOUNTER_TOLD = note(
    "automounter-told",
    "An automounter runs, and a udev rule tells it to leave devices alone.",
    "None, as long as the rule names the dock's hubs.",
    "Nothing; better still, remove the automounter.",
)
AUTOMOUNTER_INSTALLED = note(
    "automounter-installed",
    "Another program is installed that may be started and then takes hold of cameras.",
    "None now. When someone signs in at a desktop here, it may write to a card or hold a camera.",
    "Remove it: apt-get remove udisks2 gvfs-backends gvfs-daemons",
)


def check_udev(examination: Examination) -> Iterator[Finding]:
    """Open udev's events and list what is there."""
    usb, host = examination.settings.usb, examination.host
    if not usb.is_enabled:
        yield USB_OFF.found("[usb] is_enabled is false.")
        return
    if not controllers(host):
        yield NO_CONTROLLER.found(f"There is no usb1 in /{USB_DEVICES}.")
    if not host.path(_UDEV_SOCKET).exists():
        yield UDEV_NOT_RUNNING.found(f"/{_UDEV_SOCKET} is not there.")
        return
    try:
        source = host.open_events(usb.receive_buffer_bytes)
        try:
            items = source.enumerate()
            source.receive()
        finally:
            source.close()
    except SourceBroken as error:
        yield UDEV_BROKEN.found(f"{error.strerror or error}.")
        return
    allowed = host.read("proc/sys/net/core/rmem_max")
    if allowed is not None and int(allowed) < usb.receive_buffer_bytes:
        yield BUFFER_SMALL.found(f"net.core.rmem_max is {allowed}; wanted are {usb.receive_buffer_bytes} bytes.")
    devices = [item for item in items if isinstance(item, UsbDevice)]
    hubs = sum(item.is_hub for item in devices)
    yield UDEV_HEARD.found(
        f"It lists {len(devices)} USB devices, {hubs} of them hubs. No event was waited for; docking a camera shows "
        "whether they come."
    )


def check_authorisation(examination: Examination) -> Iterator[Finding]:
    """The controllers of the bays have authorized_default=0, and the dock's hubs are let through (decision 0005)."""
    usb, host = examination.settings.usb, examination.host
    if not usb.is_enabled:
        return
    ports = load_bay_map(Path(usb.bays_file)).ports
    used = sorted({controller_of(port) for port in ports} | {_controller_of_hub(hub) for hub in usb.hubs})
    present = [name for name in used if device(host, name) is not None]
    states = {name: host.read(f"{USB_DEVICES}/{name}/authorized_default") for name in present}
    if silent := [name for name, state in states.items() if state is None]:
        raise LookupError(f"{', '.join(silent)} has no authorized_default")
    closed = [name for name, state in states.items() if state == "0"]
    opened = [f"{name} has authorized_default={state}" for name, state in states.items() if state != "0"]
    if opened:
        yield AUTHORISATION_OPEN.found(f"{', '.join(opened)}; wanted is 0.")
    elif closed:
        yield AUTHORISATION_ASKED.found(f"authorized_default is 0 at {', '.join(closed)}.")
    yield from _switched_off(host, closed, ports)


def check_automounters(examination: Examination) -> Iterator[Finding]:
    """Programs of a desktop that take cameras and cards for themselves."""
    host = examination.host
    disks, cameras = host.running(_DISK_GRABBERS), host.running(_CAMERA_GRABBERS)
    rule = _ignoring_rule(host)
    untold = (*cameras, *(() if rule else disks))
    installed = [name for name in _ON_DEMAND if host.path(name).exists()]
    if untold:
        yield AUTOMOUNTER_RUNS.found(f"Running: {', '.join(untold)}.")
    if disks and rule:
        yield AUTOMOUNTER_TOLD.found(f"Running: {', '.join(disks)}; UDISKS_IGNORE is set by {rule}.")
    if installed and not (disks or cameras):
        yield AUTOMOUNTER_INSTALLED.found(f"Can be started by: {', '.join(f'/{name}' for name in installed)}.")
    if not (disks or cameras or installed):
        yield NO_AUTOMOUNTER.found("Neither udisks nor gvfs nor another automounter was found.")


def _controller_of_hub(hub: str) -> str:
    return hub if hub.startswith("usb") else controller_of(hub)


def _switched_off(host: Host, closed: list[str], ports: frozenset[str]) -> Iterator[Finding]:
    """Devices that stay off because their controller switches nothing on. What is in a bay is dockd's to switch on."""
    holding = {hub_of(port)[0] for port in ports}
    folder = host.path(USB_DEVICES)
    others: list[str] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if ":" in path.name or host.read(path / "authorized") != "0":
            continue
        if path.name in holding or any(hub.startswith(f"{path.name}.") for hub in holding):
            yield HUB_OFF.found(f"Hub {path.name} has authorized=0.")
        elif path.name not in ports and controller_of(path.name) in closed:
            name = host.read(path / "product")
            others.append(f"{path.name} ({name})" if name else path.name)
    if others:
        yield DEVICE_OFF.found(f"Not authorised: {', '.join(others)}.")


def _ignoring_rule(host: Host) -> str | None:
    for folder in _RULE_FOLDERS:
        place = host.path(folder)
        for file in sorted(place.glob("*.rules")) if place.is_dir() else ():
            # udisks' own rules set it too, for loop devices and partitions that nobody mounts.
            if "udisks" not in file.name and 'ENV{UDISKS_IGNORE}="1"' in (host.read(file) or ""):
                return f"/{file.relative_to(host.root)}"
    return None


CHECKS = (
    Check(
        "udev",
        "Can udev be asked and listened to?",
        check_udev,
        (USB_OFF, UDEV_HEARD, UDEV_NOT_RUNNING, UDEV_BROKEN, BUFFER_SMALL, NO_CONTROLLER),
        "Without udev's events no camera is noticed.",
        "Run `udevadm monitor` and plug something in.",
    ),
    Check(
        "usb-authorisation",
        "Is a device looked at before it is switched on?",
        check_authorisation,
        (AUTHORISATION_ASKED, AUTHORISATION_OPEN, HUB_OFF, DEVICE_OFF),
        "A device in a bay may be used by the kernel before dockd has judged it.",
        "Look at /sys/bus/usb/devices/usb1/authorized_default and the other controllers' files.",
    ),
    Check(
        "automounters",
        "Does another program take hold of cameras?",
        check_automounters,
        (NO_AUTOMOUNTER, AUTOMOUNTER_RUNS, AUTOMOUNTER_TOLD, AUTOMOUNTER_INSTALLED),
        "Another program may write to a card before dockd has protected it.",
        "Run: ps -e | grep -E 'udisks|gvfs'",
    ),
)
