"""Between values and database rows, without loss in either direction. Knows the tables, asks nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from pydantic import TypeAdapter
from sqlalchemy import RowMapping

from dockd.dock.journal.assigning import AssignmentState, OpenAssignment
from dockd.model import facts
from dockd.model.canonical import canonical_json
from dockd.model.facts import Fact, RecordedFact
from dockd.model.ids import (
    BayId,
    CameraId,
    CardPath,
    Digest,
    OfficerNumber,
    RecordingId,
    SessionId,
)
from dockd.model.recording import (
    ByteRange,
    ContainerVerdict,
    Receipt,
    VerifiedRecording,
)
from dockd.model.value import Value
from dockd.rules.custody import Custody, LedgerEntry, recording_of

Row: TypeAlias = RowMapping | Mapping[str, Any]

_RANGES: TypeAdapter[tuple[ByteRange, ...]] = TypeAdapter(tuple[ByteRange, ...])


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """A ledger entry with the number and the time of the fact that listed it."""

    entry: LedgerEntry
    listed_number: int
    listed_at: datetime


@dataclass(frozen=True, slots=True)
class NumberedAssignment:
    """An assignment with the number of its first fact."""

    assignment: OpenAssignment
    number: int


# --- facts ----------------------------------------------------------------------------------------


def fact_row(recorded: RecordedFact) -> dict[str, Any]:
    """The row of one fact."""
    return {
        "number": recorded.number,
        "kind": recorded.fact.kind,
        "recording": recording_of(recorded.fact),
        "session": session_of(recorded.fact),
        "previous": recorded.previous,
        "hash": recorded.hash,
        "body": canonical_json(recorded.model_dump(mode="json", exclude={"hash"})).decode("utf-8"),
    }


def read_fact(row: Row) -> RecordedFact:
    """The fact in a row, its hash unchecked. Raises ValueError when the body is not that of a fact."""
    body = str(row["body"])
    if not body.endswith("}"):
        raise ValueError("the body of a fact is not a JSON object")
    return RecordedFact.model_validate_json(f'{body[:-1]},"hash":{json.dumps(row["hash"])}}}')


def columns_agree(row: Row, recorded: RecordedFact) -> bool:
    """Whether every column of `row` is what `fact_row` writes for `recorded`."""
    return all(row[name] == value for name, value in fact_row(recorded).items())


def session_of(fact: Fact) -> SessionId | None:
    """The session a fact belongs to, or None."""
    name: str | None
    match fact:
        case facts.RecordingStaged():
            name = fact.staged.session
        case facts.RecordingVerified():
            name = fact.verified.staged.session
        case facts.SourceConfirmed():
            name = fact.source.session
        case _:
            name = getattr(fact, "session", None)
    return SessionId(name) if name is not None else None


# --- ledger ---------------------------------------------------------------------------------------


def ledger_row(listed: ListedEntry) -> dict[str, Any]:
    """The row of one ledger entry."""
    entry = listed.entry
    return {
        "listed_number": listed.listed_number,
        "listed_at": listed.listed_at,
        "recording": entry.recording,
        "camera": entry.camera,
        "path": entry.path.text,
        "size_bytes": entry.size_bytes,
        "modified_ns": entry.modified_ns,
        "generation": entry.generation,
        "first_session": entry.first_session,
        "last_session": entry.last_session,
        "recorded_at": entry.recorded_at,
        "officer": entry.officer,
        "state": int(entry.state),
        "digest": entry.digest,
        "staged_session": entry.staged_session,
        "is_read_whole": entry.is_read_whole,
        "container": entry.container.value if entry.container else None,
        "unreadable": _RANGES.dump_json(entry.unreadable).decode("ascii"),
        "has_copy": entry.has_copy,
        "verified": _json_or_none(entry.verified),
        "receipt": _json_or_none(entry.receipt),
        "rejection": entry.rejection,
        "is_wipe_intended": entry.is_wipe_intended,
        "is_replaced": entry.is_replaced,
        "is_on_card": entry.is_on_card,
    }


def read_listed(row: Row) -> ListedEntry:
    """The ledger entry in a row, with its place. Raises ValueError when the row holds no such thing."""
    return ListedEntry(entry=read_entry(row), listed_number=row["listed_number"], listed_at=row["listed_at"])


def read_numbered_entry(row: Row) -> tuple[int, LedgerEntry]:
    """A ledger entry behind the number of the fact that listed it. Raises as `read_entry`."""
    return row["listed_number"], read_entry(row)


def read_entry(row: Row) -> LedgerEntry:
    """The ledger entry in a row. Raises ValueError when the row holds no such thing."""
    return LedgerEntry(
        recording=RecordingId(row["recording"]),
        camera=CameraId(row["camera"]),
        path=CardPath.from_text(row["path"]),
        size_bytes=row["size_bytes"],
        modified_ns=row["modified_ns"],
        generation=row["generation"],
        first_session=SessionId(row["first_session"]),
        last_session=SessionId(row["last_session"]),
        recorded_at=row["recorded_at"],
        officer=OfficerNumber(row["officer"]) if row["officer"] is not None else None,
        state=Custody(row["state"]),
        digest=Digest(row["digest"]) if row["digest"] is not None else None,
        staged_session=SessionId(row["staged_session"]) if row["staged_session"] is not None else None,
        is_read_whole=row["is_read_whole"],
        container=ContainerVerdict(row["container"]) if row["container"] is not None else None,
        unreadable=_RANGES.validate_json(row["unreadable"], strict=True),
        has_copy=row["has_copy"],
        verified=VerifiedRecording.model_validate_json(row["verified"]) if row["verified"] is not None else None,
        receipt=Receipt.model_validate_json(row["receipt"]) if row["receipt"] is not None else None,
        rejection=row["rejection"],
        is_wipe_intended=row["is_wipe_intended"],
        is_replaced=row["is_replaced"],
    )


def _json_or_none(value: Value | None) -> str | None:
    return None if value is None else value.model_dump_json()


# --- assignments ----------------------------------------------------------------------------------


def assignment_row(numbered: NumberedAssignment) -> dict[str, Any]:
    """The row of one assignment."""
    one = numbered.assignment
    return {
        "number": numbered.number,
        "assignment": one.assignment,
        "camera": one.camera,
        "officer": one.officer,
        "bay": one.bay,
        "session": one.session,
        "state": one.state.value,
        "is_on_camera": one.is_on_camera,
        "began_at": one.began_at,
        "started_at": one.started_at,
        "ended_at": one.ended_at,
    }


def read_assignment(row: Row) -> OpenAssignment:
    """The assignment in a row. Raises ValueError when the row holds no such thing."""
    return OpenAssignment(
        assignment=row["assignment"],
        camera=CameraId(row["camera"]),
        officer=OfficerNumber(row["officer"]),
        bay=BayId(row["bay"]) if row["bay"] is not None else None,
        session=SessionId(row["session"]) if row["session"] is not None else None,
        state=AssignmentState(row["state"]),
        is_on_camera=row["is_on_camera"],
        began_at=row["began_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )


def read_numbered(row: Row) -> NumberedAssignment:
    """The assignment in a row, with its number. Raises ValueError when the row holds no such thing."""
    return NumberedAssignment(assignment=read_assignment(row), number=row["number"])
