"""Names for footage outside the store: readable, safe on every file system, unique, always the same.

A camera's own name is hostile: it may hold slashes, line feeds, invalid UTF-8, or differ from another
only in case. So a name here is made of letters, digits, dot, hyphen and underscore only, and its
uniqueness comes from the recording id, never from the camera.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from dockd.model.ids import CardPath, RecordingId

_UNSAFE = re.compile(r"[^A-Za-z0-9-]+")
_EXTENSION = re.compile(r"^[A-Za-z0-9]{1,8}$")
_LONGEST_STEM = 40


def footage_name(recording: RecordingId, path: CardPath, recorded_at: datetime | None) -> str:
    """`<recorded at, UTC>_<the camera's name, made safe>_<recording id>.<extension>`, at most 160 characters.

    `recorded_at` None gives `time-unknown`. The result never needs quoting in a shell or escaping in a
    `sha256sum` list.
    """
    when = recorded_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ") if recorded_at else "time-unknown"
    text = path.file_name.decode("ascii", "replace")
    stem, dot, extension = text.rpartition(".")
    if not dot or not stem or not _EXTENSION.fullmatch(extension):
        stem, extension = text, "bin"
    safe = _UNSAFE.sub("-", stem).strip("-")[:_LONGEST_STEM].strip("-") or "unnamed"
    return f"{when}_{safe}_{recording}.{extension}"
