"""A dock host as folders: sysfs, procfs and configuration as a sound Debian 12 shows them, for the doctor to look at.

Everything is real files and links; a test breaks one thing and sees what is said about it. Only the place of the
folders is not that of a real host.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from dockd.cli.doctor import examination_of
from dockd.clock import Clock
from dockd.dock.bay_map import load_bay_map
from dockd.dock.doctor import CHECKS, Finding, Host, Report, examine
from dockd.dock.udev_rules import bay_rules
from dockd.dock.udev_source import Change, DeviceSource, Item, SourceBroken, UsbDevice
from dockd.dock.usb_policy import UsbConfig
from dockd.model.camera import Port
from tests.support.clock import ManualClock

GIGABYTE = 1000**3
RELEASE = "6.1.0-31-amd64"
PUBLIC_KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
NOBODY = 65534
"""A user that every host has, and that none of the test's folders belong to."""

_MODULES = """\
kernel/fs/fat/vfat.ko: kernel/fs/fat/fat.ko
kernel/fs/fat/fat.ko:
kernel/fs/exfat/exfat.ko:
kernel/fs/nls/nls_cp437.ko.xz:
kernel/drivers/usb/storage/usb-storage.ko:
kernel/drivers/usb/storage/uas.ko: kernel/drivers/usb/storage/usb-storage.ko
"""
UNIT = """\
[Unit]
Description=dock
[Service]
ExecStart=/usr/bin/dockd run
User=root
CapabilityBoundingSet=CAP_SYS_ADMIN
AmbientCapabilities=CAP_SYS_ADMIN
PrivateMounts=yes
"""


class ListedSource:
    """udev's events where nothing happens: implements `DeviceSource`."""

    def __init__(self, items: Iterable[Item] = (), trouble: str | None = None) -> None:
        self._items = list(items)
        self._trouble = trouble
        self.is_closed = False

    def fileno(self) -> int:
        return -1

    def receive(self) -> Change | None:
        if self._trouble:
            raise SourceBroken(self._trouble)
        return None

    def enumerate(self) -> list[Item]:
        return self._items

    def close(self) -> None:
        self.is_closed = True


def room(
    free_bytes: int, *, files_free: int = 1_000_000, files: int = 2_000_000
) -> Callable[[Path], os.statvfs_result]:
    """A disk of 1000 GB with so much free."""
    block = 4096
    blocks = (1000 * GIGABYTE) // block
    free = free_bytes // block
    return lambda _path: os.statvfs_result((block, block, blocks, free, free, files, files_free, files_free, 0, 255))


