"""What the facts amount to, kept beside them: sessions, recordings as docks report them, custody lines.

`Projection` folds facts in memory and is pure but for loading and saving. It runs in the same
transaction as the facts, so pages never show a state that no facts support. It is a reading aid: the evidence
is the facts, and everything here can be built from them again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, Table, bindparam, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.database import columns_of, insert_new, insert_or_replace
from dockd.central.tables import custody_lines, dock_recordings, sessions
from dockd.central.words import custody_words
from dockd.model import facts
from dockd.model.canonical import canonical_json
from dockd.model.facts import Fact, RecordedFact
from dockd.rules.custody import Custody, recording_of
from dockd.rules.lifecycle import State

_Key = tuple[str, str]
"""The dock, and the name of its session or recording."""


@dataclass(slots=True)
class SessionRow:
    """One camera in one bay from arrival to departure."""

    dock: str
    session: str
    bay: str
    camera: str | None
    model: str | None
    state: str
    reason: str | None
    started_at: datetime
    ended_at: datetime | None
    clock_offset_milliseconds: int | None
    reconciliation: str | None
    first_fact: int
    last_fact: int


@dataclass(slots=True)
class RecordingRow:
    """One recording as its dock tells of it; `digest` None until it was copied."""

    dock: str
    recording: str
    camera: str
    session: str
    path: str
    size_bytes: int
    recorded_at: datetime | None
    officer: str | None
    state: str
    reason: str | None
    digest: str | None
    container: str | None
    last_fact: int


class Projection:
    """Folds the new facts of one or more docks, each dock's in their order."""

    def __init__(self) -> None:
        self.sessions: dict[_Key, SessionRow] = {}
        self.recordings: dict[_Key, RecordingRow] = {}
        self.lines: list[dict[str, Any]] = []

    async def load(self, connection: AsyncConnection, new: Sequence[RecordedFact]) -> None:
        """Fetch the rows that `new` is about, but for those that it begins itself."""
        for key, row in await _rows(connection, sessions, _keys_to_load(new, session_of, facts.CameraDocked)):
            self.sessions[key] = SessionRow(**row)
        for key, row in await _rows(
            connection, dock_recordings, _keys_to_load(new, recording_of, facts.RecordingListed)
        ):
            self.recordings[key] = RecordingRow(**row)

    async def save(self, connection: AsyncConnection) -> None:
        """Write everything that was loaded or folded."""
        await insert_or_replace(connection, sessions, map(columns_of, self.sessions.values()))
        await insert_or_replace(connection, dock_recordings, map(columns_of, self.recordings.values()))
        await insert_new(connection, custody_lines, self.lines)

    def fold(self, recorded: RecordedFact) -> None:
        """Take in one fact. A fact about a session or recording that was never announced changes no row."""
        fact = recorded.fact
        self._fold_session(recorded, fact)
        name = recording_of(fact)
        if name is None:
            return
        self._fold_recording(recorded, fact, name)
        words = custody_words(fact)
        if words is not None:
            self.lines.append(
                {
                    "dock": recorded.dock,
                    "recording": name,
                    "fact_number": recorded.number,
                    "at": recorded.moment.at,
                    "kind": fact.kind,
                    "words": words,
                }
            )

    def _fold_session(self, recorded: RecordedFact, fact: Fact) -> None:
        if isinstance(fact, facts.CameraDocked):
            self.sessions[recorded.dock, fact.session] = SessionRow(
                dock=recorded.dock,
                session=fact.session,
                bay=fact.bay,
                camera=None,
                model=None,
                state=State.ARRIVED.value,
                reason=None,
                started_at=recorded.moment.at,
                ended_at=None,
                clock_offset_milliseconds=None,
                reconciliation=None,
                first_fact=recorded.number,
                last_fact=recorded.number,
            )
            return
        row = self.sessions.get((recorded.dock, session_of(fact) or ""))
        if row is None:
            return
        row.last_fact = recorded.number
        match fact:
            case facts.CameraIdentified():
                row.camera = fact.identity.camera
                row.model = _clean(fact.identity.model)
            case facts.ClockMeasured():
                row.clock_offset_milliseconds = fact.reading.offset_milliseconds
            case facts.SessionMoved():
                row.state = _clean(fact.to_state)
                row.reason = _clean(fact.reason) if fact.reason else None
            case facts.SessionReconciled():
                row.reconciliation = canonical_json(fact.to_json()).decode("utf-8")
            case facts.CameraUndocked():
                row.state = State.GONE.value
                row.ended_at = recorded.moment.at

    def _fold_recording(self, recorded: RecordedFact, fact: Fact, name: str) -> None:
        if isinstance(fact, facts.RecordingListed):
            self.recordings[recorded.dock, name] = RecordingRow(
                dock=recorded.dock,
                recording=name,
                camera=fact.camera,
                session=fact.session,
                path=fact.path,
                size_bytes=fact.size_bytes,
                recorded_at=fact.recorded_at,
                officer=fact.officer,
                state=Custody.LISTED.name,
                reason=None,
                digest=None,
                container=None,
                last_fact=recorded.number,
            )
            return
        row = self.recordings.get((recorded.dock, name))
        if row is None:
            return
        row.last_fact = recorded.number
        match fact:
            case facts.RecordingSeen():
                row.session = fact.session
            case facts.RecordingStaged():
                row.digest = fact.staged.digest
                row.container = fact.staged.container.value
                _advance(row, Custody.STAGED)
            case facts.RecordingVerified():
                _advance(row, Custody.VERIFIED)
            case facts.RecordingStored():
                _advance(row, Custody.STORED)
            case facts.RecordingAccepted():
                _advance(row, Custody.ACCEPTED)
            case facts.RecordingErased():
                _advance(row, Custody.ERASED)
            case facts.RecordingRejected():
                _advance(row, Custody.REJECTED)
                row.reason = _clean(fact.reason)
            case facts.CopyDiscarded() | facts.RecordingReplaced():
                row.reason = _clean(fact.reason)


