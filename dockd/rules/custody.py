"""The custody ledger: per recording, durable, forward only; and the only maker of a `Clearance`.

`LISTED < STAGED < VERIFIED < STORED < ACCEPTED < ERASED`, side exit `REJECTED`. `apply_fact` is a pure
fold over facts; the journal keeps its result in the same transaction as the fact. Whether a *copy* is
at hand on the staging disk is a property beside the state: losing a copy never moves the state back.

Rules for a clearance, all of them in `clear`: ACCEPTED; a trusted receipt with the very digest and
size that this dock verified; the camera's own bytes read in whole in this session with that digest;
still on this card; grace over. What is not here: how to erase, and whom to tell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum

from dockd.model import facts
from dockd.model.facts import Fact
from dockd.model.ids import (
    CameraId,
    CardPath,
    Digest,
    OfficerNumber,
    RecordingId,
    SessionId,
)
from dockd.model.recording import (
    ByteRange,
    ConfirmedSource,
    ContainerVerdict,
    Receipt,
    StagedRecording,
    VerifiedRecording,
)
from dockd.rules.receipts import TrustedReceipt

_MADE_HERE = object()


class Custody(IntEnum):
    """How far a recording has come. REJECTED is not above ERASED; it is beside the path."""

    LISTED = 1
    STAGED = 2
    VERIFIED = 3
    STORED = 4
    ACCEPTED = 5
    ERASED = 6
    REJECTED = 99


class LedgerBreak(ValueError):
    """A fact does not follow from the ledger: a bug of ours, or a journal that was tampered with."""


class NotCleared(Exception):
    """`clear` refuses; `reason` is for staff."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One recording as the facts so far tell it."""

    recording: RecordingId
    camera: CameraId
    path: CardPath
    size_bytes: int
    modified_ns: int | None
    generation: int
    first_session: SessionId
    last_session: SessionId
    """The last session in which the card listed it."""
    recorded_at: datetime | None
    officer: OfficerNumber | None
    state: Custody = Custody.LISTED
    digest: Digest | None = None
    staged_session: SessionId | None = None
    is_read_whole: bool = False
    container: ContainerVerdict | None = None
    unreadable: tuple[ByteRange, ...] = ()
    has_copy: bool = False
    """A copy lies on this dock's staging disk."""
    verified: VerifiedRecording | None = None
    receipt: Receipt | None = None
    rejection: str | None = None
    is_wipe_intended: bool = False
    """A session was about to erase it; if the card does not list it any more, that session did."""
    is_replaced: bool = False
    """The card holds other bytes under this name now."""

    @property
    def staged_size_bytes(self) -> int:
        """Size of the copy (equals `size_bytes` of the card's listing, as offload proves)."""
        return self.verified.staged.size_bytes if self.verified else self.size_bytes

    def staged_copy(self) -> StagedRecording:
        """What staging proved of the copy at hand. Raises LedgerBreak when there is none."""
        if not self.has_copy or self.digest is None or self.staged_session is None or self.container is None:
            raise LedgerBreak(f"{self.recording} has no staged copy")
        return StagedRecording(
            recording=self.recording,
            session=self.staged_session,
            digest=self.digest,
            size_bytes=self.size_bytes,
            unreadable=self.unreadable,
            container=self.container,
            is_read_whole=self.is_read_whole,
        )

    @property
    def is_safe_here(self) -> bool:
        """Counts for "you may go": verified on the staging disk, or already accepted by the store."""
        if self.state in (Custody.ACCEPTED, Custody.ERASED):
            return True
        return self.verified is not None and self.has_copy

    @property
    def needs_copy(self) -> bool:
        """The next offload must copy it."""
        return not self.has_copy and self.state < Custody.ACCEPTED and not self.is_replaced

    @property
    def is_settled(self) -> bool:
        """Securing need not wait for it."""
        return self.state in (Custody.ACCEPTED, Custody.ERASED, Custody.REJECTED)

    @property
    def is_on_card(self) -> bool:
        """As far as the ledger knows."""
        return self.state is not Custody.ERASED and not self.is_replaced


