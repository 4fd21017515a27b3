"""The fleet's figures as the facts so far tell them, alerts, silences, messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.central.fleet_of_facts import fill_from_facts, fill_from_statuses

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_FAILS = sa.text("failures_in_row > 0")
_IS_OPEN = sa.text("resolved_at IS NULL")
_IS_UNTOLD = sa.text("NOT is_resolution_told")
_IS_TO_SEND = sa.text("sent_at IS NULL AND given_up_at IS NULL")


def upgrade() -> None:
    """Apply."""
    _visits()
    _counts()
    _gauges()
    _alerts()
    _messages()
    fill_from_statuses()
    fill_from_facts()


def _visits() -> None:
    op.create_table(
        "bay_visits",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("bay", _TEXT, nullable=False),
        sa.Column("session", _TEXT, nullable=False),
        sa.Column("camera", _TEXT, nullable=True),
        sa.Column("docked_at", _TEXT, nullable=False),
        sa.Column("left_at", _TEXT, nullable=True),
        sa.Column("was_undocked", sa.Boolean(), nullable=False),
        sa.Column("may_be_reset_of", _TEXT, nullable=True),
        sa.Column("outcome", _TEXT, nullable=True),
        sa.Column("code", _TEXT, nullable=True),
        sa.Column("is_made_ready", sa.Boolean(), nullable=False),
        sa.Column("boot_id", _TEXT, nullable=True),
        sa.Column("copy_began_milliseconds", sa.BigInteger(), nullable=True),
        sa.Column("copied_bytes", sa.BigInteger(), nullable=False),
        sa.Column("recent", _TEXT, nullable=False),
        sa.Column("failures_in_row", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("dock", "bay", name="pk_bay_visits"),
    )
    _partial("ix_bay_visits_failing", "bay_visits", ["dock", "bay"], _FAILS)
    op.create_index("ix_bay_visits_camera", "bay_visits", ["camera"])
    op.create_table(
        "bay_cameras",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("bay", _TEXT, nullable=False),
        sa.Column("camera", _TEXT, nullable=False),
        sa.Column("recent", _TEXT, nullable=False),
        sa.Column("failures_in_row", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("dock", "bay", "camera", name="pk_bay_cameras"),
    )
    _partial("ix_bay_cameras_failing", "bay_cameras", ["dock", "bay"], _FAILS)
    op.create_table(
        "camera_faults",
        sa.Column("camera", _TEXT, nullable=False),
        sa.Column("recent", _TEXT, nullable=False),
        sa.Column("failures_in_row", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("camera", name="pk_camera_faults"),
    )
    _partial("ix_camera_faults_failing", "camera_faults", ["failures_in_row"], _FAILS)


def _partial(name: str, table: str, columns: list[str], where: sa.TextClause, *, is_unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=is_unique, sqlite_where=where, postgresql_where=where)


def _counts() -> None:
    op.create_table(
        "bay_weeks",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("week", _TEXT, nullable=False),
        sa.Column("bay", _TEXT, nullable=False),
        sa.Column("sessions", sa.Integer(), nullable=False),
        sa.Column("faulted", sa.Integer(), nullable=False),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.Column("connection_losses", sa.Integer(), nullable=False),
        sa.Column("failed_charges", sa.Integer(), nullable=False),
        sa.Column("card_faults", sa.Integer(), nullable=False),
        sa.Column("copied_bytes", sa.BigInteger(), nullable=False),
        sa.Column("copy_milliseconds", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dock", "week", "bay", name="pk_bay_weeks"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dock_days",
        sa.Column("day", _TEXT, nullable=False),
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("copied_bytes", sa.BigInteger(), nullable=False),
        sa.Column("accepted_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "dock", name="pk_dock_days"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dock_hours",
        sa.Column("hour", _TEXT, nullable=False),
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("dockings", sa.Integer(), nullable=False),
        sa.Column("made_ready", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "dock", name="pk_dock_hours"),
        sqlite_with_rowid=False,
    )


def _gauges() -> None:
    op.create_table(
        "dock_gauges",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("told_at", _TEXT, nullable=False),
        sa.Column("site_words", _TEXT, nullable=False),
        sa.Column("version", _TEXT, nullable=False),
        sa.Column("bays", sa.Integer(), nullable=False),
        sa.Column("ready", sa.Integer(), nullable=False),
        sa.Column("needing_person", sa.Integer(), nullable=False),
        sa.Column("waiting_recordings", sa.BigInteger(), nullable=False),
        sa.Column("waiting_bytes", sa.BigInteger(), nullable=False),
        sa.Column("oldest_waiting_since", _TEXT, nullable=True),
        sa.Column("staging_free_bytes", sa.BigInteger(), nullable=False),
        sa.Column("staging_total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("clock_sync", _TEXT, nullable=False),
        sa.Column("clock_unsynchronised_since", _TEXT, nullable=True),
        sa.Column("facts_waiting", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dock", name="pk_dock_gauges"),
    )
    op.create_table(
        "force_hours",
        sa.Column("hour", _TEXT, nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("ready_least", sa.Integer(), nullable=False),
        sa.Column("ready_last", sa.Integer(), nullable=False),
        sa.Column("bays", sa.Integer(), nullable=False),
        sa.Column("waiting_bytes_most", sa.BigInteger(), nullable=False),
        sa.Column("waiting_recordings_most", sa.BigInteger(), nullable=False),
        sa.Column("oldest_waiting_seconds_most", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", name="pk_force_hours"),
    )


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("number", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("subject", _TEXT, nullable=False),
        sa.Column("site", _TEXT, nullable=True),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("words", _TEXT, nullable=False),
        sa.Column("since", _TEXT, nullable=False),
        sa.Column("opened_at", _TEXT, nullable=False),
        sa.Column("absent_since", _TEXT, nullable=True),
        sa.Column("resolved_at", _TEXT, nullable=True),
        sa.Column("acknowledged_at", _TEXT, nullable=True),
        sa.Column("acknowledged_by", _TEXT, nullable=True),
        sa.Column("announced_at", _TEXT, nullable=True),
        sa.Column("announcements", sa.Integer(), nullable=False),
        sa.Column("is_resolution_told", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_alerts"),
        sqlite_autoincrement=True,
    )
    _partial("uq_alerts_open", "alerts", ["kind", "subject"], _IS_OPEN, is_unique=True)
    _partial("ix_alerts_not_over", "alerts", ["kind"], _IS_UNTOLD)
    op.create_index("ix_alerts_resolved_at", "alerts", ["resolved_at"])
    op.create_table(
        "alert_silences",
        sa.Column("number", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("kind", _TEXT, nullable=True),
        sa.Column("site", _TEXT, nullable=True),
        sa.Column("subject", _TEXT, nullable=True),
        sa.Column("until", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.Column("made_by", _TEXT, nullable=False),
        sa.Column("made_at", _TEXT, nullable=False),
        sa.Column("ended_at", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_alert_silences"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alert_silences_until", "alert_silences", ["until"])


def _messages() -> None:
    op.create_table(
        "alert_groups",
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("site", _TEXT, nullable=False),
        sa.Column("told_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("kind", "site", name="pk_alert_groups"),
    )
    op.create_table(
        "alert_messages",
        sa.Column("number", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("channel", _TEXT, nullable=False),
        sa.Column("body", _TEXT, nullable=False),
        sa.Column("made_at", _TEXT, nullable=False),
        sa.Column("not_before", _TEXT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("taken_by", _TEXT, nullable=True),
        sa.Column("taken_until", _TEXT, nullable=True),
        sa.Column("said", _TEXT, nullable=True),
        sa.Column("sent_at", _TEXT, nullable=True),
        sa.Column("given_up_at", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_alert_messages"),
        sqlite_autoincrement=True,
    )
    _partial("ix_alert_messages_to_send", "alert_messages", ["channel", "number"], _IS_TO_SEND)
    op.create_table(
        "alert_turns",
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("taken_by", _TEXT, nullable=True),
        sa.Column("taken_until", _TEXT, nullable=True),
        sa.Column("done_at", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("place", name="pk_alert_turns"),
    )
