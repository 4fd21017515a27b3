"""Whose database this is; indexes for a force's worth of sessions and recordings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_IS_OPEN = sa.text("NOT is_done")
_WAITS = sa.text("state IN ('STAGED', 'VERIFIED', 'STORED')")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "centre",
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("store", _TEXT, nullable=False),
        sa.Column("key", _TEXT, nullable=False),
        sa.Column("opened_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("place", name="pk_centre"),
        sa.CheckConstraint("place = 1", name="ck_centre_only_one"),
    )
    op.create_index("ix_sessions_dock_started_at", "sessions", ["dock", "started_at"])
    op.create_index("ix_sessions_camera_started_at", "sessions", ["camera", "started_at"])
    op.create_index("ix_sources_officer", "sources", ["officer"])
    op.create_index("ix_sources_recorded_at", "sources", ["recorded_at"])
    # Few of very many rows: what the hourly sweep and the front page ask for.
    op.create_index("ix_uploads_open", "uploads", ["touched_at"], sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN)
    op.create_index(
        "ix_dock_recordings_waiting",
        "dock_recordings",
        ["size_bytes"],
        sqlite_where=_WAITS,
        postgresql_where=_WAITS,
    )
