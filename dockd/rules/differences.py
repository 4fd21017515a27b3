"""What an auditor must see first: where a recording or a session is not as it should be. Pure.

`RecordingStanding` and `SessionStanding` fold facts into the little that decides which differences there are, small
enough for two columns. The centre keeps them beside the facts, and whoever checks a bundle makes them again from the
facts alone. They judge by themselves and share nothing with the dock's own ledger (`rules.custody`), which was meant to
make most of these differences impossible.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag, StrEnum

from dockd.model import facts
from dockd.model.facts import Fact
from dockd.model.moment import ClockSync
from dockd.rules.custody import Custody


class Difference(StrEnum):
    """What is not as it should be; the gravest first."""

    ERASED_UNACCEPTED = "erased-unaccepted"
    BROKEN_ORDER = "broken-order"
    REPLACED = "replaced"
    REJECTED = "rejected"
    DUPLICATE_IDENTITY = "duplicate-identity"
    COUNTS_DIFFER = "counts-differ"
    NEVER_STORED = "never-stored"
    NOT_ERASED = "not-erased"
    NOT_RECONCILED = "not-reconciled"
    UNREADABLE = "unreadable"
    NO_HOLDER = "no-holder"
    NO_TIME = "no-time"
    HOST_CLOCK = "host-clock"
    CAMERA_CLOCK = "camera-clock"
    NOT_IDENTIFIED = "not-identified"


DIFFERENCE_WORDS: dict[Difference, str] = {
    Difference.ERASED_UNACCEPTED: "ERASED WITHOUT ACCEPTANCE: the facts tell of an erasing that no receipt allowed. "
    "This must be impossible. Take the dock out of use, keep its disk and the camera, and call whoever runs this "
    "system.",
    Difference.BROKEN_ORDER: "The facts about it contradict each other or stand in an impossible order. "
    "Keep the dock's disk and the camera, and call whoever runs this system.",
    Difference.REPLACED: "The card held other bytes under its name before the central store had it.",
    Difference.REJECTED: "The centre can never take it; it is kept, with the reason.",
    Difference.DUPLICATE_IDENTITY: "Two cameras claimed one identity; whose footage this is, a person must find out.",
    Difference.COUNTS_DIFFER: "Listed, staged, stored and erased do not agree.",
    Difference.NEVER_STORED: "It was on the card, and the central store has not accepted it from any dock.",
    Difference.NOT_ERASED: "The central store has it; as far as the facts tell it is still on the card.",
    Difference.NOT_RECONCILED: "The session is over and was never reconciled.",
    Difference.UNREADABLE: "Parts of it could not be read from the card.",
    Difference.NO_HOLDER: "Who held the camera then is not known.",
    Difference.NO_TIME: "When it was recorded is not known.",
    Difference.HOST_CLOCK: "The dock's own clock was not known to be synchronised.",
    Difference.CAMERA_CLOCK: "The camera's clock was not measured.",
    Difference.NOT_IDENTIFIED: "Something was in the bay and never told who it is.",
}
"""One sentence for each."""

GRAVE = frozenset({Difference.ERASED_UNACCEPTED, Difference.BROKEN_ORDER})
"""Those that this system promises never to let happen."""

_ORDER = {one: place for place, one in enumerate(Difference)}


def in_order(found: set[Difference]) -> tuple[Difference, ...]:
    """The gravest first."""
    return tuple(sorted(found, key=_ORDER.__getitem__))


class RecordingMark(IntFlag):
    """What is kept of a recording beside its state. The numbers are in the centre's database: never change them.

    The two highest are those of GRAVE, so that an index can hold just these.
    """

    VERIFIED = 1
    WIPE_INTENDED = 2
    REPLACED = 4
    UNREADABLE = 8
    NO_HOLDER = 16
    NO_TIME = 32
    HOST_CLOCK = 64
    BROKEN_ORDER = 128
    ERASED_UNACCEPTED = 256


class SessionMark(IntFlag):
    """What is kept of a session. The numbers are in the centre's database: never change them."""

    IDENTIFIED = 1
    CLOCK_MEASURED = 2
    RECONCILED = 4
    COUNTS_DIFFER = 8
    DUPLICATE_IDENTITY = 16
    HOST_CLOCK = 32
    OVER = 64


