"""What is worth an alert: from what is known of docks, bays, cameras, store and certificates to causes in words.

Knows limits and the words for staff and IT; knows no table, no message and no clock: the time to judge by is passed in.
A condition is a finding of this moment. Whether it is new, told already, or over is `rules.alerting`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum


class Severity(IntEnum):
    """How bad; larger is worse. Pages tell it in a word and a shape of its own."""

    FINE = 0
    UNKNOWN = 1
    """Nothing is known yet."""
    ATTENTION = 2
    """Somebody should look at it today."""
    TROUBLE = 3
    """Somebody should look at it now."""


class AlertKind(StrEnum):
    """Every cause. The value is stable: it is in tables, messages and addresses."""

    DOCK_SILENT = "dock-silent"
    STAGING_FILLING = "staging-filling"
    FOOTAGE_WAITING = "footage-waiting"
    BAY_FAILING = "bay-failing"
    CAMERA_OVERDUE = "camera-overdue"
    CAMERA_FAILING = "camera-failing"
    CLOCK_UNSYNCHRONISED = "clock-unsynchronised"
    RECEIPTS_LATE = "receipts-late"
    DUPLICATE_IDENTITY = "duplicate-identity"
    CERTIFICATE_EXPIRING = "certificate-expiring"
    STORE_WORSE = "store-worse"


TITLES = {
    AlertKind.DOCK_SILENT: "Dock silent",
    AlertKind.STAGING_FILLING: "Dock's disk filling",
    AlertKind.FOOTAGE_WAITING: "Footage waits too long",
    AlertKind.BAY_FAILING: "Bay failing",
    AlertKind.CAMERA_OVERDUE: "Camera overdue",
    AlertKind.CAMERA_FAILING: "Camera failing",
    AlertKind.CLOCK_UNSYNCHRONISED: "Clock not synchronised",
    AlertKind.RECEIPTS_LATE: "Receipts late",
    AlertKind.DUPLICATE_IDENTITY: "Two cameras with one identity",
    AlertKind.CERTIFICATE_EXPIRING: "Certificate expiring",
    AlertKind.STORE_WORSE: "Object store worse than before",
}

ACTIONS = {
    AlertKind.DOCK_SILENT: "Ask the station whether the dock has power and network. Cameras in it go on being copied; "
    "its footage waits there until it can be sent.",
    AlertKind.STAGING_FILLING: "Find out why the centre does not take this dock's footage: its line, the store, the "
    "bandwidth it is allowed. A full dock takes no more cameras; nothing is erased for room.",
    AlertKind.FOOTAGE_WAITING: "Look at the dock's line and at the store. The footage is safe on the dock, but in one "
    "place only.",
    AlertKind.BAY_FAILING: "Close the bay and have its cable, contacts and USB port looked at. Cameras that failed "
    "there can be put into another bay; what was not copied is still on them.",
    AlertKind.CAMERA_OVERDUE: "Ask the officer's supervisor to have it docked, in any bay of any station. Its footage "
    "is presumed to be on the camera and nowhere else.",
    AlertKind.CAMERA_FAILING: "Take the camera out of service and give it to IT with its footage aboard: what was "
    "not copied is still on it.",
    AlertKind.CLOCK_UNSYNCHRONISED: "Look at the time service of this dock (dockd doctor says more). Until then it "
    "sets no camera's clock; offsets are still measured and kept.",
    AlertKind.RECEIPTS_LATE: "See that a verifier is at work and the store answers. Docks keep the footage until the "
    "receipt is there.",
    AlertKind.DUPLICATE_IDENTITY: "Have both cameras brought to IT: one has a wrong serial number. Neither is erased "
    "until a person has decided.",
    AlertKind.CERTIFICATE_EXPIRING: "Find out why it was not renewed by itself. When it has ended, its holder is not "
    "let in; a dock then keeps its footage and cannot send it.",
    AlertKind.STORE_WORSE: "Ask whoever runs the store what was changed. Until it is mended every recording is read "
    "back before a receipt is signed, where that is needed.",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on something is worth an alert."""

    silent_after: timedelta = timedelta(minutes=10)
    staging_free_percent: int = 20
    waiting_after: timedelta = timedelta(hours=24)
    overdue_after: timedelta = timedelta(hours=24)
    retention: timedelta = timedelta(days=31)
    """Counted from recording; only to say how many days are left. Nothing is deleted by it."""
    unsynchronised_after: timedelta = timedelta(minutes=15)
    receipts_late_after: timedelta = timedelta(minutes=15)
    certificate_within: timedelta = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Condition:
    """One finding. `subject` with its kind names it; `since` is when it began, as well as that is known."""

    kind: AlertKind
    subject: str
    site: str | None
    severity: Severity
    since: datetime
    words: str


