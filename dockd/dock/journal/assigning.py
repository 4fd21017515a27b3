"""Assignments as the facts tell them: intended, written, started, ended, or cancelled. Pure.

The counterpart of `rules.custody.apply_fact` for who holds which camera. Only moves forward. It does not
ask whether an officer or a camera has another assignment open: two dock hosts may rightly tell different
stories, and `rules.issuing` decides what follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from dockd.model import facts
from dockd.model.facts import Fact, RecordedFact
from dockd.model.ids import BayId, CameraId, OfficerNumber, SessionId
from dockd.rules.custody import LedgerBreak


class AssignmentState(StrEnum):
    """How far an assignment has come. The value is stable: it is in the database."""

    INTENDED = "intended"
    WRITTEN = "written"
    STARTED = "started"
    ENDED = "ended"
    CANCELLED = "cancelled"


OPEN_STATES = (AssignmentState.INTENDED, AssignmentState.WRITTEN, AssignmentState.STARTED)


@dataclass(frozen=True, slots=True)
class OpenAssignment:
    """A camera promised to an officer, or held by one. Times are aware UTC.

    `bay` and `session` are where it was promised; None when it began without a promise. `is_on_camera`
    is None until the assignment was written, False where the camera cannot hold one. `began_at` is the
    moment of its first fact. `ended_at` is set only in state ENDED, so never in what the journal returns
    as open.
    """

    assignment: str
    camera: CameraId
    officer: OfficerNumber
    bay: BayId | None
    session: SessionId | None
    state: AssignmentState
    is_on_camera: bool | None
    began_at: datetime
    started_at: datetime | None
    ended_at: datetime | None = None


def assignment_of(fact: Fact) -> str | None:
    """The assignment a fact is about, or None."""
    match fact:
        case (
            facts.AssignmentIntended()
            | facts.AssignmentWritten()
            | facts.AssignmentCancelled()
            | facts.AssignmentStarted()
            | facts.AssignmentEnded()
        ):
            return fact.assignment
        case _:
            return None


def apply_assignment_fact(known: OpenAssignment | None, recorded: RecordedFact) -> OpenAssignment:
    """Fold one fact about an assignment. Raises LedgerBreak when it does not follow from `known`."""
    fact = recorded.fact
    if known is None:
        return _begun(recorded)
    match fact:
        case facts.AssignmentWritten() if known.state in (AssignmentState.INTENDED, AssignmentState.WRITTEN):
            return replace(known, state=AssignmentState.WRITTEN, is_on_camera=fact.is_on_camera)
        case facts.AssignmentCancelled() if known.state in (AssignmentState.INTENDED, AssignmentState.WRITTEN):
            return replace(known, state=AssignmentState.CANCELLED)
        case facts.AssignmentStarted() if known.state in (AssignmentState.INTENDED, AssignmentState.WRITTEN):
            _require_same(known, fact)
            return replace(known, state=AssignmentState.STARTED, started_at=fact.started_at)
        case facts.AssignmentEnded() if known.state is AssignmentState.STARTED:
            _require_same(known, fact)
            return replace(known, state=AssignmentState.ENDED, ended_at=fact.ended_at)
        case _:
            raise LedgerBreak(f"{fact.kind} does not follow {known.state.value} of assignment {known.assignment}")


def _begun(recorded: RecordedFact) -> OpenAssignment:
    fact = recorded.fact
    match fact:
        case facts.AssignmentIntended():
            return OpenAssignment(
                assignment=fact.assignment,
                camera=CameraId(fact.camera),
                officer=OfficerNumber(fact.officer),
                bay=BayId(fact.bay),
                session=SessionId(fact.session),
                state=AssignmentState.INTENDED,
                is_on_camera=None,
                began_at=recorded.moment.at,
                started_at=None,
            )
        case facts.AssignmentStarted():
            # A camera that is somebody's own is taken without having been promised at this dock.
            return OpenAssignment(
                assignment=fact.assignment,
                camera=CameraId(fact.camera),
                officer=OfficerNumber(fact.officer),
                bay=None,
                session=None,
                state=AssignmentState.STARTED,
                is_on_camera=None,
                began_at=recorded.moment.at,
                started_at=fact.started_at,
            )
        case _:
            raise LedgerBreak(f"{fact.kind} about an assignment that never began")


def _require_same(known: OpenAssignment, fact: facts.AssignmentStarted | facts.AssignmentEnded) -> None:
    if (fact.camera, fact.officer) != (known.camera, known.officer):
        raise LedgerBreak(f"{fact.kind} names another camera or officer than assignment {known.assignment}")
