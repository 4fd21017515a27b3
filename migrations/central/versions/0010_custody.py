"""The account of custody: searchable tables beside the facts.

They begin empty: a running centre fills them from the facts that it holds (`dockd.central.custody.gathering`), by
the same rules by which new facts are taken in.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Apply."""
    _docks()
    _recordings()
    _sessions()
    _session_facts()
    _holders()
    _conflicts()


def _docks() -> None:
    op.create_table(
        "custody_docks",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dock", name="pk_custody_docks"),
    )


def _recordings() -> None:
    op.create_table(
        "custody_recordings",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("recording", _TEXT, nullable=False),
        sa.Column("camera", _TEXT, nullable=True),
        sa.Column("officer", _TEXT, nullable=True),
        sa.Column("session", _TEXT, nullable=True),
        sa.Column("at", _TEXT, nullable=False),
        sa.Column("first_fact", sa.BigInteger(), nullable=False),
        sa.Column("accepted_fact", sa.BigInteger(), nullable=True),
        sa.Column("erased_fact", sa.BigInteger(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("digest", _TEXT, nullable=True),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("marks", sa.Integer(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("has_mark", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("dock", "recording", name="pk_custody_recordings"),
    )
    op.create_index("ix_custody_recordings_at", "custody_recordings", ["at", "dock", "recording"])
    op.create_index("ix_custody_recordings_camera", "custody_recordings", ["camera", "at", "dock", "recording"])
    op.create_index(
        "ix_custody_recordings_differs",
        "custody_recordings",
        ["at", "dock", "recording"],
        sqlite_where=sa.text("is_open OR has_mark"),
        postgresql_where=sa.text("is_open OR has_mark"),
    )
    op.create_index("ix_custody_recordings_dock", "custody_recordings", ["dock", "at", "recording"])
    op.create_index(
        "ix_custody_recordings_grave",
        "custody_recordings",
        ["at", "dock", "recording"],
        sqlite_where=sa.text("marks >= 128"),
        postgresql_where=sa.text("marks >= 128"),
    )
    op.create_index("ix_custody_recordings_officer", "custody_recordings", ["officer", "at", "dock", "recording"])
    op.create_index("ix_custody_recordings_recording", "custody_recordings", ["recording"])
    op.create_index("ix_custody_recordings_session", "custody_recordings", ["dock", "session"])


def _sessions() -> None:
    op.create_table(
        "custody_sessions",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("session", _TEXT, nullable=False),
        sa.Column("bay", _TEXT, nullable=False),
        sa.Column("camera", _TEXT, nullable=True),
        sa.Column("started_at", _TEXT, nullable=False),
        sa.Column("first_fact", sa.BigInteger(), nullable=False),
        sa.Column("identified_fact", sa.BigInteger(), nullable=True),
        sa.Column("succeeded_fact", sa.BigInteger(), nullable=True),
        sa.Column("marks", sa.Integer(), nullable=False),
        sa.Column("has_difference", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("dock", "session", name="pk_custody_sessions"),
    )
    op.create_index("ix_custody_sessions_at", "custody_sessions", ["started_at", "dock", "session"])
    op.create_index("ix_custody_sessions_bay", "custody_sessions", ["dock", "bay", "first_fact"])
    op.create_index("ix_custody_sessions_camera", "custody_sessions", ["camera", "started_at", "dock", "session"])
    op.create_index(
        "ix_custody_sessions_differs",
        "custody_sessions",
        ["started_at", "dock", "session"],
        sqlite_where=sa.text("has_difference"),
        postgresql_where=sa.text("has_difference"),
    )
    op.create_index("ix_custody_sessions_dock", "custody_sessions", ["dock", "started_at", "session"])


def _session_facts() -> None:
    op.create_table(
        "custody_session_facts",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("session", _TEXT, nullable=False),
        sa.Column("fact_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("dock", "session", "fact_number", name="pk_custody_session_facts"),
    )


def _holders() -> None:
    op.create_table(
        "custody_holders",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("assignment", _TEXT, nullable=False),
        sa.Column("camera", _TEXT, nullable=False),
        sa.Column("officer", _TEXT, nullable=False),
        sa.Column("started_at", _TEXT, nullable=False),
        sa.Column("started_fact", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", _TEXT, nullable=True),
        sa.Column("ended_fact", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("dock", "assignment", name="pk_custody_holders"),
    )
    op.create_index("ix_custody_holders_at", "custody_holders", ["started_at", "dock", "assignment"])
    op.create_index("ix_custody_holders_camera", "custody_holders", ["camera", "started_at", "dock", "assignment"])
    op.create_index("ix_custody_holders_dock", "custody_holders", ["dock", "started_at", "assignment"])
    op.create_index("ix_custody_holders_officer", "custody_holders", ["officer", "started_at", "dock", "assignment"])


def _conflicts() -> None:
    op.create_table(
        "custody_conflicts",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("code", _TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("words", _TEXT, nullable=False),
        sa.Column("first_at", _TEXT, nullable=False),
        sa.Column("last_at", _TEXT, nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dock", "code", name="pk_custody_conflicts"),
    )
