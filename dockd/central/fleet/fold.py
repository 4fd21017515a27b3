"""What a dock's facts amount to for whoever keeps docks running: visits, faults, copy times, counts by hour, day, week.

Pure: rows in, rows out, no database. The facts of one dock come in order and once, so its counts are sums. What several
docks tell of one camera comes in any order; `rules.faults.remember` is made for that.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from dockd.model import facts
from dockd.model.facts import RecordedFact
from dockd.rules.faults import BACK_AT_ONCE, FAULT_OF_CODE, FaultKind, Outcome, Visit
from dockd.rules.lifecycle import State

Counts = dict[str, int]

LARGEST_RECORDING_BYTES = 2**42
"""Counts are kept in 64 bits; what says that it is larger than 4 TiB is counted as that and cannot overflow them."""
_LONGEST_COPY_MILLISECONDS = 10 * 86_400_000

_WEEK_COUNTS = (
    "sessions",
    "faulted",
    "held",
    "connection_losses",
    "failed_charges",
    "card_faults",
    "copied_bytes",
    "copy_milliseconds",
)
_DAY_COUNTS = ("copied_bytes", "accepted_bytes")
_HOUR_COUNTS = ("dockings", "made_ready")
_COUNT_OF_FAULT = {
    FaultKind.CONNECTION: "connection_losses",
    FaultKind.CHARGE: "failed_charges",
    FaultKind.CARD: "card_faults",
}


@dataclass(slots=True)
class BayVisit:
    """The camera that is in a bay, else the last one that was."""

    dock: str
    bay: str
    session: str
    docked_at: datetime
    camera: str | None = None
    left_at: datetime | None = None
    was_undocked: bool = False
    may_be_reset_of: str | None = None
    outcome: str | None = None
    code: str | None = None
    is_made_ready: bool = False
    boot_id: str | None = None
    copy_began_milliseconds: int | None = None
    copied_bytes: int = 0

    def visit(self) -> Visit | None:
        """As the rules see it; None as long as nothing can be said."""
        if self.outcome is None:
            return None
        return Visit(self.docked_at, self.dock, self.session, self.bay, self.camera, Outcome(self.outcome), self.code)


@dataclass(slots=True)
class Sums:
    """What is to be added to the counts that are kept, by their keys."""

    weeks: defaultdict[tuple[str, date], Counts] = field(
        default_factory=lambda: defaultdict(lambda: dict.fromkeys(_WEEK_COUNTS, 0))
    )
    """By bay and Monday."""
    days: defaultdict[date, Counts] = field(default_factory=lambda: defaultdict(lambda: dict.fromkeys(_DAY_COUNTS, 0)))
    hours: defaultdict[datetime, Counts] = field(
        default_factory=lambda: defaultdict(lambda: dict.fromkeys(_HOUR_COUNTS, 0))
    )


class FleetFold:
    """Folds facts of one dock into `bays`, `sums` and `told` (visits of which something new can be said)."""

    def __init__(self, dock: str, bays: dict[str, BayVisit]) -> None:
        self.dock = dock
        self.bays = bays
        self.sums = Sums()
        self.told: dict[str, Visit] = {}
        """By session."""
        self.changed: set[str] = set()
        """Bays of which the row is another one now."""
        self._by_session = {one.session: one for one in bays.values()}

    def fold(self, recorded: RecordedFact) -> None:
        """Take in one fact. One about a session that was never announced changes no visit."""
        fact = recorded.fact
        match fact:
            case facts.DockStarted():
                self._close_all(recorded.moment.at)
            case facts.CameraDocked():
                self._dock_camera(recorded, fact)
            case facts.CameraIdentified():
                self._identify(recorded, fact)
            case facts.SessionMoved():
                self._move(recorded, fact)
            case facts.RecordingStaged():
                self.sums.days[recorded.moment.at.date()]["copied_bytes"] += _counted(fact.staged.size_bytes)
                self._stage(fact)
            case facts.RecordingAccepted():
                self.sums.days[recorded.moment.at.date()]["accepted_bytes"] += _counted(fact.receipt.size_bytes)
            case facts.CameraUndocked():
                self._leave(recorded, fact)

    def _dock_camera(self, recorded: RecordedFact, fact: facts.CameraDocked) -> None:
        at = recorded.moment.at
        before = self.bays.get(fact.bay)
        visit = BayVisit(self.dock, fact.bay, fact.session, at)
        if before is not None:
            self._by_session.pop(before.session, None)
            left_at = before.left_at
            if before.was_undocked and left_at is not None and timedelta() <= at - left_at <= BACK_AT_ONCE:
                visit.may_be_reset_of = before.camera
        self.bays[fact.bay] = self._by_session[fact.session] = visit
        self.changed.add(fact.bay)
        self._week(fact.bay, at)["sessions"] += 1
        self.sums.hours[_hour(at)]["dockings"] += 1

    def _identify(self, recorded: RecordedFact, fact: facts.CameraIdentified) -> None:
        visit = self._visit(fact.session)
        if visit is None:
            return
        if visit.may_be_reset_of == fact.identity.camera:
            self._week(visit.bay, recorded.moment.at)["connection_losses"] += 1
        visit.camera, visit.may_be_reset_of = fact.identity.camera, None
        self._tell(visit)

    def _move(self, recorded: RecordedFact, fact: facts.SessionMoved) -> None:
        visit = self._visit(fact.session)
        if visit is None:
            return
        moment = recorded.moment
        match fact.to_state:
            case State.FAULTED.value | State.HELD.value:
                self._fail(visit, moment.at, fact)
            case State.OFFLOADING.value:
                visit.boot_id = moment.boot_id.replace("\0", " ")
                visit.copy_began_milliseconds = moment.monotonic_milliseconds
                visit.copied_bytes = 0
            case State.VERIFYING.value:
                began = visit.copy_began_milliseconds
                took = moment.monotonic_milliseconds - began if began is not None else -1
                if visit.boot_id == moment.boot_id and visit.copied_bytes and 0 <= took <= _LONGEST_COPY_MILLISECONDS:
                    week = self._week(visit.bay, moment.at)
                    week["copied_bytes"] += visit.copied_bytes
                    week["copy_milliseconds"] += took
                visit.copy_began_milliseconds = None
            case State.SECURING.value:
                self._succeed(visit)
            case State.READY.value:
                if not visit.is_made_ready:
                    visit.is_made_ready = True
                    self.sums.hours[_hour(moment.at)]["made_ready"] += 1
                self._succeed(visit)

    def _fail(self, visit: BayVisit, at: datetime, fact: facts.SessionMoved) -> None:
        week = self._week(visit.bay, at)
        week["faulted" if fact.to_state == State.FAULTED.value else "held"] += 1
        kind = FAULT_OF_CODE.get(fact.code or "")
        if kind is None:
            return
        if kind in _COUNT_OF_FAULT:
            week[_COUNT_OF_FAULT[kind]] += 1
        visit.outcome, visit.code = Outcome.FAILED.value, fact.code
        self._tell(visit)

    def _succeed(self, visit: BayVisit) -> None:
        if visit.outcome is None:
            visit.outcome = Outcome.GOOD.value
        elif visit.outcome == Outcome.FAILED.value:
            visit.outcome = Outcome.RECOVERED.value
        self._tell(visit)

    def _stage(self, fact: facts.RecordingStaged) -> None:
        visit = self._visit(fact.staged.session)
        if visit is not None and visit.copy_began_milliseconds is not None:
            visit.copied_bytes += _counted(fact.staged.size_bytes)

    def _leave(self, recorded: RecordedFact, fact: facts.CameraUndocked) -> None:
        visit = self._visit(fact.session)
        if visit is not None:
            visit.left_at, visit.was_undocked = recorded.moment.at, True

    def _close_all(self, at: datetime) -> None:
        """The daemon began anew: whatever is in a bay becomes another session."""
        for bay, visit in self.bays.items():
            if visit.left_at is None:
                visit.left_at = at
                self.changed.add(bay)

    def _visit(self, session: str) -> BayVisit | None:
        visit = self._by_session.get(session)
        if visit is not None:
            self.changed.add(visit.bay)
        return visit

    def _tell(self, visit: BayVisit) -> None:
        told = visit.visit()
        if told is not None:
            self.told[visit.session] = told

    def _week(self, bay: str, at: datetime) -> Counts:
        return self.sums.weeks[(bay, monday(at.date()))]


def monday(day: date) -> date:
    """The first day of the week in which `day` lies."""
    return day - timedelta(days=day.weekday())


def _counted(size_bytes: int) -> int:
    return max(0, min(size_bytes, LARGEST_RECORDING_BYTES))


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
