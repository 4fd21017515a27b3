"""Threats: a bay that sees no camera, a socket of which one half is forgotten, a hub believed on its word."""

from __future__ import annotations

import pytest

from dockd.dock.doctor.hub_ports import hub_of
from tests.support.dock_host import NOBODY, UNIT, DockHost


@pytest.mark.parametrize(
    ("port", "hub"), [("1-1.3", ("1-1", 3)), ("1-1.4.2", ("1-1.4", 2)), ("3-2", ("usb3", 2)), ("10-12", ("usb10", 12))]
)
def test_the_hub_of_a_port_is_told_by_its_path(port: str, hub: tuple[str, int]) -> None:
    assert hub_of(port) == hub


def test_bays_that_are_ports_of_hubs_are_found(host: DockHost) -> None:
    found = host.only("bays")
    assert found.code == "bays-found"
    assert "2 bays, all of them ports of 1-1, 2-1" in found.found


def test_a_bay_right_at_a_controller_is_found(host: DockHost) -> None:
    host.put("sys/devices/pci0000:00/0000:00:14.0/usb1/1-0:1.0/usb1-port3/disable", "0\n")
    host.write_bays('name = "9"\nport = "1-3"')
    assert host.codes("bays", "port-power") == ["bays-found", "port-power-claimed"]


def test_no_bay_map_is_a_problem(host: DockHost) -> None:
    host.bays_file.unlink()
    assert host.codes("bays") == ["bays-none"]


def test_a_damaged_bay_map_is_a_problem_with_its_line(host: DockHost) -> None:
    host.write_bays('name = "1"\nport = "left"')
    found = host.only("bays")
    assert found.code == "bays-unreadable"
    assert "line 1" in found.found


def test_a_hub_that_is_away_is_told_once_with_all_its_bays(host: DockHost) -> None:
    host.usb("1-1").unlink()
    found = host.only("bays")
    assert found.code == "bay-hub-missing"
    assert found.found == "Hub 1-1 is not there; it holds bays 1, 2."


def test_a_port_that_the_hub_does_not_have_is_told_with_how_many_it_has(host: DockHost) -> None:
    host.write_bays('name = "7"\nport = "1-1.7"')
    found = host.only("bays")
    assert found.code == "bay-port-missing"
    assert "port 7 of hub 1-1" in found.found
    assert "1-1 has 4 ports" in found.found


def test_the_other_half_of_a_socket_that_the_map_forgets_is_a_warning(host: DockHost) -> None:
    host.write_bays('name = "1"\nport = "1-1.1"')
    report = host.look("bays")
    assert [one.code for one in report.findings] == ["bays-found", "bay-companion-missing"]
    assert "its socket is 2-1.1 too" in report.findings[1].found


def test_another_half_than_the_kernel_names_is_a_warning(host: DockHost) -> None:
    host.write_bays('name = "1"\nport = "1-1.1"\ncompanion_port = "2-1.4"')
    assert host.codes("bays") == ["bays-found", "bay-companion-differs"]


# --- power --------------------------------------------------------------------------------------


def test_power_switching_is_only_ever_claimed(host: DockHost) -> None:
    found = host.only("port-power")
    assert found.code == "port-power-claimed"
    assert "claim" in found.found
    assert "not measured" in found.found


def test_both_halves_of_a_socket_must_claim_it(host: DockHost) -> None:
    (host.port("2-1", 2) / "disable").unlink()
    report = host.look("port-power")
    assert {one.code: one.found for one in report.findings} == {
        "port-power-claimed": "The hubs claim it for bay 1; not measured.",
        "port-power-not-claimed": "No claim for bay 2.",
    }


def test_a_port_that_was_cut_off_for_too_much_current_is_a_warning(host: DockHost) -> None:
    (host.port("1-1", 2) / "over_current_count").write_text("3\n")
    report = host.look("port-power")
    (cut,) = [one for one in report.findings if one.code == "port-over-current"]
    assert cut.found == "Bay 2 (1-1-port2): 3 times."


# --- udev rules ---------------------------------------------------------------------------------


def test_rules_of_this_bay_map_are_well_and_of_another_a_problem(host: DockHost) -> None:
    assert host.codes("bay-rules") == ["bay-rules-written"]
    host.write_bays('name = "1"\nport = "3-1.1"')
    assert host.codes("bay-rules") == ["bay-rules-stale"]


@pytest.mark.parametrize("name", ["etc/udev/rules.d/60-dockd-bays.rules", "usr/lib/udev/rules.d/70-dockd.rules"])
def test_missing_rules_are_a_problem_for_a_service_that_is_not_root(host: DockHost, name: str) -> None:
    (host.root / name).unlink()
    assert host.codes("bay-rules") == []
    host.put("lib/systemd/system/dockd.service", UNIT.replace("User=root", f"User={NOBODY}"))
    found = host.only("bay-rules")
    assert found.code == "bay-rules-missing"
    assert name in found.found
