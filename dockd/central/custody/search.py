"""Which rows of the account are wanted, in which order, from where on: the conditions as the database asks them.

Every order is by time, then dock, then name, so that a page can go on exactly where the one before ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, exists, literal, literal_column, or_, select, tuple_

from dockd.central.custody.tables import custody_holders, custody_recordings, custody_sessions
from dockd.columns import UtcText
from dockd.errors import BadRequest
from dockd.model.moment import format_utc, parse_utc
from dockd.rules.custody import Custody
from dockd.wire.custody import CustodySelection

_MARK = "~"
CURSOR_PATTERN = r"^[0-9T:.Z-]{27}~[A-Za-z0-9._-]{1,64}~[A-Za-z0-9._-]{1,64}$"
_CURSOR = re.compile(CURSOR_PATTERN)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of the page before."""

    at: datetime
    dock: str
    name: str

    @property
    def text(self) -> str:
        """As it goes into an address."""
        return _MARK.join((format_utc(self.at), self.dock, self.name))

    @classmethod
    def parse(cls, words: str) -> Cursor:
        """Raises BadRequest."""
        if not _CURSOR.fullmatch(words):
            raise BadRequest("The place to go on from is not one that a page named.")
        at, dock, name = words.split(_MARK)
        try:
            return cls(parse_utc(at), dock, name)
        except ValueError:
            raise BadRequest("The place to go on from is not one that a page named.") from None


@dataclass(frozen=True, slots=True)
class AsOf:
    """One dock as it stood at fact `through`."""

    dock: str
    through: int


@dataclass(frozen=True, slots=True)
class Kind:
    """A table of the account: the column of its time, that of its name, and that of its first fact."""

    table: Table
    time: str
    name: str
    fact: str


RECORDINGS = Kind(custody_recordings, "at", "recording", "first_fact")
SESSIONS = Kind(custody_sessions, "started_at", "session", "first_fact")
HOLDERS = Kind(custody_holders, "started_at", "assignment", "started_fact")


def rows_of(
    kind: Kind, wanted: CustodySelection, *, after: Cursor | None, limit: int, as_of: AsOf | None, only: bool = False
) -> Select[Any]:
    """The question for one page: live with the newest first, or one dock as of a fact with the oldest first."""
    columns = kind.table.c
    order = (columns[kind.time], columns.dock, columns[kind.name])
    question = select(kind.table).where(*_conditions(kind, wanted, as_of)).limit(limit)
    if only:
        question = question.where(differs(kind))
    if after is not None:
        end = tuple_(literal(after.at, UtcText()), literal(after.dock), literal(after.name))
        question = question.where(tuple_(*order) > end if as_of else tuple_(*order) < end)
    return question.order_by(*(order if as_of else [one.desc() for one in order]))


def grave_recordings(wanted: CustodySelection, *, limit: int) -> Select[Any]:
    """The question for recordings of which something is told that must be impossible, the newest first."""
    columns = custody_recordings.c
    # As text, word for word that of the partial index: a bound parameter would not match it.
    return (
        select(columns.dock, columns.recording)
        .where(literal_column("custody_recordings.marks >= 128"), *_conditions(RECORDINGS, wanted, None))
        .order_by(columns.at.desc(), columns.dock.desc(), columns.recording.desc())
        .limit(limit)
    )


def docks_with_rows(kind: Kind, wanted: CustodySelection) -> Select[Any]:
    """The docks of one camera's or officer's rows."""
    return select(kind.table.c.dock).distinct().where(*_conditions(kind, wanted, None))


def differs(kind: Kind) -> ColumnElement[bool]:
    """Whether a row has a difference now. Raises LookupError for holders, which have none."""
    if kind is SESSIONS:
        return literal_column("custody_sessions.has_difference")
    if kind is not RECORDINGS:
        raise LookupError("assignments have no differences")
    one, other = custody_recordings.c, custody_recordings.alias("elsewhere").c
    settled = exists(
        select(other.dock).where(
            other.recording == one.recording,
            other.dock != one.dock,
            other.accepted_fact.is_not(None),
            or_(one.stage < Custody.ACCEPTED.value, other.erased_fact.is_not(None)),
        )
    )
    # The first as text, word for word that of the partial index: a bound parameter would not match it.
    return and_(
        literal_column("(custody_recordings.is_open OR custody_recordings.has_mark)"),
        or_(one.has_mark, and_(one.is_open, ~settled)),
    )


def row_cursor(kind: Kind, row: Mapping[str, Any]) -> Cursor:
    """The place of a row."""
    return Cursor(row[kind.time], row["dock"], row[kind.name])


def _conditions(kind: Kind, wanted: CustodySelection, as_of: AsOf | None) -> list[ColumnElement[bool]]:
    columns = kind.table.c
    found: list[ColumnElement[bool]] = []
    if as_of is not None:
        found += [columns.dock == as_of.dock, columns[kind.fact] <= as_of.through]
    if wanted.dock is not None:
        found.append(columns.dock == wanted.dock)
    if wanted.docks is not None:
        found.append(columns.dock.in_(wanted.docks))
    if wanted.camera is not None:
        found.append(columns.camera == wanted.camera)
    if wanted.officer is not None:
        found.append(_held_by(kind, wanted.officer, as_of))
    if wanted.before_at is not None:
        found.append(columns[kind.time] < wanted.before_at)
    if wanted.from_at is not None:
        found.append(_not_before(kind, wanted.from_at, as_of))
    return found


def _held_by(kind: Kind, officer: str, as_of: AsOf | None) -> ColumnElement[bool]:
    if kind is not SESSIONS:
        return kind.table.c.officer == officer
    one, sessions = custody_recordings.c, custody_sessions.c
    question = select(one.dock).where(
        one.dock == sessions.dock, one.session == sessions.session, one.officer == officer
    )
    if as_of is not None:
        question = question.where(one.first_fact <= as_of.through)
    return exists(question)


def _not_before(kind: Kind, from_at: datetime, as_of: AsOf | None) -> ColumnElement[bool]:
    if kind is not HOLDERS:
        return kind.table.c[kind.time] >= from_at
    columns = custody_holders.c
    is_held = or_(columns.ended_at.is_(None), columns.ended_at >= from_at)
    return is_held if as_of is None else or_(is_held, columns.ended_fact > as_of.through)
