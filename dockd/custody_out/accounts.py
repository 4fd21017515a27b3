"""Rows of the account of custody, folded from facts: the one way in which they are made.

The centre makes rows here for its page, its API and its bundles; whoever checks a bundle makes them again here, from
the chains in the bundle. Knows facts; must not know where they come from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from dockd.model import facts
from dockd.model.facts import RecordedFact
from dockd.model.recording import ByteRange
from dockd.rules.custody import Custody
from dockd.rules.differences import DIFFERENCE_WORDS, Difference, RecordingStanding, SessionStanding, in_order
from dockd.wire.custody import (
    CustodyDifference,
    CustodyHolder,
    CustodyRecording,
    CustodySelection,
    CustodySession,
    KeptManifest,
    Step,
)

_MOST_CONTRADICTIONS = 20


class RecordingAccount:
    """One recording of one dock; `add` its facts in order, then ask for its `row`."""

    def __init__(self, dock: str, recording: str) -> None:
        self.dock = dock
        self.recording = recording
        self.standing = RecordingStanding()
        self._first_at: datetime | None = None
        self._listed: facts.RecordingListed | None = None
        self._clock_sync: str | None = None
        self._staged: facts.RecordingStaged | None = None
        self._accepted: facts.RecordingAccepted | None = None
        self._steps: dict[str, Step] = {}
        self._seen_again = 0
        self._reason: str | None = None
        self._contradictions: list[str] = []

    @property
    def camera(self) -> str | None:
        return self._listed.camera if self._listed else None

    @property
    def officer(self) -> str | None:
        return self._listed.officer if self._listed else None

    @property
    def at(self) -> datetime:
        """When it was recorded, or when the first fact tells of it. Needs at least one fact."""
        recorded_at = self._listed.recorded_at if self._listed else None
        at = recorded_at or self._first_at
        if at is None:
            raise LookupError("no fact was added")
        return at

    @property
    def first_session(self) -> str | None:
        return self._listed.session if self._listed else None

    def step(self, kind: str) -> Step | None:
        """The fact of `kind` that counts: the first, but of copies the last."""
        return self._steps.get(kind)

    def add(self, recorded: RecordedFact) -> None:
        """The next fact about this recording."""
        fact, sync = recorded.fact, recorded.moment.clock_sync
        self._first_at = self._first_at or recorded.moment.at
        wrong = self.standing.take(fact, sync)
        if wrong is not None and len(self._contradictions) < _MOST_CONTRADICTIONS:
            self._contradictions.append(f"fact {recorded.number}, {wrong}")
        session: str | None = None
        match fact:
            case facts.RecordingListed():
                session = fact.session
                if self._listed is None:
                    self._listed, self._clock_sync = fact, sync.value
            case facts.RecordingSeen():
                session = fact.session
                self._seen_again += 1
            case facts.RecordingStaged():
                session, self._staged = fact.staged.session, fact
            case facts.SourceConfirmed():
                session = fact.source.session
            case facts.RecordingAccepted():
                self._accepted = self._accepted or fact
            case facts.RecordingRejected() | facts.RecordingReplaced() | facts.CopyDiscarded():
                self._reason = fact.reason
                session = fact.session if isinstance(fact, facts.RecordingReplaced) else None
            case facts.WipeIntended() | facts.RecordingErased():
                session = fact.session
            case _:
                pass
        step = Step(at=recorded.moment.at, fact=recorded.number, session=session)
        if isinstance(fact, _LAST_COUNTS):
            self._steps[fact.kind] = step
        else:
            self._steps.setdefault(fact.kind, step)

    def row(self, *, stored_by: Collection[str] = (), erased_by: Collection[str] = ()) -> CustodyRecording:
        """What the facts so far tell. `…_by`: other docks whose facts tell that of this recording."""
        listed, staged, steps = self._listed, self._staged, self._steps
        found = self.standing.differences(is_stored_elsewhere=bool(stored_by), is_erased_elsewhere=bool(erased_by))
        return CustodyRecording(
            dock=self.dock,
            recording=self.recording,
            camera=self.camera,
            officer=self.officer,
            at=self.at,
            recorded_at=listed.recorded_at if listed else None,
            path=listed.path if listed else None,
            size_bytes=listed.size_bytes if listed else None,
            modified_ns=listed.modified_ns if listed else None,
            state=Custody(self.standing.stage).name if self.standing.stage else "UNKNOWN",
            digest=staged.staged.digest if staged else None,
            container=staged.staged.container.value if staged else None,
            unreadable=_ranges(staged),
            clock_sync=self._clock_sync,
            listed=steps.get("RecordingListed"),
            seen_again=self._seen_again,
            last_seen=steps.get("RecordingSeen"),
            staged=steps.get("RecordingStaged"),
            verified=steps.get("RecordingVerified"),
            stored=steps.get("RecordingStored"),
            accepted=steps.get("RecordingAccepted"),
            receipt=self._accepted.receipt if self._accepted else None,
            rejected=steps.get("RecordingRejected"),
            replaced=steps.get("RecordingReplaced"),
            confirmed=steps.get("SourceConfirmed"),
            wipe_intended=steps.get("WipeIntended"),
            erased=steps.get("RecordingErased"),
            evicted=steps.get("StagingEvicted"),
            reason=self._reason,
            stored_by=tuple(sorted(stored_by)),
            erased_by=tuple(sorted(erased_by)),
            contradictions=tuple(self._contradictions),
            differences=tuple(one.value for one in in_order(found)),
        )


_LAST_COUNTS = (
    facts.RecordingSeen,
    facts.RecordingStaged,
    facts.RecordingVerified,
    facts.SourceConfirmed,
    facts.WipeIntended,
)


class SessionAccount:
    """One session of one dock; `add` its facts in order, the `CameraDocked` first."""

    def __init__(self, docked: RecordedFact) -> None:
        if not isinstance(docked.fact, facts.CameraDocked):
            raise TypeError("a session begins with CameraDocked")
        self.dock = docked.dock
        self.session = docked.fact.session
        self.bay = docked.fact.bay
        self.standing = SessionStanding()
        self._docked = docked
        self._identified: facts.CameraIdentified | None = None
        self._clock: facts.ClockMeasured | None = None
        self._reconciled: facts.SessionReconciled | None = None
        self._steps: dict[str, Step] = {}
        self._succeeded: Step | None = None
        self._codes: dict[str, None] = {}
        self._manifests: dict[str, KeptManifest] = {}
        self.add(docked)

    @property
    def camera(self) -> str | None:
        return self._identified.identity.camera if self._identified else None

    @property
    def started_at(self) -> datetime:
        return self._docked.moment.at

    def add(self, recorded: RecordedFact) -> None:
        """The next fact of this session (`ACCOUNT_KINDS`)."""
        fact = recorded.fact
        self.standing.take(fact, recorded.moment.clock_sync)
        step = Step(at=recorded.moment.at, fact=recorded.number, session=self.session)
        match fact:
            case facts.CameraIdentified():
                self._identified = fact
            case facts.ClockMeasured():
                self._clock = self._clock or fact
            case facts.SessionMoved():
                if fact.code:
                    self._codes.setdefault(fact.code)
            case facts.SessionReconciled():
                self._reconciled = fact
                self._steps["reconciled"] = step
            case facts.CameraUndocked():
                self._steps.setdefault("ended", step)
            case facts.ManifestStored():
                self._manifests[fact.name] = KeptManifest(
                    name=fact.name, digest=fact.digest, size_bytes=fact.size_bytes
                )
            case _:
                pass

    def succeed(self, docked: RecordedFact) -> None:
        """Another session began in this one's bay, which never ended."""
        if "ended" not in self._steps and self._succeeded is None:
            self._succeeded = Step(at=docked.moment.at, fact=docked.number)
            self.standing.succeed()

    def row(self) -> CustodySession:
        """What the facts so far tell."""
        books, clock = self._reconciled, self._clock
        return CustodySession(
            dock=self.dock,
            session=self.session,
            bay=self.bay,
            camera=self.camera,
            model=self._identified.identity.model if self._identified else None,
            started=Step(at=self.started_at, fact=self._docked.number, session=self.session),
            clock_sync=self._docked.moment.clock_sync.value,
            clock_offset_milliseconds=clock.reading.offset_milliseconds if clock else None,
            clock_uncertainty_milliseconds=clock.reading.uncertainty_milliseconds if clock else None,
            reconciled=self._steps.get("reconciled"),
            listed=books.listed if books else None,
            staged=books.staged if books else None,
            stored=books.stored if books else None,
            erased=books.erased if books else None,
            retained=books.retained if books else None,
            said=books.differences if books else (),
            codes=tuple(self._codes),
            ended=self._steps.get("ended"),
            succeeded=self._succeeded,
            manifests=tuple(self._manifests[name] for name in sorted(self._manifests)),
            differences=tuple(one.value for one in in_order(self.standing.differences())),
        )


