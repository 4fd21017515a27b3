"""What a listed file is to the ledger: a new recording, one that is known, or other bytes under a known name."""

from __future__ import annotations

from datetime import datetime, timedelta

from dockd.model.ids import CameraId, RecordingId
from dockd.model.recording import SourceFile, recording_id
from dockd.rules.custody import LedgerEntry


def generation_of(known: LedgerEntry | None) -> tuple[int, bool]:
    """Return (generation, is_new) of a file whose latest ledger entry is `known`.

    A file that was erased, or whose bytes were replaced, and that the card lists again is a new
    recording even if name, size and time are the same: only its bytes can tell, and they are read.
    """
    if known is None:
        return 0, True
    if not known.is_on_card:
        return known.generation + 1, True
    return known.generation, False


def identify_recording(
    camera: CameraId, source: SourceFile, known: LedgerEntry | None
) -> tuple[RecordingId, int, bool]:
    """Return (id, generation, is_new) for a file that the card lists now."""
    generation, is_new = generation_of(known)
    return recording_id(camera, source, generation), generation, is_new


def recorded_at(untrusted_camera_time: datetime | None, offset: timedelta | None) -> datetime | None:
    """Correct a time by the camera's clock offset (camera minus host); None stays None.

    Without a measured offset the camera's own word is used: it is what the file says.
    """
    if untrusted_camera_time is None:
        return None
    try:
        return untrusted_camera_time - offset if offset is not None else untrusted_camera_time
    except OverflowError:
        return None
