"""Facts and receipts of one recording, made as production makes them: real digests, real signatures."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.model import facts
from dockd.model.ids import CameraId, CardPath, Digest, RecordingId, SessionId
from dockd.model.recording import (
    PART_SIZE_BYTES,
    ByteRange,
    ConfirmedSource,
    ContainerVerdict,
    ReadBackMethod,
    Receipt,
    SourceFile,
    StagedRecording,
    StoredRecording,
    VerifiedRecording,
    recording_id,
)
from dockd.rules.receipts import PinnedStore, receipt_bytes
from tests.support.clock import START

CAMERA = CameraId("simulated:BWC-0001")
SESSION = SessionId("session-1")
PATH = CardPath((b"DCIM", b"0001.MP4"))


def sha256(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).hexdigest())


@dataclass
class Signer:
    """A centre's signing key, and the receipts that it signs."""

    store: str = "store-1"
    key: str = "key-1"
    private_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def pinned(self) -> PinnedStore:
        raw = self.private_key.public_key().public_bytes_raw()
        return PinnedStore(store=self.store, key=self.key, public_key=base64.b64encode(raw).decode())

    def receipt(self, digest: Digest, size_bytes: int, *, accepted_at: datetime = START) -> Receipt:
        draft = Receipt(
            store=self.store,
            digest=digest,
            size_bytes=size_bytes,
            object_key=f"sha256/{digest}",
            accepted_at=accepted_at,
            key=self.key,
            signature="",
        )
        return self.sign(draft)

    def sign(self, draft: Receipt) -> Receipt:
        signature = self.private_key.sign(receipt_bytes(draft))
        return draft.model_copy(update={"signature": base64.b64encode(signature).decode()})


@dataclass(frozen=True)
class Footage:
    """One recording on one card, and the facts that tell its way to the store."""

    content: bytes = b"footage"
    path: CardPath = PATH
    camera: CameraId = CAMERA
    session: SessionId = SESSION
    generation: int = 0

    @property
    def source(self) -> SourceFile:
        return SourceFile(self.path, len(self.content), 1_763_791_200_000_000_000)

    @property
    def recording(self) -> RecordingId:
        return recording_id(self.camera, self.source, self.generation)

    @property
    def digest(self) -> Digest:
        return sha256(self.content)

    def listed(self) -> facts.RecordingListed:
        return facts.RecordingListed(
            recording=self.recording,
            session=self.session,
            camera=self.camera,
            path=self.path.text,
            size_bytes=len(self.content),
            modified_ns=self.source.modified_ns,
            generation=self.generation,
            recorded_at=START,
            officer="PC1234",
        )

    def copy(self, *, content: bytes | None = None, unreadable: tuple[ByteRange, ...] = ()) -> StagedRecording:
        content = self.content if content is None else content
        return StagedRecording(
            recording=self.recording,
            session=self.session,
            digest=sha256(content),
            size_bytes=len(content),
            unreadable=unreadable,
            container=ContainerVerdict.COMPLETE,
            is_read_whole=True,
        )

    def staged(self, *, content: bytes | None = None, unreadable: tuple[ByteRange, ...] = ()) -> facts.RecordingStaged:
        return facts.RecordingStaged(staged=self.copy(content=content, unreadable=unreadable))

    def verified(
        self, *, content: bytes | None = None, unreadable: tuple[ByteRange, ...] = ()
    ) -> facts.RecordingVerified:
        staged = self.copy(content=content, unreadable=unreadable)
        return facts.RecordingVerified(
            verified=VerifiedRecording(
                staged=staged,
                method=ReadBackMethod.FADV_DONTNEED,
                part_size_bytes=PART_SIZE_BYTES,
                part_digests=(staged.digest,),
            )
        )

    def stored(self, *, digest: Digest | None = None) -> facts.RecordingStored:
        return facts.RecordingStored(
            stored=StoredRecording(
                recording=self.recording,
                digest=digest or self.digest,
                size_bytes=len(self.content),
                upload="upload-1",
            )
        )

    def accepted(self, signer: Signer) -> facts.RecordingAccepted:
        return facts.RecordingAccepted(recording=self.recording, receipt=signer.receipt(self.digest, len(self.content)))

    def confirmed(self, *, content: bytes | None = None) -> ConfirmedSource:
        content = self.content if content is None else content
        return ConfirmedSource(
            recording=self.recording, session=self.session, digest=sha256(content), size_bytes=len(content)
        )

    def wipe_intended(self) -> facts.WipeIntended:
        return facts.WipeIntended(session=self.session, recording=self.recording)

    def erased(self) -> facts.RecordingErased:
        return facts.RecordingErased(recording=self.recording, session=self.session)
