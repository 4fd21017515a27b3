"""Installs the project's own package in a fresh guest, as an administrator would, and keeps the running host.

The install guide is followed word for word to just before its first camera; what comes of it is made fit for the lab:
the beginning of every scenario, a dock host with its daemon at work and nothing in its bays. Both are saved with memory
and all, so that a scenario begins within seconds.
"""

from __future__ import annotations

import hashlib
import json
import runpy
import subprocess
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import guide
from tests.lab.bay import kernel_paths
from tests.lab.camera_image import CameraImage
from tests.lab.centre import ROOT, make_centre, pinned_store
from tests.lab.guest import CENTRE_PORT, PAGE_PORT, Guest
from tests.lab.guest_image import GuestImage, kept
from tests.lab.machine import HUBS, Hardware, command_line, make_overlay
from tests.support import bare_debian

_START_SECONDS = 180.0
_CLOCK_TOLERANCE = 0.02

GUIDE = ROOT / "docs" / "install.md"
WHICH_BAY = "Which port is which bay"
LAST_FOR_BOTH = "Close the ports"
FIRST_CAMERA = "The first camera"

GADGET_BAY, GADGET_PORT = "gadget", "3-1"
"""The one port of the one controller that is there beside the lab's own, which has two buses."""

_EMPTY_UNUSED_MEMORY = r"""
unused_kib=$(sed -n 's/^MemFree: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
if [ "$unused_kib" -gt 65536 ]; then
    mount -t tmpfs -o size=100% tmpfs /mnt
    head -c $((unused_kib - 65536))K /dev/zero > /mnt/empty
    umount /mnt
fi
"""


@dataclass(frozen=True, slots=True)
class SavedHost:
    """A host that was running when it was saved; its disk and its memory are never changed."""

    disk: Path
    state: Path


@dataclass(frozen=True, slots=True)
class InstalledDock:
    """A dock host that was installed once."""

    image: GuestImage
    by_guide: SavedHost
    """As the install guide leaves it before the first camera, its centre beside it."""
    for_scenarios: SavedHost
    """With every bay of the lab, short pauses, and its centre elsewhere."""
    centre: Path
    """What scenarios copy their centre from."""
    package: Path


def build_package(cache: Path) -> Path:
    """The .deb of the sources as they are now, from the project's own build."""
    key = hashlib.sha256()
    for source in bare_debian.PACKAGE_SOURCES:
        place = ROOT / source
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file() and "__pycache__" not in file.parts:
                key.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    with kept(cache, "package", key.hexdigest()[:16]) as folder:
        if folder.is_new:
            bare_debian.build_package(ROOT, folder.path)
    (package,) = folder.path.glob("dockd_*.deb")
    return package


def package_dependencies(package: Path | None) -> list[str]:
    """Names of the Debian packages that it needs; None: the package that the sources would make."""
    if package is None:
        told = runpy.run_path(str(ROOT / "deploy" / "deb" / "build.py"))["DEPENDS"]
    else:
        field = ["dpkg-deb", "--field", str(package), "Depends"]
        told = subprocess.run(field, capture_output=True, text=True, check=True).stdout
    return [one.split()[0] for one in told.replace("|", ",").split(",") if one.strip()]


def installed_dock(cache: Path, image: GuestImage, package: Path, folder: Path, accelerator: str) -> InstalledDock:
    """The installed host for this package and guest; made when it is not there. `folder` is for sockets and logs."""
    # A saved state fits only the very same hardware.
    hardware = command_line(Hardware(image, Path("disk"), Path("folder"), accelerator=accelerator))
    key = hashlib.sha256(package.read_bytes() + json.dumps(hardware).encode())
    for file in (Path(__file__), Path(guide.__file__)):
        key.update(file.read_bytes())
    with kept(cache, "dock", key.hexdigest()[:16]) as place:
        if place.is_new:
            by_guide, for_scenarios = _saved_hosts(place.path)
            halfway = SavedHost(place.path / "halfway.qcow2", place.path / "halfway.state")
            make_centre(place.path / "centre")
            make_overlay(halfway.disk, image.disk, "raw")
            _install(Hardware(image, halfway.disk, folder, accelerator=accelerator), package, halfway)
            with ThreadPoolExecutor(2) as both:
                hosts = (
                    both.submit(
                        _follow_to_first_camera, _from(halfway, by_guide, image, folder, accelerator), by_guide
                    ),
                    both.submit(
                        _make_fit_for_scenarios,
                        _from(halfway, for_scenarios, image, folder, accelerator),
                        place.path / "centre",
                        for_scenarios,
                    ),
                )
                for host in hosts:
                    host.result()
            halfway.state.unlink()
    return InstalledDock(image, *_saved_hosts(place.path), place.path / "centre", package)


