"""Threats: a rule that switches off the computer's own keyboard, and a port of the dock that no rule names."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest

from dockd.dock.bay_map import BayMap, MappedBay
from dockd.dock.udev_rules import bay_rules
from dockd.dock.usb_policy import UsbConfig
from dockd.errors import BadRequest
from dockd.model.ids import BayId

RULE = re.compile(r'KERNELS?=="(?P<patterns>[^"]+)".*ENV\{DOCKD_PLACE\}="(?P<place>\w+)"')


def bays(*ports: str | tuple[str, str]) -> BayMap:
    pairs = [(port, None) if isinstance(port, str) else port for port in ports]
    return BayMap(MappedBay(BayId(str(number)), *pair) for number, pair in enumerate(pairs, 1))


def place_of(text: str, name: str, subsystem: str = "usb") -> str:
    """What udev would set for a device of this kernel name: the last rule that fits."""
    place = ""
    for line in text.splitlines():
        if f'SUBSYSTEM=="{subsystem}"' not in line or ("DEVTYPE" in line and name.startswith("usb")):
            continue
        found = RULE.search(line)
        assert found is not None, line
        if any(fnmatchcase(name, pattern) for pattern in found["patterns"].split("|")):
            place = found["place"]
    return place


def test_only_the_ports_of_the_dock_are_bays() -> None:
    text = bay_rules(bays("1-1.3", "1-1.4"), UsbConfig())
    assert place_of(text, "usb1") == "controller"
    assert place_of(text, "1-1") == "hub"
    assert place_of(text, "1-1.3") == "bay"
    assert place_of(text, "1-1.3", "block") == "bay"


@pytest.mark.parametrize("name", ["1-2", "1-5.1", "1-10", "1-11.3"])
def test_devices_of_the_same_controller_outside_the_dock_are_let_in_as_ever(name: str) -> None:
    text = bay_rules(bays("1-1.3"), UsbConfig())
    assert place_of(text, name) == "elsewhere"
    assert place_of(text, name, "block") == "", "a disk of the computer itself keeps its names and owner"


@pytest.mark.parametrize("name", ["usb2", "2-1", "2-1.3", "usb11", "11-1.3"])
def test_other_controllers_are_not_mentioned(name: str) -> None:
    assert place_of(bay_rules(bays("1-1.3"), UsbConfig()), name) == ""


def test_a_hub_put_into_a_bay_is_no_hub_of_the_dock() -> None:
    text = bay_rules(bays("1-1.3"), UsbConfig())
    assert place_of(text, "1-1.3.1") == "bay"


def test_a_hub_of_the_dock_below_another_is_let_in() -> None:
    text = bay_rules(bays("1-1.1", "1-1.4.1"), UsbConfig())
    assert place_of(text, "1-1.4") == "hub"
    assert place_of(text, "1-1.4.1") == "bay"


def test_a_port_of_a_dock_hub_that_is_no_bay_stays_closed() -> None:
    assert place_of(bay_rules(bays("1-1.1"), UsbConfig()), "1-1.7") == "bay"


def test_both_speeds_of_a_socket_are_closed() -> None:
    text = bay_rules(bays(("1-1.3", "2-1.3")), UsbConfig())
    assert [place_of(text, name) for name in ("usb2", "2-1", "2-1.3")] == ["controller", "hub", "bay"]


def test_bays_at_the_controllers_own_ports_leave_its_other_ports_alone() -> None:
    text = bay_rules(bays("3-1", "3-2"), UsbConfig())
    assert [place_of(text, name) for name in ("usb3", "3-1", "3-1.1", "3-3", "3-10")] == [
        "controller",
        "bay",
        "bay",
        "elsewhere",
        "elsewhere",
    ]


def test_hubs_of_the_configuration_count_before_any_bay_is_learned() -> None:
    text = bay_rules(BayMap(), UsbConfig(hubs=("1-1", "usb4")))
    assert [place_of(text, name) for name in ("1-1", "1-1.2", "usb4", "4-7", "1-2")] == [
        "hub",
        "bay",
        "controller",
        "bay",
        "elsewhere",
    ]


def test_without_any_place_there_are_no_rules() -> None:
    with pytest.raises(BadRequest, match="dockd bays learn"):
        bay_rules(BayMap(), UsbConfig())
