"""Checks of the service: what it may do on this host, and whether it mounts cards where others see them.

A running daemon is asked through /proc; one that does not run is judged by its unit file. Which capabilities are
wanted and why: docs/decisions/0009-rights-of-the-service.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dockd.dock.doctor.check import Check
from dockd.dock.doctor.finding import Finding, note, ok, problem, warning
from dockd.dock.doctor.host import Examination, Host
from dockd.dock.doctor.journal_state import lock_holder
from dockd.dock.doctor.service_unit import find_unit

_MOUNTING = ("CAP_SYS_ADMIN", 21)
_FOREIGN_FILES = ("CAP_DAC_OVERRIDE", 1)
"""Names and bits of linux/capability.h."""

SERVICE_ABLE = ok("service-able", "The service has the capabilities that it asks for.")
SERVICE_ABSENT = note(
    "service-absent",
    "dockd is neither running nor set up as a service here.",
    "Nothing takes footage until it is started.",
    "Install dockd's package, or start `dockd run` under a service manager that restarts it.",
)
MAY_NOT_MOUNT = problem(
    "service-may-not-mount",
    "The service lacks CAP_SYS_ADMIN and may not mount cards.",
    "Cards are not read; the footage stays on the cameras.",
    "Add CAP_SYS_ADMIN to CapabilityBoundingSet (and to AmbientCapabilities unless it runs as root), then restart it.",
)
MAY_NOT_EMPTY_EXT4 = warning(
    "service-may-not-empty-ext4",
    "ext4 cards are allowed, and the service lacks CAP_DAC_OVERRIDE, without which files of other owners stay.",
    "Footage on such cards is perhaps not read, and they are not emptied; nothing is lost.",
    "Add CAP_DAC_OVERRIDE to CapabilityBoundingSet and AmbientCapabilities, or take ext4 out of [privilege] "
    "file_systems.",
)
SHARES_MOUNTS = problem(
    "service-shares-mounts",
    "The service is to be given its own view of mounts, and its unit gives it none.",
    "The dock does not start, because every program on this host would see the cards; cameras keep their footage.",
    'Set PrivateMounts=yes in the unit, or mount_namespace = "own" in [privilege].',
)


def check_service(examination: Examination) -> Iterator[Finding]:
    """The running daemon's capabilities, else the unit's."""
    settings, host = examination.settings, examination.host
    if not settings.usb.is_enabled:
        return
    wanted = [_MOUNTING, *([_FOREIGN_FILES] if "ext4" in settings.privilege.file_systems else [])]
    unit = find_unit(host)
    holder = lock_holder(host, Path(settings.dock.state_folder) / "journal")
    if holder is not None:
        held = _effective(host, holder)
        lacking = {name for name, bit in wanted if not held >> bit & 1}
        yield from _judged(f"The running dockd, process {holder},", wanted, lacking)
    elif unit is not None:
        lacking = {name for name, _ in wanted if unit.lacks(name)}
        yield from _judged(f"{unit.path.name} as user {unit.user}", wanted, lacking)
    else:
        yield SERVICE_ABSENT.found("There is no dockd.service, and no dockd has this dock's journal open.")
    if unit is not None and not unit.has_own_mounts and settings.privilege.mount_namespace == "given":
        yield SHARES_MOUNTS.found(f"{unit.path.name} does not set PrivateMounts=yes.")


def _judged(who: str, wanted: list[tuple[str, int]], lacking: set[str]) -> Iterator[Finding]:
    for (name, _), kind in ((_MOUNTING, MAY_NOT_MOUNT), (_FOREIGN_FILES, MAY_NOT_EMPTY_EXT4)):
        if name in lacking:
            yield kind.found(f"{who} lacks {name}.")
    if not lacking:
        yield SERVICE_ABLE.found(f"{who} has {', '.join(name for name, _ in wanted)}.")


def _effective(host: Host, process: int) -> int:
    """The effective capabilities of a process as a bit mask (proc(5), CapEff). Raises LookupError, OSError."""
    for line in (host.read(f"proc/{process}/status") or "").splitlines():
        if line.startswith("CapEff:"):
            return int(line.partition(":")[2], 16)
    raise LookupError(f"the kernel does not tell the capabilities of process {process}")


CHECKS = (
    Check(
        "service",
        "May the service do what it has to do?",
        check_service,
        (SERVICE_ABLE, SERVICE_ABSENT, MAY_NOT_MOUNT, MAY_NOT_EMPTY_EXT4, SHARES_MOUNTS),
        "A service without its rights reads no card; that is told at the bay.",
        "Run: systemctl show dockd -p User,CapabilityBoundingSet,PrivateMounts",
    ),
)