ACCOUNT_KINDS = frozenset(
    {
        "CameraDocked",
        "CameraIdentified",
        "ClockMeasured",
        "SessionReconciled",
        "CameraUndocked",
        "ManifestStored",
    }
)
"""The kinds of facts that a session's row rests on; of `SessionMoved` only those with a code."""


def is_of_account(fact: facts.Fact) -> bool:
    """Whether a session's row rests on this fact."""
    return fact.kind in ACCOUNT_KINDS or (isinstance(fact, facts.SessionMoved) and fact.code is not None)


class HolderAccount:
    """One assignment as the dock that issued it tells of it."""

    def __init__(self, dock: str, number: int, started: facts.AssignmentStarted, at: datetime) -> None:
        self._dock = dock
        self._fact = started
        self._started = Step(at=at, fact=number)
        self._ended: tuple[facts.AssignmentEnded, Step] | None = None

    def end(self, number: int, ended: facts.AssignmentEnded, at: datetime) -> None:
        """Its end; the first counts."""
        self._ended = self._ended or (ended, Step(at=at, fact=number))

    def row(self) -> CustodyHolder:
        """What the facts so far tell."""
        fact = self._fact
        return CustodyHolder(
            dock=self._dock,
            assignment=fact.assignment,
            camera=fact.camera,
            officer=fact.officer,
            started_at=fact.started_at,
            started=self._started,
            ended_at=self._ended[0].ended_at if self._ended else None,
            ended=self._ended[1] if self._ended else None,
        )


