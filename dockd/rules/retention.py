"""How long footage is kept, and the only maker of a `DisposalPermit`: the permission to delete one stored object.

Everything counts in the footage's favour. In this order, each alone being enough to keep a recording:
1. a hold that covers it, or may cover it;
2. nobody has decided what it is (`unclassified`), also where only one of several places it came from is undecided;
3. its category is kept until somebody decides otherwise (`evidence`, and whatever has no policy);
4. the latest time at which it may have been recorded, plus the days of its category, has not come;
5. the store's own lock, as the receipt tells it, has not passed.
Recording time is believed only where the dock measured the camera's clock against a synchronised clock of its own, and
never when it lies after the centre already knew of the recording. Else the latest possible time counts.

What is not here: who may decide, how an object is deleted, whom to tell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from dockd.model.ids import Digest
from dockd.model.moment import format_utc

_MADE_HERE = object()

UNCLASSIFIED = "unclassified"
EVIDENCE = "evidence"
ROUTINE = "routine"
ALWAYS_KEPT = frozenset({UNCLASSIFIED, EVIDENCE})
"""No policy can give these a number of days: only a person ends them, one recording at a time."""
DEFAULT_DAYS = 31
"""From recording: what the Met and Police Scotland keep at most of what is not evidence."""
LONGEST_DAYS = 36_500
PERIOD_MARGIN = timedelta(hours=12)
"""A recording bears one time and lasts up to hours; a hold on a period reaches a shift further on both sides."""
PERMIT_LIFETIME = timedelta(seconds=30)
_LAST_OF_ALL = datetime.max.replace(tzinfo=UTC)


class NotDue(Exception):
    """`permit` refuses; `reason` is for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Policy:
    """How long one category is kept. `days` None: until somebody decides otherwise."""

    category: str
    days: int | None


@dataclass(frozen=True, slots=True)
class Classification:
    """What a person decided a recording is.

    It covers the sources up to number `through`, which that person could see, and the same recording arriving elsewhere
    later. Other recordings that happen to have the same bytes are undecided.
    """

    category: str
    through: int


@dataclass(frozen=True, slots=True)
class Source:
    """One place that the bytes came from.

    `is_time_proved`: the dock measured the camera's clock in that session, its own clock being synchronised.
    """

    number: int
    dock: str
    recording: str
    camera: str
    officer: str | None
    recorded_at: datetime | None
    claimed_at: datetime
    is_time_proved: bool

    @property
    def has_sound_time(self) -> bool:
        """Whether the recording time may be believed."""
        return self.recorded_at is not None and self.is_time_proved and self.recorded_at <= self.claimed_at

    @property
    def latest_at(self) -> datetime:
        """The latest time at which it may have been recorded: what its days count from."""
        if self.recorded_at is None:
            return self.claimed_at
        return self.recorded_at if self.has_sound_time else max(self.recorded_at, self.claimed_at)


@dataclass(frozen=True, slots=True)
class Footage:
    """One object of the store with all that decides over it. `classification` None: nobody has decided."""

    digest: Digest
    size_bytes: int
    object_key: str
    object_version: str | None
    accepted_at: datetime
    retain_until: datetime | None
    sources: tuple[Source, ...]
    classification: Classification | None
    is_being_sent_again: bool = False
    """Its object was found missing, and a dock sends it again."""

    @property
    def category(self) -> str:
        """The category, as long as it covers every place that the bytes came from."""
        found = self.classification
        if found is None:
            return UNCLASSIFIED
        seen = {one.recording for one in self.sources if one.number <= found.through}
        is_covered = all(one.number <= found.through or one.recording in seen for one in self.sources)
        return found.category if is_covered else UNCLASSIFIED


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold. What is given must all agree; None says nothing. At least one is given.

    `docks` are those of the held site, where one is named: all that stood there while it was held.
    """

    number: int
    digest: str | None = None
    camera: str | None = None
    officer: str | None = None
    site: str | None = None
    docks: frozenset[str] = frozenset()
    recorded_from: datetime | None = None
    recorded_before: datetime | None = None

    def covers(self, digest: str, source: Source) -> bool:
        """Whether this source of this object is held, or may be: an unknown holder may be the held officer."""
        if self.digest is not None and self.digest != digest:
            return False
        if self.camera is not None and self.camera != source.camera:
            return False
        if self.officer is not None and source.officer not in (None, self.officer):
            return False
        if self.site is not None and source.dock not in self.docks:
            return False
        return self._covers_time(source)

    def _covers_time(self, source: Source) -> bool:
        if self.recorded_from is not None and _later(source.latest_at, PERIOD_MARGIN) < self.recorded_from:
            return False
        # Without a sound time it may have been recorded at any moment before the latest.
        return not (
            self.recorded_before is not None
            and source.has_sound_time
            and source.latest_at >= _later(self.recorded_before, PERIOD_MARGIN)
        )


class HoldBook:
    """All holds that stand, found by what they name, so that many holds cost little for each recording."""

    def __init__(self, holds: Iterable[Hold]) -> None:
        self._by_digest: dict[str, list[Hold]] = defaultdict(list)
        self._by_camera: dict[str, list[Hold]] = defaultdict(list)
        self._by_officer: dict[str, list[Hold]] = defaultdict(list)
        self._officers: list[Hold] = []
        self._others: list[Hold] = []
        for one in holds:
            if one.digest is not None:
                self._by_digest[one.digest].append(one)
            elif one.camera is not None:
                self._by_camera[one.camera].append(one)
            elif one.officer is not None:
                self._by_officer[one.officer].append(one)
                self._officers.append(one)
            else:
                self._others.append(one)

    def covering(self, digest: str, sources: Iterable[Source]) -> tuple[Hold, ...]:
        """Every hold that covers one of these sources, by number."""
        found: dict[int, Hold] = {}
        for source in sources:
            of_officer = self._officers if source.officer is None else self._by_officer.get(source.officer, [])
            for group in (
                self._by_digest.get(digest, []),
                self._by_camera.get(source.camera, []),
                of_officer,
                self._others,
            ):
                found.update((one.number, one) for one in group if one.covers(digest, source))
        return tuple(found[number] for number in sorted(found))


class Standing(StrEnum):
    """Why a recording is kept, or that it is due; the first that applies."""

    HELD = "held"
    BEING_SENT = "being sent again"
    UNCLASSIFIED = "unclassified"
    KEPT = "kept until decided"
    NOT_YET = "not yet"
    DUE = "due"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say of one object at one moment.

    `deadline_at` is when its days are over (None: no number of days applies), whatever holds say. `words` says why it
    is kept, or why it goes.
    """

    standing: Standing
    category: str
    deadline_at: datetime | None
    holds: tuple[int, ...]
    words: str

    @property
    def is_due(self) -> bool:
        """Whether it may be deleted now."""
        return self.standing is Standing.DUE


