"""Threat: a service that was installed with fewer rights than it needs, or shows its cards to everyone."""

from __future__ import annotations

import os

import pytest

from dockd.dock.doctor.service_unit import find_unit
from dockd.dock.journal.lock import FolderLock
from tests.support.dock_host import NOBODY, UNIT, DockHost

PLACE = "lib/systemd/system/dockd.service"


def test_the_unit_that_the_package_brings_is_able(host: DockHost) -> None:
    found = host.only("service")
    assert found.code == "service-able"
    assert "dockd.service as user root has CAP_SYS_ADMIN" in found.found


def test_no_service_at_all_is_noted(host: DockHost) -> None:
    (host.root / PLACE).unlink()
    assert host.codes("service") == ["service-absent"]


@pytest.mark.parametrize(
    ("lines", "lacks"),
    [
        ("User=root", False),
        ("User=dockd", True),
        ("User=dockd\nAmbientCapabilities=CAP_SYS_ADMIN", False),
        ("User=dockd\nAmbientCapabilities=CAP_SYS_ADMIN\nCapabilityBoundingSet=CAP_NET_ADMIN", True),
        ("CapabilityBoundingSet=", True),
        ("CapabilityBoundingSet=CAP_NET_ADMIN\nCapabilityBoundingSet=CAP_SYS_ADMIN CAP_KILL", False),
        ("CapabilityBoundingSet=CAP_SYS_ADMIN\nCapabilityBoundingSet=", True),
        ("CapabilityBoundingSet=CAP_SYS_ADMIN\nCapabilityBoundingSet=\nCapabilityBoundingSet=CAP_SYS_ADMIN", False),
        ("CapabilityBoundingSet=~CAP_SYS_ADMIN", True),
        ("CapabilityBoundingSet=~CAP_NET_ADMIN", False),
        ("# CapabilityBoundingSet=", False),
        ("CapabilityBoundingSet=CAP_KILL \\\n  CAP_SYS_ADMIN", False),
    ],
)
def test_capabilities_are_read_from_the_unit_as_systemd_does(host: DockHost, lines: str, lacks: bool) -> None:
    host.put(PLACE, f"[Service]\nPrivateMounts=yes\n{lines}\n")
    assert host.codes("service") == ["service-may-not-mount" if lacks else "service-able"]


def test_drop_ins_count_in_the_order_of_their_names_and_the_administrators_hide_the_packages(host: DockHost) -> None:
    host.put("lib/systemd/system/dockd.service.d/20-user.conf", "[Service]\nUser=twenty\n")
    host.put("etc/systemd/system/dockd.service.d/10-user.conf", "[Service]\nUser=ten\n")
    unit = find_unit(host.host)
    assert unit is not None
    assert unit.user == "twenty"
    host.put("etc/systemd/system/dockd.service.d/20-user.conf", "[Service]\n")
    unit = find_unit(host.host)
    assert unit is not None
    assert unit.user == "ten"


def test_a_unit_of_the_administrator_replaces_the_packages(host: DockHost) -> None:
    host.put("etc/systemd/system/dockd.service", "[Service]\nUser=other\nPrivateMounts=yes\n")
    unit = find_unit(host.host)
    assert unit is not None
    assert unit.user == "other"


def test_a_service_that_is_to_be_given_its_mounts_and_is_not_is_a_problem(host: DockHost) -> None:
    host.put(PLACE, UNIT.replace("PrivateMounts=yes", "PrivateMounts=no"))
    assert "service-shares-mounts" in host.codes("service")
    host.write_config()
    host.config_file.write_text(host.config_file.read_text() + '[privilege]\nmount_namespace = "own"\n')
    assert host.codes("service") == ["service-able"]


def test_ext4_cards_ask_for_one_capability_more(host: DockHost) -> None:
    host.write_config()
    host.config_file.write_text(host.config_file.read_text() + '[privilege]\nfile_systems = ["vfat", "ext4"]\n')
    assert host.codes("service") == ["service-may-not-empty-ext4"]
    host.put(PLACE, UNIT.replace("CAP_SYS_ADMIN", "CAP_SYS_ADMIN CAP_DAC_OVERRIDE"))
    assert host.codes("service") == ["service-able"]


@pytest.mark.parametrize(
    ("mask", "code"), [("0000000000200000", "service-able"), ("0000000000000000", "service-may-not-mount")]
)
def test_a_running_daemon_is_judged_by_what_it_has_and_not_by_its_unit(host: DockHost, mask: str, code: str) -> None:
    host.put(PLACE, UNIT.replace("User=root", f"User={NOBODY}"))
    lock = FolderLock(host.journal)
    try:
        status = (host.journal / "journal.lock").stat()
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
        host.put("proc/locks", f"1: FLOCK  ADVISORY  WRITE 77 {device}:{status.st_ino} 0 EOF\n")
        host.add_process(77, "dockd", f"Name:\tdockd\nCapPrm:\t0\nCapEff:\t{mask}\n")
        found = host.only("service")
        assert found.code == code
        assert "process 77" in found.found
    finally:
        lock.release()
