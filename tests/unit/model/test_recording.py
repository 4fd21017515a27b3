"""Claims about what makes a recording the same recording."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.model.ids import CameraId, CardPath
from dockd.model.recording import PART_SIZE_BYTES, SourceFile, part_count, recording_id

CAMERA = CameraId("simulated:BWC-0001")
SOURCE = SourceFile(CardPath((b"DCIM", b"1.MP4")), 10, 5)


def test_a_recordings_id_is_the_same_for_ever() -> None:
    # Written down: ids are in journals and stores, so a change of this value would orphan them.
    assert recording_id(CAMERA, SOURCE, 0) == "230e79c67216c82174888573aee87a2e"


@pytest.mark.parametrize(
    ("camera", "source", "generation"),
    [
        (CameraId("simulated:BWC-0002"), SOURCE, 0),
        (CAMERA, SourceFile(CardPath((b"DCIM", b"2.MP4")), 10, 5), 0),
        (CAMERA, SourceFile(CardPath((b"DCIM", b"1.mp4")), 10, 5), 0),
        (CAMERA, SourceFile(CardPath((b"DCIM/1.MP4",)), 10, 5), 0),
        (CAMERA, SourceFile(SOURCE.path, 11, 5), 0),
        (CAMERA, SourceFile(SOURCE.path, 10, 6), 0),
        (CAMERA, SourceFile(SOURCE.path, 10, None), 0),
        (CAMERA, SOURCE, 1),
    ],
    ids=["camera", "name", "case", "slash in name", "size", "time", "no time", "generation"],
)
def test_whatever_differs_makes_another_recording(camera: CameraId, source: SourceFile, generation: int) -> None:
    assert recording_id(camera, source, generation) != recording_id(CAMERA, SOURCE, 0)


def test_the_cameras_own_clock_is_not_part_of_the_identity() -> None:
    told = SourceFile(SOURCE.path, 10, 5, untrusted_recorded_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert told == SOURCE
    assert recording_id(CAMERA, told, 0) == recording_id(CAMERA, SOURCE, 0)


@given(st.integers(0, 2**45))
def test_parts_cover_every_byte_and_none_is_empty(size_bytes: int) -> None:
    count = part_count(size_bytes)
    assert count * PART_SIZE_BYTES >= size_bytes
    assert (count - 1) * PART_SIZE_BYTES < size_bytes or size_bytes == count == 0