def _saved_hosts(folder: Path) -> tuple[SavedHost, SavedHost]:
    return (
        SavedHost(folder / "guide.qcow2", folder / "guide.state"),
        SavedHost(folder / "lab.qcow2", folder / "lab.state"),
    )


def _from(halfway: SavedHost, result: SavedHost, image: GuestImage, folder: Path, accelerator: str) -> Hardware:
    """The same host going on by itself, with a disk of its own."""
    make_overlay(result.disk, halfway.disk, "qcow2", backing_name=halfway.disk.name)
    own_folder = folder / result.disk.stem
    own_folder.mkdir()
    return Hardware(image, result.disk, own_folder, saved_state=halfway.state, accelerator=accelerator)


def _install(hardware: Hardware, package: Path, result: SavedHost) -> None:
    """Follow the guide on a bare Debian, to where every dock is the same whatever its centre."""
    transfer = hardware.folder / "transfer.tar"
    with tarfile.open(transfer, "w") as archive:
        archive.add(package, package.name)
    camera = CameraImage.make(hardware.folder, "BWC0001", seed=1)
    with _running(hardware) as guest:
        guest.run("systemctl", "is-system-running", "--wait", timeout_seconds=_START_SECONDS)
        began, guest_began = time.monotonic(), guest.clock()
        guest.workbench.put_disk(transfer, "TRANSFER")
        node = guest.until_output(
            "lsblk -rndpo NAME,TRAN | awk '$2 == \"usb\" {print $1}'", "the disk with the package"
        )
        guest.run("tar", "-xf", node, "-C", "/root")
        guest.workbench.pull()
        for title, blocks in _steps(until=LAST_FOR_BOTH):
            for block in blocks:
                if title == WHICH_BAY:
                    _teach_bays(guest, block, camera)
                else:
                    follow(guest, block)
        pace = (guest.clock() - guest_began) / (time.monotonic() - began)
        assert abs(pace - 1) < _CLOCK_TOLERANCE, f"the guest's clock runs {pace:.3f} times as fast as this host's"
        guest.machine.save_state(result.state)


def _follow_to_first_camera(hardware: Hardware, result: SavedHost) -> None:
    """Follow the rest of the guide to just before its first camera."""
    with _running(hardware) as guest:
        guest.set_clock()
        for _, blocks in _steps(after=LAST_FOR_BOTH, before=FIRST_CAMERA):
            for block in blocks:
                follow(guest, block)
        _save(guest, result)


def _steps(
    *, after: str | None = None, until: str | None = None, before: str | None = None
) -> list[tuple[str, list[str]]]:
    """The guide's headings with their blocks: behind `after`, to `until` with it, or to `before` without it."""
    steps = list(guide.blocks_by_heading(GUIDE).items())
    titles = [title for title, _ in steps]
    first = titles.index(after) + 1 if after else 0
    end = titles.index(until) + 1 if until else titles.index(before) if before else len(titles)
    return steps[first:end]


