"""A recording on its way from the card to the store, one type for each thing that has been proved.

`SourceFile → StagedRecording → VerifiedRecording → StoredRecording → Receipt`; the last step, a
`Clearance`, is made in `rules/custody.py` and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dockd.model.canonical import digest_of_json
from dockd.model.ids import CameraId, CardPath, Digest, RecordingId, SessionId
from dockd.model.moment import UtcTime
from dockd.model.value import DigestText, IdText, ShortText, Value

PART_SIZE_BYTES = 16 * 1024 * 1024
"""Upload part size. A recording of n bytes has ceil(n / PART_SIZE_BYTES) parts; an empty one has none."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of footage as the card lists it now. `modified_ns` is Unix time in ns, None if unknown."""

    path: CardPath
    size_bytes: int
    modified_ns: int | None
    untrusted_recorded_at: datetime | None = field(default=None, compare=False)
    """When the camera says it recorded this: its own wall clock read as UTC, not corrected by the measured
    offset, not part of the file's identity. None when the card does not tell."""


@dataclass(frozen=True, slots=True)
class CopyCheckpoint:
    """How far an unfinished copy is durable on the staging disk.

    `prefix_digest` is the SHA-256 of the first `offset_bytes` bytes as they came from the camera, so
    that staged bytes which a power cut changed cannot vouch for themselves. None of these bytes was
    unreadable. `session` is the session that made the checkpoint.
    """

    offset_bytes: int
    prefix_digest: Digest
    session: SessionId


def recording_id(camera: CameraId, source: SourceFile, generation: int) -> RecordingId:
    """The id of one recording: the same file found again gets the same id.

    `generation` counts the different contents seen under the same name, size and time of one camera
    (a card that was reformatted while away); it begins at 0.
    """
    return RecordingId(
        digest_of_json(
            {
                "camera": camera,
                "generation": generation,
                "modified_ns": None if source.modified_ns is None else str(source.modified_ns),
                "path": source.path.text,
                "size_bytes": source.size_bytes,
            }
        )[:32]
    )


class ByteRange(Value):
    """Bytes `start_byte` (inclusive) to `end_byte` (exclusive)."""

    start_byte: int
    end_byte: int


class ContainerVerdict(StrEnum):
    """What the video container says of its own completeness. A label, never a reason to drop."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    ZERO_FILLED = "zero-filled"
    EMPTY = "empty"
    NOT_VIDEO = "not-video"


class ReadBackMethod(StrEnum):
    """How the page cache was passed when the staged copy was read back."""

    O_DIRECT = "o-direct"
    FADV_DONTNEED = "fadv-dontneed"


class StagedRecording(Value):
    """Copied, hashed, fsynced and in its final place on the staging disk.

    `is_read_whole` is true when every byte was read from the camera within `session`, without a
    resume over an absence; only then the camera's own bytes are known to have this digest now.
    """

    recording: IdText
    session: IdText
    digest: DigestText
    size_bytes: int
    unreadable: tuple[ByteRange, ...] = ()
    container: ContainerVerdict
    is_read_whole: bool


class VerifiedRecording(Value):
    """Read back past the page cache from the staging disk with the same digest.

    `part_digests` are the SHA-256 of consecutive parts of `part_size_bytes`, the last one shorter.
    """

    staged: StagedRecording
    method: ReadBackMethod
    part_size_bytes: int
    part_digests: tuple[DigestText, ...]


class StoredRecording(Value):
    """The store says that it has every part; nothing is proved yet."""

    recording: IdText
    digest: DigestText
    size_bytes: int
    upload: ShortText


class Receipt(Value):
    """The centre's signed word that its FINAL store holds these bytes: read back, hashed, durable.

    Signature: Ed25519 (RFC 8032) over the canonical JSON of every other field. `signature` is
    base64. `key` names the signing key.
    """

    version: int = 1
    store: IdText
    digest: DigestText
    size_bytes: int
    object_key: ShortText
    object_version: ShortText | None = None
    accepted_at: UtcTime
    retain_until: UtcTime | None = None
    key: IdText
    signature: ShortText

    def signed_bytes_fields(self) -> dict[str, object]:
        """The fields under the signature."""
        return self.model_dump(mode="json", exclude={"signature"})


class ConfirmedSource(Value):
    """The camera's own bytes were read in whole in `session` and have this digest.

    Made from the offload when that read the whole file in this session, else by reading the card
    again before erasing: a camera that was away may have written other bytes under the same name.
    """

    recording: IdText
    session: IdText
    digest: DigestText
    size_bytes: int


def part_count(size_bytes: int, part_size_bytes: int = PART_SIZE_BYTES) -> int:
    """Number of upload parts of a recording of `size_bytes`."""
    return -(-size_bytes // part_size_bytes)