@dataclass(slots=True)
class RecordingStanding:
    """One recording of one dock. `stage` is a `Custody`; 0 until it was listed. `digest` that of the last copy."""

    stage: int = 0
    marks: int = 0
    digest: str | None = None
    size_bytes: int | None = None

    def take(self, fact: Fact, clock_sync: ClockSync) -> str | None:
        """Fold one fact about this recording; return in words what is wrong about its order, if anything."""
        wrong = self._wrong(fact)
        if wrong is not None:
            self.marks |= RecordingMark.BROKEN_ORDER
        match fact:
            case facts.RecordingListed():
                self._listed(fact, clock_sync)
            case facts.RecordingStaged():
                self.digest = fact.staged.digest
                self._mark(RecordingMark.UNREADABLE, bool(fact.staged.unreadable))
                self._mark(RecordingMark.VERIFIED, False)
                self._advance(Custody.STAGED)
            case facts.RecordingVerified():
                self._mark(RecordingMark.VERIFIED, wrong is None)
                self._advance(Custody.VERIFIED)
            case facts.RecordingStored():
                self._advance(Custody.STORED)
            case facts.RecordingAccepted():
                if wrong is None:
                    self._advance(Custody.ACCEPTED)
            case facts.RecordingRejected():
                self._advance(Custody.REJECTED)
            case facts.RecordingReplaced():
                self._mark(RecordingMark.REPLACED, True)
            case facts.WipeIntended():
                self._mark(RecordingMark.WIPE_INTENDED, True)
            case facts.RecordingErased():
                if self.stage not in (Custody.ACCEPTED, Custody.ERASED):
                    self._mark(RecordingMark.ERASED_UNACCEPTED, True)
                self.stage = Custody.ERASED
            case _:
                pass
        return None if wrong is None else f"{fact.kind}: {wrong}"

    @property
    def is_stored(self) -> bool:
        """Whether these facts tell that the store accepted it."""
        return self.stage in (Custody.ACCEPTED, Custody.ERASED) and not self.marks & RecordingMark.ERASED_UNACCEPTED

    @property
    def is_erased(self) -> bool:
        """Whether these facts tell that it was erased after that."""
        return self.is_stored and self.stage == Custody.ERASED

    @property
    def is_open(self) -> bool:
        """Not stored, or not erased, by this dock; another dock may have done it."""
        return self.stage in (Custody.LISTED, Custody.STAGED, Custody.VERIFIED, Custody.STORED, 0) or (
            self.stage == Custody.ACCEPTED and not self.marks & RecordingMark.REPLACED
        )

    @property
    def has_mark(self) -> bool:
        """Whether there is a difference that no other dock can settle."""
        return bool(self._lasting())

    def differences(self, *, is_stored_elsewhere: bool = False, is_erased_elsewhere: bool = False) -> set[Difference]:
        """All of them. `…_elsewhere`: another dock's facts tell that of this very recording."""
        found = self._lasting()
        if self.is_open:
            if self.stage < Custody.ACCEPTED and not (is_stored_elsewhere or is_erased_elsewhere):
                found.add(Difference.NEVER_STORED)
            if self.stage == Custody.ACCEPTED and not is_erased_elsewhere:
                found.add(Difference.NOT_ERASED)
        return found

    def _lasting(self) -> set[Difference]:
        found = {word for mark, word in _RECORDING_WORDS if self.marks & mark}
        if self.stage == Custody.REJECTED:
            found.add(Difference.REJECTED)
        if self.marks & RecordingMark.REPLACED and self.stage < Custody.ACCEPTED:
            found.add(Difference.REPLACED)
        return found

    def _listed(self, fact: facts.RecordingListed, clock_sync: ClockSync) -> None:
        if self.stage == 0:
            self.stage, self.size_bytes = Custody.LISTED, fact.size_bytes
        self._mark(RecordingMark.NO_HOLDER, fact.officer is None)
        self._mark(RecordingMark.NO_TIME, fact.recorded_at is None)
        self._mark(RecordingMark.HOST_CLOCK, clock_sync is not ClockSync.SYNCHRONISED)

    def _wrong(self, fact: Fact) -> str | None:
        """What does not follow from the facts before."""
        if isinstance(fact, facts.RecordingListed):
            return "it was listed before" if self.stage else None
        if not self.stage:
            return "it was never listed"
        is_verified = bool(self.marks & RecordingMark.VERIFIED)
        match fact:
            case facts.RecordingStaged():
                if self.stage >= Custody.ACCEPTED:
                    return "it was settled before"
                if fact.staged.size_bytes != self.size_bytes:
                    return "the copy has another size than the card listed"
                is_same = self.stage < Custody.VERIFIED or fact.staged.digest == self.digest
                return None if is_same else "another digest than the copy that was verified"
            case facts.RecordingVerified():
                return None if fact.verified.staged.digest == self.digest else "another digest than the copy's"
            case facts.RecordingStored():
                return None if is_verified and fact.stored.digest == self.digest else "not the bytes that were verified"
            case facts.RecordingAccepted():
                is_same = (fact.receipt.digest, fact.receipt.size_bytes) == (self.digest, self.size_bytes)
                if not (is_verified and is_same):
                    return "the receipt is not for the bytes that were verified"
                return None if self.stage <= Custody.STORED else "it was settled before"
            case facts.WipeIntended():
                return None if self.stage == Custody.ACCEPTED else "it was not accepted"
            case facts.RecordingErased():
                if self.stage != Custody.ACCEPTED:
                    return "it was not accepted"
                return None if self.marks & RecordingMark.WIPE_INTENDED else "no intent was written before"
            case _:
                return None

    def _mark(self, mark: RecordingMark, is_set: bool) -> None:
        self.marks = self.marks | mark if is_set else self.marks & ~mark

    def _advance(self, stage: Custody) -> None:
        self.stage = max(self.stage, stage)


