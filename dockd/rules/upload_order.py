"""In which order recordings go to the store.

1. Footage that the officer marked or the camera protected: it is what is asked for first.
2. Then what frees a camera soonest: of the docked cameras the one with the least left to send, whole
   camera after whole camera, so that one is free early instead of all being free late.
3. Then what is no longer docked, oldest first.

Pure: who is docked and what is left to send is given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from dockd.model.ids import CameraId, CardPath, RecordingId

_MARKED_FOLDERS = frozenset(
    {"p_video", "lock", "locked", "protect", "protected", "mark", "marked", "event", "emergency", "emr", "sos"}
)
"""Folder names under which cameras keep footage that was marked or protected (`N_VIDEO`/`P_VIDEO` and the like)."""

_NEVER = datetime.max.replace(tzinfo=UTC)


def is_marked(path: CardPath) -> bool:
    """Whether the card keeps this recording among its marked or protected ones."""
    return any(name.decode("ascii", "replace").casefold() in _MARKED_FOLDERS for name in path.names[:-1])


@dataclass(frozen=True, slots=True)
class Waiting:
    """As much of a recording as its turn depends on: there may be tens of thousands of them."""

    recording: RecordingId
    camera: CameraId
    path: CardPath
    size_bytes: int
    recorded_at: datetime | None


def upload_order(waiting: Iterable[Waiting], docked: Collection[CameraId]) -> tuple[Waiting, ...]:
    """Return `waiting` in the order in which it should be sent; `docked` are the cameras in a bay now."""
    entries = tuple(waiting)
    left_bytes: dict[CameraId, int] = {}
    for entry in entries:
        left_bytes[entry.camera] = left_bytes.get(entry.camera, 0) + entry.size_bytes

    def rank(entry: Waiting) -> tuple[bool, bool, int, str, datetime, str]:
        is_docked = entry.camera in docked
        return (
            not is_marked(entry.path),
            not is_docked,
            left_bytes[entry.camera] if is_docked else 0,
            entry.camera if is_docked else "",
            entry.recorded_at or _NEVER,
            entry.recording,
        )

    return tuple(sorted(entries, key=rank))
