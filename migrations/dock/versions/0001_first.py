"""The first journal: append-only facts, their projections, checkpoints and finished parts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TRIGGERS = (
    """
    CREATE TRIGGER facts_refuse_update BEFORE UPDATE ON facts
    BEGIN SELECT RAISE(ABORT, 'facts are append-only: UPDATE refused'); END
    """,
    """
    CREATE TRIGGER facts_refuse_delete BEFORE DELETE ON facts
    BEGIN SELECT RAISE(ABORT, 'facts are append-only: DELETE refused'); END
    """,
    # INSERT OR REPLACE deletes without firing DELETE triggers; this one refuses it too.
    """
    CREATE TRIGGER facts_refuse_gap BEFORE INSERT ON facts
    WHEN NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM facts)
    BEGIN SELECT RAISE(ABORT, 'facts are numbered without gaps: INSERT refused'); END
    """,
    """
    CREATE TRIGGER facts_refuse_fork BEFORE INSERT ON facts
    WHEN NEW.number > 1 AND NEW.previous <> (SELECT hash FROM facts WHERE number = NEW.number - 1)
    BEGIN SELECT RAISE(ABORT, 'facts are chained: INSERT refused'); END
    """,
    """
    CREATE TRIGGER ledger_refuse_back BEFORE UPDATE OF state ON ledger
    WHEN NEW.state < OLD.state
    BEGIN SELECT RAISE(ABORT, 'the ledger only moves forward: UPDATE refused'); END
    """,
)


def upgrade() -> None:
    """Apply."""
    _create_facts()
    _create_ledger()
    _create_assignments()
    _create_progress()
    for trigger in _TRIGGERS:
        op.execute(trigger)


def _create_facts() -> None:
    op.create_table(
        "facts",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recording", sa.Text(), nullable=True),
        sa.Column("session", sa.Text(), nullable=True),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_facts"),
    )
    op.create_index("ix_facts_recording", "facts", ["recording"])
    op.create_index("ix_facts_session", "facts", ["session"])


def _create_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("listed_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("listed_at", sa.Text(), nullable=False),
        sa.Column("recording", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("modified_ns", sa.String(length=40), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("first_session", sa.Text(), nullable=False),
        sa.Column("last_session", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.Text(), nullable=True),
        sa.Column("officer", sa.Text(), nullable=True),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("staged_session", sa.Text(), nullable=True),
        sa.Column("is_read_whole", sa.Boolean(), nullable=False),
        sa.Column("container", sa.Text(), nullable=True),
        sa.Column("unreadable", sa.Text(), nullable=False),
        sa.Column("has_copy", sa.Boolean(), nullable=False),
        sa.Column("verified", sa.Text(), nullable=True),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.Column("rejection", sa.Text(), nullable=True),
        sa.Column("is_wipe_intended", sa.Boolean(), nullable=False),
        sa.Column("is_replaced", sa.Boolean(), nullable=False),
        sa.Column("is_on_card", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("listed_number", name="pk_ledger"),
        sa.UniqueConstraint("recording", name="uq_ledger_recording"),
    )
    op.create_index("ix_ledger_source", "ledger", ["camera", "path", "size_bytes", "modified_ns", "generation"])
    op.create_index("ix_ledger_camera", "ledger", ["camera", "is_on_card", "state"])
    op.create_index("ix_ledger_camera_custody", "ledger", ["camera", "state", "has_copy"])
    op.create_index("ix_ledger_session", "ledger", ["last_session", "state", "is_replaced", "size_bytes"])
    op.create_index("ix_ledger_custody", "ledger", ["state", "has_copy", "size_bytes", "listed_at"])


def _create_assignments() -> None:
    op.create_table(
        "assignments",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("assignment", sa.Text(), nullable=False),
        sa.Column("camera", sa.Text(), nullable=False),
        sa.Column("officer", sa.Text(), nullable=False),
        sa.Column("bay", sa.Text(), nullable=True),
        sa.Column("session", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("is_on_camera", sa.Boolean(), nullable=True),
        sa.Column("began_at", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_assignments"),
        sa.UniqueConstraint("assignment", name="uq_assignments_assignment"),
    )
    op.create_index("ix_assignments_camera", "assignments", ["camera", "state"])
    op.create_index("ix_assignments_officer", "assignments", ["officer", "state"])


def _create_progress() -> None:
    for table, columns, key in (
        (
            "checkpoints",
            (
                sa.Column("offset_bytes", sa.Integer(), nullable=False),
                sa.Column("prefix_digest", sa.Text(), nullable=False),
                sa.Column("session", sa.Text(), nullable=False),
            ),
            ("recording",),
        ),
        (
            "finished_parts",
            (
                sa.Column("upload", sa.Text(), nullable=False),
                sa.Column("part_number", sa.Integer(), nullable=False),
            ),
            ("recording", "upload", "part_number"),
        ),
    ):
        op.create_table(
            table,
            sa.Column("recording", sa.Text(), nullable=False),
            *columns,
            sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"),
            sa.ForeignKeyConstraint(
                ["recording"],
                ["ledger.recording"],
                name=f"fk_{table}_recording_ledger",
                deferrable=True,
                initially="DEFERRED",
            ),
        )
    op.create_table(
        "projection",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projection"),
        sa.CheckConstraint("id = 1", name="ck_projection_only_one"),
    )
    # 0: not built yet, so that the first opening builds it.
    op.execute("INSERT INTO projection (id, version) VALUES (1, 0)")
