"""Facts: what happened, written once, never changed.

A fact's body is one of the classes below, told apart by `kind`. `RecordedFact` is the body with its
number, its moment and the hash of the fact before it: the link of the chain.

Chain rule: `hash = SHA-256(canonical_json(everything but hash))`, `previous` is the hash of the fact
numbered one less, the first fact has number 1 and names `GENESIS`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Union

from pydantic import Field, TypeAdapter

from dockd.model.camera import (
    BatteryReading,
    CameraIdentity,
    ClockReading,
    SpaceReading,
)
from dockd.model.canonical import digest_of_json
from dockd.model.ids import GENESIS, Digest
from dockd.model.moment import Moment, UtcTime
from dockd.model.recording import (
    ConfirmedSource,
    Receipt,
    StagedRecording,
    StoredRecording,
    VerifiedRecording,
)
from dockd.model.value import (
    CameraText,
    DigestText,
    ExactInteger,
    IdText,
    LongText,
    OfficerText,
    PathText,
    ShortText,
    Value,
)


class DockStarted(Value):
    """The daemon began. `public_key` (base64, Ed25519) signs this dock's checkpoints."""

    kind: Literal["DockStarted"] = "DockStarted"
    version: ShortText
    public_key: ShortText


class DockStopped(Value):
    """The daemon ended in order."""

    kind: Literal["DockStopped"] = "DockStopped"


class CameraDocked(Value):
    """Something was put into a bay: a session begins, the device is not known yet."""

    kind: Literal["CameraDocked"] = "CameraDocked"
    session: IdText
    bay: IdText
    port: ShortText


class CameraIdentified(Value):
    """The driver told who the camera is."""

    kind: Literal["CameraIdentified"] = "CameraIdentified"
    session: IdText
    bay: IdText
    driver: IdText
    identity: CameraIdentity
    battery: BatteryReading | None = None
    space: SpaceReading | None = None


class ClockMeasured(Value):
    """The camera's clock against the host's, before anything is set."""

    kind: Literal["ClockMeasured"] = "ClockMeasured"
    session: IdText
    camera: CameraText
    reading: ClockReading


class ClockSet(Value):
    """The camera's clock was set; `reading` is the read-back after setting."""

    kind: Literal["ClockSet"] = "ClockSet"
    session: IdText
    camera: CameraText
    reading: ClockReading


class SessionMoved(Value):
    """The life-cycle took one step; `reason` in words where a person may ask why."""

    kind: Literal["SessionMoved"] = "SessionMoved"
    session: IdText
    from_state: ShortText
    to_state: ShortText
    code: ShortText | None = None
    reason: LongText | None = None


class CameraUndocked(Value):
    """The camera left its bay: the session is over. `camera` is None when it was never identified."""

    kind: Literal["CameraUndocked"] = "CameraUndocked"
    session: IdText
    bay: IdText
    camera: CameraText | None


class RecordingListed(Value):
    """A recording was found on a card for the first time (LISTED)."""

    kind: Literal["RecordingListed"] = "RecordingListed"
    recording: IdText
    session: IdText
    camera: CameraText
    path: PathText
    size_bytes: int
    modified_ns: ExactInteger | None
    """Unix time in nanoseconds, as decimal text in JSON; None when the card does not tell."""
    generation: int
    recorded_at: UtcTime | None
    """Recording time in UTC, corrected by the measured clock offset; None when the card does not tell."""
    officer: OfficerText | None
    """Who held the camera at `recorded_at`, from the assignment ledger; None is *unknown*."""


class RecordingSeen(Value):
    """A recording already in the ledger was found on the card again, in another session."""

    kind: Literal["RecordingSeen"] = "RecordingSeen"
    recording: IdText
    session: IdText


class RecordingStaged(Value):
    """STAGED."""

    kind: Literal["RecordingStaged"] = "RecordingStaged"
    staged: StagedRecording


class RecordingVerified(Value):
    """VERIFIED: may be counted for "you may go"."""

    kind: Literal["RecordingVerified"] = "RecordingVerified"
    verified: VerifiedRecording


class CopyDiscarded(Value):
    """A staged copy was thrown away and the recording is LISTED again: the camera is still the source.

    The one fact that takes a recording's *copy* back; allowed only before STORED.
    """

    kind: Literal["CopyDiscarded"] = "CopyDiscarded"
    recording: IdText
    code: ShortText
    reason: LongText


class RecordingReplaced(Value):
    """The card holds other bytes under this recording's name, size and time; `recording` is not on it any more."""

    kind: Literal["RecordingReplaced"] = "RecordingReplaced"
    recording: IdText
    session: IdText
    reason: LongText


class SourceConfirmed(Value):
    """The camera's bytes were read in whole again and still have the recording's digest."""

    kind: Literal["SourceConfirmed"] = "SourceConfirmed"
    source: ConfirmedSource


class RecordingStored(Value):
    """STORED: the store has every part."""

    kind: Literal["RecordingStored"] = "RecordingStored"
    stored: StoredRecording


class RecordingAccepted(Value):
    """ACCEPTED: a receipt arrived, its signature, key, store, digest and size were checked."""

    kind: Literal["RecordingAccepted"] = "RecordingAccepted"
    recording: IdText
    receipt: Receipt


class RecordingRejected(Value):
    """REJECTED: the centre can never take it. Kept, with the reason."""

    kind: Literal["RecordingRejected"] = "RecordingRejected"
    recording: IdText
    code: ShortText
    reason: LongText


class WipeIntended(Value):
    """This recording is about to be erased from the card. Written for all of a wipe before its first erase."""

    kind: Literal["WipeIntended"] = "WipeIntended"
    session: IdText
    recording: IdText


