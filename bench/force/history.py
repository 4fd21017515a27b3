"""What a force has told before: rows of earlier dockings, one of every camera, so that tables and indexes are as large.

Written straight into the tables; they hang on docks of their own (`old-…`), whose chains no replay goes on with.
"""

from __future__ import annotations

from bench.force.day import BAYS_PER_DOCK
from tests.support.postgres import PostgresServer

_FACTS, _RECORDINGS, _LINES = 65, 5, 8
_AT = "'2026-11-10T07:00:00.000000Z'"
_SHA = "encode(sha256(convert_to({}, 'UTF8')), 'hex')"


def fill_history(server: PostgresServer, database: str, cameras: int) -> None:
    """One earlier docking of each of `cameras` cameras: 65 facts, 5 recordings, their custody lines and receipts."""
    each_camera = f"generate_series(0, {cameras - 1}) c"
    each_recording = f"{each_camera}, generate_series(1, {_RECORDINGS}) r"
    dock = f"'old-' || (c / {BAYS_PER_DOCK})"
    camera = "'massstorage:BWC' || lpad(c::text, 6, '0')"
    session, recording, digest = "'s-' || c", "md5(c || '/' || r)", _SHA.format("c || '/' || r")
    number = f"(c % {BAYS_PER_DOCK}) * {_FACTS} + n"
    for table, values, source in (
        (
            "camera_whereabouts (camera, seen_at, seen_dock, seen_session, seen_bay)",
            f"{camera}, {_AT}, {dock}, {session}, 'bay-1'",
            each_camera,
        ),
        (
            "sessions (dock, session, bay, camera, state, started_at, ended_at, first_fact, last_fact)",
            f"{dock}, {session}, 'bay-1', {camera}, 'gone', {_AT}, {_AT}, 1, {_FACTS}",
            each_camera,
        ),
        (
            "dock_recordings (dock, recording, camera, session, path, size_bytes, state, digest, last_fact)",
            f"{dock}, {recording}, {camera}, {session}, 'DCIM/A.MP4', 1024, 'ERASED', {digest}, 1",
            each_recording,
        ),
        (
            "custody_lines (dock, recording, fact_number, at, kind, words)",
            f"{dock}, {recording}, n, {_AT}, 'RecordingListed', repeat('w', 80)",
            f"{each_recording}, generate_series(1, {_LINES}) n",
        ),
        (
            "sources (digest, dock, recording, camera, session, size_bytes, path, container, claimed_at)",
            f"{digest}, {dock}, {recording}, {camera}, {session}, 1024, 'DCIM/A.MP4', 'complete', {_AT}",
            each_recording,
        ),
        (
            "uploads (upload, digest, size_bytes, part_size_bytes, part_digests, is_done, touched_at)",
            f"'old-' || c || '-' || r, {digest}, 1024, 16777216, '[]', true, {_AT}",
            each_recording,
        ),
        (
            "receipts (digest, size_bytes, object_key, accepted_at, receipt)",
            f"{digest}, 1024, 'objects/old', {_AT}, repeat('r', 500)",
            each_recording,
        ),
        (
            "facts (dock, number, hash, kind, body, received_at)",
            f"{dock}, {number}, md5(c || '.' || n) || md5(n || '.' || c), 'RecordingStaged', repeat('x', 300), {_AT}",
            f"{each_camera}, generate_series(1, {_FACTS}) n",
        ),
    ):
        server.query(f"INSERT INTO {table} SELECT {values} FROM {source}", database)
    server.query("VACUUM ANALYZE", database)
    server.query("CHECKPOINT", database)
