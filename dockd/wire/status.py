"""How a dock is now: what the page, `dockd status` and the centre's heartbeat show. Not evidence."""

from __future__ import annotations

from dockd.model.moment import ClockSync, UtcTime
from dockd.model.value import (
    CameraText,
    IdText,
    LongText,
    OfficerText,
    ShortText,
    Value,
)
from dockd.rules.headline import Headline

__all__ = ["BayStatus", "DockStatus", "Headline", "Progress"]


class Progress(Value):
    """Of the stage that runs now. `rate` and `eta` are None until they are known."""

    done_bytes: int
    total_bytes: int
    done_recordings: int
    total_recordings: int
    rate_bytes_per_second: int | None = None
    eta_seconds: int | None = None


class BayStatus(Value):
    """One bay. `words` is the whole message for staff; `state` a life-cycle state or `empty`."""

    bay: IdText
    port: ShortText | None
    state: ShortText
    headline: Headline
    words: LongText
    since: UtcTime
    session: IdText | None = None
    camera: CameraText | None = None
    model: ShortText | None = None
    battery_percent: int | None = None
    is_charging: bool | None = None
    progress: Progress | None = None
    recordings_listed: int = 0
    recordings_safe_here: int = 0
    recordings_accepted: int = 0
    recordings_erased: int = 0
    recordings_retained: int = 0
    officer: OfficerText | None = None
    """Whom the camera is promised to (headline TAKE)."""
    code: ShortText | None = None
    """The error's code when HELD or FAULT."""
    retry_at: UtcTime | None = None
    blockers: tuple[LongText, ...] = ()


class DockStatus(Value):
    """The whole dock at one moment."""

    dock: IdText
    site: ShortText
    version: ShortText
    at: UtcTime
    clock_sync: ClockSync
    bays: tuple[BayStatus, ...]
    ready_count: int
    staging_free_bytes: int
    staging_total_bytes: int
    is_centre_reachable: bool
    centre_words: LongText
    waiting_recordings: int
    waiting_bytes: int
    oldest_waiting_since: UtcTime | None
    facts: int
    facts_at_centre: int