@dataclass(frozen=True, slots=True)
class DockState:
    """What is known of one dock. Figures are its own word; None where it has told none yet."""

    dock: str
    site: str | None
    is_expected: bool = True
    """Whether it should be heard: it was heard before, or its site is live; not when its site is closed."""
    last_heard_at: datetime | None = None
    bays: int = 0
    ready: int = 0
    needing_person: int = 0
    waiting_recordings: int = 0
    waiting_bytes: int = 0
    oldest_waiting_since: datetime | None = None
    staging_free_bytes: int = 0
    staging_total_bytes: int = 0
    clock_unsynchronised_since: datetime | None = None
    facts_waiting: int = 0
    failing_bays: tuple[str, ...] = ()

    def is_silent(self, limits: Limits, now: datetime) -> bool:
        """Whether what it told is old."""
        return self.last_heard_at is None or now - self.last_heard_at > limits.silent_after


def dock_conditions(dock: DockState, limits: Limits, now: datetime) -> tuple[Condition, ...]:
    """What is wrong with a dock itself. A silent dock's old figures are not judged but for what waits there."""
    if not dock.is_expected:
        return ()
    return tuple(_of_dock(dock, limits, now))


def _of_dock(dock: DockState, limits: Limits, now: datetime) -> Iterator[Condition]:
    def found(kind: AlertKind, severity: Severity, since: datetime, words: str) -> Condition:
        return Condition(kind, dock.dock, dock.site, severity, since, words)

    oldest = dock.oldest_waiting_since
    if oldest is not None and now - oldest > limits.waiting_after:
        words = f"Footage has waited on dock {dock.dock} for more than {span(limits.waiting_after)} to be sent."
        yield found(AlertKind.FOOTAGE_WAITING, Severity.TROUBLE, oldest, words)
    if dock.is_silent(limits, now):
        if dock.last_heard_at is None:
            words = f"Dock {dock.dock} stands at a live site and was never heard."
        else:
            words = f"Dock {dock.dock} has not been heard for more than {span(limits.silent_after)}."
        yield found(AlertKind.DOCK_SILENT, Severity.TROUBLE, dock.last_heard_at or now, words)
        return
    free = dock.staging_free_bytes * 100
    if dock.staging_total_bytes and free < dock.staging_total_bytes * limits.staging_free_percent:
        is_bad = free * 2 < dock.staging_total_bytes * limits.staging_free_percent
        left = free // dock.staging_total_bytes
        words = f"Only {left} % of the disk of dock {dock.dock} is free for footage."
        yield found(AlertKind.STAGING_FILLING, Severity.TROUBLE if is_bad else Severity.ATTENTION, now, words)
    unsynchronised = dock.clock_unsynchronised_since
    if unsynchronised is not None and now - unsynchronised >= limits.unsynchronised_after:
        words = f"The clock of dock {dock.dock} is not synchronised."
        yield found(AlertKind.CLOCK_UNSYNCHRONISED, Severity.ATTENTION, unsynchronised, words)


@dataclass(frozen=True, slots=True)
class FailingBay:
    """A bay that `rules.faults` calls failing. `cameras` is how many different ones failed in a row."""

    dock: str
    bay: str
    site: str | None
    since: datetime
    failures: int
    cameras: int


def bay_condition(one: FailingBay) -> Condition:
    """Every camera fails there."""
    who = f"{one.cameras} different cameras" if one.cameras > 1 else "cameras that could not say who they are"
    words = f"Every camera fails in bay {one.bay} of dock {one.dock}: {one.failures} times in a row, {who}."
    return Condition(AlertKind.BAY_FAILING, f"{one.dock}/{one.bay}", one.site, Severity.TROUBLE, one.since, words)


@dataclass(frozen=True, slots=True)
class FailingCamera:
    """A camera that `rules.faults` calls failing."""

    camera: str
    site: str | None
    since: datetime
    failures: int
    bays: int
    last_dock: str
    last_bay: str


def camera_condition(one: FailingCamera) -> Condition:
    """It fails wherever it is docked."""
    words = (
        f"Camera {one.camera} failed {one.failures} times in a row, in {one.bays} bays; last in bay {one.last_bay} "
        f"of dock {one.last_dock}."
    )
    return Condition(AlertKind.CAMERA_FAILING, one.camera, one.site, Severity.ATTENTION, one.since, words)


@dataclass(frozen=True, slots=True)
class HeldCamera:
    """A camera that an officer has. `seen_*` is its last docking before that."""

    camera: str
    site: str | None
    issued_at: datetime
    issued_dock: str
    seen_at: datetime | None = None
    seen_dock: str | None = None
    seen_bay: str | None = None