@dataclass(frozen=True, slots=True)
class Clearance:
    """The permission to erase one recording from one card, in one session. Only `clear` makes it."""

    recording: RecordingId
    camera: CameraId
    session: SessionId
    path: CardPath
    size_bytes: int
    modified_ns: int | None
    digest: Digest
    receipt: Receipt
    _token: object

    def __post_init__(self) -> None:
        if self._token is not _MADE_HERE:
            raise TypeError("only rules.custody.clear() makes a Clearance")


def is_grace_over(receipt: Receipt, now: datetime, grace: timedelta) -> bool:
    """Whether accepted footage has stayed on the card for `grace`.

    Without a grace period the clocks of dock and centre need not agree: a dock whose clock is behind would
    else keep everything.
    """
    return grace <= timedelta() or now >= receipt.accepted_at + grace


def clear(
    entry: LedgerEntry,
    receipt: TrustedReceipt,
    source: ConfirmedSource,
    *,
    session: SessionId,
    now: datetime,
    grace: timedelta,
) -> Clearance:
    """Return the permission to erase `entry`'s recording from the card docked in `session`.

    Raises NotCleared with the reason in words unless every rule of this module holds.
    """
    if entry.state is not Custody.ACCEPTED:
        raise NotCleared(f"The recording is {entry.state.name}, not ACCEPTED.")
    if entry.is_replaced or entry.last_session != session:
        raise NotCleared("The recording was not listed by this card in this session.")
    if entry.unreadable:
        raise NotCleared("The card could not be read in whole; the original is kept for a specialist.")
    held = receipt.receipt
    if entry.digest is None or held.digest != entry.digest or held.size_bytes != entry.size_bytes:
        raise NotCleared("The receipt is not for the bytes that this dock verified.")
    if source.recording != entry.recording or source.session != session:
        raise NotCleared("The card's bytes were not read in whole in this session.")
    if source.digest != entry.digest or source.size_bytes != entry.size_bytes:
        raise NotCleared("The card's bytes are not those that the store holds.")
    if not is_grace_over(held, now, grace):
        raise NotCleared("The grace period is not over.")
    return Clearance(
        recording=entry.recording,
        camera=entry.camera,
        session=session,
        path=entry.path,
        size_bytes=entry.size_bytes,
        modified_ns=entry.modified_ns,
        digest=entry.digest,
        receipt=held,
        _token=_MADE_HERE,
    )


def recording_of(fact: Fact) -> RecordingId | None:
    """The recording a fact is about, or None."""
    match fact:
        case facts.RecordingStaged():
            name = fact.staged.recording
        case facts.RecordingVerified():
            name = fact.verified.staged.recording
        case facts.RecordingStored():
            name = fact.stored.recording
        case facts.SourceConfirmed():
            name = fact.source.recording
        case (
            facts.RecordingListed()
            | facts.RecordingSeen()
            | facts.CopyDiscarded()
            | facts.RecordingReplaced()
            | facts.RecordingAccepted()
            | facts.RecordingRejected()
            | facts.WipeIntended()
            | facts.RecordingErased()
            | facts.StagingEvicted()
        ):
            name = fact.recording
        case _:
            return None
    return RecordingId(name)


