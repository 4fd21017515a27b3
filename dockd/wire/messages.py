"""The dock's requests and the centre's answers.

| call | body | answer |
|---|---|---|
| `GET  /api/v1/store` | | `StoreDescription` |
| `GET  /api/v1/store/checks?after=&limit=` | | `store_checks.StoreChecks` |
| `PUT  /api/v1/docks/{dock}/facts` | `FactBatch` | `FactsTaken`; 409 `gap`, `fork`, `rewrite` |
| `GET  /api/v1/docks/{dock}/facts/head` | | `FactsTaken` |
| `PUT  /api/v1/docks/{dock}/status` | `DockStatus` | 204 |
| `GET  /api/v1/docks/{dock}/orders?after=&wait=` | | `Orders` (long poll) |
| `POST /api/v1/recordings` | `Claim` | 200 `ClaimAnswer` with a receipt, or 201 with an upload |
| `GET  /api/v1/uploads/{upload}` | | `Upload`: fresh addresses for what is missing |
| `POST /api/v1/uploads/{upload}/complete` | | `Receipt`; 409 `parts-missing` |
| `PUT  <part address>` | the part's bytes, `Content-Length`, no chunked coding | 204 |
| `PUT  /api/v1/sessions/{dock}/{session}/manifests/{name}` | bytes, header `X-Content-SHA256` | `StoredManifest` |
| `GET  /api/v1/recordings?…` | | `RecordingList` |
| `GET  /api/v1/recordings/{digest}` | | `RecordingDetail` |
| `GET  /api/v1/recordings/{digest}/content` | | the bytes, Range allowed |
| `GET  /api/v1/docks` · `…/{dock}/facts?after=&limit=` | | `DockList` · `FactBatch` |
| `GET  /api/v1/sessions/{dock}/{session}/manifests/{name}` | | the bytes |
| `GET  /api/v1/enrolment/authority` | | `enrolment.AuthorityCertificate` |
| `POST /api/v1/enrolment` | `enrolment.EnrolmentRequest` | `enrolment.DockCertificate` |
| `POST /api/v1/docks/{dock}/certificate` | `enrolment.RenewalRequest` | `enrolment.DockCertificate` |
| `GET  /api/v1/rollout` | | `Rollout` (`wire/rollout.py`) |
| `GET  /api/v1/rollout/sites?unit=` | | `UnitSites` |
"""

from __future__ import annotations

from dockd.model.facts import RecordedFact
from dockd.model.moment import UtcTime
from dockd.model.recording import ContainerVerdict, Receipt
from dockd.model.value import (
    CameraText,
    DigestText,
    IdText,
    LongText,
    OfficerText,
    PathText,
    ShortText,
    Value,
)

MAXIMUM_FACTS_PER_BATCH = 500
MAXIMUM_PARTS = 10_000


class StoreDescription(Value):
    """Who the centre is; compared with what was pinned, never trusted by itself."""

    store: IdText
    key: IdText
    public_key: ShortText
    version: ShortText
    part_size_bytes: int


class FactBatch(Value):
    """Consecutive facts of one dock, 1 to MAXIMUM_FACTS_PER_BATCH (an answer may be empty)."""

    facts: tuple[RecordedFact, ...]


class FactsTaken(Value):
    """The centre durably holds this dock's facts up to `number` (0: none), whose hash is `head`."""

    number: int
    head: DigestText


class Order(Value):
    """Something the centre wants of a dock. Numbered per dock from 1. No kinds exist yet."""

    number: int
    kind: ShortText
    body: dict[str, str | int | bool | None]


class Orders(Value):
    """Orders after the number asked for."""

    orders: tuple[Order, ...]


class Claim(Value):
    """A dock says that it holds these bytes, verified, and asks what is missing at the store."""

    dock: IdText
    recording: IdText
    camera: CameraText
    session: IdText
    digest: DigestText
    size_bytes: int
    part_size_bytes: int
    part_digests: tuple[DigestText, ...]
    path: PathText
    recorded_at: UtcTime | None
    officer: OfficerText | None
    container: ContainerVerdict


class PartAddress(Value):
    """Where to PUT one part, until when. `headers` must be sent as they are; their digest is signed."""

    part_number: int
    """From 1."""
    offset_bytes: int
    size_bytes: int
    digest: DigestText
    url: str
    headers: dict[str, str]
    expires_at: UtcTime


class Upload(Value):
    """An upload under way: `finished_parts` the store already lists, `parts` still to be sent."""

    upload: IdText
    digest: DigestText
    size_bytes: int
    finished_parts: tuple[int, ...]
    parts: tuple[PartAddress, ...]


class ClaimAnswer(Value):
    """Exactly one of the two: the store has it already, or this is how to send it."""

    receipt: Receipt | None = None
    upload: Upload | None = None


class StoredManifest(Value):
    """A manifest lies beside the footage, durable."""

    name: ShortText
    digest: DigestText
    size_bytes: int


class RecordingSummary(Value):
    """One recording in the store, and one place it came from."""

    digest: DigestText
    size_bytes: int
    dock: IdText
    recording: IdText
    camera: CameraText
    session: IdText
    path: PathText
    recorded_at: UtcTime | None
    officer: OfficerText | None
    container: ContainerVerdict
    accepted_at: UtcTime | None


class RecordingList(Value):
    """A page of recordings, newest first; `next_after` continues it, None at the end."""

    recordings: tuple[RecordingSummary, ...]
    next_after: ShortText | None


class CustodyLine(Value):
    """One thing that happened to a recording, from a dock's facts."""

    dock: IdText
    fact_number: int
    at: UtcTime
    kind: ShortText
    words: LongText


class RecordingDetail(Value):
    """Everything the centre knows of one digest."""

    sources: tuple[RecordingSummary, ...]
    receipt: Receipt | None
    custody: tuple[CustodyLine, ...]


class DockSummary(Value):
    """A dock as the centre last heard of it."""

    dock: IdText
    facts: int
    last_heard_at: UtcTime | None


class DockList(Value):
    """All docks."""

    docks: tuple[DockSummary, ...]
