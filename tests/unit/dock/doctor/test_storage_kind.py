"""Threats: footage in memory, on another computer, behind a cache that nobody flushes, or on a stick."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockd.dock.doctor.host import Host
from dockd.dock.doctor.mounts import mount_of
from tests.support.dock_host import DockHost


@pytest.mark.parametrize(
    ("kind", "options", "codes"),
    [
        ("ext4", "rw", {"file-system-fit"}),
        ("xfs", "rw", {"file-system-fit"}),
        ("btrfs", "rw", {"file-system-other"}),
        ("tmpfs", "rw", {"file-system-volatile"}),
        ("overlay", "rw", {"file-system-volatile"}),
        ("nfs4", "rw", {"file-system-remote"}),
        ("fuse.sshfs", "rw", {"file-system-remote"}),
        ("exfat", "rw", {"file-system-of-cards"}),
        ("ext4", "ro", {"file-system-fit", "file-system-read-only"}),
        ("ext4", "rw,nobarrier", {"file-system-fit", "file-system-barriers-off"}),
        ("ext4", "rw,errors=remount-ro", {"file-system-fit"}),
    ],
)
def test_the_file_system_of_the_staging_folder_is_judged(
    host: DockHost, kind: str, options: str, codes: set[str]
) -> None:
    host.write_mounts("8:2 / ext4 /dev/sda2 rw", f"8:17 {host.staging} {kind} /dev/sdb1 {options}")
    report = host.look("file-systems")
    of_staging = {one.code for one in report.findings if str(host.staging) in one.found.split(" lies ")[0]}
    assert of_staging == codes


def test_the_last_of_several_mounts_on_one_place_counts_and_spaces_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "my disk"
    folder.mkdir()
    place = str(folder).replace(" ", "\\040")
    (tmp_path / "proc/self").mkdir(parents=True)
    lines = (
        "20 1 8:2 / / rw - ext4 /dev/sda2 rw",
        f"21 20 8:3 / {place} rw - xfs /dev/sda3 rw",
        f"22 21 0:44 / {place} rw - tmpfs tmpfs rw",
    )
    (tmp_path / "proc/self/mountinfo").write_text("\n".join(lines))
    host = Host(root=tmp_path)
    assert mount_of(host, folder / "not" / "yet").kind == "tmpfs"
    assert mount_of(host, tmp_path / "my disk2").kind == "ext4"


# --- write caches -------------------------------------------------------------------------------


def test_disks_without_a_volatile_cache_are_well(host: DockHost) -> None:
    report = host.look("write-cache")
    assert {one.code for one in report.findings} == {"write-cache-safe"}
    assert [one.found for one in report.findings] == [
        "Disk sda: write through; it does FUA.",
        "Disk sdb: write through; it does FUA.",
    ]


def test_a_volatile_cache_is_noted_with_what_flushing_does(host: DockHost) -> None:
    host.add_disk("sdb", write_cache="write back", below="pci0000:00/ata2")
    report = host.look("write-cache")
    (volatile,) = [one for one in report.findings if one.code == "write-cache-volatile"]
    assert "sdb: write back" in volatile.found
    assert "fsync" in volatile.footage


def test_disks_are_found_through_partitions_raid_and_encryption(host: DockHost) -> None:
    one = host.add_disk("sdc", write_cache="write back", below="pci0000:00/ata3")
    other = host.add_disk("sdd", write_cache="write through", below="pci0000:00/ata4")
    raid = host.add_disk("md0", write_cache="write through", below="virtual")
    crypt = host.add_disk("dm-0", write_cache="write through", below="virtual")
    host.put(str((one / "sdc1" / "partition").relative_to(host.root)), "1\n")
    for holder, slave in ((raid, one / "sdc1"), (raid, other), (crypt, raid)):
        (holder / "slaves").mkdir(exist_ok=True)
        (holder / "slaves" / slave.name).symlink_to(slave)
    host.link_block("253:0", crypt)
    host.write_mounts("8:2 / ext4 /dev/sda2 rw", f"253:0 {host.staging} ext4 /dev/mapper/footage rw")
    words = " ".join(one.found for one in host.look("write-cache").findings)
    assert "Disk sdc: write back" in words
    assert "Disk sdd: write through" in words
    assert "md0" not in words
    assert host.codes("staging-apart") == ["staging-apart"]


def test_a_file_system_with_a_number_of_its_own_is_found_by_its_source(host: DockHost) -> None:
    host.write_mounts("8:2 / ext4 /dev/sda2 rw", f"0:41 {host.staging} btrfs /dev/sdb1 rw")
    assert "Disk sdb" in " ".join(one.found for one in host.look("write-cache").findings)


def test_a_staging_disk_at_usb_is_a_warning(host: DockHost) -> None:
    stick = host.add_disk("sde", write_cache="write through", below="pci0000:00/usb1/1-3/1-3:1.0/host6")
    host.link_block("8:64", stick)
    host.write_mounts("8:2 / ext4 /dev/sda2 rw", f"8:64 {host.staging} ext4 /dev/sde rw")
    assert "staging-disk-removable" in host.codes("write-cache")


@pytest.mark.parametrize("mount", ["0:99 {} tmpfs tmpfs rw", "8:99 {} ext4 /dev/nowhere rw"])
def test_a_disk_that_the_kernel_does_not_show_is_unknown(host: DockHost, mount: str) -> None:
    host.write_mounts("8:2 / ext4 /dev/sda2 rw", mount.format(host.staging))
    assert host.codes("write-cache") == ["write-cache-unknown"]


# --- a disk of its own --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mount", "code"),
    [
        ("8:17 {} ext4 /dev/sdb1 rw", "staging-apart"),
        ("8:3 {} ext4 /dev/sda3 rw", "staging-shares-disk"),
        (None, "staging-shares-file-system"),
    ],
)
def test_sharing_a_disk_with_the_system_is_told(host: DockHost, mount: str | None, code: str) -> None:
    other = host.root / "sys/devices/pci0000:00/ata1/block/sda/sda3"
    host.put(str((other / "partition").relative_to(host.root)), "3\n")
    host.link_block("8:3", other)
    host.write_mounts("8:2 / ext4 /dev/sda2 rw", *([mount.format(host.staging)] if mount else []))
    assert host.codes("staging-apart") == [code]