def apply_fact(entry: LedgerEntry | None, fact: Fact) -> LedgerEntry:
    """Fold one fact about a recording into its entry. Raises LedgerBreak when it does not follow."""
    if isinstance(fact, facts.RecordingListed):
        if entry is not None:
            raise LedgerBreak(f"{fact.recording} was listed before")
        return LedgerEntry(
            recording=RecordingId(fact.recording),
            camera=CameraId(fact.camera),
            path=CardPath.from_text(fact.path),
            size_bytes=fact.size_bytes,
            modified_ns=fact.modified_ns,
            generation=fact.generation,
            first_session=SessionId(fact.session),
            last_session=SessionId(fact.session),
            recorded_at=fact.recorded_at,
            officer=OfficerNumber(fact.officer) if fact.officer else None,
        )
    if entry is None:
        raise LedgerBreak(f"{fact.kind} about a recording that was never listed")
    match fact:
        case facts.RecordingSeen():
            _require(entry, fact, entry.is_on_card)
            return replace(entry, last_session=SessionId(fact.session))
        case facts.RecordingStaged():
            return _staged(entry, fact)
        case facts.RecordingVerified():
            return _verified(entry, fact)
        case facts.CopyDiscarded():
            _require(entry, fact, entry.state <= Custody.STORED)
            return replace(entry, has_copy=False)
        case facts.RecordingReplaced():
            _require(entry, fact, entry.is_on_card)
            return replace(entry, is_replaced=True)
        case facts.SourceConfirmed():
            _require(entry, fact, fact.source.digest == entry.digest)
            return entry
        case facts.RecordingStored():
            agrees = fact.stored.digest == entry.digest and entry.verified is not None
            _require(entry, fact, agrees and entry.state in (Custody.VERIFIED, Custody.STORED))
            return replace(entry, state=Custody.STORED)
        case facts.RecordingAccepted():
            agrees = fact.receipt.digest == entry.digest and entry.verified is not None
            agrees = agrees and fact.receipt.size_bytes == entry.size_bytes
            _require(entry, fact, agrees and Custody.VERIFIED <= entry.state <= Custody.STORED)
            return replace(entry, state=Custody.ACCEPTED, receipt=fact.receipt)
        case facts.RecordingRejected():
            _require(entry, fact, entry.state <= Custody.STORED)
            return replace(entry, state=Custody.REJECTED, rejection=fact.reason)
        case facts.WipeIntended():
            _require(entry, fact, entry.state is Custody.ACCEPTED and entry.is_on_card)
            return replace(entry, is_wipe_intended=True)
        case facts.RecordingErased():
            _require(entry, fact, entry.state is Custody.ACCEPTED and entry.is_wipe_intended)
            return replace(entry, state=Custody.ERASED)
        case facts.StagingEvicted():
            _require(entry, fact, entry.state in (Custody.ACCEPTED, Custody.ERASED))
            return replace(entry, has_copy=False)
        case _:
            raise LedgerBreak(f"{fact.kind} is not about a recording")


def _staged(entry: LedgerEntry, fact: facts.RecordingStaged) -> LedgerEntry:
    staged = fact.staged
    # Once verified, the recording is its digest: a copy made again must have the same one.
    same = entry.state < Custody.VERIFIED or staged.digest == entry.digest
    _require(entry, fact, entry.state < Custody.ACCEPTED and staged.size_bytes == entry.size_bytes)
    _require(entry, fact, same and not entry.has_copy)
    return replace(
        entry,
        state=max(entry.state, Custody.STAGED),
        digest=Digest(staged.digest),
        staged_session=SessionId(staged.session),
        is_read_whole=staged.is_read_whole,
        container=staged.container,
        unreadable=staged.unreadable,
        has_copy=True,
        verified=None,
    )


def _verified(entry: LedgerEntry, fact: facts.RecordingVerified) -> LedgerEntry:
    verified = fact.verified
    agrees = verified.staged.digest == entry.digest and entry.has_copy
    _require(entry, fact, agrees and Custody.STAGED <= entry.state <= Custody.STORED)
    return replace(entry, state=max(entry.state, Custody.VERIFIED), verified=verified)


def _require(entry: LedgerEntry, fact: Fact, holds: bool) -> None:
    if not holds:
        raise LedgerBreak(f"{fact.kind} does not follow {entry.state.name} of {entry.recording}")
