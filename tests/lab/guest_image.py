"""The guest's disk: a small Debian 12 with the lab's agent, built once and kept by what went into it.

Knows mmdebstrap and mke2fs. The mirror and its proxy are those of this host's own apt. Must not know QEMU's devices
nor what the guest is for.
"""

from __future__ import annotations

import fcntl
import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RELEASE = "bookworm"
_DISK_BYTES = 8 * 1024**3
_FILES = Path(__file__).parent / "guest_files"
_PACKAGES = (
    "systemd",
    "systemd-sysv",
    "udev",
    "dbus",
    "python3",
    "kmod",
    "usbutils",
    "iproute2",
    "dmsetup",
    "linux-image-amd64",
)
_LEFT_OUT = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    *(
        f"/lib/modules/*/kernel/{folder}/*"
        for folder in (
            "sound",
            "drivers/gpu",
            "drivers/infiniband",
            "drivers/media",
            "drivers/net/ethernet",
            "drivers/net/wireless",
            "drivers/staging",
            "drivers/isdn",
        )
    ),
)
_BOOT_MODULES = ("virtio_pci", "virtio_blk", "ext4")
_KEPT_BUILDS = 2


class LabUnavailable(Exception):
    """This host cannot run the lab; the text names what is missing."""


@dataclass(frozen=True, slots=True)
class GuestImage:
    """A disk that is never written to (only overlays are), and the kernel that starts it."""

    disk: Path
    kernel: Path
    """Unpacked (ELF): unpacking it at every start would take an emulated processor longer than all of its firmware."""
    initial_ramdisk: Path


def guest_image(cache: Path, dependencies: Iterable[str]) -> GuestImage:
    """The disk of a guest that also has the Debian packages `dependencies`; built when it is not there.

    Takes a minute or two when it must be built. Raises LabUnavailable where apt knows no Debian 12.
    """
    packages = tuple(dict.fromkeys((*_PACKAGES, *dependencies)))
    key = hashlib.sha256()
    for part in (RELEASE, *packages, *_LEFT_OUT, *_BOOT_MODULES, str(_DISK_BYTES)):
        key.update(part.encode() + b"\0")
    for file in (Path(__file__), *sorted(_FILES.iterdir())):
        key.update(file.read_bytes())
    with kept(cache, "guest", key.hexdigest()[:16]) as folder:
        if folder.is_new:
            _build(folder.path, packages)
    return GuestImage(folder.path / "disk.img", folder.path / "vmlinux", folder.path / "initrd.img")


@dataclass(slots=True)
class Kept:
    """A folder in the cache; `is_new` when it must be filled now."""

    path: Path
    is_new: bool


@contextmanager
def kept(cache: Path, kind: str, key: str) -> Iterator[Kept]:
    """The cached folder `<kind>-<key>`; filled by the block when it is new, and then appears all at once or not at all.

    One process at a time; older folders of the same kind are removed beyond the last few.
    """
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / f"{kind}-{key}"
    with (cache / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if place.exists():
            os.utime(place)
            yield Kept(place, is_new=False)
            return
        draft = Kept(cache / f"{kind}-{key}.new", is_new=True)
        shutil.rmtree(draft.path, ignore_errors=True)
        draft.path.mkdir()
        yield draft
        draft.path.rename(place)
        draft.path = place
        older = sorted(
            (one for one in cache.glob(f"{kind}-*") if one.is_dir() and one != place),
            key=lambda one: one.stat().st_mtime,
            reverse=True,
        )
        for one in older[_KEPT_BUILDS - 1 :]:
            shutil.rmtree(one)


def _build(folder: Path, packages: Iterable[str]) -> None:
    tarball, tree = folder / "guest.tar", folder / "tree"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", f"--include={','.join(packages)}"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    command += [f"--aptopt={setting}" for setting in _proxy_settings()]
    command += [
        "--essential-hook=mkdir -p $1/etc/initramfs-tools/conf.d",
        "--essential-hook=echo MODULES=list > $1/etc/initramfs-tools/conf.d/lab",
        f"--essential-hook=printf '%s\\n' {' '.join(_BOOT_MODULES)} > $1/etc/initramfs-tools/modules",
        f"--customize-hook={_FILES / 'setup-guest'} $1",
        RELEASE,
        str(tarball),
        mirror(),
    ]
    _run(command)
    tree.mkdir()
    # Without root only fakeroot can keep the owners of the files on their way into the disk.
    as_root = [] if os.geteuid() == 0 else ["fakeroot"]
    disk = folder / "disk.img"
    with disk.open("wb") as file:
        file.truncate(_DISK_BYTES)
    script = 'tar -xf "$1" -C "$2" && mke2fs -q -t ext4 -d "$2" "$3"'
    _run([*as_root, "sh", "-c", script, "sh", str(tarball), str(tree), str(disk)])
    (folder / "vmlinux").write_bytes(_unpacked_kernel((tree / "vmlinuz").read_bytes()))
    shutil.copyfile(tree / "initrd.img", folder / "initrd.img")
    shutil.rmtree(tree)
    tarball.unlink()


def _unpacked_kernel(image: bytes) -> bytes:
    """The kernel inside a bzImage, which QEMU starts by its PVH entry.

    Where it lies: setup_sects, payload_offset and payload_length of the setup header (kernel.org, "The Linux/x86 Boot
    Protocol"). Debian packs it with xz. Raises RuntimeError where it is packed otherwise.
    """
    setup_sectors = image[0x1F1]
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(image[start : start + length])
    except lzma.LZMAError as failure:
        raise RuntimeError("the guest's kernel is not packed with xz, as Debian 12's is") from failure


def mirror() -> str:
    """Where this host's own apt gets Debian 12. Raises LabUnavailable."""
    told = _run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(REPO_URI) $(CODENAME) $(ORIGIN) $(COMPONENT)",
            "Created-By: Packages",
        ]
    )
    for line in told.splitlines():
        uri, codename, origin, component = (*line.split(), "", "", "", "")[:4]
        if (codename, origin, component) == (RELEASE, "Debian", "main"):
            return uri
    raise LabUnavailable(f"apt on this host has no lists of Debian {RELEASE} (run apt-get update)")


def _proxy_settings() -> list[str]:
    lines = _run(["apt-config", "dump"]).splitlines()
    return [line for line in lines if re.match(r'Acquire::[\w:./-]*Proxy[\w:./-]* "[^"]+";', line)]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout
