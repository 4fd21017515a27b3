"""Places, people, devices, and where each camera is as the facts so far tell it."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LOT = 1_000


def upgrade() -> None:
    """Apply."""
    _places()
    _people_and_devices()
    _whereabouts()
    _fill_seen()
    _fill_issued()


def _places() -> None:
    op.create_table(
        "sites",
        sa.Column("site", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("unit", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("planned_on", _TEXT, nullable=True),
        sa.Column("live_on", _TEXT, nullable=True),
        sa.Column("closed_on", _TEXT, nullable=True),
        sa.Column("cameras_planned", sa.Integer(), nullable=True),
        sa.Column("changed_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("site", name="pk_sites"),
    )
    op.create_index("ix_sites_unit", "sites", ["unit"])
    op.create_table(
        "site_docks",
        sa.Column("dock", _TEXT, nullable=False),
        sa.Column("site", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("dock", name="pk_site_docks"),
    )
    op.create_index("ix_site_docks_site", "site_docks", ["site"])
    op.create_table(
        "list_imports",
        sa.Column("number", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("list", _TEXT, nullable=False),
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("added_count", sa.Integer(), nullable=False),
        sa.Column("changed_count", sa.Integer(), nullable=False),
        sa.Column("imported_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_list_imports"),
        sqlite_autoincrement=True,
    )


def _people_and_devices() -> None:
    op.create_table(
        "officers",
        sa.Column("officer", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("site", _TEXT, nullable=True),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("changed_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("officer", name="pk_officers"),
    )
    op.create_index("ix_officers_site", "officers", ["site"])
    op.create_table(
        "cameras",
        sa.Column("camera", _TEXT, nullable=False),
        sa.Column("model", _TEXT, nullable=False),
        sa.Column("firmware", _TEXT, nullable=True),
        sa.Column("batch", _TEXT, nullable=True),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("site", _TEXT, nullable=True),
        sa.Column("delivered_on", _TEXT, nullable=True),
        sa.Column("changed_at", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("camera", name="pk_cameras"),
    )
    op.create_index("ix_cameras_site", "cameras", ["site"])


def _whereabouts() -> None:
    op.create_table(
        "camera_whereabouts",
        sa.Column("camera", _TEXT, nullable=False),
        sa.Column("seen_at", _TEXT, nullable=True),
        sa.Column("seen_dock", _TEXT, nullable=True),
        sa.Column("seen_session", _TEXT, nullable=True),
        sa.Column("seen_bay", _TEXT, nullable=True),
        sa.Column("issued_at", _TEXT, nullable=True),
        sa.Column("issued_to", _TEXT, nullable=True),
        sa.Column("issued_dock", _TEXT, nullable=True),
        sa.Column("ended_at", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("camera", name="pk_camera_whereabouts"),
    )


def _fill_seen() -> None:
    """The newest session of each camera; of two at the same moment the last by dock and session."""
    op.execute(
        "INSERT INTO camera_whereabouts (camera, seen_at, seen_dock, seen_session, seen_bay) "
        "SELECT camera, started_at, dock, session, bay FROM ("
        "SELECT camera, started_at, dock, session, bay, row_number() OVER "
        "(PARTITION BY camera ORDER BY started_at DESC, dock DESC, session DESC) AS place "
        "FROM sessions WHERE camera IS NOT NULL) AS newest WHERE place = 1"
    )


def _fill_issued() -> None:
    """What the assignments among the facts amount to: read in lots, kept for each camera, written once."""
    connection = op.get_bind()
    question = sa.text(
        "SELECT dock, number, body FROM facts WHERE kind IN ('AssignmentStarted', 'AssignmentEnded') "
        "AND (dock, number) > (:dock, :number) ORDER BY dock, number LIMIT :lot"
    )
    issued: dict[str, tuple[str, str, str]] = {}
    ended: dict[str, str] = {}
    after: dict[str, object] = {"dock": "", "number": 0, "lot": _LOT}
    while rows := connection.execute(question, after).all():
        for row in rows:
            fact = json.loads(row.body)["fact"]
            camera = fact["camera"]
            if fact["kind"] == "AssignmentStarted":
                one = (fact["started_at"], row.dock, fact["officer"])
                issued[camera] = max(issued.get(camera, one), one)
            else:
                ended[camera] = max(ended.get(camera, ""), fact["ended_at"])
        after = {"dock": rows[-1].dock, "number": rows[-1].number, "lot": _LOT}
    for camera in sorted(issued.keys() | ended.keys()):
        connection.execute(
            sa.text("INSERT INTO camera_whereabouts (camera) VALUES (:camera) ON CONFLICT DO NOTHING"),
            {"camera": camera},
        )
    for camera, (at, dock, officer) in issued.items():
        connection.execute(
            sa.text(
                "UPDATE camera_whereabouts SET issued_at = :at, issued_to = :officer, issued_dock = :dock "
                "WHERE camera = :camera"
            ),
            {"camera": camera, "at": at, "officer": officer, "dock": dock},
        )
    for camera, at in ended.items():
        connection.execute(
            sa.text("UPDATE camera_whereabouts SET ended_at = :at WHERE camera = :camera"),
            {"camera": camera, "at": at},
        )
