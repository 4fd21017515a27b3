"""Checks of the bays: are they there, does each have both its paths, and what do their hubs claim about power.

The bay map is compared with the hub ports in sysfs. A hub's claim to switch power is repeated as a claim: many hubs
cut only the data lines, and only a measurement tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dockd.dock.bay_map import BayMap, MappedBay, load_bay_map
from dockd.dock.doctor.check import Check
from dockd.dock.doctor.finding import Finding, note, ok, problem, warning
from dockd.dock.doctor.host import Examination, Host
from dockd.dock.doctor.hub_ports import device, hub_of, port_count, port_folder
from dockd.dock.doctor.service_unit import find_unit
from dockd.dock.udev_rules import bay_rules
from dockd.dock.udev_source import peer_port
from dockd.errors import ConfigInvalid

WRITE_RULES = (
    "Run: dockd bays rules --write; then: udevadm control --reload && udevadm trigger --action=add -s usb -s block"
)
_PLACES = "etc/udev/rules.d/60-dockd-bays.rules"
_DEEDS = ("usr/lib/udev/rules.d/70-dockd.rules", "lib/udev/rules.d/70-dockd.rules", "etc/udev/rules.d/70-dockd.rules")

BAYS_FOUND = ok("bays-found", "Every bay of the bay map is a port of a hub on this host.")
BAYS_NONE = problem(
    "bays-none",
    "No bay is known.",
    "Cameras that are put into the dock are not looked at; their footage stays on them.",
    "Teach the dock: stop its service, then run `dockd bays learn` with the names on the slots, in order.",
)
BAYS_UNREADABLE = problem(
    "bays-unreadable",
    "The bay map cannot be read or has mistakes.",
    "The dock does not start; cameras keep their footage.",
    "Mend the file, or teach the dock again with `dockd bays learn`.",
)
HUB_MISSING = problem(
    "bay-hub-missing",
    "The hub that holds a bay is not on this host now.",
    "Cameras in those bays are not seen; their footage stays on them.",
    "Check the hub's cable and power. If the hub was moved to another socket, teach the bays again.",
)
PORT_MISSING = problem(
    "bay-port-missing",
    "The hub is there and has no such port.",
    "A camera in that bay is not seen; its footage stays on it.",
    "The hub was exchanged for another, or the map is wrong: teach the bays again with `dockd bays learn`.",
)
RULES_WRITTEN = ok("bay-rules-written", "The udev rules for the bays are those of this bay map.")
RULES_MISSING = problem(
    "bay-rules-missing",
    "The udev rules that give the service its rights in the bays are not there, and it does not run as root.",
    "The service may not let a camera in; cameras are HELD and keep their footage.",
    WRITE_RULES,
)
RULES_STALE = problem(
    "bay-rules-stale",
    "The udev rules were written for another bay map or other hubs.",
    "In a bay that they do not name, the service may not let a camera in, or another program may mount its card.",
    WRITE_RULES,
)
COMPANION_MISSING = warning(
    "bay-companion-missing",
    "The kernel knows a second path of the same socket, which the bay map does not name.",
    "A camera of the other USB speed in that bay is not seen, and its footage stays on it.",
    "Teach the bay again with `dockd bays learn`, or write companion_port into the bay map.",
)
COMPANION_DIFFERS = warning(
    "bay-companion-differs",
    "The bay map names another second path than the kernel does.",
    "A camera of the other USB speed may be shown in the wrong bay or not at all.",
    "Teach the bay again with `dockd bays learn`.",
)
POWER_CLAIMED = note(
    "port-power-claimed",
    "The hubs claim that they can switch the power of the bays. It was not measured.",
    "None. Many hubs that claim it cut only the data lines and go on charging.",
    "Before relying on it, measure: switch one bay off and see whether its camera stops charging.",
)
POWER_NOT_CLAIMED = note(
    "port-power-not-claimed",
    "A hub does not claim to switch the power of its ports, or the kernel gives no way to.",
    "None; footage is copied as ever. A camera there cannot be restarted or stopped from charging by the dock.",
    "Nothing, unless bays shall be switched off and on; then use hubs with per-port power switching.",
)
OVER_CURRENT = warning(
    "port-over-current",
    "A bay drew more current than its hub allows, at least once since the hub was connected.",
    "A hub that cuts the power interrupts the copy; it goes on from its checkpoint when the camera is back.",
    "Look for a bent contact or a damaged camera in that bay; if it goes on, exchange the hub or its power supply.",
)


def check_bays(examination: Examination) -> Iterator[Finding]:
    """Each bay's ports against the hubs that are there."""
    if not examination.settings.usb.is_enabled:
        return
    try:
        bay_map = _bay_map(examination)
    except ConfigInvalid as error:
        yield BAYS_UNREADABLE.found(error.what)
        return
    if not bay_map.bays:
        yield BAYS_NONE.found(f"{examination.settings.usb.bays_file} is absent or names no bay.")
        return
    wrong = [*_missing(examination.host, bay_map), *_companions(examination.host, bay_map)]
    if not any(finding.code in (HUB_MISSING.code, PORT_MISSING.code) for finding in wrong):
        hubs = sorted({hub_of(port)[0] for port in bay_map.ports})
        yield BAYS_FOUND.found(f"{len(bay_map.bays)} bays, all of them ports of {', '.join(hubs)}.")
    yield from wrong


