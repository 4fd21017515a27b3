"""`dockd doctor`: everything that can be found out about a dock host before, or while, cameras are docked.

`AREAS` are all checks in the order in which people read them; `examine` carries them out. Reads only: the one thing
that is written is a probe file in the staging folder, which is removed. Must not know how findings are shown.
"""

from __future__ import annotations

from dockd.dock.doctor import (
    bays_on_host,
    centre_reach,
    dock_certificate,
    host_clock,
    journal_state,
    kernel_modules,
    permissions,
    service,
    software,
    staging_disk,
    storage_kind,
    usb_host,
)
from dockd.dock.doctor.check import Check, Report, examine
from dockd.dock.doctor.finding import Finding, Kind, Severity
from dockd.dock.doctor.host import DoctorSettings, Examination, Host

__all__ = [
    "AREAS",
    "CHECKS",
    "Check",
    "DoctorSettings",
    "Examination",
    "Finding",
    "Host",
    "Kind",
    "Report",
    "Severity",
    "examine",
]

AREAS: dict[str, tuple[Check, ...]] = {
    "Software and configuration": software.CHECKS,
    "Cards": kernel_modules.CHECKS,
    "USB": (*usb_host.CHECKS, *bays_on_host.CHECKS),
    "Disks": (*staging_disk.CHECKS, *storage_kind.CHECKS),
    "Journal, files and service": (*journal_state.CHECKS, *permissions.CHECKS, *service.CHECKS),
    "Clock": host_clock.CHECKS,
    "Centre": (*centre_reach.CHECKS, *dock_certificate.CHECKS),
}
"""Every check, by the part of the host that it looks at."""

CHECKS: tuple[Check, ...] = tuple(check for checks in AREAS.values() for check in checks)
