"""What a USB device says of itself, read from bytes that it chose: hostile input.

Knows the descriptor layout of the USB 2.0 specification, section 9.6 (device §9.6.1, configuration
§9.6.3, interface §9.6.5), in the form in which Linux offers it: the sysfs attribute `descriptors` is the
device descriptor followed by each configuration with everything that belongs to it. The kernel fills it
before the device is authorised, which is what makes it possible to look before switching on. Knows no
policy and opens no file.
"""

from __future__ import annotations

from dataclasses import dataclass

_DEVICE = 0x01
_CONFIGURATION = 0x02
_INTERFACE = 0x04
_DEVICE_LENGTH = 18
_CONFIGURATION_LENGTH = 9
_INTERFACE_LENGTH = 9
_CLASS_PER_INTERFACE = frozenset({0x00, 0xEF, 0xFF})
"""Device classes that leave it to the interfaces to say what they are (§9.6.1; 0xEF: interface associations)."""

Triple = tuple[int, int, int]


class DescriptorsMalformed(ValueError):
    """The bytes are not descriptors as §9.6 lays them out; such a device may not be switched on."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """A device's ids and every interface it could ever offer: all configurations, all alternate settings.

    `interfaces` holds (class, subclass, protocol), each once, in the order given. Where the device as a whole
    names a class that none of its interfaces has, that triple is among them too: some kernel drivers bind
    by the class of the device.
    """

    vendor_id: int
    product_id: int
    device_class: int
    interfaces: tuple[Triple, ...]

    @property
    def is_hub(self) -> bool:
        """A hub and nothing but a hub."""
        return self.device_class == 0x09 and all(triple[0] == 0x09 for triple in self.interfaces)


def parse_descriptors(untrusted: bytes) -> Descriptors:
    """Read the sysfs attribute `descriptors`.

    Stricter than the kernel, on purpose: where the two could understand the same bytes differently, a
    device could show us a disk and the kernel a keyboard. The announced number of interfaces is not
    believed: every interface described counts. Raises DescriptorsMalformed.
    """
    if len(untrusted) < _DEVICE_LENGTH or untrusted[0] != _DEVICE_LENGTH or untrusted[1] != _DEVICE:
        raise DescriptorsMalformed("it does not begin with a device descriptor")
    device_triple = (untrusted[4], untrusted[5], untrusted[6])
    configurations = untrusted[17]
    found: dict[Triple, None] = {}
    rest = untrusted[_DEVICE_LENGTH:]
    for number in range(1, configurations + 1):
        block, rest = _cut_configuration(rest, number)
        found.update(dict.fromkeys(_interfaces_of(block, number)))
    if rest:
        raise DescriptorsMalformed(f"{len(rest)} bytes follow the last configuration")
    if not found:
        raise DescriptorsMalformed("it has no interface")
    if device_triple[0] not in _CLASS_PER_INTERFACE and all(triple[0] != device_triple[0] for triple in found):
        found[device_triple] = None
    return Descriptors(
        vendor_id=int.from_bytes(untrusted[8:10], "little"),
        product_id=int.from_bytes(untrusted[10:12], "little"),
        device_class=device_triple[0],
        interfaces=tuple(found),
    )


def _cut_configuration(rest: bytes, number: int) -> tuple[bytes, bytes]:
    if len(rest) < _CONFIGURATION_LENGTH or rest[0] < _CONFIGURATION_LENGTH or rest[1] != _CONFIGURATION:
        raise DescriptorsMalformed(f"configuration {number} is missing or does not begin as one")
    total = int.from_bytes(rest[2:4], "little")
    if total < rest[0] or total > len(rest):
        raise DescriptorsMalformed(f"configuration {number} claims {total} bytes and {len(rest)} are there")
    return rest[:total], rest[total:]


def _interfaces_of(block: bytes, number: int) -> list[Triple]:
    """Walk one configuration: every descriptor begins with its own length and its type (§9.5)."""
    triples: list[Triple] = []
    offset = block[0]
    while offset < len(block):
        if len(block) - offset < 2 or block[offset] < 2 or offset + block[offset] > len(block):
            raise DescriptorsMalformed(f"configuration {number} has a descriptor of impossible length at byte {offset}")
        length, kind = block[offset], block[offset + 1]
        if kind in (_DEVICE, _CONFIGURATION):
            raise DescriptorsMalformed(f"configuration {number} has a descriptor of type {kind} inside it")
        if kind == _INTERFACE:
            if length < _INTERFACE_LENGTH:
                raise DescriptorsMalformed(f"configuration {number} has an interface of only {length} bytes")
            triples.append((block[offset + 5], block[offset + 6], block[offset + 7]))
        offset += length
    return triples
