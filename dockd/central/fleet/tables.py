"""The fleet's tables: what facts amount to for whoever keeps docks running, alerts, silences, messages.

Knows columns and their meaning, no query. `recent` columns are JSON lists of `rules.faults.Visit`, oldest first.
Weeks are named by their Monday, hours by their beginning, all in UTC.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from dockd.central.tables import METADATA
from dockd.columns import DayText, UtcText

_ROW_ID = BigInteger().with_variant(Integer(), "sqlite")
_FAILS = text("failures_in_row > 0")
_IS_OPEN = text("resolved_at IS NULL")
_IS_UNTOLD = text("NOT is_resolution_told")
_IS_TO_SEND = text("sent_at IS NULL AND given_up_at IS NULL")

bay_visits = Table(
    "bay_visits",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("bay", Text, primary_key=True),
    Column("session", Text, nullable=False),  # the one that is there, else the last
    Column("camera", Text),
    Column("docked_at", UtcText, nullable=False),
    Column("left_at", UtcText),  # None: still there, as far as facts tell
    Column("was_undocked", Boolean, nullable=False),  # False with left_at: the daemon began anew
    Column("may_be_reset_of", Text),  # the camera that had been there a moment before
    Column("outcome", Text),  # None: nothing can be said yet
    Column("code", Text),  # of the error that it failed by
    Column("is_made_ready", Boolean, nullable=False),  # was READY once
    Column("boot_id", Text),  # of the copy that goes on
    Column("copy_began_milliseconds", BigInteger),  # monotonic, of that boot
    Column("copied_bytes", BigInteger, nullable=False),
    Column("recent", Text, nullable=False),
    Column("failures_in_row", Integer, nullable=False),
    Index("ix_bay_visits_failing", "dock", "bay", sqlite_where=_FAILS, postgresql_where=_FAILS),
    Index("ix_bay_visits_camera", "camera"),
)

bay_cameras = Table(
    "bay_cameras",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("bay", Text, primary_key=True),
    Column("camera", Text, primary_key=True),  # from its first failure in that bay on
    Column("recent", Text, nullable=False),
    Column("failures_in_row", Integer, nullable=False),
    Index("ix_bay_cameras_failing", "dock", "bay", sqlite_where=_FAILS, postgresql_where=_FAILS),
)

camera_faults = Table(
    "camera_faults",
    METADATA,
    Column("camera", Text, primary_key=True),  # from its first failure anywhere on
    Column("recent", Text, nullable=False),
    Column("failures_in_row", Integer, nullable=False),
    Index("ix_camera_faults_failing", "failures_in_row", sqlite_where=_FAILS, postgresql_where=_FAILS),
)

bay_weeks = Table(
    "bay_weeks",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("week", DayText, primary_key=True),
    Column("bay", Text, primary_key=True),
    Column("sessions", Integer, nullable=False),
    Column("faulted", Integer, nullable=False),  # how often a session became FAULTED
    Column("held", Integer, nullable=False),
    Column("connection_losses", Integer, nullable=False),
    Column("failed_charges", Integer, nullable=False),
    Column("card_faults", Integer, nullable=False),
    Column("copied_bytes", BigInteger, nullable=False),  # of copies whose time is known
    Column("copy_milliseconds", BigInteger, nullable=False),
    sqlite_with_rowid=False,  # kept in the order of the key: read by ranges of it
)

dock_days = Table(
    "dock_days",
    METADATA,
    Column("day", DayText, primary_key=True),
    Column("dock", Text, primary_key=True),
    Column("copied_bytes", BigInteger, nullable=False),
    Column("accepted_bytes", BigInteger, nullable=False),
    sqlite_with_rowid=False,  # kept in the order of the key: read by ranges of it
)

dock_hours = Table(
    "dock_hours",
    METADATA,
    Column("hour", UtcText, primary_key=True),
    Column("dock", Text, primary_key=True),
    Column("dockings", Integer, nullable=False),
    Column("made_ready", Integer, nullable=False),  # sessions that became READY
    sqlite_with_rowid=False,  # kept in the order of the key: read by ranges of it
)

dock_gauges = Table(
    "dock_gauges",
    METADATA,
    Column("dock", Text, primary_key=True),
    Column("told_at", UtcText, nullable=False),
    Column("site_words", Text, nullable=False),  # what the dock calls its site
    Column("version", Text, nullable=False),
    Column("bays", Integer, nullable=False),
    Column("ready", Integer, nullable=False),
    Column("needing_person", Integer, nullable=False),
    Column("waiting_recordings", BigInteger, nullable=False),
    Column("waiting_bytes", BigInteger, nullable=False),
    Column("oldest_waiting_since", UtcText),
    Column("staging_free_bytes", BigInteger, nullable=False),
    Column("staging_total_bytes", BigInteger, nullable=False),
    Column("clock_sync", Text, nullable=False),
    Column("clock_unsynchronised_since", UtcText),
    Column("facts_waiting", BigInteger, nullable=False),  # at the dock and not here
)

force_hours = Table(
    "force_hours",
    METADATA,
    Column("hour", UtcText, primary_key=True),
    Column("looks", Integer, nullable=False),  # how often was looked in this hour
    Column("ready_least", Integer, nullable=False),
    Column("ready_last", Integer, nullable=False),
    Column("bays", Integer, nullable=False),
    Column("waiting_bytes_most", BigInteger, nullable=False),
    Column("waiting_recordings_most", BigInteger, nullable=False),
    Column("oldest_waiting_seconds_most", BigInteger, nullable=False),
)

alerts = Table(
    "alerts",
    METADATA,
    Column("number", _ROW_ID, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),  # dock, dock/bay, camera, bucket, certificate
    Column("site", Text),
    Column("severity", Integer, nullable=False),
    Column("words", Text, nullable=False),
    Column("since", UtcText, nullable=False),
    Column("opened_at", UtcText, nullable=False),
    Column("absent_since", UtcText),
    Column("resolved_at", UtcText),
    Column("acknowledged_at", UtcText),
    Column("acknowledged_by", Text),
    Column("announced_at", UtcText),  # the last message that told of it
    Column("announcements", Integer, nullable=False),
    Column("is_resolution_told", Boolean, nullable=False),
    Index("uq_alerts_open", "kind", "subject", unique=True, sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
    Index("ix_alerts_not_over", "kind", sqlite_where=_IS_UNTOLD, postgresql_where=_IS_UNTOLD),
    Index("ix_alerts_resolved_at", "resolved_at"),
    sqlite_autoincrement=True,
)

alert_silences = Table(
    "alert_silences",
    METADATA,
    Column("number", _ROW_ID, primary_key=True, autoincrement=True),
    Column("kind", Text),  # None: every kind
    Column("site", Text),  # None: every site
    Column("subject", Text),  # None: everything there
    Column("until", UtcText, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", UtcText, nullable=False),
    Column("ended_at", UtcText),  # before its time, by a person
    Index("ix_alert_silences_until", "until"),
    sqlite_autoincrement=True,
)

alert_groups = Table(
    "alert_groups",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("site", Text, primary_key=True),  # empty: no site; "*": the whole force
    Column("told_at", UtcText, nullable=False),
)

alert_messages = Table(
    "alert_messages",
    METADATA,
    Column("number", _ROW_ID, primary_key=True, autoincrement=True),
    Column("channel", Text, nullable=False),
    Column("body", Text, nullable=False),  # the wire's AlertMessage, JSON
    Column("made_at", UtcText, nullable=False),
    Column("not_before", UtcText, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("taken_by", Text),
    Column("taken_until", UtcText),  # a process that died keeps it until then
    Column("said", Text),  # why the last attempt came to nothing
    Column("sent_at", UtcText),
    Column("given_up_at", UtcText),
    Index("ix_alert_messages_to_send", "channel", "number", sqlite_where=_IS_TO_SEND, postgresql_where=_IS_TO_SEND),
    sqlite_autoincrement=True,
)

alert_turns = Table(
    "alert_turns",
    METADATA,
    Column("place", Integer, primary_key=True, autoincrement=False),  # always 1: there is one row
    Column("taken_by", Text),
    Column("taken_until", UtcText),
    Column("done_at", UtcText),  # when alerts were last judged
)
