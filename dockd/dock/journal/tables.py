"""The journal's tables as SQLAlchemy sees them. `migrations/dock` creates them; a test compares the two.

Two kinds of tables: `facts`, which is the truth and append-only by triggers, and everything else, which
is either a projection of the facts (`ledger`, `assignments`) or may be lost without losing footage
(`checkpoints`, `finished_parts`).
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

from dockd.columns import UtcText
from migrations.naming import NAMING_CONVENTION

metadata = MetaData(naming_convention=NAMING_CONVENTION)


class WideInteger(TypeDecorator[int]):
    """An integer of any size as decimal text, where only equality is asked.

    A hostile card may carry a time of modification beyond what SQLite's 64 bits hold.
    """

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else int(value)


facts = Table(
    "facts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("recording", Text),
    Column("session", Text),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    # The very bytes under `hash`: the canonical JSON of the fact without its hash.
    Column("body", Text, nullable=False),
    Index("ix_facts_recording", "recording"),
    Index("ix_facts_session", "session"),
)

ledger = Table(
    "ledger",
    metadata,
    # The number of the RecordingListed fact: one per recording, and the order in which they were found.
    Column("listed_number", Integer, primary_key=True, autoincrement=False),
    Column("listed_at", UtcText, nullable=False),
    Column("recording", Text, nullable=False, unique=True),
    Column("camera", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("modified_ns", WideInteger),
    Column("generation", Integer, nullable=False),
    Column("first_session", Text, nullable=False),
    Column("last_session", Text, nullable=False),
    Column("recorded_at", UtcText),
    Column("officer", Text),
    Column("state", Integer, nullable=False),
    Column("digest", Text),
    Column("staged_session", Text),
    Column("is_read_whole", Boolean, nullable=False),
    Column("container", Text),
    Column("unreadable", Text, nullable=False),
    Column("has_copy", Boolean, nullable=False),
    Column("verified", Text),
    Column("receipt", Text),
    Column("rejection", Text),
    Column("is_wipe_intended", Boolean, nullable=False),
    Column("is_replaced", Boolean, nullable=False),
    # Follows from state and is_replaced; here because an index can only hold columns.
    Column("is_on_card", Boolean, nullable=False),
    Index("ix_ledger_source", "camera", "path", "size_bytes", "modified_ns", "generation"),
    Index("ix_ledger_camera", "camera", "is_on_card", "state"),
    Index("ix_ledger_camera_custody", "camera", "state", "has_copy"),
    Index("ix_ledger_session", "last_session", "state", "is_replaced", "size_bytes"),
    Index("ix_ledger_custody", "state", "has_copy", "size_bytes", "listed_at"),
)

assignments = Table(
    "assignments",
    metadata,
    # The number of the assignment's first fact.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("assignment", Text, nullable=False, unique=True),
    Column("camera", Text, nullable=False),
    Column("officer", Text, nullable=False),
    Column("bay", Text),
    Column("session", Text),
    Column("state", Text, nullable=False),
    Column("is_on_camera", Boolean),
    Column("began_at", UtcText, nullable=False),
    Column("started_at", UtcText),
    Column("ended_at", UtcText),
    Index("ix_assignments_camera", "camera", "state"),
    Index("ix_assignments_officer", "officer", "state"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column(
        "recording",
        Text,
        ForeignKey("ledger.recording", deferrable=True, initially="DEFERRED"),
        primary_key=True,
    ),
    Column("offset_bytes", Integer, nullable=False),
    Column("prefix_digest", Text, nullable=False),
    Column("session", Text, nullable=False),
)

finished_parts = Table(
    "finished_parts",
    metadata,
    Column(
        "recording",
        Text,
        ForeignKey("ledger.recording", deferrable=True, initially="DEFERRED"),
        primary_key=True,
    ),
    Column("upload", Text, primary_key=True),
    Column("part_number", Integer, primary_key=True),
)

projection = Table(
    "projection",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    CheckConstraint("id = 1", name="only_one"),
)
"""One row. A version other than `projection.PROJECTION_VERSION` makes `open` rebuild the projections."""
