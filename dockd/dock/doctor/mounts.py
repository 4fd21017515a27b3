"""Which file system and which disks a folder lies on: /proc/self/mountinfo and sysfs. Facts only.

Formats: proc(5) for mountinfo; kernel Documentation/ABI/stable/sysfs-block for queue/write_cache, queue/fua, slaves.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dockd.dock.doctor.host import Host

_MOUNTINFO = "proc/self/mountinfo"
_ESCAPE = re.compile(r"\\([0-7]{3})")
_NO_DEVICE = 0
"""Major number of file systems that have no block device of their own (btrfs, tmpfs, nfs, overlay)."""


@dataclass(frozen=True, slots=True)
class Mount:
    """What is mounted where a folder lies."""

    device: tuple[int, int]
    point: str
    options: frozenset[str]
    """Those of the mount and of the file system together."""
    kind: str
    source: str


@dataclass(frozen=True, slots=True)
class WholeDisk:
    """A disk by its sysfs folder. None: the kernel does not say."""

    folder: Path
    write_cache: str | None
    does_fua: bool | None
    is_removable: bool

    @property
    def name(self) -> str:
        """Such as `sda`."""
        return self.folder.name

    @property
    def is_volatile(self) -> bool:
        """Whether its cache loses content when power is cut (`write back`)."""
        return self.write_cache == "write back"


def nearest_folder(folder: Path) -> Path:
    """`folder`, or its nearest parent that exists. Raises OSError when that may not be found out."""
    while not _exists(folder):
        folder = folder.parent
    return folder


def mount_of(host: Host, folder: Path) -> Mount:
    """The mount that holds `folder` (or its nearest existing parent). Raises OSError, LookupError."""
    place = os.path.realpath(nearest_folder(folder))
    found: Mount | None = None
    for line in (host.read(_MOUNTINFO) or "").splitlines():
        mount = _read_mount(line)
        holds = mount.point in ("/", place) or place.startswith(f"{mount.point}/")
        # The last of several mounts on one place is the one in sight.
        if holds and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    if found is None:
        raise LookupError(f"the kernel does not say what is mounted at {folder}")
    return found


def disks_of(host: Host, mount: Mount) -> tuple[WholeDisk, ...]:
    """The whole disks below a mount, through partitions, LVM, RAID and encryption.

    Raises LookupError where there is no block device or sysfs does not show it, OSError.
    """
    start = _block_folder(host, mount)
    if start is None:
        raise LookupError(f"{mount.source} ({mount.kind}) is no block device that the kernel shows here")
    wholes = sorted(_wholes(start.resolve()))
    return tuple(_disk(host, folder) for folder in wholes)


def _exists(path: Path) -> bool:
    """As Path.exists, but a folder that may not be looked into is not the same as nothing there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _read_mount(line: str) -> Mount:
    fields = line.split(" ")
    dash = fields.index("-", 6)
    major, _, minor = fields[2].partition(":")
    return Mount(
        device=(int(major), int(minor)),
        point=_plain(fields[4]),
        options=frozenset(fields[5].split(",")) | frozenset(fields[dash + 3].split(",")),
        kind=fields[dash + 1],
        source=_plain(fields[dash + 2]),
    )


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)


def _block_folder(host: Host, mount: Mount) -> Path | None:
    major, minor = mount.device
    places = [host.path(f"sys/dev/block/{major}:{minor}")] if major != _NO_DEVICE else []
    if mount.source.startswith("/dev/"):
        real = os.path.realpath(host.path(mount.source.lstrip("/")))
        places.append(host.path("sys/class/block") / Path(real).name)
    return next((place for place in places if place.exists()), None)


def _wholes(folder: Path) -> set[Path]:
    if (folder / "partition").exists():
        return _wholes(folder.parent)
    slaves = sorted((folder / "slaves").iterdir()) if (folder / "slaves").is_dir() else []
    if not slaves:
        return {folder}
    return set().union(*(_wholes(slave.resolve()) for slave in slaves))


def _disk(host: Host, folder: Path) -> WholeDisk:
    fua = host.read(folder / "queue/fua")
    hangs_at_usb = any(re.fullmatch(r"usb\d+", part) for part in folder.parts)
    return WholeDisk(
        folder=folder,
        write_cache=host.read(folder / "queue/write_cache"),
        does_fua=None if fua is None else fua != "0",
        is_removable=host.read(folder / "removable") == "1" or hangs_at_usb,
    )
