"""The tables of retention. Policies, classifications, holds and their releases are only ever added to.

Knows columns and their meaning; must not know the rules. Nothing here is ever changed by a migration.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, Table, Text, text

from dockd.central.tables import METADATA
from dockd.columns import DayText, UtcText

_ROW_ID = BigInteger().with_variant(Integer(), "sqlite")
_IS_HERE = text("NOT is_gone")
_IS_INTENDED = text("state = 'intended'")

policies = Table(
    "retention_policies",
    METADATA,
    Column("number", _ROW_ID, primary_key=True, autoincrement=True),  # the highest of a category is in force
    Column("category", Text, nullable=False),
    Column("days", Integer),  # None: until somebody decides otherwise
    Column("set_at", UtcText, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_retention_policies_category", "category", "number"),
    sqlite_autoincrement=True,
)

classifications = Table(
    "retention_classifications",
    METADATA,
    Column("number", _ROW_ID, primary_key=True, autoincrement=True),  # the highest of a digest is in force
    Column("digest", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("through", BigInteger, nullable=False),  # the last of `sources` that there was then
    Column("decided_at", UtcText, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_retention_classifications_digest", "digest", "number"),
    sqlite_autoincrement=True,
)

subjects = Table(
    "retention_subjects",
    METADATA,
    Column("digest", Text, primary_key=True),  # a reading aid: the classification in force, for finding what may be due
    Column("category", Text, nullable=False),
    Column("counts_from", UtcText, nullable=False),  # not later than what the days really count from
    Column("is_gone", Boolean, nullable=False),
    Index(
        *("ix_retention_subjects_here", "category", "counts_from", "digest"),
        sqlite_where=_IS_HERE,
        postgresql_where=_IS_HERE,
    ),
)

holds = Table(
    "retention_holds",
    METADATA,
    Column("number", _ROW_ID, primary_key=True, autoincrement=True),
    Column("digest", Text),
    Column("camera", Text),
    Column("officer", Text),
    Column("site", Text),
    Column("recorded_from", UtcText),
    Column("recorded_before", UtcText),
    Column("set_at", UtcText, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_autoincrement=True,
)

hold_docks = Table(
    "retention_hold_docks",
    METADATA,
    Column("hold", BigInteger, primary_key=True, autoincrement=False),  # a hold on a site: all docks that stood there
    Column("dock", Text, primary_key=True),
)

hold_releases = Table(
    "retention_hold_releases",
    METADATA,
    Column("hold", BigInteger, primary_key=True, autoincrement=False),
    Column("released_at", UtcText, nullable=False),
    Column("released_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

disposals = Table(
    "retention_disposals",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("accepted_at", UtcText, primary_key=True),  # with the digest, this is one receipt and one object
    Column("size_bytes", BigInteger, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("object_version", Text),
    Column("receipt", Text, nullable=False),  # the signed receipt, JSON: kept for ever
    Column("run", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # disposal_rows.DisposalState
    Column("words", Text, nullable=False),  # why it was due
    Column("said", Text),  # what the store said when it was not deleted
    Column("attempts", Integer, nullable=False),
    Column("not_before", UtcText),
    Column("intended_at", UtcText, nullable=False),
    Column("finished_at", UtcText),
    Index("ix_retention_disposals_open", "digest", sqlite_where=_IS_INTENDED, postgresql_where=_IS_INTENDED),
    Index("ix_retention_disposals_finished_at", "state", "finished_at"),
)

runs = Table(
    "retention_runs",
    METADATA,
    Column("number", _ROW_ID, primary_key=True, autoincrement=True),
    Column("started_at", UtcText, nullable=False),
    Column("actor", Text, nullable=False),
    Column("ended_at", UtcText),  # None: under way, or killed
    Column("due", BigInteger),
    Column("deleted", BigInteger),
    Column("deleted_bytes", BigInteger),
    Column("kept", BigInteger),  # due, and not deleted after all
    Column("said", Text),  # how it ended, in words
    sqlite_autoincrement=True,
)

stops = Table(
    "retention_stops",
    METADATA,
    Column("number", _ROW_ID, primary_key=True, autoincrement=True),
    Column("list_digest", Text, nullable=False),
    Column("recordings", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),  # recordings in the store at that time
    Column("made_at", UtcText, nullable=False),
    Column("expires_at", UtcText, nullable=False),
    Index("ix_retention_stops_list_digest", "list_digest"),
    sqlite_autoincrement=True,
)

stop_items = Table(
    "retention_stop_items",
    METADATA,
    Column("stop", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", Text, primary_key=True),
    Column("accepted_at", UtcText, nullable=False),
)

stop_answers = Table(
    "retention_stop_answers",
    METADATA,
    Column("stop", BigInteger, primary_key=True, autoincrement=False),
    Column("is_confirmed", Boolean, nullable=False),
    Column("answered_at", UtcText, nullable=False),
    Column("answered_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

worker = Table(
    "retention_worker",
    METADATA,
    Column("place", Integer, primary_key=True, autoincrement=False),  # always 1: there is one row
    Column("taken_by", Text),
    Column("taken_until", UtcText),  # one that died keeps it until then
    Column("last_night", DayText),  # the last night in which a run was begun by itself
    CheckConstraint("place = 1", name="only_one"),
)