def session_of(fact: Fact) -> str | None:
    """The session a fact belongs to, or None."""
    match fact:
        case facts.RecordingStaged():
            return fact.staged.session
        case facts.SourceConfirmed():
            return fact.source.session
        case (
            facts.CameraDocked()
            | facts.CameraIdentified()
            | facts.ClockMeasured()
            | facts.ClockSet()
            | facts.SessionMoved()
            | facts.CameraUndocked()
            | facts.RecordingListed()
            | facts.RecordingSeen()
            | facts.RecordingReplaced()
            | facts.WipeIntended()
            | facts.RecordingErased()
            | facts.SpaceMeasured()
            | facts.SessionReconciled()
            | facts.AssignmentIntended()
            | facts.AssignmentWritten()
            | facts.BatteryRead()
            | facts.ManifestStored()
        ):
            return fact.session
        case _:
            return None


def _keys_to_load(
    new: Sequence[RecordedFact], name_of: Callable[[Fact], str | None], beginning: type[Fact]
) -> list[_Key]:
    """Dock and name of every row that `new` changes; not of a row whose first fact in `new` writes it afresh."""
    seen: dict[_Key, bool] = {}
    for one in new:
        name = name_of(one.fact)
        if name is not None:
            seen.setdefault((one.dock, name), not isinstance(one.fact, beginning))
    return [key for key, is_needed in seen.items() if is_needed]


async def _rows(
    connection: AsyncConnection, table: Table, keys: Collection[_Key]
) -> list[tuple[_Key, Mapping[str, Any]]]:
    """The rows of `table` with these primary keys, of which the first column is the dock."""
    found: list[tuple[_Key, Mapping[str, Any]]] = []
    dock_column, name_column = table.primary_key.columns
    if keys:
        for row in (await connection.execute(_of_keys(table), {"keys": list(keys)})).mappings():
            found.append(((row[dock_column], row[name_column]), {**row}))
    return found


@cache
def _of_keys(table: Table) -> Select[Any]:
    return select(table).where(tuple_(*table.primary_key.columns).in_(bindparam("keys", expanding=True)))


def _advance(row: RecordingRow, state: Custody) -> None:
    """The ledger only moves forward, also here."""
    if Custody[row.state] < state:
        row.state = state.name


def _clean(text: str) -> str:
    return text.replace("\0", " ")
