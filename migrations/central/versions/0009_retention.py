"""Retention: policies, classifications, holds, disposals. Empty tables; nothing that was there is touched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_IS_HERE = sa.text("NOT is_gone")
_IS_INTENDED = sa.text("state = 'intended'")


def upgrade() -> None:
    """Apply."""
    _decisions()
    _holds()
    _disposals()
    _stops()


def _decisions() -> None:
    op.create_table(
        "retention_policies",
        sa.Column("number", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("category", _TEXT, nullable=False),
        sa.Column("days", sa.Integer(), nullable=True),
        sa.Column("set_at", _TEXT, nullable=False),
        sa.Column("set_by", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_retention_policies"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_retention_policies_category", "retention_policies", ["category", "number"])
    op.create_table(
        "retention_classifications",
        sa.Column("number", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("category", _TEXT, nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", _TEXT, nullable=False),
        sa.Column("decided_by", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_retention_classifications"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_retention_classifications_digest", "retention_classifications", ["digest", "number"])
    op.create_table(
        "retention_subjects",
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("category", _TEXT, nullable=False),
        sa.Column("counts_from", _TEXT, nullable=False),
        sa.Column("is_gone", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_retention_subjects"),
    )
    op.create_index(
        "ix_retention_subjects_here",
        "retention_subjects",
        ["category", "counts_from", "digest"],
        sqlite_where=_IS_HERE,
        postgresql_where=_IS_HERE,
    )


def _holds() -> None:
    op.create_table(
        "retention_holds",
        sa.Column("number", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("digest", _TEXT, nullable=True),
        sa.Column("camera", _TEXT, nullable=True),
        sa.Column("officer", _TEXT, nullable=True),
        sa.Column("site", _TEXT, nullable=True),
        sa.Column("recorded_from", _TEXT, nullable=True),
        sa.Column("recorded_before", _TEXT, nullable=True),
        sa.Column("set_at", _TEXT, nullable=False),
        sa.Column("set_by", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_retention_holds"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "retention_hold_docks",
        sa.Column("hold", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("dock", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("hold", "dock", name="pk_retention_hold_docks"),
    )
    op.create_table(
        "retention_hold_releases",
        sa.Column("hold", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("released_at", _TEXT, nullable=False),
        sa.Column("released_by", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("hold", name="pk_retention_hold_releases"),
    )


def _disposals() -> None:
    op.create_table(
        "retention_disposals",
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("accepted_at", _TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("object_key", _TEXT, nullable=False),
        sa.Column("object_version", _TEXT, nullable=True),
        sa.Column("receipt", _TEXT, nullable=False),
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("words", _TEXT, nullable=False),
        sa.Column("said", _TEXT, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", _TEXT, nullable=True),
        sa.Column("intended_at", _TEXT, nullable=False),
        sa.Column("finished_at", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("digest", "accepted_at", name="pk_retention_disposals"),
    )
    op.create_index(
        "ix_retention_disposals_open",
        "retention_disposals",
        ["digest"],
        sqlite_where=_IS_INTENDED,
        postgresql_where=_IS_INTENDED,
    )
    op.create_index("ix_retention_disposals_finished_at", "retention_disposals", ["state", "finished_at"])
    op.create_table(
        "retention_runs",
        sa.Column("number", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("started_at", _TEXT, nullable=False),
        sa.Column("actor", _TEXT, nullable=False),
        sa.Column("ended_at", _TEXT, nullable=True),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.Column("deleted", sa.BigInteger(), nullable=True),
        sa.Column("deleted_bytes", sa.BigInteger(), nullable=True),
        sa.Column("kept", sa.BigInteger(), nullable=True),
        sa.Column("said", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_retention_runs"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "retention_worker",
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("taken_by", _TEXT, nullable=True),
        sa.Column("taken_until", _TEXT, nullable=True),
        sa.Column("last_night", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("place", name="pk_retention_worker"),
        sa.CheckConstraint("place = 1", name="ck_retention_worker_only_one"),
    )


def _stops() -> None:
    op.create_table(
        "retention_stops",
        sa.Column("number", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("list_digest", _TEXT, nullable=False),
        sa.Column("recordings", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("made_at", _TEXT, nullable=False),
        sa.Column("expires_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_retention_stops"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_retention_stops_list_digest", "retention_stops", ["list_digest"])
    op.create_table(
        "retention_stop_items",
        sa.Column("stop", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("accepted_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("stop", "digest", name="pk_retention_stop_items"),
    )
    op.create_table(
        "retention_stop_answers",
        sa.Column("stop", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("is_confirmed", sa.Boolean(), nullable=False),
        sa.Column("answered_at", _TEXT, nullable=False),
        sa.Column("answered_by", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("stop", name="pk_retention_stop_answers"),
    )
