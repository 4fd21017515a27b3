"""The account of custody that auditors get: rows, what they are about, and the index of a signed bundle.

| call | answer |
|---|---|
| `GET /api/v1/custody/recordings?camera=&officer=&site=&dock=&from=&to=&only=&after=&limit=` | `CustodyRecordings` |
| `GET /api/v1/custody/sessions?…` | `CustodySessions` |
| `GET /api/v1/custody/holders?…` | `CustodyHolders` |
| `GET /api/v1/custody/conflicts?…` | `CustodyConflicts` |
| `GET /api/v1/custody/export/{form}?…` | the whole, as CSV or JSON lines |
| `GET /api/v1/custody/bundle.tar?…` | the signed bundle |

Every row but a conflict follows from docks' facts alone; `fact` is the number of the fact in its dock's chain.
"""

from __future__ import annotations

from datetime import datetime

from dockd.model.facts import Tally
from dockd.model.moment import UtcTime
from dockd.model.recording import ByteRange, Receipt
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

BUNDLE_FORM = "dockd-custody-bundle-1"


class CustodySelection(Value):
    """What is asked for; None means any, all that is given must hold.

    The time of a recording is when it was recorded, or when it was first listed where that is not known; of a session
    when it began; of an assignment its whole interval. `docks` are those of `site` when the account was made.
    """

    camera: CameraText | None = None
    officer: OfficerText | None = None
    site: IdText | None = None
    dock: IdText | None = None
    docks: tuple[IdText, ...] | None = None
    from_at: UtcTime | None = None
    before_at: UtcTime | None = None

    def covers_dock(self, dock: str) -> bool:
        """Whether the place holds."""
        return (self.dock is None or self.dock == dock) and (self.docks is None or dock in self.docks)

    def covers_time(self, began_at: datetime, ended_at: datetime | None) -> bool:
        """Whether the interval meets the period (None: it has no end)."""
        return (self.before_at is None or began_at < self.before_at) and (
            self.from_at is None or ended_at is None or ended_at >= self.from_at
        )

    @property
    def words(self) -> str:
        """For people and for the record."""
        parts = [
            f"{name} {value}"
            for name, value in (
                ("camera", self.camera),
                ("officer", self.officer),
                ("site", self.site),
                ("dock", self.dock),
                ("from", self.from_at and self.from_at.isoformat()),
                ("before", self.before_at and self.before_at.isoformat()),
            )
            if value
        ]
        return ", ".join(parts) or "everything"


class Step(Value):
    """Something that happened: when, and by which fact of the row's dock. `session` where it belongs to one."""

    at: UtcTime
    fact: int
    session: IdText | None = None


class CustodyRecording(Value):
    """One recording as one dock's facts tell it: on the card, copied, stored, receipted, erased."""

    dock: IdText
    recording: IdText
    camera: CameraText | None
    officer: OfficerText | None
    """Who held the camera then, by the dock's ledger; None is *unknown*."""
    at: UtcTime
    """`recorded_at`, or when it was listed."""
    recorded_at: UtcTime | None
    path: PathText | None
    size_bytes: int | None
    modified_ns: ExactInteger | None
    state: ShortText
    digest: DigestText | None
    container: ShortText | None
    unreadable: tuple[ByteRange, ...]
    clock_sync: ShortText | None
    """What the dock's kernel said of its clock when this was listed."""
    listed: Step | None
    seen_again: int
    """In how many later facts a card listed it again."""
    last_seen: Step | None
    staged: Step | None
    verified: Step | None
    stored: Step | None
    accepted: Step | None
    receipt: Receipt | None
    """The clearance to erase rests on it."""
    rejected: Step | None
    replaced: Step | None
    confirmed: Step | None
    """The card's bytes were read in whole again with this digest: the other ground of the clearance."""
    wipe_intended: Step | None
    erased: Step | None
    evicted: Step | None
    reason: LongText | None
    """Why it was rejected or replaced, or a copy thrown away."""
    stored_by: tuple[IdText, ...]
    """Other docks whose facts tell that the central store accepted this very recording."""
    erased_by: tuple[IdText, ...]
    contradictions: tuple[LongText, ...]
    differences: tuple[ShortText, ...]


