"""A real clearance for a file on a driver's card: through the ledger, a signed receipt and `clear`."""

from __future__ import annotations

from datetime import timedelta

from dockd.model import facts
from dockd.model.ids import CameraId, Digest, SessionId
from dockd.model.recording import (
    PART_SIZE_BYTES,
    ConfirmedSource,
    ContainerVerdict,
    ReadBackMethod,
    SourceFile,
    StagedRecording,
    VerifiedRecording,
    recording_id,
)
from dockd.rules.custody import Clearance, LedgerEntry, apply_fact, clear
from dockd.rules.receipts import check_receipt
from tests.support.clock import START
from tests.support.custody import Signer

SESSION = SessionId("session-1")


def make_clearance(camera: CameraId, source: SourceFile, digest: Digest) -> Clearance:
    """The permission to erase `source`, whose content has `digest`, from the card of `camera`."""
    signer = Signer()
    recording = recording_id(camera, source, 0)
    staged = StagedRecording(
        recording=recording,
        session=SESSION,
        digest=digest,
        size_bytes=source.size_bytes,
        container=ContainerVerdict.COMPLETE,
        is_read_whole=True,
    )
    verified = VerifiedRecording(
        staged=staged, method=ReadBackMethod.FADV_DONTNEED, part_size_bytes=PART_SIZE_BYTES, part_digests=(digest,)
    )
    listed = facts.RecordingListed(
        recording=recording,
        session=SESSION,
        camera=camera,
        path=source.path.text,
        size_bytes=source.size_bytes,
        modified_ns=source.modified_ns,
        generation=0,
        recorded_at=None,
        officer=None,
    )
    receipt = signer.receipt(digest, source.size_bytes)
    entry: LedgerEntry | None = None
    for fact in (
        listed,
        facts.RecordingStaged(staged=staged),
        facts.RecordingVerified(verified=verified),
        facts.RecordingAccepted(recording=recording, receipt=receipt),
    ):
        entry = apply_fact(entry, fact)
    assert entry is not None
    return clear(
        entry,
        check_receipt(receipt, signer.pinned, digest=digest, size_bytes=source.size_bytes),
        ConfirmedSource(recording=recording, session=SESSION, digest=digest, size_bytes=source.size_bytes),
        session=SESSION,
        now=START,
        grace=timedelta(),
    )