class RecordingErased(Value):
    """ERASED: a clearance was used, and the file is no longer listed by the card."""

    kind: Literal["RecordingErased"] = "RecordingErased"
    recording: IdText
    session: IdText


class SpaceMeasured(Value):
    """Room on the card after erasing `erased_bytes`."""

    kind: Literal["SpaceMeasured"] = "SpaceMeasured"
    session: IdText
    before: SpaceReading
    after: SpaceReading
    erased_bytes: int


class Tally(Value):
    """A number of recordings and their bytes."""

    count: int
    size_bytes: int


class SessionReconciled(Value):
    """The closed loop of one session: what was on the card, and what became of it.

    `differences` names every recording (by its path text) for which the counts do not agree.
    `retained` are recordings kept on the card on purpose (grace, policy, rejected).
    """

    kind: Literal["SessionReconciled"] = "SessionReconciled"
    session: IdText
    camera: CameraText
    listed: Tally
    staged: Tally
    stored: Tally
    erased: Tally
    retained: Tally
    differences: tuple[LongText, ...]


class AssignmentIntended(Value):
    """An officer asked for a camera and this one was chosen; it is about to be written."""

    kind: Literal["AssignmentIntended"] = "AssignmentIntended"
    assignment: IdText
    session: IdText
    bay: IdText
    camera: CameraText
    officer: OfficerText


class AssignmentWritten(Value):
    """The assignment was written to the camera and read back equal (or the camera holds none)."""

    kind: Literal["AssignmentWritten"] = "AssignmentWritten"
    assignment: IdText
    session: IdText
    is_on_camera: bool


class AssignmentCancelled(Value):
    """The assignment did not come about."""

    kind: Literal["AssignmentCancelled"] = "AssignmentCancelled"
    assignment: IdText
    reason: LongText


class AssignmentStarted(Value):
    """The officer took the camera: the interval begins at this fact's moment."""

    kind: Literal["AssignmentStarted"] = "AssignmentStarted"
    assignment: IdText
    camera: CameraText
    officer: OfficerText
    started_at: UtcTime


class AssignmentEnded(Value):
    """The camera was docked: the interval ends."""

    kind: Literal["AssignmentEnded"] = "AssignmentEnded"
    assignment: IdText
    camera: CameraText
    officer: OfficerText
    ended_at: UtcTime


class BatteryRead(Value):
    """The battery, when it crosses a threshold that staff see."""

    kind: Literal["BatteryRead"] = "BatteryRead"
    session: IdText
    camera: CameraText
    battery: BatteryReading


class StagingEvicted(Value):
    """The staged copy of an accepted recording was removed to make room."""

    kind: Literal["StagingEvicted"] = "StagingEvicted"
    recording: IdText


class ManifestStored(Value):
    """A session's manifest lies beside the footage in the store."""

    kind: Literal["ManifestStored"] = "ManifestStored"
    session: IdText
    name: ShortText
    digest: DigestText
    size_bytes: int


class ChainSigned(Value):
    """A checkpoint: the dock's Ed25519 signature (base64) over the ASCII hash of fact `through`."""

    kind: Literal["ChainSigned"] = "ChainSigned"
    through: int
    head: DigestText
    signature: ShortText
    why: ShortText


Fact = Union[
    DockStarted,
    DockStopped,
    CameraDocked,
    CameraIdentified,
    ClockMeasured,
    ClockSet,
    SessionMoved,
    CameraUndocked,
    RecordingListed,
    RecordingSeen,
    RecordingStaged,
    RecordingVerified,
    CopyDiscarded,
    RecordingReplaced,
    SourceConfirmed,
    RecordingStored,
    RecordingAccepted,
    RecordingRejected,
    WipeIntended,
    RecordingErased,
    SpaceMeasured,
    SessionReconciled,
    AssignmentIntended,
    AssignmentWritten,
    AssignmentCancelled,
    AssignmentStarted,
    AssignmentEnded,
    BatteryRead,
    StagingEvicted,
    ManifestStored,
    ChainSigned,
]

FACT: TypeAdapter[Fact] = TypeAdapter(Annotated[Fact, Field(discriminator="kind")])
"""Reads one fact body; refuses unknown kinds and fields."""


class ChainBreak(StrEnum):
    """Why a fact does not follow its predecessor."""

    GAP = "gap"
    FORK = "fork"
    REWRITE = "rewrite"
    BAD_HASH = "bad-hash"


class RecordedFact(Value):
    """A fact in its place in a dock's chain."""

    version: int = 1
    dock: IdText
    number: int
    previous: DigestText
    moment: Moment
    fact: Annotated[Fact, Field(discriminator="kind")]
    hash: DigestText

    def computed_hash(self) -> Digest:
        """What `hash` must be."""
        return digest_of_json(self.model_dump(mode="json", exclude={"hash"}))


def link(dock: str, number: int, previous: str, moment: Moment, fact: Fact) -> RecordedFact:
    """Make the fact that follows `previous`, with its hash."""
    draft = RecordedFact(dock=dock, number=number, previous=previous, moment=moment, fact=fact, hash=GENESIS)
    return draft.model_copy(update={"hash": draft.computed_hash()})


def chain_break(before: RecordedFact | None, fact: RecordedFact) -> ChainBreak | None:
    """Why `fact` may not follow `before` (None: the start of the chain), or None when it may."""
    number, previous = (before.number, before.hash) if before else (0, GENESIS)
    if fact.number != number + 1:
        return ChainBreak.GAP
    if fact.previous != previous:
        return ChainBreak.FORK
    if fact.hash != fact.computed_hash():
        return ChainBreak.BAD_HASH
    return None
