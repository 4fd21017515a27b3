"""How far the force's rollout is: what people's lists say beside what facts amount to. Not evidence."""

from __future__ import annotations

from datetime import date

from dockd.model.moment import UtcTime
from dockd.model.value import DigestText, IdText, ShortText, Value


class CameraFigures(Value):
    """How many cameras. A camera counts where its list says it belongs, wherever it was seen."""

    delivered: int
    """Named by an imported list, whatever its state."""
    enrolled: int
    """Of those: identified by a dock at least once."""
    issued: int
    """Of those: taken by an officer and seen by no dock since."""
    out_of_service: int
    """Of the delivered: in repair, lost or withdrawn."""


class PlaceFigures(Value):
    """What is planned, live and there. `late` are planned sites whose day has passed."""

    sites_planned: int
    sites_live: int
    sites_closed: int
    sites_late: int
    cameras_planned: int
    cameras: CameraFigures
    officers: int
    """Active ones."""
    docks: int
    docks_heard: int
    """Of those: docks that the centre has heard of."""


class UnitRollout(Value):
    """One borough or specialist unit. `next_planned_on` is the first day to come on which a site shall go live."""

    unit: ShortText
    next_planned_on: date | None
    figures: PlaceFigures


class SiteRollout(Value):
    """One site. `docks_heard` are those of `docks` that the centre has heard of; `bays` is what these last reported."""

    site: IdText
    name: ShortText
    unit: ShortText
    state: ShortText
    planned_on: date | None
    live_on: date | None
    closed_on: date | None
    is_late: bool
    cameras_planned: int | None
    cameras: CameraFigures
    officers: int
    docks: tuple[IdText, ...]
    docks_heard: tuple[IdText, ...]
    bays: int


class ListState(Value):
    """The last import of one list that changed something."""

    name: ShortText
    imported_at: UtcTime
    rows: int
    digest: DigestText
    """SHA-256 of the file."""


class Rollout(Value):
    """The whole force. Late days are judged by the UTC day of `at`."""

    at: UtcTime
    total: PlaceFigures
    units: tuple[UnitRollout, ...]
    """By name, at most 1,000."""
    late: tuple[SiteRollout, ...]
    """Late sites, the longest waiting first, at most 20."""
    without_site: CameraFigures
    """Cameras that a list names without a site; they are in `total`."""
    unlisted_cameras: int
    """Cameras that docks have identified and no list names."""
    lists: tuple[ListState, ...]


class UnitSites(Value):
    """The sites of one borough or unit, by name, at most 1,000."""

    at: UtcTime
    unit: ShortText
    sites: tuple[SiteRollout, ...]
