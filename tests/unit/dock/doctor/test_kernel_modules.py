"""Threat: a kernel that was hardened, or is too small, refuses every card without a word."""

from __future__ import annotations

import pytest

from tests.support.dock_host import RELEASE, DockHost


def test_modules_that_are_there_to_be_loaded_are_enough(host: DockHost) -> None:
    assert host.codes("kernel-modules") == ["kernel-modules-found"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("install vfat /bin/true", "kernel-module-off"),
        ("install usb-storage /bin/false", "kernel-module-off"),
        ("blacklist usb_storage", "kernel-module-off"),
        ("blacklist  exfat  # not here", "kernel-module-off"),
        ("blacklist uas", "kernel-uas-off"),
        ("# blacklist vfat", None),
        ("install vfat /sbin/modprobe --ignore-install vfat", None),
        ("options vfat debug=1", None),
        ("blacklist pcspkr", None),
    ],
)
def test_a_line_of_modprobe_d_that_switches_a_needed_module_off_is_told_with_its_file(
    host: DockHost, line: str, code: str | None
) -> None:
    host.put("etc/modprobe.d/hardening.conf", f"{line}\n")
    report = host.look("kernel-modules")
    told = [one for one in report.findings if one.code != "kernel-modules-found"]
    assert [one.code for one in told] == ([] if code is None else [code])
    assert all("/etc/modprobe.d/hardening.conf" in one.found for one in told)


def test_a_module_that_runs_already_is_not_off(host: DockHost) -> None:
    host.put("etc/modprobe.d/hardening.conf", "install vfat /bin/true\n")
    host.put("proc/filesystems", "nodev\tsysfs\n\text4\n\tvfat\n")
    assert host.codes("kernel-modules") == ["kernel-modules-found"]


def test_a_kernel_without_exfat_is_a_problem_that_names_it(host: DockHost) -> None:
    listed = host.root / f"lib/modules/{RELEASE}/modules.dep"
    listed.write_text("".join(line for line in listed.read_text().splitlines(keepends=True) if "exfat" not in line))
    found = host.only("kernel-modules")
    assert found.code == "kernel-module-missing"
    assert f"Linux {RELEASE} has no exfat (exfat cards)." in found.found


def test_what_is_built_in_counts(host: DockHost) -> None:
    listed = host.root / f"lib/modules/{RELEASE}/modules.dep"
    listed.rename(listed.with_name("modules.builtin"))
    assert host.codes("kernel-modules") == ["kernel-modules-found"]


def test_a_kernel_that_does_not_list_its_modules_is_unknown(host: DockHost) -> None:
    (host.root / f"lib/modules/{RELEASE}/modules.dep").unlink()
    assert host.codes("kernel-modules") == ["kernel-modules-unknown"]


def test_fat_needs_its_character_set(host: DockHost) -> None:
    listed = host.root / f"lib/modules/{RELEASE}/modules.dep"
    listed.write_text("".join(line for line in listed.read_text().splitlines(keepends=True) if "nls" not in line))
    assert host.only("kernel-modules").code == "kernel-module-missing"


@pytest.mark.parametrize(
    ("release", "code"),
    [
        ("5.4.0-1-amd64", "kernel-old"),
        ("5.10.0-8-amd64", "kernel-without-port-power"),
        ("6.0.1", "versions-fit"),
        ("6.12", "versions-fit"),
        ("unreleased", "versions-unknown"),
    ],
)
def test_kernels_are_judged_by_what_they_cannot_do(host: DockHost, release: str, code: str) -> None:
    host.put("proc/sys/kernel/osrelease", f"{release}\n")
    assert host.codes("versions") == [code]


@pytest.mark.parametrize(("available_kib", "code"), [(100_000, "memory-short"), (1_000_000, "memory-enough")])
def test_memory_is_compared_with_what_the_daemon_uses(host: DockHost, available_kib: int, code: str) -> None:
    host.put("proc/meminfo", f"MemTotal: 2000000 kB\nMemAvailable: {available_kib} kB\n")
    assert host.codes("memory") == [code]
