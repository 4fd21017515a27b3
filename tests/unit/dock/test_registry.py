"""Which driver gets a device: by rule, never by order of installation."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

from dockd.dock.registry import DriverRegistry
from dockd.driver_api import Match
from dockd.errors import ConfigInvalid, UnknownCamera
from dockd.model.camera import Port

DISK = Port(
    path="1-1.3", node="/sys/x", usb_vendor_id=0x4255, usb_product_id=0x0001, usb_interfaces=((3, 0, 0), (8, 6, 80))
)


class Claiming:
    """A driver that claims by data and remembers its options."""

    summary = "for tests"

    def __init__(self, name: str, *matches: Match) -> None:
        self.name = name
        self._matches = matches
        self.options: Mapping[str, Any] = {}

    def configure(self, options: Mapping[str, Any]) -> None:
        if "typo" in options:
            raise ConfigInvalid(f"[drivers.{self.name}] typo: unknown.")
        self.options = options

    def matches(self) -> tuple[Match, ...]:
        return self._matches


ANY_DISK = Claiming("anydisk", Match(interface=(8, 6, 80)))
BY_VENDOR = Claiming("byvendor", Match(vendor_id=0x4255))
BY_PRODUCT = Claiming("byproduct", Match(interface=(9, 9, 9)), Match(vendor_id=0x4255, product_id=0x0001))


@pytest.fixture
def plug_in_module() -> Iterator[ModuleType]:
    module = ModuleType("plug_in_for_registry_tests")
    module.one = Claiming("one", Match(vendor_id=1))
    module.two = Claiming("two", Match(vendor_id=2))
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


def point(name: str, attribute: str) -> EntryPoint:
    return EntryPoint(name=name, value=f"plug_in_for_registry_tests:{attribute}", group="dockd.drivers")


def test_the_most_specific_match_wins_in_any_order_of_drivers() -> None:
    assert DriverRegistry([ANY_DISK, BY_PRODUCT]).choose(DISK) is BY_PRODUCT
    assert DriverRegistry([BY_PRODUCT, ANY_DISK]).choose(DISK) is BY_PRODUCT


def test_a_drivers_own_broad_match_does_not_lower_its_specific_one() -> None:
    both = Claiming("both", Match(interface=(8, 6, 80)), Match(vendor_id=0x4255, product_id=0x0001))
    assert DriverRegistry([ANY_DISK, both]).choose(DISK) is both


def test_a_match_that_does_not_hold_lends_no_specificity() -> None:
    elsewhere = Claiming("elsewhere", Match(interface=(8, 6, 80)), Match(vendor_id=1, product_id=1))
    assert DriverRegistry([elsewhere, BY_PRODUCT]).choose(DISK) is BY_PRODUCT


def test_two_equal_winners_are_refused_and_both_named() -> None:
    with pytest.raises(UnknownCamera, match=r"anydisk and byvendor claim .* 4255:0001.* with equal right"):
        DriverRegistry([ANY_DISK, BY_VENDOR]).choose(DISK)


def test_a_device_that_nobody_claims_is_named_with_its_usb_ids_and_interfaces() -> None:
    keyboard = Port(path="1-1", node="/sys/k", usb_vendor_id=0x046D, usb_product_id=1, usb_interfaces=((3, 1, 1),))
    with pytest.raises(UnknownCamera, match=r"No driver knows .* 046d:0001, interfaces 03/01/01"):
        DriverRegistry([ANY_DISK, BY_VENDOR]).choose(keyboard)


def test_a_port_of_a_drivers_own_watcher_belongs_to_that_driver_alone() -> None:
    hinted = DISK.model_copy(update={"driver_hint": "anydisk"})
    assert DriverRegistry([ANY_DISK, BY_PRODUCT]).choose(hinted) is ANY_DISK


def test_a_hint_at_a_driver_that_is_not_installed_is_no_camera() -> None:
    hinted = DISK.model_copy(update={"driver_hint": "vanished"})
    with pytest.raises(UnknownCamera, match=r"'vanished' for port 1-1\.3 is not installed"):
        DriverRegistry([ANY_DISK]).choose(hinted)


def test_drivers_are_loaded_by_entry_point_and_given_their_options(plug_in_module: ModuleType) -> None:
    registry = DriverRegistry.load({"two": {"speed": 3}}, installed=[point("two", "two"), point("one", "one")])
    assert [driver.name for driver in registry.drivers] == ["one", "two"]
    assert [driver.options for driver in registry.drivers] == [{}, {"speed": 3}]


def test_two_registries_do_not_share_a_drivers_options(plug_in_module: ModuleType) -> None:
    first = DriverRegistry.load({"one": {"folder": "a"}}, installed=[point("one", "one")])
    DriverRegistry.load({"one": {"folder": "b"}}, installed=[point("one", "one")])
    assert first.drivers[0].options == {"folder": "a"}
    assert plug_in_module.one.options == {}


def test_every_mistake_is_told_at_once(plug_in_module: ModuleType) -> None:
    installed = [point("one", "one"), point("absent", "absent"), point("wrong", "two"), point("one", "two")]
    with pytest.raises(ConfigInvalid) as told:
        DriverRegistry.load({"one": {"typo": 1}, "ghost": {}, "ghost2": {}}, installed=installed)
    words = told.value.what
    for expected in ("'absent'", "calls itself 'two'", "Two installed packages", "typo", "drivers.ghost]", "ghost2"):
        assert expected in words, expected


def test_the_installed_drivers_load_and_claim_folder_bays_and_usb_disks() -> None:
    registry = DriverRegistry.load({})
    folder = Port(path="folder:1", node="/bays/1/x")
    assert registry.choose(folder).name == "simulated"
    assert registry.choose(DISK).name == "massstorage"
