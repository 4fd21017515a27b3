"""Messages about retention: policies, classifications, holds, what would go, and the question that stops a run.

| call | body | answer |
|---|---|---|
| `GET  /api/v1/retention` | | `RetentionOverview` |
| `GET  /api/v1/retention/policies` | | `PolicyHistory` |
| `PUT  /api/v1/retention/policies/{category}` | `PolicyChange` | 204 |
| `POST /api/v1/retention/classifications` | `Classify` | 204, all of them or none |
| `GET  /api/v1/retention/recordings/{digest}` | | `RecordingStanding` |
| `GET  /api/v1/retention/holds?after=&limit=` | | `HoldList` |
| `POST /api/v1/retention/holds` | `HoldRequest` | 201 `HoldAnswer` |
| `POST /api/v1/retention/holds/{hold}/release` | `Because` | 204 |
| `GET  /api/v1/retention/tonight` | | `Tonight` |
| `POST /api/v1/retention/stops/{list_digest}/answer` | `StopAnswer` | `StoppedList`; 409 `list-changed` |
"""

from __future__ import annotations

from dockd.model.moment import UtcTime
from dockd.model.value import CameraText, DigestText, IdText, LongText, OfficerText, ShortText, Value


class Because(Value):
    """Why somebody does something; never empty."""

    reason: LongText


class PolicyChange(Value):
    """From now on a category is kept `days` days from recording; None: until somebody decides otherwise."""

    days: int | None
    reason: LongText


class PolicyEntry(Value):
    """A policy and who set it. The first of a category is the one in force."""

    category: ShortText
    days: int | None
    set_at: UtcTime
    set_by: ShortText
    reason: LongText


class PolicyHistory(Value):
    """Every policy that ever was, the newest first."""

    policies: tuple[PolicyEntry, ...]


class Classify(Value):
    """Somebody decides what these recordings (by SHA-256, at most 500) are."""

    recordings: tuple[DigestText, ...]
    category: ShortText
    reason: LongText


class HoldRequest(Value):
    """What to hold; whatever is given must all agree, and one at least is given. Later arrivals are covered too."""

    recording: DigestText | None = None
    camera: CameraText | None = None
    officer: OfficerText | None = None
    site: IdText | None = None
    recorded_from: UtcTime | None = None
    recorded_before: UtcTime | None = None
    reason: LongText


class HoldAnswer(Value):
    """The hold stands. `too_late` are recordings whose deletion was decided before and may be under way."""

    hold: int
    too_late: tuple[DigestText, ...]


class HoldEntry(Value):
    """A hold with its whole story; `released_at` None: it stands."""

    hold: int
    recording: DigestText | None
    camera: ShortText | None
    officer: ShortText | None
    site: ShortText | None
    recorded_from: UtcTime | None
    recorded_before: UtcTime | None
    set_at: UtcTime
    set_by: ShortText
    reason: LongText
    released_at: UtcTime | None
    released_by: ShortText | None
    release_reason: LongText | None


class HoldList(Value):
    """A page of holds, newest first; `next_after` continues it, None at the end."""

    holds: tuple[HoldEntry, ...]
    next_after: ShortText | None


class DueRecording(Value):
    """A recording that would go, and why."""

    recording: DigestText
    size_bytes: int
    category: ShortText
    camera: ShortText
    officer: ShortText | None
    dock: ShortText
    recorded_at: UtcTime | None
    deadline_at: UtcTime
    why: LongText


class StoppedList(Value):
    """So much at once that a person must answer for it; `is_confirmed` None: nobody has."""

    list_digest: DigestText
    recordings: int
    size_bytes: int
    stored: int
    made_at: UtcTime
    expires_at: UtcTime
    is_confirmed: bool | None
    answered_at: UtcTime | None
    answered_by: ShortText | None
    reason: LongText | None


class StopAnswer(Value):
    """A person's answer about exactly that list of so many recordings."""

    recordings: int
    is_confirmed: bool
    reason: LongText


class Tonight(Value):
    """What would go in the run at `at`, as things stand now; the first of them by name."""

    at: UtcTime
    is_turned_on: bool
    due: int
    size_bytes: int
    held: int
    """Past their days, and kept by a hold."""
    stored: int
    would_stop: bool
    list_digest: DigestText
    first: tuple[DueRecording, ...]


class RunEntry(Value):
    """One run; `ended_at` None: under way, or its process was killed."""

    run: int
    started_at: UtcTime
    ended_at: UtcTime | None
    actor: ShortText
    due: int | None
    deleted: int | None
    deleted_bytes: int | None
    kept: int | None
    said: LongText | None


class RetentionOverview(Value):
    """Whether and when this centre deletes, the policies in force, the question that waits, the last runs."""

    is_turned_on: bool
    next_run_at: UtcTime
    policies: tuple[PolicyEntry, ...]
    stop: StoppedList | None
    runs: tuple[RunEntry, ...]


class ClassificationEntry(Value):
    """Who decided what a recording is, when and why."""

    category: ShortText
    decided_at: UtcTime
    decided_by: ShortText
    reason: LongText


class Deleted(Value):
    """The end of a recording's object by policy."""

    deleted_at: UtcTime
    intended_at: UtcTime
    run: int
    why: LongText


class RecordingStanding(Value):
    """How one recording stands. `standing` None: the store does not hold it (not yet, or not any more)."""

    recording: DigestText
    standing: ShortText | None
    category: ShortText | None
    deadline_at: UtcTime | None
    words: LongText | None
    holds: tuple[HoldEntry, ...]
    classifications: tuple[ClassificationEntry, ...]
    deleted: Deleted | None
    store_said: LongText | None
