"""Threats: events that never come, devices that are used before they are judged, programs that grab cameras."""

from __future__ import annotations

import pytest

from dockd.dock.doctor import Severity
from dockd.dock.udev_source import DeviceSource, SourceBroken
from tests.support.dock_host import DockHost, ListedSource


def test_udev_that_can_be_heard_says_how_many_devices_it_lists_and_that_no_event_was_waited_for(
    host: DockHost,
) -> None:
    found = host.only("udev")
    assert found.code == "udev-heard"
    assert "3 USB devices, 3 of them hubs" in found.found
    assert "No event was waited for" in found.found
    assert isinstance(host.source, ListedSource)
    assert host.source.is_closed


def test_udev_that_does_not_run_is_a_problem(host: DockHost) -> None:
    (host.root / "run/udev/control").unlink()
    assert host.only("udev").code == "udev-not-running"


def test_a_socket_that_breaks_is_a_problem_and_is_closed(host: DockHost) -> None:
    host.source = source = ListedSource(trouble="the socket of udev's events is broken")
    found = host.only("udev")
    assert (found.code, found.severity) == ("udev-broken", Severity.PROBLEM)
    assert "the socket of udev's events is broken" in found.found
    assert source.is_closed


def test_a_socket_that_cannot_be_opened_is_a_problem(host: DockHost) -> None:
    def refuse(_size: int) -> DeviceSource:
        raise SourceBroken(97, "Address family not supported by protocol")

    object.__setattr__(host.host, "open_events", refuse)
    found = host.only("udev")
    assert found.code == "udev-broken"
    assert "Address family" in found.found


def test_a_receive_buffer_that_the_host_does_not_give_is_noted(host: DockHost) -> None:
    host.put("proc/sys/net/core/rmem_max", "212992\n")
    assert host.codes("udev") == ["udev-buffer-small", "udev-heard"]


def test_no_controller_is_a_problem(host: DockHost) -> None:
    for name in ("usb1", "usb2"):
        host.usb(name).unlink()
    assert "usb-controller-missing" in host.codes("udev")


def test_usb_switched_off_is_noted_and_nothing_else_is_asked_about_it(host: DockHost) -> None:
    host.config_file.write_text("")
    host.write_config()
    host.config_file.write_text(host.config_file.read_text().replace("[usb]\n", "[usb]\nis_enabled = false\n"))
    names = ("udev", "usb-authorisation", "bays", "bay-rules", "port-power", "kernel-modules", "service")
    assert host.codes(*names) == ["usb-off"]


# --- authorisation ------------------------------------------------------------------------------


def test_controllers_that_switch_nothing_on_by_themselves_are_as_wanted(host: DockHost) -> None:
    assert host.codes("usb-authorisation") == ["usb-authorisation-asked"]


@pytest.mark.parametrize("state", ["1", "2", "-1"])
def test_a_controller_of_bays_that_switches_devices_on_by_itself_is_a_warning(host: DockHost, state: str) -> None:
    (host.usb("usb1") / "authorized_default").write_text(f"{state}\n")
    found = host.only("usb-authorisation")
    assert found.code == "usb-authorisation-open"
    assert f"usb1 has authorized_default={state}" in found.found
    assert "usb2" not in found.found


def test_a_controller_without_bays_may_do_as_it_likes(host: DockHost) -> None:
    host.add_usb("usb3", authorized_default="1", authorized="1")
    assert host.codes("usb-authorisation") == ["usb-authorisation-asked"]


def test_a_hub_of_bays_that_is_off_is_a_problem(host: DockHost) -> None:
    (host.usb("1-1") / "authorized").write_text("0\n")
    assert "usb-hub-off" in host.codes("usb-authorisation")


def test_a_keyboard_that_is_off_is_named_and_a_camera_that_waits_in_a_bay_is_not(host: DockHost) -> None:
    host.add_usb("1-2", authorized="0", product="Badge reader")
    host.add_usb("1-1.1", authorized="0", product="Camera")
    report = host.look("usb-authorisation")
    (off,) = [one for one in report.findings if one.code == "usb-device-off"]
    assert "1-2 (Badge reader)" in off.found
    assert "1-1.1" not in off.found


def test_a_controller_that_does_not_tell_is_unknown(host: DockHost) -> None:
    (host.usb("usb1") / "authorized_default").unlink()
    assert host.codes("usb-authorisation") == ["usb-authorisation-unknown"]


# --- automounters -------------------------------------------------------------------------------


def test_no_automounter_is_well(host: DockHost) -> None:
    assert host.codes("automounters") == ["automounter-none"]


def test_udisks_is_a_warning_unless_a_rule_tells_it_to_keep_away(host: DockHost) -> None:
    host.add_process(500, "udisksd")
    assert host.codes("automounters") == ["automounter-told"]
    (host.root / "usr/lib/udev/rules.d/70-dockd.rules").unlink()
    host.put("usr/lib/udev/rules.d/80-udisks2.rules", 'ENV{UDISKS_IGNORE}="1"\n')  # its own, for loop devices
    assert host.codes("automounters") == ["automounter-runs"]


def test_what_grabs_cameras_over_ptp_is_a_warning_whatever_the_rules_say(host: DockHost) -> None:
    host.add_process(501, "gvfs-gphoto2-volume-monitor")
    found = host.only("automounters")
    assert found.code == "automounter-runs"
    assert "gvfs-gphoto2-volume-monitor" in found.found


def test_what_may_be_started_later_is_noted(host: DockHost) -> None:
    host.put("usr/share/dbus-1/system-services/org.freedesktop.UDisks2.service", "")
    assert host.codes("automounters") == ["automounter-installed"]
