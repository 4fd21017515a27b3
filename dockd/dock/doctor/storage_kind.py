"""Checks of what lies below the staging and state folders: file systems, write caches, shared disks.

Journal and staging are durable only if fsync(2) reaches the medium. The kernel is asked; a disk that lies about its
cache cannot be found out from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dockd.dock.doctor.check import Check
from dockd.dock.doctor.finding import Finding, note, ok, problem, warning
from dockd.dock.doctor.host import Examination, Host
from dockd.dock.doctor.mounts import Mount, WholeDisk, disks_of, mount_of

_TRUSTED = frozenset({"ext4", "xfs"})
_VOLATILE = frozenset({"tmpfs", "ramfs", "overlay", "squashfs"})
_ELSEWHERE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "virtiofs"})
_CARD_KINDS = frozenset({"vfat", "exfat", "msdos", "ntfs", "ntfs3"})
_NO_BARRIER = frozenset({"nobarrier", "barrier=0"})

FILE_SYSTEM_FIT = ok("file-system-fit", "The folder lies on ext4 or xfs.")
FILE_SYSTEM_OTHER = note(
    "file-system-other",
    "The folder lies on a file system on which dockd is not tested.",
    "Probably none. Copies are verified wherever they lie.",
    "Use ext4 or xfs if the choice is free.",
)
FILE_SYSTEM_VOLATILE = problem(
    "file-system-volatile",
    "The folder lies in memory, or in a layer that goes with a container.",
    "What lies there is gone after a restart: footage that waits for the centre, or the record of what was copied.",
    "Put the folder on a disk with ext4 or xfs.",
)
FILE_SYSTEM_REMOTE = problem(
    "file-system-remote",
    "The folder lies on another computer.",
    "When the network fails, copies and journal fail with it; a flush there promises less than on a local disk.",
    "Put the folder on a disk in this host, with ext4 or xfs.",
)
FILE_SYSTEM_OF_CARDS = problem(
    "file-system-of-cards",
    "The folder lies on a file system for cards and foreign systems, without owners or a journal of its own.",
    "A power cut can damage what lies there, and every user may read it.",
    "Put the folder on ext4 or xfs.",
)
READ_ONLY = problem(
    "file-system-read-only",
    "The folder's file system is mounted read-only.",
    "Nothing can be copied or recorded; the footage stays on the cameras.",
    "Look at the kernel's log (journalctl -k): a disk with faults is often made read-only. Then mend or exchange it.",
)
BARRIERS_OFF = problem(
    "file-system-barriers-off",
    "The file system is mounted so that a flush does not reach the medium.",
    "A power cut can undo copies and records that dockd was told are durable, although staff were told that they "
    "may go.",
    "Take nobarrier (barrier=0) out of /etc/fstab and mount it again.",
)
CACHE_SAFE = ok("write-cache-safe", "The disk has no volatile write cache, or does not use it.")
CACHE_VOLATILE = note(
    "write-cache-volatile",
    "The disk has a volatile write cache (write back): what it holds is lost when power is cut. That is usual.",
    "None on an honest disk: dockd flushes (fsync) before it calls anything durable, and the kernel then empties "
    "the cache or writes past it (FUA). A disk that lies about flushing can lose copies that wait for the centre.",
    "Use disks with power-loss protection, or a UPS that shuts the host down. Do not switch flushing off in a RAID "
    "controller without a battery.",
)
DISK_REMOVABLE = warning(
    "staging-disk-removable",
    "The disk can be pulled out, or hangs at USB.",
    "Pulled out in the middle, copying stops, and footage that waits for the centre leaves with it.",
    "Use a disk inside the host.",
)
DISK_OF_ITS_OWN = ok("staging-apart", "Staging lies on a disk of its own.")
DISK_SHARED = note(
    "staging-shares-disk",
    "Staging has a file system of its own on a disk that the system uses too.",
    "A broken disk takes the system and the waiting footage with it; both compete for its speed.",
    "Use a second disk for staging if the host has room for one.",
)
FILE_SYSTEM_SHARED = warning(
    "staging-shares-file-system",
    "Staging lies in the system's own file system.",
    "When logs or other programs fill it, the dock takes no footage; a broken disk takes all with it.",
    "Give staging a disk, or at least a partition, of its own and name it in [staging] folder.",
)


def check_file_systems(examination: Examination) -> Iterator[Finding]:
    """Kind and mount options of the staging and the state folder."""
    for folder in _folders(examination):
        yield from _kind(folder, mount_of(examination.host, folder))


def check_write_cache(examination: Examination) -> Iterator[Finding]:
    """queue/write_cache and queue/fua of every disk below staging and state, each disk once."""
    for disk in _disks_below(examination.host, _folders(examination)):
        fua = {True: "it does FUA", False: "it does not do FUA", None: "whether it does FUA is not told"}[disk.does_fua]
        if disk.write_cache is None:
            raise LookupError(f"disk {disk.name} does not say what cache it has")
        kind = CACHE_VOLATILE if disk.is_volatile else CACHE_SAFE
        yield kind.found(f"Disk {disk.name}: {disk.write_cache}; {fua}.")
        if disk.is_removable:
            yield DISK_REMOVABLE.found(f"Disk {disk.name} is removable or at USB.")


def check_apart(examination: Examination) -> Iterator[Finding]:
    """Does staging share a disk with the system?"""
    host, folder = examination.host, Path(examination.settings.staging.folder)
    staging, system = mount_of(host, folder), mount_of(host, Path("/"))
    if staging.device == system.device:
        yield FILE_SYSTEM_SHARED.found(f"{folder} lies in the file system of /.")
        return
    names = [disk.name for disk in disks_of(host, staging)]
    shared = sorted({disk.name for disk in disks_of(host, system)}.intersection(names))
    if shared:
        yield DISK_SHARED.found(f"{folder} and / share disk {', '.join(shared)}.")
    else:
        yield DISK_OF_ITS_OWN.found(f"{folder} lies on {', '.join(names)}, the system does not.")


def _folders(examination: Examination) -> tuple[Path, ...]:
    settings = examination.settings
    return Path(settings.staging.folder), Path(settings.dock.state_folder)


def _disks_below(host: Host, folders: tuple[Path, ...]) -> tuple[WholeDisk, ...]:
    found = {disk.folder: disk for folder in folders for disk in disks_of(host, mount_of(host, folder))}
    return tuple(found[place] for place in sorted(found))


def _kind(folder: Path, mount: Mount) -> Iterator[Finding]:
    words = f"{folder} lies on {mount.kind} ({mount.source}, mounted at {mount.point})."
    if "ro" in mount.options:
        yield READ_ONLY.found(words)
    if mount.options & _NO_BARRIER:
        yield BARRIERS_OFF.found(words)
    if mount.kind in _TRUSTED:
        yield FILE_SYSTEM_FIT.found(words)
    elif mount.kind in _VOLATILE:
        yield FILE_SYSTEM_VOLATILE.found(words)
    elif mount.kind in _ELSEWHERE or mount.kind.startswith("fuse.sshfs"):
        yield FILE_SYSTEM_REMOTE.found(words)
    elif mount.kind in _CARD_KINDS:
        yield FILE_SYSTEM_OF_CARDS.found(words)
    else:
        yield FILE_SYSTEM_OTHER.found(words)


CHECKS = (
    Check(
        "file-systems",
        "Do staging and state lie on a file system that survives a power cut?",
        check_file_systems,
        (
            FILE_SYSTEM_FIT,
            FILE_SYSTEM_OTHER,
            FILE_SYSTEM_VOLATILE,
            FILE_SYSTEM_REMOTE,
            FILE_SYSTEM_OF_CARDS,
            READ_ONLY,
            BARRIERS_OFF,
        ),
        "It is not known whether copies and records would survive a power cut.",
        "Run `findmnt --target` with the folder.",
    ),
    Check(
        "write-cache",
        "What does the disk lose when power is cut?",
        check_write_cache,
        (CACHE_SAFE, CACHE_VOLATILE, DISK_REMOVABLE),
        "It is not known what the disk's cache would lose; dockd flushes before it calls anything durable.",
        "Look at /sys/block/DISK/queue/write_cache: `write back` is volatile, `write through` is not.",
    ),
    Check(
        "staging-apart",
        "Does staging have a disk of its own?",
        check_apart,
        (DISK_OF_ITS_OWN, DISK_SHARED, FILE_SYSTEM_SHARED),
        "None by itself.",
        "Run `lsblk`.",
    ),
)
