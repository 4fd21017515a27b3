"""Which devices may be switched on in a bay."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from dockd.dock.usb_policy import UsbConfig, check_interfaces, interface_words
from dockd.errors import ForbiddenDevice, Reaction
from dockd.model.camera import Port
from tests.support.usb_bytes import HUB, KEYBOARD, MOUSE, PTP, STORAGE, UAS, VENDOR, Triple

CONFIG = UsbConfig()


def port(*interfaces: Triple, vendor_id: int = 0x1234, product_id: int = 0x0001) -> Port:
    return Port(
        path="1-1.3",
        node="/sys/devices/1-1.3",
        usb_vendor_id=vendor_id,
        usb_product_id=product_id,
        usb_interfaces=interfaces,
    )


@pytest.mark.parametrize("interfaces", [(STORAGE,), (UAS, STORAGE), (PTP,), (STORAGE, PTP)])
def test_cameras_usual_interfaces_are_allowed(interfaces: tuple[Triple, ...]) -> None:
    check_interfaces(port(*interfaces), CONFIG)


@pytest.mark.parametrize(
    ("interfaces", "words"),
    [
        ((KEYBOARD,), "is a keyboard"),
        ((STORAGE, KEYBOARD), "also acts as a keyboard"),
        ((MOUSE,), "is a mouse"),
        (((3, 0, 0),), "an input device such as a keyboard or mouse"),
        ((HUB,), "is a USB hub"),
        (((2, 6, 0), (0x0A, 0, 0)), "is a modem or network card"),
        (((0x08, 0x05, 0x50),), "a disk of a kind that is not allowed here"),
        (((0x0E, 1, 0),), "a webcam"),
        (((0xE0, 1, 3),), "a wireless adapter"),
        (((0x77, 0, 0),), "unknown kind (77)"),
        ((STORAGE, VENDOR), "its maker's own kind"),
        ((), "does not say properly what it is"),
    ],
)
def test_anything_else_is_refused_naming_it_in_words(interfaces: tuple[Triple, ...], words: str) -> None:
    with pytest.raises(ForbiddenDevice) as caught:
        check_interfaces(port(*interfaces), CONFIG)
    assert words in caught.value.what
    assert caught.value.reaction is Reaction.HOLD


def test_message_names_each_kind_once_and_the_codes_for_it() -> None:
    with pytest.raises(ForbiddenDevice) as caught:
        check_interfaces(port(STORAGE, KEYBOARD, (3, 1, 1), MOUSE), CONFIG)
    assert "a keyboard and a mouse (USB 1234:0001, interface 03/01/01, 03/01/01, 03/01/02)" in caught.value.what


def test_vendor_interface_is_allowed_for_the_named_device_only() -> None:
    config = UsbConfig(vendor_devices=("4255:0001",))
    check_interfaces(port(VENDOR, vendor_id=0x4255), config)
    with pytest.raises(ForbiddenDevice):
        check_interfaces(port(VENDOR, vendor_id=0x4256), config)
    with pytest.raises(ForbiddenDevice, match="keyboard"):
        check_interfaces(port(VENDOR, KEYBOARD, vendor_id=0x4255), config)


def test_vendor_device_named_in_capitals_is_the_same_device() -> None:
    check_interfaces(port(VENDOR, vendor_id=0xABCD, product_id=0xEF01), UsbConfig(vendor_devices=("ABCD:EF01",)))


@pytest.mark.parametrize("text", ["03/01/01", "09/00/00", "ff/00/00", "FF/ff/ff"])
def test_keyboards_hubs_and_vendor_interfaces_cannot_be_allowed_for_all(text: str) -> None:
    with pytest.raises(ValidationError, match="never allowed"):
        UsbConfig(allowed_interfaces=("08/06/50", text))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("allowed_interfaces", ("08/06", "8/6/50")),
        ("vendor_devices", ("4255", "4255:00012")),
        ("hubs", ("1", "1-1.", "0-1", "usb0", "1-1:1.0", "../1-1")),
    ],
)
def test_every_malformed_entry_is_named(field: str, values: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        UsbConfig.model_validate({field: values})
    for value in values:
        assert repr(value) in str(caught.value)


def test_ports_below_the_docks_hubs_at_any_depth_are_told_from_neighbours() -> None:
    config = UsbConfig(hubs=("1-1", "usb3"))
    assert all(config.is_below_hub(path) for path in ("1-1.1", "1-1.4.2", "3-1", "3-2.1"))
    assert not any(config.is_below_hub(path) for path in ("1-1", "1-11", "1-11.1", "1-2", "2-1.1", "31-1"))
    assert not UsbConfig().is_below_hub("1-1.1")


def test_every_class_of_interface_has_words() -> None:
    assert all(interface_words((code, 0, 0)).startswith(("a ", "an ")) for code in range(256))