@dataclass
class DockHost:
    """A sound host below `folder`; every part may be changed before it is looked at."""

    folder: Path
    clock: Clock = field(default_factory=ManualClock)
    source: DeviceSource = field(default_factory=lambda: ListedSource([_hub("usb1"), _hub("1-1"), _hub("2-1")]))
    sections: str = ""
    """More of the configuration file."""
    centre_url: str = "http://127.0.0.1:1"
    store: str = "store-1"
    key: str = "key-1"
    public_key: str = PUBLIC_KEY

    def __post_init__(self) -> None:
        for folder in (self.root, self.state, self.journal, self.staging):
            folder.mkdir(parents=True, mode=0o700)
        self.host = Host(
            root=self.root, open_events=lambda _size: self.source, statvfs=room(500 * GIGABYTE), clock=self.clock
        )
        self._make_proc()
        self._make_disks()
        self._make_usb()
        self.write_bays(
            'name = "1"\nport = "1-1.1"\ncompanion_port = "2-1.1"',
            'name = "2"\nport = "1-1.2"\ncompanion_port = "2-1.2"',
        )
        self.put("run/udev/control", "")
        self.put(f"lib/modules/{RELEASE}/modules.dep", _MODULES)
        self.put("lib/systemd/system/dockd.service", UNIT)
        self.put("usr/lib/udev/rules.d/70-dockd.rules", 'ENV{UDISKS_IGNORE}="1"\n')
        self.write_rules()

    # --- places ---------------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        return self.folder / "host"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def journal(self) -> Path:
        return self.state / "journal"

    @property
    def staging(self) -> Path:
        return self.folder / "staging"

    @property
    def bays_file(self) -> Path:
        return self.folder / "bays.toml"

    @property
    def config_file(self) -> Path:
        return self.folder / "dockd.toml"

    def usb(self, name: str) -> Path:
        """A USB device's folder."""
        return self.root / "sys/bus/usb/devices" / name

    def port(self, hub: str, number: int) -> Path:
        """A hub port's folder."""
        return self.usb(hub) / f"{hub}:1.0" / f"{hub}-port{number}"

    def put(self, name: str, text: str) -> Path:
        """Write a file below the root."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    # --- the pieces -----------------------------------------------------------------------------

    def set_room(self, statvfs: Callable[[Path], os.statvfs_result]) -> None:
        """Another disk."""
        self.host = replace(self.host, statvfs=statvfs)

    def write_bays(self, *tables: str) -> None:
        self.bays_file.write_text("".join(f"[[bay]]\n{table}\n" for table in tables))
        self.bays_file.chmod(0o644)

    def write_rules(self) -> None:
        self.put("etc/udev/rules.d/60-dockd-bays.rules", bay_rules(load_bay_map(self.bays_file), UsbConfig()))

    def write_mounts(self, *lines: str) -> None:
        """Mounts as `8:2 / ext4 /dev/sda2 rw`: device, place, kind, source, options."""
        rows = []
        for number, line in enumerate(lines, 20):
            device, place, kind, source, options = line.split()
            rows.append(f"{number} 1 {device} / {place} {options},relatime shared:1 - {kind} {source} {options}")
        self.put("proc/self/mountinfo", "\n".join(rows) + "\n")

    def add_process(self, number: int, name: str, status: str = "") -> None:
        self.put(f"proc/{number}/comm", name[:15] + "\n")
        self.put(f"proc/{number}/status", status)

    def add_disk(self, name: str, *, write_cache: str, removable: str = "0", below: str = "pci0000:00/ata1") -> Path:
        disk = self.root / "sys/devices" / below / "block" / name
        for file, text in (("queue/write_cache", write_cache), ("queue/fua", "1"), ("removable", removable)):
            self.put(str((disk / file).relative_to(self.root)), f"{text}\n")
        return disk

    def link_block(self, number: str, folder: Path) -> None:
        for place in (self.root / "sys/dev/block" / number, self.root / "sys/class/block" / folder.name):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            place.symlink_to(folder)

    def add_usb(self, name: str, **attributes: str) -> Path:
        folder = self.root / "sys/devices/pci0000:00/0000:00:14.0" / name
        for file, text in attributes.items():
            self.put(str((folder / file).relative_to(self.root)), f"{text}\n")
        link = self.usb(name)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder)
        return folder

    # --- looking --------------------------------------------------------------------------------

    def write_config(self) -> None:
        self.config_file.write_text(
            f'[dock]\nid = "dock-1"\nsite = "Blackfriars"\nstate_folder = "{self.state}"\n'
            f'[staging]\nfolder = "{self.staging}"\n'
            f'[usb]\nbays_file = "{self.bays_file}"\n'
            f'[centre]\nurl = "{self.centre_url}"\nstore = "{self.store}"\nkey = "{self.key}"\n'
            f'public_key = "{self.public_key}"\n{self.sections}'
        )
        self.config_file.chmod(0o644)

    def look(self, *names: str, limit_seconds: float = 30.0) -> Report:
        """Carry out the checks of these names (all but the centre's without any)."""
        if not self.config_file.exists():
            self.write_config()
        known = {check.name: check for check in CHECKS}
        chosen = [known[name] for name in names] if names else [one for one in CHECKS if one.name != "centre"]
        return examine(chosen, examination_of(self.config_file, self.host), limit_seconds=limit_seconds)

    def codes(self, *names: str) -> list[str]:
        """The codes that the checks of these names tell."""
        return [finding.code for finding in self.look(*names).findings]

    def only(self, name: str) -> Finding:
        """The one finding of a check."""
        (finding,) = self.look(name).findings
        return finding

    # --- a sound host ---------------------------------------------------------------------------

    def _make_proc(self) -> None:
        self.put("proc/sys/kernel/osrelease", f"{RELEASE}\n")
        self.put("proc/sys/net/core/rmem_max", "8388608\n")
        self.put("proc/meminfo", "MemTotal:        4000000 kB\nMemFree: 9 kB\nMemAvailable:    3000000 kB\n")
        self.put("proc/filesystems", "nodev\tsysfs\n\text4\n")
        self.put("proc/modules", "loop 40960 0 - Live 0x0000000000000000\n")
        self.put("proc/locks", "")
        self.add_process(300, "systemd-udevd")
        self.add_process(400, "chronyd")

    def _make_disks(self) -> None:
        system = self.add_disk("sda", write_cache="write through")
        footage = self.add_disk("sdb", write_cache="write through", below="pci0000:00/ata2")
        for disk, number, name in ((system, "8:2", "sda2"), (footage, "8:17", "sdb1")):
            self.put(str((disk / name / "partition").relative_to(self.root)), f"{name[-1]}\n")
            self.link_block(number, disk / name)
        self.write_mounts("8:2 / ext4 /dev/sda2 rw", f"8:17 {self.staging} ext4 /dev/sdb1 rw")

    def _make_usb(self) -> None:
        for bus in ("1", "2"):
            self.add_usb(f"usb{bus}", authorized_default="0", authorized="1", maxchild="4", product="xHCI")
            hub = self.add_usb(f"{bus}-1", authorized="1", maxchild="4", product="USB hub")
            for number in range(1, 5):
                place = (hub / f"{bus}-1:1.0/{bus}-1-port{number}").relative_to(self.root)
                self.put(f"{place}/disable", "0\n")
                self.put(f"{place}/over_current_count", "0\n")
        for number in range(1, 5):
            one, other = (self.port(hub, number).resolve() for hub in ("1-1", "2-1"))
            (one / "peer").symlink_to(other)
            (other / "peer").symlink_to(one)


def _hub(name: str) -> UsbDevice:
    return UsbDevice(f"/sys/{name}", Port(path=name, node=f"/sys/{name}"), "1", is_hub=True)
