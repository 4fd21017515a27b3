"""Which USB devices may be switched on in a bay. Pure: opens nothing, switches nothing.

A camera can pose as a keyboard, and a keyboard can be put into a bay. So a device is judged by every
interface that it could ever offer, before the kernel may bind a driver to any of them. Class codes: USB-IF
"Defined Class Codes"; HID protocols: HID 1.11 section 4.3; mass storage: "Mass Storage Class
Specification Overview" 1.4, sections 2 and 3.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from dockd.dock.usb_descriptors import Triple
from dockd.errors import ForbiddenDevice
from dockd.model.camera import Port
from dockd.section import Section

_INTERFACE_TEXT = re.compile(r"^[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{2}$")
_USB_ID_TEXT = re.compile(r"^[0-9a-f]{4}:[0-9a-f]{4}$")
_HUB_TEXT = re.compile(r"^(usb[1-9]\d*|[1-9]\d*-[1-9]\d*(\.[1-9]\d*)*)$")
_VENDOR_SPECIFIC = 0xFF
_HID = 0x03
_HUB = 0x09

_CLASS_WORDS = {
    0x01: "a microphone or loudspeaker",
    0x02: "a modem or network card",
    0x05: "a force-feedback device",
    0x06: "a still-image camera of a kind that is not allowed here",
    0x07: "a printer",
    0x08: "a disk of a kind that is not allowed here",
    0x09: "a USB hub",
    0x0A: "a modem or network card",
    0x0B: "a smart-card reader",
    0x0D: "a content-protection device",
    0x0E: "a webcam",
    0x0F: "a medical device",
    0x10: "an audio and video device",
    0x11: "a USB-C adapter",
    0x12: "a USB-C bridge",
    0xDC: "a diagnostic device",
    0xE0: "a wireless adapter",
    0xEF: "a device of a mixed kind",
    0xFE: "a device that can be re-programmed over USB",
    0xFF: "a device of its maker's own kind",
}
_HID_PROTOCOL_WORDS = {0x01: "a keyboard", 0x02: "a mouse"}


class UsbConfig(Section):
    """What the dock expects on its USB ports."""

    is_enabled: bool = Field(default=True, description="Watch USB ports for cameras.")
    bays_file: str = Field(
        default="/etc/dockd/bays.toml",
        description="The bay map: which USB port is which bay. Written by `dockd bays learn`, may be edited by hand.",
    )
    hubs: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(),
        description="Kernel paths of the dock's own hubs, such as `1-1` (or `usb3` for a whole controller). Only what "
        "hangs below them is looked at. Empty: only the ports named in the bay map.",
    )
    allowed_interfaces: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=("08/06/50", "08/06/62", "06/01/01"),
        description="USB interfaces that a camera may offer, as class/subclass/protocol in hexadecimal: mass storage "
        "(bulk-only, UAS) and still image (PTP, MTP). A device with any other interface is never switched on.",
    )
    vendor_devices: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(),
        description="USB ids, such as `4255:0001`, of cameras whose vendor-specific interfaces (class ff) are allowed.",
    )
    receive_buffer_bytes: int = Field(
        default=8 * 1024 * 1024,
        ge=64 * 1024,
        le=128 * 1024 * 1024,
        description="Size of the kernel's buffer for device events, bytes. Too small: events are lost in a burst and "
        "everything is enumerated again.",
    )
    settle_timeout_seconds: float = Field(
        default=10.0, gt=0, le=120, description="How long a device may take to offer its interfaces once switched on."
    )

    @field_validator("hubs")
    @classmethod
    def _check_hubs(cls, hubs: tuple[str, ...]) -> tuple[str, ...]:
        return _all_match(hubs, _HUB_TEXT, "a kernel path of a hub such as 1-1, 1-1.4 or usb3")

    @field_validator("allowed_interfaces")
    @classmethod
    def _check_interfaces(cls, interfaces: tuple[str, ...]) -> tuple[str, ...]:
        lowered = _all_match(
            tuple(text.lower() for text in interfaces),
            _INTERFACE_TEXT,
            "class/subclass/protocol in hexadecimal such as 08/06/50",
        )
        dangerous = [text for text in lowered if text.startswith(("03/", "09/", "ff/"))]
        if dangerous:
            raise ValueError(
                f"{', '.join(dangerous)}: keyboards, mice and hubs (03, 09) are never allowed in a bay, and "
                "vendor-specific interfaces (ff) only per device, in vendor_devices"
            )
        return lowered

    @field_validator("vendor_devices")
    @classmethod
    def _check_vendor_devices(cls, devices: tuple[str, ...]) -> tuple[str, ...]:
        return _all_match(
            tuple(text.lower() for text in devices), _USB_ID_TEXT, "vendor:product in hexadecimal such as 4255:0001"
        )

    @property
    def allowed_triples(self) -> frozenset[Triple]:
        """The allow-list as numbers."""
        return frozenset(
            (int(text[0:2], 16), int(text[3:5], 16), int(text[6:8], 16)) for text in self.allowed_interfaces
        )

    def is_below_hub(self, port_path: str) -> bool:
        """Whether the port hangs, at any depth, below one of the dock's hubs."""
        return any(port_path.startswith(f"{hub[3:]}-" if hub.startswith("usb") else f"{hub}.") for hub in self.hubs)


def _all_match(texts: tuple[str, ...], pattern: re.Pattern[str], form: str) -> tuple[str, ...]:
    wrong = [repr(text) for text in texts if not pattern.fullmatch(text)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: each must be {form}")
    return texts


def interface_words(triple: Triple) -> str:
    """What an interface is, for staff: "a keyboard"."""
    if triple[0] == _HID:
        return _HID_PROTOCOL_WORDS.get(triple[2], "an input device such as a keyboard or mouse")
    return _CLASS_WORDS.get(triple[0], f"a device of an unknown kind ({triple[0]:02x})")


def forbidden_interfaces(port: Port, config: UsbConfig) -> tuple[Triple, ...]:
    """The interfaces of `port` that no camera may have here, in the order the device gives them."""
    allowed = config.allowed_triples
    usb_id = f"{port.usb_vendor_id or 0:04x}:{port.usb_product_id or 0:04x}"
    return tuple(
        triple
        for triple in port.usb_interfaces
        if triple not in allowed and not (triple[0] == _VENDOR_SPECIFIC and usb_id in config.vendor_devices)
    )


def check_interfaces(port: Port, config: UsbConfig) -> None:
    """Return only if every interface of the device in `port` is on the allow-list.

    A device whose interfaces are not known is refused: what cannot be judged is not switched on.
    Raises ForbiddenDevice naming what the device is, in words.
    """
    if not port.usb_interfaces:
        raise ForbiddenDevice("The device in this bay does not say properly what it is.")
    forbidden = forbidden_interfaces(port, config)
    if not forbidden:
        return
    words = list(dict.fromkeys(interface_words(triple) for triple in forbidden))
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    codes = ", ".join(f"{c:02x}/{s:02x}/{p:02x}" for c, s, p in forbidden[:8])
    verb = "is" if len(forbidden) == len(port.usb_interfaces) else "also acts as"
    raise ForbiddenDevice(
        f"The device in this bay {verb} {listed} (USB {port.usb_vendor_id or 0:04x}:{port.usb_product_id or 0:04x}, "
        f"interface {codes})."
    )
