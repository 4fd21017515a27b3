"""Where the dock's USB ports are, as a udev rules file. Pure: reads and writes nothing.

Says places only; what is done at each place stands in `70-dockd.rules`, which the package brings and
upgrades. Every place follows from the bay map and `[usb] hubs`: a controller, hub or port that neither
names is not mentioned, and so keeps working as on any computer. Syntax: udev(7).
"""

from __future__ import annotations

from pathlib import Path

from dockd.dock.bay_map import BayMap
from dockd.dock.usb_policy import UsbConfig
from dockd.errors import BadRequest

RULES_FILE = Path("/etc/udev/rules.d/60-dockd-bays.rules")

_HEAD = """\
# Which USB ports belong to the dock. Written by `dockd bays rules` from the bay map and [usb] hubs; write it
# again after either has changed. What is done at each place: /usr/lib/udev/rules.d/70-dockd.rules
"""
_DEVICE = 'SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device"'


def bay_rules(bay_map: BayMap, usb: UsbConfig) -> str:
    """The rules file. Places are told from the widest to the narrowest: the last that fits counts.

    Raises BadRequest when neither a bay nor a hub is known.
    """
    hubs = _hubs(bay_map, usb)
    roots = sorted({f"usb{_controller(place)}" for place in (*hubs, *bay_map.ports)}, key=_order)
    if not roots:
        raise BadRequest("No bay is known yet, so there is no port to make rules for. First: dockd bays learn 1 2 3 4")
    controllers = [root.removeprefix("usb") for root in roots]
    below = [_below(hub) for hub in hubs]
    # A bay right at a controller's own port has no hub of the dock above it.
    alone = [port for port in sorted(bay_map.ports, key=_order) if "." not in port]
    bays = [*below, *alone, *(f"{port}.*" for port in alone)]
    lines = [
        f'SUBSYSTEM=="usb", KERNEL=="{"|".join(roots)}", ENV{{DOCKD_PLACE}}="controller"',
        f'{_DEVICE}, KERNEL=="{"|".join(f"{number}-*" for number in controllers)}", ENV{{DOCKD_PLACE}}="elsewhere"',
        f'{_DEVICE}, KERNEL=="{"|".join(bays)}", ENV{{DOCKD_PLACE}}="bay"',
    ]
    if places := [hub for hub in hubs if not hub.startswith("usb")]:
        lines.append(f'{_DEVICE}, KERNEL=="{"|".join(places)}", ENV{{DOCKD_PLACE}}="hub"')
    lines.append(f'SUBSYSTEM=="block", SUBSYSTEMS=="usb", KERNELS=="{"|".join(bays)}", ENV{{DOCKD_PLACE}}="bay"')
    return _HEAD + "\n" + "\n".join(lines) + "\n"


def _hubs(bay_map: BayMap, usb: UsbConfig) -> tuple[str, ...]:
    """The dock's hubs: those the configuration names, and those that the bays hang at."""
    parents = {port.rpartition(".")[0] for port in bay_map.ports if "." in port}
    return tuple(sorted({*usb.hubs, *parents}, key=_order))


def _controller(place: str) -> str:
    """The number of the controller: `usb3` and `3-1.4` are both at 3."""
    return place.removeprefix("usb").partition("-")[0]


def _below(hub: str) -> str:
    """A pattern for everything below a hub, at any depth."""
    return f"{hub.removeprefix('usb')}-*" if hub.startswith("usb") else f"{hub}.*"


def _order(place: str) -> tuple[int, ...]:
    """Sorts `1-2` before `1-10`."""
    return tuple(int(number) for number in place.removeprefix("usb").replace("-", ".").split("."))