_RECORDING_WORDS = (
    (RecordingMark.ERASED_UNACCEPTED, Difference.ERASED_UNACCEPTED),
    (RecordingMark.BROKEN_ORDER, Difference.BROKEN_ORDER),
    (RecordingMark.UNREADABLE, Difference.UNREADABLE),
    (RecordingMark.NO_HOLDER, Difference.NO_HOLDER),
    (RecordingMark.NO_TIME, Difference.NO_TIME),
    (RecordingMark.HOST_CLOCK, Difference.HOST_CLOCK),
)
_SESSION_WORDS = (
    (SessionMark.DUPLICATE_IDENTITY, Difference.DUPLICATE_IDENTITY),
    (SessionMark.COUNTS_DIFFER, Difference.COUNTS_DIFFER),
    (SessionMark.HOST_CLOCK, Difference.HOST_CLOCK),
)


@dataclass(slots=True)
class SessionStanding:
    """One session of one dock."""

    marks: int = 0

    def take(self, fact: Fact, clock_sync: ClockSync) -> None:
        """Fold one fact of this session."""
        match fact:
            case facts.CameraDocked():
                if clock_sync is not ClockSync.SYNCHRONISED:
                    self.marks |= SessionMark.HOST_CLOCK
            case facts.CameraIdentified():
                self.marks |= SessionMark.IDENTIFIED
            case facts.ClockMeasured():
                self.marks |= SessionMark.CLOCK_MEASURED
            case facts.SessionMoved():
                if fact.code == "duplicate-identity":
                    self.marks |= SessionMark.DUPLICATE_IDENTITY
            case facts.SessionReconciled():
                self.marks |= SessionMark.RECONCILED
                differ = SessionMark.COUNTS_DIFFER
                self.marks = self.marks & ~differ if do_counts_agree(fact) else self.marks | differ
            case facts.CameraUndocked():
                self.marks |= SessionMark.OVER
            case _:
                pass

    @property
    def is_over(self) -> bool:
        return bool(self.marks & SessionMark.OVER)

    def succeed(self) -> None:
        """Another session began in its bay: it is over, whether its dock could say so or not."""
        self.marks |= SessionMark.OVER

    def differences(self) -> set[Difference]:
        """All of them; a session that still goes on owes no reconciliation yet."""
        found = {word for mark, word in _SESSION_WORDS if self.marks & mark}
        if self.marks & SessionMark.OVER:
            if not self.marks & SessionMark.IDENTIFIED:
                found.add(Difference.NOT_IDENTIFIED)
            elif not self.marks & SessionMark.RECONCILED:
                found.add(Difference.NOT_RECONCILED)
            if self.marks & SessionMark.IDENTIFIED and not self.marks & SessionMark.CLOCK_MEASURED:
                found.add(Difference.CAMERA_CLOCK)
        return found


def do_counts_agree(fact: facts.SessionReconciled) -> bool:
    """Whether everything on the card is either stored and erased, or was kept on it on purpose."""
    gone = fact.erased.count + fact.retained.count == fact.listed.count
    gone = gone and fact.erased.size_bytes + fact.retained.size_bytes == fact.listed.size_bytes
    return (
        gone
        and not fact.differences
        and fact.listed.count >= fact.staged.count >= fact.stored.count >= fact.erased.count
        and fact.listed.size_bytes >= fact.staged.size_bytes >= fact.stored.size_bytes >= fact.erased.size_bytes
    )