def days_left(one: HeldCamera, limits: Limits, now: datetime) -> int:
    """Whole days until the oldest footage that may be aboard reaches its retention; 0 when it has."""
    return max(0, (one.issued_at + limits.retention - now).days)


def overdue_condition(one: HeldCamera, limits: Limits, now: datetime) -> Condition | None:
    """None while it is not out for too long. It worsens with half of the retention gone."""
    if now - one.issued_at <= limits.overdue_after:
        return None
    is_bad = now - one.issued_at > limits.retention / 2
    where = f"dock {one.issued_dock}"
    if one.seen_dock is not None and one.seen_bay is not None:
        where = f"dock {one.seen_dock}, bay {one.seen_bay}"
    left = days_left(one, limits, now)
    count = "1 day of its retention is left" if left == 1 else f"{left} days of its retention are left"
    words = (
        f"Camera {one.camera} is out for more than {span(limits.overdue_after)}; last seen at {where}. Its footage is "
        f"presumed aboard; {count if left else 'its retention is over'}."
    )
    severity = Severity.TROUBLE if is_bad else Severity.ATTENTION
    return Condition(AlertKind.CAMERA_OVERDUE, one.camera, one.site, severity, one.issued_at, words)


@dataclass(frozen=True, slots=True)
class DockedCamera:
    """A camera that a dock says is in one of its bays now."""

    camera: str
    dock: str
    bay: str
    docked_at: datetime
    is_held_as_double: bool = False
    """Whether its dock holds it because another of its bays has the same identity."""


def duplicate_conditions(
    docked: Iterable[DockedCamera], sites: Mapping[str, str | None], current_docks: Collection[str]
) -> tuple[Condition, ...]:
    """Cameras that are in two places at once. Of different docks only those in `current_docks` count: a dock that has
    not told everything may not have told yet that the camera left it."""
    places: dict[str, list[DockedCamera]] = {}
    for one in docked:
        places.setdefault(one.camera, []).append(one)
    found = []
    for camera, every in sorted(places.items()):
        sure = [one for one in every if one.is_held_as_double or one.dock in current_docks]
        if not any(one.is_held_as_double for one in sure) and len({one.dock for one in sure}) < 2:
            continue
        where = ", ".join(f"bay {one.bay} of dock {one.dock}" for one in sure)
        words = f"Camera {camera} is docked more than once: {where}."
        since = max(one.docked_at for one in sure)
        found.append(
            Condition(AlertKind.DUPLICATE_IDENTITY, camera, sites.get(sure[0].dock), Severity.TROUBLE, since, words)
        )
    return tuple(found)


def receipts_condition(
    bucket: str, waiting: int, oldest_at: datetime | None, limits: Limits, now: datetime
) -> Condition | None:
    """None while no recording waits too long to be read back."""
    if oldest_at is None or now - oldest_at <= limits.receipts_late_after:
        return None
    count = "1 recording waits" if waiting == 1 else f"{waiting:,} recordings wait"
    words = f"{count} to be proved, the oldest for more than {span(limits.receipts_late_after)}."
    return Condition(AlertKind.RECEIPTS_LATE, bucket, None, Severity.TROUBLE, oldest_at, words)


@dataclass(frozen=True, slots=True)
class Expiry:
    """A certificate and its end. `holder` in words: `dock dock-7`, `the centre`."""

    name: str
    holder: str
    site: str | None
    expires_at: datetime


def expiry_condition(one: Expiry, limits: Limits, now: datetime) -> Condition | None:
    """None while there is time; trouble in the last quarter of it."""
    left = one.expires_at - now
    if left > limits.certificate_within:
        return None
    severity = Severity.TROUBLE if left * 4 < limits.certificate_within else Severity.ATTENTION
    when = f"ends in {span(left)}" if left > timedelta() else "has ended"
    since = one.expires_at - limits.certificate_within
    words = f"The certificate of {one.holder} {when}."
    return Condition(AlertKind.CERTIFICATE_EXPIRING, one.name, one.site, severity, since, words)


def store_condition(bucket: str, lost: Collection[str], since: datetime) -> Condition:
    """`lost` are promises, in words, that the store kept before and keeps no more."""
    words = f"The object store {bucket} no longer does this: {'; '.join(lost)}."
    return Condition(AlertKind.STORE_WORSE, bucket, None, Severity.TROUBLE, since, words)


def span(length: timedelta) -> str:
    """`10 minutes`, `24 hours`, `14 days`: the unit that a person would take, rounded down."""
    minutes = max(0, int(length.total_seconds()) // 60)
    for unit, size in (("day", 1440), ("hour", 60), ("minute", 1)):
        # 24 hours are said as hours, two days as days: limits are set that way.
        if minutes >= (size * 2 if size > 1 else 1):
            count = minutes // size
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return "a moment"