def _make_fit_for_scenarios(hardware: Hardware, centre: Path, result: SavedHost) -> None:
    """Another name, another centre, every bay of the lab; the journal begins anew."""
    with _running(hardware) as guest:
        guest.set_clock()
        guest.run("systemctl", "disable", "--now", "dockd-central.service", timeout_seconds=_START_SECONDS)
        guest.run("systemctl", "stop", "dockd.service", timeout_seconds=_START_SECONDS)
        guest.shell("rm -rf /var/lib/dockd/* /var/lib/dockd-central/*")
        guest.write_file("/etc/dockd/dockd.toml", dock_toml(pinned_store(centre)))
        guest.run("modprobe", "dummy_hcd")
        give_bays(guest, bays_toml())
        guest.run("systemctl", "start", "dockd.service", timeout_seconds=_START_SECONDS)
        guest.shell("sync; echo 3 > /proc/sys/vm/drop_caches; cat /usr/lib/dockd/venv/bin/dockd > /dev/null; sync")
        _save(guest, result)


def _save(guest: Guest, result: SavedHost) -> None:
    """Save it with what is unused of its memory emptied: of empty memory nothing is written, nor read again."""
    guest.shell(_EMPTY_UNUSED_MEMORY)
    guest.machine.save_state(result.state)


def follow(guest: Guest, block: str) -> str:
    """Run one block of the guide as it stands, where the administrator is; what it prints."""
    return guest.shell(f"cd /root\n{block}", timeout_seconds=_START_SECONDS)


def give_bays(guest: Guest, bays: str) -> None:
    """Give the host this bay map, and udev the rules for it; the dock must not run."""
    guest.write_file("/etc/dockd/bays.toml", bays)
    guest.run("dockd", "bays", "rules", "--write")
    guest.shell("udevadm control --reload && udevadm trigger --action=add -s usb -s block && udevadm settle")


def _teach_bays(guest: Guest, block: str, camera: CameraImage) -> None:
    """Run the guide's block, putting the camera into each bay when asked."""
    with ThreadPoolExecutor(1) as running:
        done = running.submit(follow, guest, f"{{\n{block}\n}} > /root/learning.txt")
        for name in ("1", "2", "3", "4"):
            guest.until_output(
                f"grep -F 'into bay {name}.' /root/learning.txt || true", f"bay {name} to be asked for", _START_SECONDS
            )
            guest.bays[name].dock(camera)
            guest.until_output(
                f"grep -F 'Bay {name} is USB port' /root/learning.txt || true",
                f"bay {name} to be known",
                _START_SECONDS,
            )
            guest.bays[name].pull()
        done.result()


@contextmanager
def _running(hardware: Hardware) -> Iterator[Guest]:
    guest = Guest(hardware, page_port=0)
    try:
        yield guest
    except BaseException:
        guest.keep_logs(hardware.folder)
        raise
    finally:
        guest.close()


def dock_toml(pinned: dict[str, str], dock: str = "lab-dock") -> str:
    """The configuration of the lab's dock host: short pauses, everything else as delivered."""
    return f"""\
[dock]
id = "{dock}"
site = "Laboratory"

[centre]
url = "http://127.0.0.1:{CENTRE_PORT}"
store = {json.dumps(pinned["store"])}
key = {json.dumps(pinned["key"])}
public_key = {json.dumps(pinned["public_key"])}

[policy]
retry_seconds = [2, 5]

[staging]
floor_bytes = 200_000_000

[copying]
checkpoint_interval_seconds = 2.0

[uploader]
longest_retry_seconds = 2.0

[reporter]
heartbeat_seconds = 10.0
gather_seconds = 0.5
longest_retry_seconds = 2.0

[drivers.massstorage]
volume_timeout_seconds = 15.0

[usb]
hubs = [{", ".join(f'"1-{hub}"' for hub in range(1, HUBS + 1))}]

[kiosk]
host = "0.0.0.0"
port = {PAGE_PORT}
allow_other_hosts = true
"""


def bays_toml() -> str:
    """The bay map of the lab's hubs, and of the port into which the kernel itself can put devices (dummy_hcd)."""
    ports = {**kernel_paths(), GADGET_BAY: GADGET_PORT}
    return "".join(f'[[bay]]\nname = "{name}"\nport = "{path}"\n\n' for name, path in ports.items())
