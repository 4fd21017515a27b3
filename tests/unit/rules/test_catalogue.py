"""What a listed file is to the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dockd.model.ids import CameraId, CardPath, RecordingId, SessionId
from dockd.model.recording import SourceFile
from dockd.rules.catalogue import identify_recording, recorded_at
from dockd.rules.custody import Custody, LedgerEntry

CAMERA = CameraId("simulated:A1")
SOURCE = SourceFile(path=CardPath((b"DCIM", b"1.MP4")), size_bytes=10, modified_ns=5)


def entry(recording: RecordingId, generation: int = 0) -> LedgerEntry:
    return LedgerEntry(
        recording=recording,
        camera=CAMERA,
        path=SOURCE.path,
        size_bytes=10,
        modified_ns=5,
        generation=generation,
        first_session=SessionId("s1"),
        last_session=SessionId("s1"),
        recorded_at=None,
        officer=None,
    )


def test_unknown_file_is_new_and_found_again_is_the_same_recording() -> None:
    first, generation, is_new = identify_recording(CAMERA, SOURCE, None)
    assert (generation, is_new) == (0, True)
    assert identify_recording(CAMERA, SOURCE, entry(first)) == (first, 0, False)


@pytest.mark.parametrize(
    "gone", [{"state": Custody.ERASED}, {"is_replaced": True}, {"state": Custody.ACCEPTED, "is_replaced": True}]
)
def test_file_listed_again_after_erasing_is_another_recording(gone: dict[str, object]) -> None:
    first, _, _ = identify_recording(CAMERA, SOURCE, None)
    second, generation, is_new = identify_recording(CAMERA, SOURCE, replace(entry(first), **gone))
    assert (generation, is_new) == (1, True)
    assert second != first


def test_recording_time_is_corrected_by_the_measured_offset() -> None:
    camera_time = datetime(2026, 11, 22, 6, 10, tzinfo=UTC)
    assert recorded_at(camera_time, timedelta(minutes=10)) == datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
    assert recorded_at(camera_time, None) == camera_time
    assert recorded_at(None, timedelta(minutes=10)) is None


def test_recording_time_beyond_the_calendar_is_unknown() -> None:
    assert recorded_at(datetime.max.replace(tzinfo=UTC), timedelta(days=-400_000)) is None
