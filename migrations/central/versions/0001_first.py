"""The first tables: chains, custody, uploads, receipts, manifests, orders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# "C" compares bytes: the order of times and digests, whatever language the server speaks. SQLite does so anyway.
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    _chains()
    _custody()
    _store()


def _chains() -> None:
    op.create_table(
        "docks",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("facts", sa.BigInteger(), nullable=False),
        sa.Column("head", _TEXT, nullable=False),
        sa.Column("public_key", _TEXT, nullable=True),
        sa.Column("allowed_key", _TEXT, nullable=True),
        sa.Column("last_heard_at", _TEXT, nullable=True),
        sa.Column("status", _TEXT, nullable=True),
        sa.Column("status_at", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("dock", name="pk_docks"),
    )
    op.create_table(
        "facts",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("body", _TEXT, nullable=False),
        sa.Column("received_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("dock", "number", name="pk_facts"),
    )
    op.create_table(
        "orders",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("body", _TEXT, nullable=False),
        sa.Column("created_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("dock", "number", name="pk_orders"),
    )


def _custody() -> None:
    op.create_table(
        "sessions",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("session", _TEXT, nullable=False),
        sa.Column("bay", _TEXT, nullable=False),
        sa.Column("camera", _TEXT, nullable=True),
        sa.Column("model", _TEXT, nullable=True),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=True),
        sa.Column("started_at", _TEXT, nullable=False),
        sa.Column("ended_at", _TEXT, nullable=True),
        sa.Column("clock_offset_milliseconds", sa.BigInteger(), nullable=True),
        sa.Column("reconciliation", _TEXT, nullable=True),
        sa.Column("first_fact", sa.BigInteger(), nullable=False),
        sa.Column("last_fact", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dock", "session", name="pk_sessions"),
    )
    op.create_index("ix_sessions_started_at", "sessions", ["started_at"])
    op.create_table(
        "dock_recordings",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("recording", _TEXT, nullable=False),
        sa.Column("camera", _TEXT, nullable=False),
        sa.Column("session", _TEXT, nullable=False),
        sa.Column("path", _TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", _TEXT, nullable=True),
        sa.Column("officer", _TEXT, nullable=True),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=True),
        sa.Column("digest", _TEXT, nullable=True),
        sa.Column("container", _TEXT, nullable=True),
        sa.Column("last_fact", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dock", "recording", name="pk_dock_recordings"),
    )
    op.create_index("ix_dock_recordings_session", "dock_recordings", ["dock", "session"])
    op.create_table(
        "custody_lines",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("recording", _TEXT, nullable=False),
        sa.Column("fact_number", sa.BigInteger(), nullable=False),
        sa.Column("at", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("words", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("dock", "recording", "fact_number", name="pk_custody_lines"),
    )


def _store() -> None:
    op.create_table(
        "sources",
        sa.Column("number", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("recording", _TEXT, nullable=False),
        sa.Column("camera", _TEXT, nullable=False),
        sa.Column("session", _TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("path", _TEXT, nullable=False),
        sa.Column("recorded_at", _TEXT, nullable=True),
        sa.Column("officer", _TEXT, nullable=True),
        sa.Column("container", _TEXT, nullable=False),
        sa.Column("claimed_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_sources"),
        sa.UniqueConstraint("digest", "dock", "recording", name="uq_sources_digest"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sources_dock_session", "sources", ["dock", "session"])
    op.create_index("ix_sources_camera", "sources", ["camera"])
    op.create_table(
        "uploads",
        sa.Column("upload", _TEXT, nullable=False),
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("part_size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("part_digests", _TEXT, nullable=False),
        sa.Column("is_done", sa.Boolean(), nullable=False),
        sa.Column("touched_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("upload", name="pk_uploads"),
        sa.UniqueConstraint("digest", name="uq_uploads_digest"),
    )
    op.create_table(
        "finished_parts",
        sa.Column("upload", _TEXT, nullable=False),
        sa.Column("part_number", sa.Integer(), nullable=False),
        sa.Column("finished_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("upload", "part_number", name="pk_finished_parts"),
    )
    op.create_table(
        "receipts",
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("object_key", _TEXT, nullable=False),
        sa.Column("object_version", _TEXT, nullable=True),
        sa.Column("accepted_at", _TEXT, nullable=False),
        sa.Column("retain_until", _TEXT, nullable=True),
        sa.Column("receipt", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_receipts"),
    )
    op.create_table(
        "manifests",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("session", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("dock", "session", "name", name="pk_manifests"),
    )
