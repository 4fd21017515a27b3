"""Tables that make the account of custody quick to search: a reading aid, all of it but conflicts made from facts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from dockd.central.tables import METADATA
from dockd.columns import UtcText

_DIFFERS = text("is_open OR has_mark")
_IS_GRAVE = text("marks >= 128")  # rules.differences: the highest two marks, BROKEN_ORDER and ERASED_UNACCEPTED
_SESSION_DIFFERS = text("has_difference")

custody_docks = Table(
    "custody_docks",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("through", BigInteger, nullable=False),  # facts of this dock up to here are in the tables below
)

custody_recordings = Table(
    "custody_recordings",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("recording", Text, primary_key=True),
    Column("camera", Text),
    Column("officer", Text),
    Column("session", Text),  # in which it was listed first
    Column("at", UtcText, nullable=False),  # recorded, or first told of
    Column("first_fact", BigInteger, nullable=False),
    Column("accepted_fact", BigInteger),
    Column("erased_fact", BigInteger),  # only where it was accepted before
    Column("size_bytes", BigInteger),
    Column("digest", Text),
    Column("stage", Integer, nullable=False),  # rules.differences.RecordingStanding
    Column("marks", Integer, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("has_mark", Boolean, nullable=False),
    Index("ix_custody_recordings_at", "at", "dock", "recording"),
    Index("ix_custody_recordings_dock", "dock", "at", "recording"),
    Index("ix_custody_recordings_camera", "camera", "at", "dock", "recording"),
    Index("ix_custody_recordings_officer", "officer", "at", "dock", "recording"),
    Index("ix_custody_recordings_session", "dock", "session"),
    Index("ix_custody_recordings_recording", "recording"),
    Index(
        "ix_custody_recordings_differs",
        "at",
        "dock",
        "recording",
        sqlite_where=_DIFFERS,
        postgresql_where=_DIFFERS,
    ),
    Index(
        "ix_custody_recordings_grave",
        "at",
        "dock",
        "recording",
        sqlite_where=_IS_GRAVE,
        postgresql_where=_IS_GRAVE,
    ),
)

custody_sessions = Table(
    "custody_sessions",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("bay", Text, nullable=False),
    Column("camera", Text),
    Column("started_at", UtcText, nullable=False),
    Column("first_fact", BigInteger, nullable=False),
    Column("identified_fact", BigInteger),
    Column("succeeded_fact", BigInteger),  # the next session in its bay, where this one never ended
    Column("marks", Integer, nullable=False),  # rules.differences.SessionStanding
    Column("has_difference", Boolean, nullable=False),
    Index("ix_custody_sessions_at", "started_at", "dock", "session"),
    Index("ix_custody_sessions_dock", "dock", "started_at", "session"),
    Index("ix_custody_sessions_bay", "dock", "bay", "first_fact"),
    Index("ix_custody_sessions_camera", "camera", "started_at", "dock", "session"),
    Index(
        "ix_custody_sessions_differs",
        "started_at",
        "dock",
        "session",
        sqlite_where=_SESSION_DIFFERS,
        postgresql_where=_SESSION_DIFFERS,
    ),
)

custody_session_facts = Table(
    "custody_session_facts",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("fact_number", BigInteger, primary_key=True, autoincrement=False),
)

custody_holders = Table(
    "custody_holders",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("assignment", Text, primary_key=True),
    Column("camera", Text, nullable=False),
    Column("officer", Text, nullable=False),
    Column("started_at", UtcText, nullable=False),
    Column("started_fact", BigInteger, nullable=False),
    Column("ended_at", UtcText),
    Column("ended_fact", BigInteger),
    Index("ix_custody_holders_at", "started_at", "dock", "assignment"),
    Index("ix_custody_holders_dock", "dock", "started_at", "assignment"),
    Index("ix_custody_holders_camera", "camera", "started_at", "dock", "assignment"),
    Index("ix_custody_holders_officer", "officer", "started_at", "dock", "assignment"),
)

custody_conflicts = Table(
    "custody_conflicts",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),  # of the last fact that was refused for it
    Column("words", Text, nullable=False),
    Column("first_at", UtcText, nullable=False),
    Column("last_at", UtcText, nullable=False),
    Column("times", BigInteger, nullable=False),
)
