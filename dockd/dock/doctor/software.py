"""Checks of what is installed: Python, dockd, kernel, drivers, memory, and the configuration itself."""

from __future__ import annotations

import platform
import sqlite3
import sys
from collections.abc import Iterator

from dockd import __version__
from dockd.dock.doctor.check import Check
from dockd.dock.doctor.finding import Finding, note, ok, problem, warning
from dockd.dock.doctor.host import Examination
from dockd.dock.registry import DriverRegistry
from dockd.errors import ConfigInvalid

_OLDEST_PYTHON = (3, 11)
_NOSYMFOLLOW_KERNEL = (5, 10)
"""mount option nosymfollow: Linux 5.10 (mount(8))."""
_PORT_POWER_KERNEL = (6, 0)
"""sysfs `…-portN/disable`: Linux 6.0 (Documentation/ABI/testing/sysfs-bus-usb)."""
_MIB = 1024 * 1024
_DAEMON_BYTES = 128 * _MIB
_BYTES_PER_BAY = 8 * _MIB
"""Both from docs/performance.md, rounded up."""
_SMALLEST_HOST_BYTES = 512 * _MIB

CONFIG_READ = ok("configuration-read", "The configuration can be read and has no mistake.")
CONFIG_INVALID = problem(
    "configuration-invalid",
    "The configuration is missing or has mistakes; checks that need it are left out.",
    "The dock does not start; cameras keep their footage.",
    "Mend the file; `dockd check-config` tells every mistake with its line. Then run the doctor again.",
)
VERSIONS_FIT = ok("versions-fit", "Python, dockd and the kernel fit together.")
PYTHON_OLD = problem(
    "python-old",
    "Python is older than 3.11.",
    "The dock does not start; cameras keep their footage.",
    "Install dockd from its package, which brings what it needs, on Debian 12 or newer.",
)
KERNEL_OLD = problem(
    "kernel-old",
    "The kernel is older than 5.10 and cannot mount a card without following its links.",
    "No camera with a card can be read; the footage stays on the cameras.",
    "Upgrade to Debian 12 or newer.",
)
KERNEL_WITHOUT_PORT_POWER = note(
    "kernel-without-port-power",
    "The kernel is older than 6.0 and cannot switch a hub port's power by file.",
    "None; footage is copied as ever.",
    "Upgrade the kernel if bays shall be switched off and on.",
)
DRIVERS_LOADED = ok("drivers-loaded", "Every camera driver could be loaded.")
DRIVERS_MISSING = problem(
    "drivers-missing",
    "No camera driver is installed.",
    "The dock knows no camera; the footage stays on the cameras.",
    "Install dockd again from its package; `dockd drivers` lists what is there.",
)
DRIVERS_BROKEN = problem(
    "drivers-broken",
    "A camera driver cannot be loaded, or refuses its options.",
    "The dock does not start; cameras keep their footage.",
    "Mend or remove the driver or its [drivers.…] table; `dockd drivers` shows each.",
)
MEMORY_ENOUGH = ok("memory-enough", "There is memory for all bays at work.")
MEMORY_SHORT = warning(
    "memory-short",
    "Less memory is available than the daemon uses with all bays at work.",
    "The kernel may end the daemon in the middle of a copy. Nothing is lost, for it goes on from its checkpoint, "
    "but it may never finish.",
    "Stop other programs on this host or give it more memory; a dock wants at least 512 MiB for itself.",
)


def check_configuration(examination: Examination) -> Iterator[Finding]:
    """Whether there are settings at all."""
    if examination.settings_trouble is not None:
        yield CONFIG_INVALID.found(examination.settings_trouble)
    else:
        dock = examination.settings.dock
        yield CONFIG_READ.found(f"{examination.config_file} is that of dock {dock.id} in {dock.site}.")


def check_versions(examination: Examination) -> Iterator[Finding]:
    """Python, package, SQLite and kernel."""
    python = platform.python_version()
    if sys.version_info[:2] < _OLDEST_PYTHON:
        yield PYTHON_OLD.found(f"This is Python {python}.")
    release, version = examination.host.kernel_release(), examination.host.kernel_version()
    if version < _NOSYMFOLLOW_KERNEL:
        yield KERNEL_OLD.found(f"This is Linux {release}.")
    elif version < _PORT_POWER_KERNEL:
        yield KERNEL_WITHOUT_PORT_POWER.found(f"This is Linux {release}.")
    else:
        yield VERSIONS_FIT.found(
            f"dockd {__version__}, Python {python}, SQLite {sqlite3.sqlite_version}, Linux {release}."
        )


def check_drivers(examination: Examination) -> Iterator[Finding]:
    """Load every driver with the options it is given."""
    options = getattr(examination.settings, "drivers", {})
    try:
        names = [driver.name for driver in DriverRegistry.load(options).drivers]
    except ConfigInvalid as error:
        yield DRIVERS_BROKEN.found(error.what)
        return
    yield DRIVERS_LOADED.found(f"Drivers: {', '.join(names)}.") if names else DRIVERS_MISSING.found("There is none.")


def check_memory(examination: Examination) -> Iterator[Finding]:
    """Available memory against the daemon's measured need. Twelve bays are assumed where none is known."""
    table = examination.host.read("proc/meminfo")
    if table is None:
        raise LookupError("the kernel does not tell its memory")
    sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in table.split("\n"))}
    total_bytes, available_bytes = sizes["MemTotal"], sizes["MemAvailable"]
    needed_bytes = _DAEMON_BYTES + 12 * _BYTES_PER_BAY
    words = f"{available_bytes // _MIB} MiB of {total_bytes // _MIB} MiB are available"
    if available_bytes < needed_bytes or total_bytes < _SMALLEST_HOST_BYTES:
        yield MEMORY_SHORT.found(f"{words}; twelve bays at work take about {needed_bytes // _MIB} MiB.")
    else:
        yield MEMORY_ENOUGH.found(f"{words}.")


CHECKS = (
    Check(
        "configuration",
        "Is the configuration there and right?",
        check_configuration,
        (CONFIG_READ, CONFIG_INVALID),
        "The dock does not start without it.",
        "Look at the file with `dockd check-config`.",
    ),
    Check(
        "versions",
        "Do Python, dockd and the kernel fit together?",
        check_versions,
        (VERSIONS_FIT, PYTHON_OLD, KERNEL_OLD, KERNEL_WITHOUT_PORT_POWER),
        "None by itself.",
        "Run `uname -r`; dockd is made for Debian 12 (Linux 6.1).",
    ),
    Check(
        "drivers",
        "Can every camera driver be loaded?",
        check_drivers,
        (DRIVERS_LOADED, DRIVERS_MISSING, DRIVERS_BROKEN),
        "A dock without drivers knows no camera.",
        "Run `dockd drivers`.",
    ),
    Check(
        "memory",
        "Is there enough memory?",
        check_memory,
        (MEMORY_ENOUGH, MEMORY_SHORT),
        "None by itself.",
        "Run `free -m`.",
    ),
)
