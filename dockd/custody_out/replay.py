"""A dock's chain of facts read again from its beginning, by the same rules that made it.

Checks every link, every checkpoint's signature and every step of the custody ledger, and gathers what
exports and proofs ask: which recordings a session found, what each one's ledger entry is, which keys
signed. A problem does not stop the reading: everything that does not hold is named.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dockd.model import facts
from dockd.model.facts import ChainBreak, RecordedFact, chain_break
from dockd.model.ids import CameraId, RecordingId, SessionId
from dockd.rules.custody import Custody, LedgerBreak, LedgerEntry, apply_fact, recording_of

_BREAK_WORDS = {
    ChainBreak.GAP: "does not carry the next number: facts were taken out, put in or exchanged before it",
    ChainBreak.FORK: "does not name the fact before it: that fact, or this one, is not the original",
    ChainBreak.REWRITE: "is another one than was read before",
    ChainBreak.BAD_HASH: "was changed: its hash is not that of its content",
}


@dataclass(slots=True)
class SessionRecord:
    """One session as the chain tells it. `settled_at` is the moment its footage was complete, if it ever was."""

    session: SessionId
    bay: str
    first_number: int
    camera: CameraId | None = None
    recordings: dict[RecordingId, None] = field(default_factory=dict)
    """In the order found; a dict for its order and its quick look-up."""
    verified: set[RecordingId] = field(default_factory=set)
    """Of these: verified from the session's beginning until it was settled."""
    verified_late: set[RecordingId] = field(default_factory=set)
    """Verified for the first time only after the session was settled."""
    settled_at: datetime | None = None
    is_over: bool = False
    manifests: dict[str, facts.ManifestStored] = field(default_factory=dict)
    last_number: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A `ChainSigned` that verified: everything up to `through` is under `signature`, made with key number `key`."""

    number: int
    through: int
    head: str
    signature: bytes
    key: int


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not hold, at which fact, in words."""

    number: int
    words: str


def note_in_session(sessions: dict[SessionId, SessionRecord], recorded: RecordedFact) -> SessionRecord | None:
    """Fold one fact into the record of its session, if it is about one; return that record.

    A session is settled by its reconciliation or, when it never got there, by its end.
    """
    fact = recorded.fact
    if isinstance(fact, facts.CameraDocked):
        record = SessionRecord(SessionId(fact.session), fact.bay, recorded.number)
        sessions[record.session] = record
    else:
        name = getattr(fact, "session", None)
        known = sessions.get(SessionId(name)) if isinstance(name, str) else None
        if known is None:
            return None
        record = known
    record.last_number = recorded.number
    match fact:
        case facts.CameraIdentified():
            record.camera = fact.identity.id
        case facts.RecordingListed() | facts.RecordingSeen():
            record.recordings.setdefault(RecordingId(fact.recording))
        case facts.SessionReconciled():
            record.settled_at = record.settled_at or recorded.moment.at
        case facts.CameraUndocked():
            record.settled_at = record.settled_at or recorded.moment.at
            record.is_over = True
        case facts.ManifestStored():
            record.manifests[fact.name] = fact
        case _:
            pass
    return record


class ChainReplay:
    """Reads the facts of one dock, in order, by `add`."""

    def __init__(self, dock: str) -> None:
        self.dock = dock
        self.entries: dict[RecordingId, LedgerEntry] = {}
        self.steps: dict[RecordingId, list[tuple[int, str]]] = {}
        """(number, kind) of every fact about a recording."""
        self.sessions: dict[SessionId, SessionRecord] = {}
        self.keys: dict[str, int] = {}
        """Public keys (base64) in the order in which the dock announced them, each with that fact's number."""
        self.checkpoints: list[Checkpoint] = []
        self.chain_problems: list[Problem] = []
        self.signature_problems: list[Problem] = []
        self.custody_problems: list[tuple[RecordingId | None, Problem]] = []
        self._hashes: list[str] = []
        self._key = ""
        self._last: RecordedFact | None = None

    @property
    def count(self) -> int:
        """How many facts were read."""
        return len(self._hashes)

    @property
    def head(self) -> str:
        """The hash of the last fact; empty when there is none."""
        return self._hashes[-1] if self._hashes else ""

    @property
    def signed_through(self) -> int:
        """The last fact that a good checkpoint covers; 0 when there is none."""
        return max((one.through for one in self.checkpoints), default=0)

    def add(self, recorded: RecordedFact) -> None:
        """Read the next fact; what does not hold is added to the problems."""
        if recorded.dock != self.dock:
            self.chain_problems.append(Problem(recorded.number, f"is a fact of dock {recorded.dock}, not {self.dock}"))
        broken = chain_break(self._last, recorded)
        if broken is not None:
            self.chain_problems.append(Problem(recorded.number, f"({recorded.fact.kind}) {_BREAK_WORDS[broken]}"))
        self._last = recorded
        self._hashes.append(recorded.computed_hash() if broken is ChainBreak.BAD_HASH else recorded.hash)
        match recorded.fact:
            case facts.DockStarted():
                self.keys.setdefault(recorded.fact.public_key, recorded.number)
                self._key = recorded.fact.public_key
            case facts.ChainSigned():
                self._check_signature(recorded.number, recorded.fact)
            case _:
                self._fold(recorded)
        note_in_session(self.sessions, recorded)

    def last_number_about(self, recording: RecordingId) -> int:
        """Number of the last fact about a recording; 0 when there is none."""
        steps = self.steps.get(recording)
        return steps[-1][0] if steps else 0

    def _fold(self, recorded: RecordedFact) -> None:
        recording = recording_of(recorded.fact)
        if recording is None:
            return
        self.steps.setdefault(recording, []).append((recorded.number, recorded.fact.kind))
        try:
            self.entries[recording] = apply_fact(self.entries.get(recording), recorded.fact)
        except LedgerBreak as error:
            self.custody_problems.append((recording, Problem(recorded.number, str(error))))

    def _check_signature(self, number: int, fact: facts.ChainSigned) -> None:
        if not self.keys:
            self.signature_problems.append(Problem(number, "signs before the dock has announced a key"))
            return
        if not 0 < fact.through < number or fact.through > len(self._hashes):
            self.signature_problems.append(Problem(number, f"signs fact {fact.through}, which is not before it"))
            return
        if self._hashes[fact.through - 1] != fact.head:
            self.signature_problems.append(
                Problem(number, f"signs another fact {fact.through} than the one in this chain")
            )
            return
        signature = verified_signature(self._key, fact.signature, fact.head.encode("ascii"))
        if signature is None:
            self.signature_problems.append(Problem(number, "carries a signature that is not of this dock's key"))
            return
        self.checkpoints.append(
            Checkpoint(number, fact.through, fact.head, signature, list(self.keys).index(self._key))
        )


def verified_signature(public_key: str, signature: str, message: bytes) -> bytes | None:
    """The 64 bytes of `signature` (base64) if it is `public_key`'s (base64, Ed25519) over `message`, else None."""
    try:
        raw = base64.b64decode(signature, validate=True)
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True)).verify(raw, message)
    except (InvalidSignature, binascii.Error, ValueError):
        return None
    return raw


def is_in_store(entry: LedgerEntry) -> bool:
    """Whether the chain says that the store has receipted it."""
    return entry.state in (Custody.ACCEPTED, Custody.ERASED)
