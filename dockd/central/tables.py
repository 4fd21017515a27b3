"""The centre's tables, as the migrations make them; nothing here creates or changes a schema.

Knows columns and their meaning. Must not know queries, HTTP or files. Times are text as
`model.moment.format_utc` writes them (text order is time order), the same on SQLite and PostgreSQL, where
the migrations give every text the collation "C".
Facts keep the canonical JSON they were hashed over, byte for byte, so that they can be handed back as
they came.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from dockd.columns import DayText, UtcText
from migrations.naming import NAMING_CONVENTION

LARGEST_INTEGER = 2**63 - 1
"""What a BIGINT column holds."""


METADATA = MetaData(naming_convention=NAMING_CONVENTION)
_ROW_ID = BigInteger().with_variant(Integer(), "sqlite")

_IS_OPEN = text("NOT is_done")
_WAITS = text("state IN ('STAGED', 'VERIFIED', 'STORED')")
_IS_TO_DO = text("outcome IS NULL")

centre = Table(
    "centre",
    METADATA,
    Column("place", Integer, primary_key=True, autoincrement=False),  # always 1: there is one row
    Column("store", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("opened_at", UtcText, nullable=False),
    CheckConstraint("place = 1", name="only_one"),
)

docks = Table(
    "docks",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("facts", BigInteger, nullable=False),  # how many facts are held: the number of the last
    Column("head", Text, nullable=False),
    Column("public_key", Text),  # what the dock announced first; base64
    Column("allowed_key", Text),  # another key that an administrator allowed
    Column("last_heard_at", UtcText),
    Column("status", Text),  # the last DockStatus, JSON
    Column("status_at", UtcText),
)

facts = Table(
    "facts",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),  # the whole RecordedFact, canonical JSON
    Column("received_at", UtcText, nullable=False),
)

orders = Table(
    "orders",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", UtcText, nullable=False),
)

sessions = Table(
    "sessions",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("bay", Text, nullable=False),
    Column("camera", Text),
    Column("model", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("started_at", UtcText, nullable=False),
    Column("ended_at", UtcText),
    Column("clock_offset_milliseconds", BigInteger),
    Column("reconciliation", Text),  # the SessionReconciled fact, JSON
    Column("first_fact", BigInteger, nullable=False),
    Column("last_fact", BigInteger, nullable=False),
    Index("ix_sessions_started_at", "started_at"),
    Index("ix_sessions_dock_started_at", "dock", "started_at"),
    Index("ix_sessions_camera_started_at", "camera", "started_at"),
)

dock_recordings = Table(
    "dock_recordings",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("recording", Text, primary_key=True),
    Column("camera", Text, nullable=False),
    Column("session", Text, nullable=False),  # the last one in which the card listed it
    Column("path", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("recorded_at", UtcText),
    Column("officer", Text),
    Column("state", Text, nullable=False),  # the ledger's word, in capitals
    Column("reason", Text),  # why REJECTED, or why a copy was discarded
    Column("digest", Text),
    Column("container", Text),
    Column("last_fact", BigInteger, nullable=False),
    Index("ix_dock_recordings_session", "dock", "session"),
    Index("ix_dock_recordings_waiting", "size_bytes", sqlite_where=_WAITS, postgresql_where=_WAITS),
)

custody_lines = Table(
    "custody_lines",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("recording", Text, primary_key=True),
    Column("fact_number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcText, nullable=False),
    Column("kind", Text, nullable=False),
    Column("words", Text, nullable=False),
)

sources = Table(
    "sources",
    METADATA,
    Column("number", _ROW_ID, primary_key=True, autoincrement=True),
    Column("digest", Text, nullable=False),
    Column("dock", Text, nullable=False),
    Column("recording", Text, nullable=False),
    Column("camera", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("path", Text, nullable=False),
    Column("recorded_at", UtcText),
    Column("officer", Text),
    Column("container", Text, nullable=False),
    Column("claimed_at", UtcText, nullable=False),
    UniqueConstraint("digest", "dock", "recording", name="uq_sources_digest"),
    Index("ix_sources_dock_session", "dock", "session"),
    Index("ix_sources_camera", "camera"),
    Index("ix_sources_officer", "officer"),
    Index("ix_sources_recorded_at", "recorded_at"),
    sqlite_autoincrement=True,
)

uploads = Table(
    "uploads",
    METADATA,
    Column("upload", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("part_size_bytes", BigInteger, nullable=False),
    Column("part_digests", Text, nullable=False),  # JSON list
    Column("is_done", Boolean, nullable=False),
    Column("touched_at", UtcText, nullable=False),  # last claim; an upload left alone is given up
    UniqueConstraint("digest", name="uq_uploads_digest"),
    Index("ix_uploads_open", "touched_at", sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
)

finished_parts = Table(
    "finished_parts",
    METADATA,
    Column("upload", Text, primary_key=True),
    Column("part_number", Integer, primary_key=True, autoincrement=False),
    Column("finished_at", UtcText, nullable=False),
)

receipts = Table(
    "receipts",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("object_version", Text),
    Column("accepted_at", UtcText, nullable=False),
    Column("retain_until", UtcText),
    Column("receipt", Text, nullable=False),  # the signed Receipt, JSON
)

manifests = Table(
    "manifests",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("stored_at", UtcText, nullable=False),
)

multipart_uploads = Table(
    "multipart_uploads",
    METADATA,
    Column("upload", Text, primary_key=True),
    Column("multipart", Text, nullable=False),  # the store's own name for it
    Column("object_key", Text, nullable=False),
    Column("retain_until", UtcText),  # asked for when it was begun
    Column("began_at", UtcText, nullable=False),
)

read_backs = Table(
    "read_backs",
    METADATA,
    Column("object_key", Text, primary_key=True),
    Column("object_version", Text, primary_key=True),  # empty: the bucket keeps no versions
    Column("bucket", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("part_size_bytes", BigInteger, nullable=False),
    Column("part_digests", Text, nullable=False),  # JSON list
    Column("asked_at", UtcText, nullable=False),
    Column("not_before", UtcText, nullable=False),
    Column("taken_by", Text),
    Column("taken_until", UtcText),  # a worker that died keeps it until then
    Column("attempts", Integer, nullable=False),
    Column("said", Text),  # why the last attempt came to nothing
    Column("outcome", Text),  # None: still to be done
    Column("finished_at", UtcText),
    Index("ix_read_backs_to_do", "asked_at", sqlite_where=_IS_TO_DO, postgresql_where=_IS_TO_DO),
)

store_canaries = Table(
    "store_canaries",
    METADATA,
    Column("number", _ROW_ID, primary_key=True, autoincrement=True),
    Column("endpoint", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("checked_at", UtcText, nullable=False),
    Column("findings", Text, nullable=False),  # JSON object: check to {outcome, said}
    Column("is_trusted", Boolean, nullable=False),
    Column("worse", Text, nullable=False),  # JSON list of checks that were better the time before
    Index("ix_store_canaries_place", "endpoint", "bucket", "number"),
    sqlite_autoincrement=True,
)

# --- places, people, devices: what the force's own lists say (`central.places`) ----------------

sites = Table(
    "sites",
    METADATA,
    Column("site", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),  # borough or specialist unit, by its name
    Column("state", Text, nullable=False),
    Column("planned_on", DayText),
    Column("live_on", DayText),
    Column("closed_on", DayText),
    Column("cameras_planned", Integer),
    Column("changed_at", UtcText, nullable=False),
    Index("ix_sites_unit", "unit"),
)

site_docks = Table(
    "site_docks",
    METADATA,
    Column("dock", Text, primary_key=True),  # a dock stands at one site, heard of or not
    Column("site", Text, nullable=False),
    Index("ix_site_docks_site", "site"),
)

officers = Table(
    "officers",
    METADATA,
    Column("officer", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("site", Text),
    Column("state", Text, nullable=False),
    Column("changed_at", UtcText, nullable=False),
    Index("ix_officers_site", "site"),
)

cameras = Table(
    "cameras",
    METADATA,
    Column("camera", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("firmware", Text),
    Column("batch", Text),
    Column("state", Text, nullable=False),
    Column("site", Text),
    Column("delivered_on", DayText),
    Column("changed_at", UtcText, nullable=False),
    Index("ix_cameras_site", "site"),
)

camera_whereabouts = Table(
    "camera_whereabouts",
    METADATA,
    Column("camera", Text, primary_key=True),  # as docks tell it, whether a list names it or not
    Column("seen_at", UtcText),  # the last time that a dock identified it
    Column("seen_dock", Text),
    Column("seen_session", Text),
    Column("seen_bay", Text),
    Column("issued_at", UtcText),  # the last time that an officer took it
    Column("issued_to", Text),
    Column("issued_dock", Text),
    Column("ended_at", UtcText),  # the last time that an assignment of it was closed
)

list_imports = Table(
    "list_imports",
    METADATA,
    Column("number", _ROW_ID, primary_key=True, autoincrement=True),
    Column("list", Text, nullable=False),
    Column("digest", Text, nullable=False),  # SHA-256 of the file
    Column("row_count", Integer, nullable=False),
    Column("added_count", Integer, nullable=False),
    Column("changed_count", Integer, nullable=False),
    Column("imported_at", UtcText, nullable=False),
    sqlite_autoincrement=True,
)
