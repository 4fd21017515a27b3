"""Descriptors come from a device that may be hostile."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dockd.dock.usb_descriptors import Descriptors, DescriptorsMalformed, parse_descriptors
from tests.support.usb_bytes import (
    HUB,
    KEYBOARD,
    PTP,
    STORAGE,
    UAS,
    configuration_bytes,
    descriptors_of,
    device_bytes,
    interface_bytes,
)

triples = st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))


@given(wanted=st.lists(triples, min_size=1, max_size=8), vendor=st.integers(0, 0xFFFF), product=st.integers(0, 0xFFFF))
def test_every_interface_is_found_once_with_the_ids(
    wanted: list[tuple[int, int, int]], vendor: int, product: int
) -> None:
    parsed = parse_descriptors(descriptors_of(wanted, vendor_id=vendor, product_id=product))
    assert (parsed.vendor_id, parsed.product_id) == (vendor, product)
    assert parsed.interfaces == tuple(dict.fromkeys(wanted))


def test_keyboard_hidden_in_an_alternate_setting_is_found() -> None:
    hidden = configuration_bytes(interface_bytes(STORAGE, 0), interface_bytes(KEYBOARD, 0, alternate=1), count=1)
    assert parse_descriptors(device_bytes(hidden)).interfaces == (STORAGE, KEYBOARD)


def test_keyboard_hidden_in_a_second_configuration_is_found() -> None:
    first = configuration_bytes(interface_bytes(STORAGE, 0))
    second = configuration_bytes(interface_bytes(UAS, 0), interface_bytes(KEYBOARD, 1))
    assert parse_descriptors(device_bytes(first, second)).interfaces == (STORAGE, UAS, KEYBOARD)


def test_keyboard_beyond_the_announced_number_of_interfaces_is_found() -> None:
    understated = configuration_bytes(interface_bytes(STORAGE, 0), interface_bytes(KEYBOARD, 1), count=1)
    assert KEYBOARD in parse_descriptors(device_bytes(understated)).interfaces


def test_class_of_the_whole_device_counts_where_no_interface_has_it() -> None:
    bluetooth = (0xE0, 0x01, 0x01)
    assert parse_descriptors(descriptors_of([STORAGE], device_class=bluetooth)).interfaces == (STORAGE, bluetooth)
    assert parse_descriptors(descriptors_of([STORAGE], device_class=(8, 0, 0))).interfaces == (STORAGE,)
    assert parse_descriptors(descriptors_of([PTP], device_class=(0xEF, 2, 1))).interfaces == (PTP,)


def test_hub_is_only_what_is_nothing_but_a_hub() -> None:
    assert parse_descriptors(descriptors_of([HUB], device_class=(9, 0, 0))).is_hub
    assert not parse_descriptors(descriptors_of([HUB, KEYBOARD], device_class=(9, 0, 0))).is_hub
    assert not parse_descriptors(descriptors_of([STORAGE])).is_hub


GOOD = device_bytes(configuration_bytes(interface_bytes(STORAGE, 0), interface_bytes(PTP, 1)))


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        (b"", "begin with a device"),
        (GOOD[:17], "begin with a device"),
        (b"\x13" + GOOD[1:], "begin with a device"),
        (device_bytes(), "no interface"),
        (device_bytes(configuration_bytes()), "no interface"),
        (GOOD[:18], "configuration 1 is missing"),
        (GOOD[:-1], "claims"),
        (GOOD + b"\x00", "follow the last"),
        (GOOD + configuration_bytes(interface_bytes(KEYBOARD, 0)), "follow the last"),
        (device_bytes(configuration_bytes(b"\x00\x04")), "impossible length"),
        (device_bytes(configuration_bytes(b"\x01\x04")), "impossible length"),
        (device_bytes(configuration_bytes(b"\x09")), "impossible length"),
        (device_bytes(configuration_bytes(b"\x20\x04\x00")), "impossible length"),
        (device_bytes(configuration_bytes(b"\x08\x04\x00\x00\x00\x08\x06\x50")), "only 8 bytes"),
        (device_bytes(configuration_bytes(configuration_bytes(interface_bytes(STORAGE, 0)))), "inside it"),
    ],
)
def test_damaged_descriptors_are_refused_in_words(damaged: bytes, words: str) -> None:
    with pytest.raises(DescriptorsMalformed, match=words):
        parse_descriptors(damaged)


@given(st.binary(max_size=200))
@example(b"\x12\x01" + bytes(15) + b"\xff")
def test_any_bytes_are_understood_or_refused(untrusted: bytes) -> None:
    try:
        parsed = parse_descriptors(untrusted)
    except DescriptorsMalformed:
        return
    assert isinstance(parsed, Descriptors)
    assert parsed.interfaces


@given(place=st.integers(0, len(GOOD) - 1), value=st.integers(0, 255))
def test_one_wrong_byte_never_hides_an_interface_descriptor(place: int, value: int) -> None:
    """Whatever a single byte does: each interface that the walk of §9.5 shows is reported, or all is refused."""
    damaged = GOOD[:place] + bytes([value]) + GOOD[place + 1 :]
    try:
        parsed = parse_descriptors(damaged)
    except DescriptorsMalformed:
        return
    shown, offset = set(), 18
    while offset < len(damaged):
        if damaged[offset + 1] == 0x04:
            shown.add(tuple(damaged[offset + 5 : offset + 8]))
        offset += damaged[offset]
    assert shown <= set(parsed.interfaces)
