"""camera.toml: read strictly, written back as the same thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.errors import UnknownCamera
from drivers.simulated.description import CameraDescription, Faults, ReadError, parse_description, render_description

_TEXT = st.text(max_size=30).filter(lambda text: text.isprintable() or "\n" in text or "\x7f" in text)
_COUNT = st.integers(0, 2**53)
_FAULTS = st.builds(
    Faults,
    unplug_after_bytes=st.none() | _COUNT,
    bit_flip_at_byte=st.none() | _COUNT,
    stall_at_byte=st.none() | _COUNT,
    stall_seconds=st.floats(0, 86_400),
    short_reads=st.booleans(),
    read_error=st.none() | st.builds(ReadError, path=_TEXT, start_byte=_COUNT, end_byte=_COUNT),
    erase_refused=st.booleans(),
    not_charging=st.booleans(),
)


@given(
    st.builds(
        CameraDescription,
        serial=_TEXT,
        model=_TEXT,
        firmware=st.none() | _TEXT,
        battery_percent=st.floats(0, 100),
        charge_percent_per_minute=st.floats(0, 1000),
        clock_offset_milliseconds=st.integers(-(2**40), 2**40),
        read_bytes_per_second=st.none() | st.integers(1, 2**40),
        officer=st.none() | _TEXT,
        faults=_FAULTS,
    )
)
def test_what_is_written_reads_back_as_the_same_camera(description: CameraDescription) -> None:
    assert parse_description(render_description(description)) == description


def test_a_serial_number_is_enough() -> None:
    assert parse_description(b'serial = "BWC-1"\n') == CameraDescription(serial="BWC-1")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "serial: Field required"),
        (b"serial = ", "cannot be read"),
        (b"serial = '\xff'", "cannot be read"),
        (b"serial = 7", "serial"),
        (b"serial = 'A'\nbatery_percent = 3", "batery_percent"),
        (b"serial = 'A'\nbattery_percent = 101", "battery_percent"),
        (b"serial = 'A'\nis_charging = 0", "is_charging"),
        (b"serial = 'A'\n[faults]\nunplug = 3", "faults.unplug"),
        (b"serial = 'A'\nbattery_percent = -1\ncard_size_bytes = 0", "battery_percent.*card_size_bytes"),
        (b"#" * 70_000, "larger than"),
    ],
)
def test_a_wrong_file_is_refused_with_every_reason(content: bytes, words: str) -> None:
    with pytest.raises(UnknownCamera, match=words):
        parse_description(content)
