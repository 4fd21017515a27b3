"""USB descriptors as a device would send them (USB 2.0 specification §9.6), for tests."""

from __future__ import annotations

from collections.abc import Sequence

Triple = tuple[int, int, int]

STORAGE: Triple = (0x08, 0x06, 0x50)
UAS: Triple = (0x08, 0x06, 0x62)
PTP: Triple = (0x06, 0x01, 0x01)
KEYBOARD: Triple = (0x03, 0x01, 0x01)
MOUSE: Triple = (0x03, 0x01, 0x02)
HUB: Triple = (0x09, 0x00, 0x00)
VENDOR: Triple = (0xFF, 0x00, 0x00)

ENDPOINT = bytes([7, 5, 0x81, 2, 0, 2, 0])


def interface_bytes(triple: Triple, number: int, alternate: int = 0) -> bytes:
    """One interface descriptor with one endpoint."""
    return bytes([9, 4, number, alternate, 1, *triple, 0]) + ENDPOINT


def configuration_bytes(*interfaces: bytes, count: int | None = None) -> bytes:
    """A configuration descriptor with what belongs to it."""
    body = b"".join(interfaces)
    total = (9 + len(body)).to_bytes(2, "little")
    return bytes([9, 2, *total, len(interfaces) if count is None else count, 1, 0, 0x80, 250]) + body


def device_bytes(
    *configurations: bytes, vendor_id: int = 0x4255, product_id: int = 0x0001, device_class: Triple = (0, 0, 0)
) -> bytes:
    """A device descriptor followed by its configurations: the sysfs attribute `descriptors`."""
    ids = vendor_id.to_bytes(2, "little") + product_id.to_bytes(2, "little")
    head = bytes([18, 1, 0x00, 0x02, *device_class, 64]) + ids + bytes([0x00, 0x01, 1, 2, 3, len(configurations)])
    return head + b"".join(configurations)


def descriptors_of(
    triples: Sequence[Triple],
    *,
    vendor_id: int = 0x4255,
    product_id: int = 0x0001,
    device_class: Triple = (0, 0, 0),
) -> bytes:
    """A device with one configuration and these interfaces."""
    interfaces = [interface_bytes(triple, number) for number, triple in enumerate(triples)]
    return device_bytes(
        configuration_bytes(*interfaces), vendor_id=vendor_id, product_id=product_id, device_class=device_class
    )
