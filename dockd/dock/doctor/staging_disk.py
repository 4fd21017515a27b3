"""Checks of the staging disk: room, file system, and whether what was flushed survives a power cut.

Copies lie here until the centre has accepted them, and staff are told "you may go" once a copy was read back. So the
disk has to keep its word.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dockd.dock.bay_map import load_bay_map
from dockd.dock.disk import is_full
from dockd.dock.doctor.check import Check
from dockd.dock.doctor.disk_trial import try_staging_disk
from dockd.dock.doctor.finding import Finding, note, ok, problem, warning
from dockd.dock.doctor.host import Examination
from dockd.dock.doctor.mounts import nearest_folder

GIGABYTE = 1000**3
HEAVY_DAY_BYTES = 18 * GIGABYTE
"""The most footage that a camera brings in a day (figures of the field: 0.55 to 18 GB)."""
FEW_INODES = 10_000
SLOW_FSYNC_SECONDS = 1.0

SPACE_ENOUGH = ok("staging-space-enough", "There is room for a heavy day of every bay.")
SPACE_BELOW_FLOOR = problem(
    "staging-space-below-floor",
    "Less is free than the floor that is never used.",
    "The dock does not start; cameras keep their footage.",
    "Free space on that disk or give the dock a larger one. Never remove files below the staging folder by hand: "
    "copies that wait for the centre lie there.",
)
SPACE_SHORT = warning(
    "staging-space-short",
    "There is not even room for one camera's heavy day (18 GB).",
    "A full camera may not be copied to its end; the rest stays on it until the centre has taken something.",
    "Give the dock a larger staging disk, or find out why the centre does not take its footage.",
)
SPACE_MODEST = note(
    "staging-space-modest",
    "There is room for some cameras' heavy day (18 GB each), but not for that of all bays.",
    "While the centre is out of reach, the dock may fill up; footage then stays on the cameras.",
    "Nothing if cameras bring less here; else give the dock a larger staging disk.",
)
INODES_ENOUGH = ok("staging-inodes-enough", "The file system can hold many more files, or does not count them.")
INODES_SHORT = problem(
    "staging-inodes-short",
    "The file system can hold hardly any more files.",
    "Copies fail as on a full disk although there is room; the footage stays on the cameras.",
    "Make the file system anew with more inodes (mkfs.ext4 -T largefile is too few), or remove foreign small files.",
)
FOLDER_ABSENT = note(
    "staging-folder-absent",
    "The staging folder is not there; the dock makes it at its first start.",
    "None. Was it there before, then the staging disk may not be mounted.",
    "At a first start nothing. Else check the mount: footage that waits for the centre lies on that disk.",
)
DISK_KEEPS = ok("staging-disk-keeps", "A file was written, flushed and read back past the page cache, and removed.")
DISK_CACHED = warning(
    "staging-disk-without-direct",
    "The file system refuses O_DIRECT; the read-back can only ask the kernel to forget the pages first.",
    "Copies are verified, but with less certainty that it is the disk that answers. The record says which way it was.",
    "Use ext4 or xfs for the staging folder.",
)
DISK_SLOW = warning(
    "staging-disk-slow",
    "A flush (fsync) of 64 KiB took longer than a second.",
    "Copies take long, and after a power cut more of the last copy is done again.",
    "Look at what else uses this disk, and at its health (smartctl -a).",
)
DISK_FULL = problem(
    "staging-disk-full",
    "Not even a file of 64 KiB could be written.",
    "No footage is taken; it stays on the cameras.",
    "Free space or quota on that disk. Never remove files below the staging folder by hand.",
)
DISK_FAILED = problem(
    "staging-disk-failed",
    "Writing, flushing or reading back failed.",
    "The dock does not take footage to this disk; it stays on the cameras.",
    "Look at the kernel's log (journalctl -k) and at the disk's health; exchange the disk.",
)
DISK_LIES = problem(
    "staging-disk-lies",
    "The disk gave back other bytes than were written to it.",
    "Copies there cannot be trusted; the dock refuses the disk, and footage stays on the cameras.",
    "Exchange the disk. Keep the old one: copies on it may still be wanted.",
)


def check_space(examination: Examination) -> Iterator[Finding]:
    """Free space against the floor and against what cameras bring."""
    staging, folder = examination.settings.staging, _folder(examination)
    reading = examination.host.statvfs(nearest_folder(folder))
    free_bytes, total_bytes = reading.f_bavail * reading.f_frsize, reading.f_blocks * reading.f_frsize
    usable_bytes = free_bytes - staging.floor_bytes
    words = (
        f"{folder}: {_gigabytes(free_bytes)} of {_gigabytes(total_bytes)} are free, "
        f"the floor is {_gigabytes(staging.floor_bytes)}"
    )
    bays = _bay_count(examination)
    if usable_bytes < 0:
        yield SPACE_BELOW_FLOOR.found(f"{words}.")
    elif usable_bytes < HEAVY_DAY_BYTES:
        yield SPACE_SHORT.found(f"{words}.")
    elif usable_bytes < HEAVY_DAY_BYTES * bays:
        yield SPACE_MODEST.found(f"{words}; that is {usable_bytes // HEAVY_DAY_BYTES} heavy days for {bays} bays.")
    else:
        yield SPACE_ENOUGH.found(f"{words}.")


def check_inodes(examination: Examination) -> Iterator[Finding]:
    """How many files may yet be made; file systems that do not count say 0 of 0."""
    folder = _folder(examination)
    reading = examination.host.statvfs(nearest_folder(folder))
    if reading.f_files == 0:
        yield INODES_ENOUGH.found(f"The file system of {folder} does not count files.")
    elif reading.f_favail < FEW_INODES:
        yield INODES_SHORT.found(f"{folder}: {reading.f_favail} of {reading.f_files} files are left.")
    else:
        yield INODES_ENOUGH.found(f"{folder}: {reading.f_favail} of {reading.f_files} files are left.")


def check_trial(examination: Examination) -> Iterator[Finding]:
    """Write, flush, read back, remove: in the staging folder itself and nowhere else."""
    folder = _folder(examination)
    if nearest_folder(folder) != folder:
        yield FOLDER_ABSENT.found(f"{folder} is not there.")
        return
    try:
        trial = try_staging_disk(examination.host.disk, folder)
    except PermissionError:
        raise
    except OSError as error:
        kind = DISK_FULL if is_full(error) else DISK_FAILED
        yield kind.found(f"{folder}: {error.strerror or error}.")
        return
    if not trial.gave_back_same:
        yield DISK_LIES.found(f"{folder}: 64 KiB were written and other bytes came back.")
        return
    flushed = f"the flush took {trial.fsync_seconds * 1000:.0f} ms"
    if trial.fsync_seconds > SLOW_FSYNC_SECONDS:
        yield DISK_SLOW.found(f"{folder}: {flushed}.")
    if trial.read_direct and trial.wrote_direct:
        yield DISK_KEEPS.found(f"{folder}: 64 KiB came back the same, by O_DIRECT; {flushed}.")
    else:
        yield DISK_CACHED.found(f"{folder}: 64 KiB came back the same, without O_DIRECT; {flushed}.")


def _folder(examination: Examination) -> Path:
    return Path(examination.settings.staging.folder)


def _bay_count(examination: Examination) -> int:
    usb = examination.settings.usb
    return max(1, len(load_bay_map(Path(usb.bays_file)).bays)) if usb.is_enabled else 1


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / GIGABYTE:.1f} GB"


CHECKS = (
    Check(
        "staging-space",
        "Is there room for footage?",
        check_space,
        (SPACE_ENOUGH, SPACE_BELOW_FLOOR, SPACE_SHORT, SPACE_MODEST),
        "The dock may not start, or take only some footage.",
        "Run `df -h` on the staging folder.",
    ),
    Check(
        "staging-inodes",
        "Can more files be made?",
        check_inodes,
        (INODES_ENOUGH, INODES_SHORT),
        "Copies may fail although there is room.",
        "Run `df -i` on the staging folder.",
    ),
    Check(
        "staging-disk",
        "Does the staging disk keep what it was given?",
        check_trial,
        (FOLDER_ABSENT, DISK_KEEPS, DISK_CACHED, DISK_SLOW, DISK_FULL, DISK_FAILED, DISK_LIES),
        "The dock tries the disk itself at its start and refuses a bad one.",
        "Run the doctor as root.",
    ),
)