class KeptManifest(Value):
    """A manifest that the dock stored for a session."""

    name: ShortText
    digest: DigestText
    size_bytes: int


class CustodySession(Value):
    """One camera in one bay, with the record that closes its books."""

    dock: IdText
    session: IdText
    bay: IdText
    camera: CameraText | None
    model: ShortText | None
    started: Step
    clock_sync: ShortText
    clock_offset_milliseconds: int | None
    """Camera minus dock, before anything was set."""
    clock_uncertainty_milliseconds: int | None
    reconciled: Step | None
    listed: Tally | None
    staged: Tally | None
    stored: Tally | None
    erased: Tally | None
    retained: Tally | None
    said: tuple[LongText, ...]
    """The differences that the dock named itself."""
    codes: tuple[ShortText, ...]
    """Of the faults and holds of this session, in order, each once."""
    ended: Step | None
    succeeded: Step | None
    """Another session began in its bay although it never ended."""
    manifests: tuple[KeptManifest, ...]
    differences: tuple[ShortText, ...]


class CustodyHolder(Value):
    """An interval in which an officer held a camera, by the dock that issued it.

    `ended_at` is None too when the camera came back to another dock: then that dock's sessions tell.
    """

    dock: IdText
    assignment: IdText
    camera: CameraText
    officer: OfficerText
    started_at: UtcTime
    started: Step
    ended_at: UtcTime | None
    ended: Step | None


class CustodyDifference(Value):
    """One difference of one row. `recording` or `session` names the row."""

    dock: IdText
    difference: ShortText
    words: LongText
    at: UtcTime
    camera: CameraText | None
    officer: OfficerText | None
    session: IdText | None
    recording: IdText | None
    path: PathText | None
    digest: DigestText | None


class CustodyConflict(Value):
    """Facts of a dock that the centre refused because they contradict those it holds: a fork, a rewrite, another key.

    The centre's own word: it does not follow from facts.
    """

    dock: IdText
    code: ShortText
    number: int
    """Of the last such fact."""
    words: LongText
    first_at: UtcTime
    last_at: UtcTime
    times: int


class CustodyRecordings(Value):
    """A page, the newest first; `next_after` goes on."""

    recordings: tuple[CustodyRecording, ...]
    next_after: ShortText | None


class CustodySessions(Value):
    """A page, the newest first; `next_after` goes on."""

    sessions: tuple[CustodySession, ...]
    next_after: ShortText | None


class HeldFor(Value):
    """`holder`, and where the camera was first seen again by any dock, as the centre knows it."""

    holder: CustodyHolder
    seen_again_at: UtcTime | None
    seen_again_dock: IdText | None


class CustodyHolders(Value):
    """A page, the newest first; `next_after` goes on."""

    holders: tuple[HeldFor, ...]
    next_after: ShortText | None


class CustodyConflicts(Value):
    """Of the docks asked for, at most 1,000."""

    conflicts: tuple[CustodyConflict, ...]


class BundleDock(Value):
    """A dock whose chain is in the bundle, from its first fact `through` its last signed checkpoint.

    `held` is how many facts the centre held; those after `through` were not signed yet and are not in the account.
    `has_rows` is false for a dock that is here only because it stored or erased what another one listed.
    """

    dock: IdText
    through: int
    head: DigestText
    held: int
    has_rows: bool


class BundleCounts(Value):
    """How many rows of each kind."""

    recordings: int
    sessions: int
    holders: int
    differences: int


class UnsignedDock(Value):
    """A dock asked for of which nothing is in the bundle: it has never signed what the centre holds of it."""

    dock: IdText
    held: int


class ListedFootage(Value):
    """A file of footage that belongs to the bundle."""

    dock: IdText
    session: IdText
    recording: IdText
    name: ShortText
    digest: DigestText
    size_bytes: int


class BundleIndex(Value):
    """`custody.json`. The same facts and the same question give the same bytes, whenever and whoever asks."""

    form: ShortText = BUNDLE_FORM
    selection: CustodySelection
    has_footage: bool
    store: IdText
    key: IdText
    docks: tuple[BundleDock, ...]
    unsigned: tuple[UnsignedDock, ...]
    counts: BundleCounts
    conflicts: tuple[CustodyConflict, ...]
    notes: tuple[LongText, ...]
