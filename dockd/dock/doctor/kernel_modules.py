"""Whether the kernel can read camera cards: USB storage, FAT, exFAT, ext4 and FAT's character set.

Knows `modules.dep`, `modules.builtin` and modprobe.d(5). Guides for hardening a host switch these very modules off
(`install vfat /bin/false`, `blacklist usb-storage`), and a card is then refused without a word about why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockd.dock.doctor.check import Check
from dockd.dock.doctor.finding import Finding, ok, problem, warning
from dockd.dock.doctor.host import Examination, Host

_MODPROBE_FOLDERS = ("etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d")
_MODULE_FOLDERS = ("lib/modules", "usr/lib/modules")
_REFUSING_PROGRAMS = frozenset({"true", "false"})
_LISTS = ("modules.dep", "modules.builtin")
_FAT_CHARACTER_SET = "nls_cp437"
"""The privilege room mounts FAT with codepage=437."""

MODULES_FOUND = ok("kernel-modules-found", "The kernel can read every kind of card that is allowed.")
MODULE_OFF = problem(
    "kernel-module-off",
    "A file in modprobe.d switches off a kernel module that cards need.",
    "Cameras are seen and their cards are not; the footage stays on the cameras.",
    "Take the module's line out of that file (it is often part of a hardening guide), then run: modprobe MODULE",
)
MODULE_MISSING = problem(
    "kernel-module-missing",
    "The running kernel has no module for a kind of card that is allowed.",
    "Cards of that kind cannot be read; the footage stays on the cameras.",
    "Install a full kernel (apt-get install linux-image-amd64), or take the file system out of [privilege] "
    "file_systems if no camera uses it.",
)
UAS_OFF = warning(
    "kernel-uas-off",
    "The module for fast USB disks (UAS) is missing or switched off.",
    "Most cameras do not need it; one that speaks only UAS is not read.",
    "Take `uas` out of modprobe.d, or ignore this if all cameras are read.",
)


def check_kernel_modules(examination: Examination) -> Iterator[Finding]:
    """Each needed module: built in, or there to be loaded and not switched off."""
    host, settings = examination.host, examination.settings
    if not settings.usb.is_enabled:
        return
    ready, switched_off = _ready(host), _switched_off(host)
    wanted: dict[str, str] = {"usb_storage": "USB disks"}
    wanted |= {name: f"{name} cards" for name in settings.privilege.file_systems}
    if "vfat" in wanted:
        wanted[_FAT_CHARACTER_SET] = "names on vfat cards"
    available = ready if ready.issuperset({*wanted, "uas"}) else ready | _loadable(host)
    is_well = True
    for module, what in wanted.items():
        if module in switched_off and module not in ready:
            is_well = False
            yield MODULE_OFF.found(f"{module} ({what}) is switched off by {switched_off[module]}.")
        elif module not in available:
            is_well = False
            yield MODULE_MISSING.found(f"Linux {host.kernel_release()} has no {module} ({what}).")
    if is_well:
        yield MODULES_FOUND.found(f"Linux {host.kernel_release()} has {', '.join(wanted)}.")
    if "uas" in switched_off or "uas" not in available:
        yield UAS_OFF.found(f"uas: {switched_off.get('uas', 'not part of this kernel')}.")


def _ready(host: Host) -> frozenset[str]:
    """Modules that are loaded, and file systems that the kernel offers now."""
    loaded = {line.split()[0] for line in (host.read("proc/modules") or "").splitlines() if line}
    offered = {line.split()[-1] for line in (host.read("proc/filesystems") or "").splitlines() if line}
    return frozenset(loaded | offered)


def _loadable(host: Host) -> frozenset[str]:
    """Everything that is built in or there to be loaded. Raises LookupError where no list is found."""
    names: set[str] = set()
    release = host.kernel_release()
    lists = [host.read(f"{folder}/{release}/{name}") for folder in _MODULE_FOLDERS for name in _LISTS]
    if not any(one is not None for one in lists):
        raise LookupError(f"there is no list of the modules of Linux {release} in /lib/modules")
    for text in lists:
        for line in (text or "").splitlines():
            names.add(_module_name(line.partition(":")[0]))
    return frozenset(names)


def _module_name(path: str) -> str:
    """`kernel/fs/fat/vfat.ko.xz` is `vfat`; `-` and `_` are the same in a module's name (modprobe(8))."""
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def _switched_off(host: Host) -> dict[str, str]:
    """Module to the file that switches it off."""
    off: dict[str, str] = {}
    for folder in _MODPROBE_FOLDERS:
        place = host.path(folder)
        for file in sorted(place.glob("*.conf")) if place.is_dir() else ():
            for line in (host.read(file) or "").splitlines():
                if module := _module_switched_off(line):
                    off.setdefault(module, f"/{file.relative_to(host.root)}")
    return off


def _module_switched_off(line: str) -> str | None:
    words = re.split(r"\s+", line.partition("#")[0].strip())
    match words:
        case ["blacklist", module]:
            return _module_name(module)
        case ["install", module, program, *_] if program.rpartition("/")[2] in _REFUSING_PROGRAMS:
            return _module_name(module)
    return None


CHECKS = (
    Check(
        "kernel-modules",
        "Can the kernel read the cards that are allowed?",
        check_kernel_modules,
        (MODULES_FOUND, MODULE_OFF, MODULE_MISSING, UAS_OFF),
        "Cards may turn out to be unreadable; the footage then stays on the cameras.",
        "Run: modprobe --dry-run --verbose vfat; the same with exfat and usb-storage",
    ),
)