def check_bay_rules(examination: Examination) -> Iterator[Finding]:
    """The rules file as it would be written now, against the one that is there; and the rules that give it meaning."""
    host, usb = examination.host, examination.settings.usb
    bay_map = _bay_map(examination) if usb.is_enabled else BayMap()
    if not bay_map.bays:
        return
    unit = find_unit(host)
    missing = [] if any(host.path(name).exists() for name in _DEEDS) else [_DEEDS[0]]
    written = host.read_text(_PLACES)
    if written is None:
        missing.append(_PLACES)
    if missing:
        if unit is not None and unit.user not in ("root", "0"):
            yield RULES_MISSING.found(f"Not there: {', '.join(f'/{name}' for name in missing)}.")
    elif written == bay_rules(bay_map, usb):
        yield RULES_WRITTEN.found(f"/{_PLACES} is up to date.")
    else:
        yield RULES_STALE.found(f"/{_PLACES} is not what the bay map and [usb] hubs ask for.")


def check_port_power(examination: Examination) -> Iterator[Finding]:
    """What hubs claim (`disable` in the port's folder), and whether one has cut a bay off already."""
    if not examination.settings.usb.is_enabled:
        return
    host = examination.host
    claimed: list[str] = []
    not_claimed: list[str] = []
    for bay in _bay_map(examination).bays:
        folders = [folder for port in bay.ports if (folder := port_folder(host, port)) is not None]
        if folders:
            does_claim = all((folder / "disable").exists() for folder in folders)
            (claimed if does_claim else not_claimed).append(str(bay.bay))
        for folder in folders:
            count = host.read(folder / "over_current_count") or "0"
            if count.isdecimal() and int(count) > 0:
                yield OVER_CURRENT.found(f"Bay {bay.bay} ({folder.name}): {count} times.")
    if claimed:
        yield POWER_CLAIMED.found(f"The hubs claim it for {_bays(claimed)}; not measured.")
    if not_claimed:
        yield POWER_NOT_CLAIMED.found(f"No claim for {_bays(not_claimed)}.")


def _bay_map(examination: Examination) -> BayMap:
    return load_bay_map(Path(examination.settings.usb.bays_file))


def _missing(host: Host, bay_map: BayMap) -> Iterator[Finding]:
    """One finding for each hub that is away, however many bays it has; one for each port that a hub lacks."""
    without_hub: dict[str, list[str]] = {}
    for bay in bay_map.bays:
        for port in bay.ports:
            hub, number = hub_of(port)
            if device(host, hub) is None:
                without_hub.setdefault(hub, []).append(str(bay.bay))
            elif port_folder(host, port) is None:
                count = port_count(host, hub)
                has = f"; {hub} has {count} ports" if count is not None else ""
                yield PORT_MISSING.found(f"Bay {bay.bay} is port {number} of hub {hub}, which is not there{has}.")
    for hub, bays in without_hub.items():
        yield HUB_MISSING.found(f"Hub {hub} is not there; it holds {_bays(bays)}.")


def _companions(host: Host, bay_map: BayMap) -> Iterator[Finding]:
    for bay in bay_map.bays:
        folder = port_folder(host, bay.port)
        peer = peer_port(folder) if folder else None
        if peer is None or peer in bay.ports:
            continue
        yield _companion_finding(bay, peer)


def _companion_finding(bay: MappedBay, peer: str) -> Finding:
    if bay.companion_port is None:
        return COMPANION_MISSING.found(f"Bay {bay.bay} is {bay.port}; its socket is {peer} too.")
    return COMPANION_DIFFERS.found(
        f"Bay {bay.bay} is {bay.port}; the map says {bay.companion_port}, the kernel {peer}."
    )


def _bays(names: list[str]) -> str:
    return f"bay {names[0]}" if len(names) == 1 else f"bays {', '.join(dict.fromkeys(names))}"


CHECKS = (
    Check(
        "bay-rules",
        "Do the udev rules fit the bays?",
        check_bay_rules,
        (RULES_WRITTEN, RULES_MISSING, RULES_STALE),
        "The service may lack the right to let cameras in.",
        "Compare `dockd bays rules` with /etc/udev/rules.d/60-dockd-bays.rules.",
    ),
    Check(
        "bays",
        "Is every bay of the bay map a port of a hub here?",
        check_bays,
        (BAYS_FOUND, BAYS_NONE, BAYS_UNREADABLE, HUB_MISSING, PORT_MISSING, COMPANION_MISSING, COMPANION_DIFFERS),
        "A bay that is not there sees no camera.",
        "Run `dockd bays show`, and look below /sys/bus/usb/devices.",
    ),
    Check(
        "port-power",
        "Do the hubs claim to switch the power of the bays?",
        check_port_power,
        (POWER_CLAIMED, POWER_NOT_CLAIMED, OVER_CURRENT),
        "None.",
        "Look for a file named disable in the ports' folders below /sys/bus/usb/devices.",
    ),
)