def wants_recording(selection: CustodySelection, row: CustodyRecording) -> bool:
    """Whether a recording belongs to what is asked for."""
    return (
        selection.covers_dock(row.dock)
        and selection.camera in (None, row.camera)
        and selection.officer in (None, row.officer)
        and selection.covers_time(row.at, row.at)
    )


def wants_session(selection: CustodySelection, row: CustodySession, officers: Collection[str]) -> bool:
    """The same for a session; `officers` held the camera when recordings first listed in it were made."""
    return (
        selection.covers_dock(row.dock)
        and selection.camera in (None, row.camera)
        and (selection.officer is None or selection.officer in officers)
        and selection.covers_time(row.started.at, row.started.at)
    )


def wants_holder(selection: CustodySelection, row: CustodyHolder) -> bool:
    """The same for an assignment."""
    return (
        selection.covers_dock(row.dock)
        and selection.camera in (None, row.camera)
        and selection.officer in (None, row.officer)
        and selection.covers_time(row.started_at, row.ended_at)
    )


def recording_differences(row: CustodyRecording) -> Iterator[CustodyDifference]:
    """One line for each difference of a recording."""
    detail = {
        Difference.BROKEN_ORDER: "; ".join(row.contradictions),
        Difference.ERASED_UNACCEPTED: "; ".join(row.contradictions),
        Difference.REJECTED: row.reason,
        Difference.REPLACED: row.reason,
    }
    for code in row.differences:
        one = Difference(code)
        yield CustodyDifference(
            dock=row.dock,
            difference=code,
            words=_words(one, detail.get(one)),
            at=row.at,
            camera=row.camera,
            officer=row.officer,
            session=None,
            recording=row.recording,
            path=row.path,
            digest=row.digest,
        )


def session_differences(row: CustodySession) -> Iterator[CustodyDifference]:
    """One line for each difference of a session."""
    for code in row.differences:
        one = Difference(code)
        yield CustodyDifference(
            dock=row.dock,
            difference=code,
            words=_words(one, "; ".join(row.said) if one is Difference.COUNTS_DIFFER else None),
            at=row.started.at,
            camera=row.camera,
            officer=None,
            session=row.session,
            recording=None,
            path=None,
            digest=None,
        )


def _words(one: Difference, detail: str | None) -> str:
    return f"{DIFFERENCE_WORDS[one]} {detail}"[:4000] if detail else DIFFERENCE_WORDS[one]


def _ranges(staged: facts.RecordingStaged | None) -> tuple[ByteRange, ...]:
    return staged.staged.unreadable if staged else ()
