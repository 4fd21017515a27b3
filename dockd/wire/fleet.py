"""How the fleet is, for the API and the pages: places by health, charts, fault history, search. Not evidence."""

from __future__ import annotations

from datetime import date
from typing import Literal

from dockd.model.moment import UtcTime
from dockd.model.value import LongText, ShortText, Value
from dockd.rules.alerts import AlertKind, Severity

Health = Literal["fine", "not-heard", "attention", "trouble"]

HEALTH: dict[Severity, Health] = {
    Severity.FINE: "fine",
    Severity.UNKNOWN: "not-heard",
    Severity.ATTENTION: "attention",
    Severity.TROUBLE: "trouble",
}


class AlertCount(Value):
    """Open alerts of one kind."""

    kind: AlertKind
    count: int


class FleetFigures(Value):
    """One place, judged by its worst dock and its worst open alert."""

    health: Health
    docks: int
    docks_in_trouble: int
    docks_to_look_at: int
    docks_not_heard: int
    """Never yet, and nobody expects it."""
    bays: int
    ready: int
    """Cameras that may be issued now, as docks told last."""
    waiting_recordings: int
    waiting_bytes: int
    oldest_waiting_since: UtcTime | None
    alerts: tuple[AlertCount, ...]


class UnitFleet(Value):
    """A borough or unit."""

    unit: ShortText
    sites: int
    figures: FleetFigures


class SiteFleet(Value):
    """A site that is not closed."""

    site: ShortText
    name: ShortText
    unit: ShortText
    figures: FleetFigures


class DockReason(Value):
    """Why a dock is not fine."""

    health: Health
    words: LongText
    since: UtcTime | None


class DockFleet(Value):
    """A dock with its reasons, worst first."""

    dock: ShortText
    site: ShortText | None
    name: ShortText
    """Of its site, as the lists call it, else as the dock does."""
    health: Health
    reasons: tuple[DockReason, ...]
    last_heard_at: UtcTime | None
    version: ShortText | None
    bays: int
    ready: int
    waiting_recordings: int
    waiting_bytes: int
    oldest_waiting_since: UtcTime | None


class HourFigures(Value):
    """One hour of the force. Figures that the centre takes by looking are None for hours in which it did not look."""

    hour: UtcTime
    dockings: int
    made_ready: int
    """Sessions whose camera became READY."""
    ready_least: int | None
    waiting_bytes_most: int | None
    oldest_waiting_seconds_most: int | None


class SiteBytes(Value):
    """What one site brought in, within seven days. `site` is None for docks that stand at no site."""

    site: ShortText | None
    name: ShortText
    copied_bytes: int
    accepted_bytes: int


class DayBytes(Value):
    """What one site brought in on one day, UTC."""

    day: date
    copied_bytes: int
    accepted_bytes: int


class Fleet(Value):
    """The whole force."""

    at: UtcTime
    total: FleetFigures
    units: tuple[UnitFleet, ...]
    """Worst first, at most 1,000."""
    worst_sites: tuple[SiteFleet, ...]
    """Those that are not fine, worst first, at most 20."""
    docks_without_site: tuple[DockFleet, ...]
    """Worst first, at most 50."""
    hours: tuple[HourFigures, ...]
    """The last 24, the oldest first."""
    bytes_by_site: tuple[SiteBytes, ...]
    """The 15 with the most."""


class UnitDocks(Value):
    """The sites of one borough or unit, worst first, and all their docks."""

    at: UtcTime
    unit: ShortText
    sites: tuple[SiteFleet, ...]
    docks: tuple[DockFleet, ...]
    days: tuple[DayBytes, ...]
    """The last 14, of the whole unit."""


class BayVisitView(Value):
    """One camera in one bay, seen from outside."""

    at: UtcTime
    dock: ShortText
    session: ShortText
    bay: ShortText
    camera: ShortText | None
    outcome: Literal["good", "recovered", "failed"]
    code: ShortText | None


class BayHistory(Value):
    """A bay's faults within the weeks told. Speed is None where too little was copied to say."""

    bay: ShortText
    verdict: Literal["fine", "often fails", "failing"]
    sessions: int
    faulted: int
    held: int
    connection_losses: int
    """Lost while the camera was in the bay, answers that did not come, and cameras back within 3 seconds: USB resets as
    far as a dock can tell them."""
    failed_charges: int
    card_faults: int
    bytes_per_second: int | None
    is_slow: bool
    """Less than half as fast as the middle bay of this dock."""
    always_failing: tuple[ShortText, ...]
    """Cameras that failed at each of their last visits to this bay."""
    recent: tuple[BayVisitView, ...]
    """Newest first, at most 12."""


class DockHistory(Value):
    """All bays of a dock that ever had a camera, by name."""

    dock: ShortText
    since: date
    """The Monday from which on is counted."""
    bays: tuple[BayHistory, ...]


class FoundCamera(Value):
    """A camera, as lists and docks tell of it."""

    camera: ShortText
    model: ShortText | None
    state: ShortText | None
    """In its list; None when no list names it."""
    site: ShortText | None
    seen_at: UtcTime | None
    seen_dock: ShortText | None
    seen_bay: ShortText | None
    is_docked: bool
    is_out: bool
    issued_at: UtcTime | None
    issued_to: ShortText | None
    retention_days_left: int | None
    """For the oldest footage that may be aboard; only of a camera that is out."""
    verdict: Literal["fine", "often fails", "failing"]


class FoundOfficer(Value):
    """An officer and the cameras that are out with that number."""

    officer: ShortText
    name: ShortText | None
    site: ShortText | None
    cameras: tuple[ShortText, ...]


class Found(Value):
    """What a search found, at most 20 of each."""

    query: ShortText
    cameras: tuple[FoundCamera, ...]
    officers: tuple[FoundOfficer, ...]
    docks: tuple[DockFleet, ...]