def judge(footage: Footage, policies: Mapping[str, Policy], holds: HoldBook, now: datetime) -> Verdict:
    """Whether `footage` is kept, and why. `policies` are those in force, by category."""
    category = footage.category
    policy = policies.get(category)
    days = None if category in ALWAYS_KEPT or policy is None else policy.days
    deadline = _deadline(footage, days)
    covering = tuple(one.number for one in holds.covering(footage.digest, footage.sources))

    def verdict(standing: Standing, words: str) -> Verdict:
        return Verdict(standing, category, deadline, covering, words)

    if covering:
        names = ", ".join(map(str, covering))
        return verdict(Standing.HELD, f"Kept: hold {names} covers it.")
    if footage.is_being_sent_again:
        return verdict(Standing.BEING_SENT, "Kept: a dock is sending it again.")
    if category == UNCLASSIFIED:
        return verdict(Standing.UNCLASSIFIED, "Kept: nobody has decided yet what it is.")
    if deadline is None or days is None:
        return verdict(Standing.KEPT, f"Kept: {category} is kept until somebody decides otherwise.")
    why = f"{category} is kept {days} days from {_counted_from(footage)}"
    if footage.retain_until is not None and deadline == footage.retain_until:
        why = f"the store has it locked until {_text(footage.retain_until)}"
    if now < deadline:
        return verdict(Standing.NOT_YET, f"Kept until {_text(deadline)}: {why}.")
    return verdict(Standing.DUE, f"Due since {_text(deadline)}: {why}; no hold covers it.")


@dataclass(frozen=True, slots=True)
class DisposalPermit:
    """The permission to delete one object of one receipt from the store, for a short while. Only `permit` makes it."""

    digest: Digest
    object_key: str
    object_version: str | None
    size_bytes: int
    good_until: datetime
    _token: object

    def __post_init__(self) -> None:
        if self._token is not _MADE_HERE:
            raise TypeError("only rules.retention.permit() makes a DisposalPermit")


def permit(footage: Footage, policies: Mapping[str, Policy], holds: HoldBook, now: datetime) -> DisposalPermit:
    """Return the permission to delete `footage`'s object. Raises NotDue with the reason unless every rule says so."""
    verdict = judge(footage, policies, holds, now)
    if not verdict.is_due:
        raise NotDue(verdict.words)
    return DisposalPermit(
        digest=footage.digest,
        object_key=footage.object_key,
        object_version=footage.object_version,
        size_bytes=footage.size_bytes,
        good_until=now + PERMIT_LIFETIME,
        _token=_MADE_HERE,
    )


def earliest_count_from(sources: Iterable[tuple[datetime | None, datetime]]) -> datetime:
    """A time before which no deadline of these (recorded_at, claimed_at) counts: for finding candidates cheaply."""
    return max(claimed if recorded is None else min(recorded, claimed) for recorded, claimed in sources)


def grips_brake(due: int, stored: int, *, most_recordings: int, most_percent: int) -> bool:
    """Whether so many at once look like a mistake: more than a number, or than a share of all that is stored."""
    return due > most_recordings or due * 100 > stored * most_percent


def _deadline(footage: Footage, days: int | None) -> datetime | None:
    if days is None or not footage.sources:
        return None
    latest = _later(max(one.latest_at for one in footage.sources), timedelta(days=days))
    return latest if footage.retain_until is None else max(latest, footage.retain_until)


def _later(at: datetime, by: timedelta) -> datetime:
    """A camera may say the year 9999: what lies beyond all times is the last of them, and never comes."""
    try:
        return at + by
    except OverflowError:
        return _LAST_OF_ALL


def _counted_from(footage: Footage) -> str:
    last = max(footage.sources, key=lambda one: one.latest_at)
    if last.has_sound_time:
        return f"its recording on {_text(last.latest_at)}"
    if last.recorded_at is not None and last.latest_at == last.recorded_at:
        return f"{_text(last.latest_at)}, a recording time that is not proved"
    return f"its arrival on {_text(last.latest_at)}, because its recording time is not proved"


def _text(at: datetime) -> str:
    return f"{format_utc(at)[:16].replace('T', ' ')} UTC"
