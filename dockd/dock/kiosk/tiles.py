"""From a `DockStatus` to what is printed: a tile per bay, and the bar above them.

Only choice of words, icons and tones; the headline and its message were decided in
`rules/headline.py`. A tile depends on nothing but its bay's status and today's date, so that it is
rendered again only when one of them changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from dockd.model.moment import ClockSync
from dockd.web.looks import LOOKS, NEEDS_PERSON, state_name
from dockd.web.text import (
    age_in_words,
    clock_time,
    count_in_words,
    percent_of,
    rate_in_words,
    remaining_in_words,
    size_in_words,
)
from dockd.wire.status import BayStatus, DockStatus, Headline, Progress

BATTERY_GOOD_PERCENT = 41
BATTERY_LOW_PERCENT = 20
"""Display thresholds that officers know from their cameras: 41-100 good, 20-40 medium, below 20 low."""

_IN_BETWEEN = (Headline.LEAVE_IN_BAY, Headline.YOU_MAY_GO)


@dataclass(frozen=True, slots=True)
class Battery:
    """A battery as a picture: `level` is one of good, medium, low, unknown."""

    percent: int | None
    level: str
    is_charging: bool
    label: str

    @property
    def bar_width(self) -> int:
        """Width of the filled part in the icon's own units, 0 to 30."""
        return 0 if self.percent is None else round(max(0, min(100, self.percent)) * 30 / 100)


@dataclass(frozen=True, slots=True)
class Bar:
    """A progress bar and the words beside it. `label` says what it measures."""

    done: int
    total: int
    percent: int
    label: str
    amount: str
    rate: str | None
    remaining: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """One of the figures under a tile."""

    label: str
    value: int


@dataclass(frozen=True, slots=True)
class Tile:
    """Everything one tile prints."""

    bay: str
    headline: str
    tone: str
    icon: str
    words: str
    state: str | None
    """What the camera goes through, where the headline does not say the same already."""
    since: str
    camera: str | None
    model: str | None
    battery: Battery | None
    bar: Bar | None
    counts: tuple[Count, ...]
    blockers: tuple[str, ...]
    officer: str | None
    next_try: str | None
    code: str | None
    may_release: bool
    may_cancel: bool

    @property
    def spoken(self) -> str:
        """What a screen reader says when the headline changes; progress ticks are not announced."""
        return f"Bay {self.bay}: {self.headline.capitalize()}. {self.words}"


@dataclass(frozen=True, slots=True)
class Board:
    """The bar above the tiles. `attention` counts the bays that need a person."""

    dock: str
    site: str
    ready: int
    occupied: int
    bays: int
    attention: tuple[str, ...]
    staging_free: str
    staging_used_percent: int
    is_staging_low: bool
    is_centre_reachable: bool
    centre_words: str
    waiting_count: str | None
    waiting_size: str
    oldest_waiting: str | None
    clock_warning: str | None
    facts: str


def tile_of(bay: BayStatus, now: datetime, *, zone: tzinfo | None = None) -> Tile:
    """Choose the words of one tile. Times are printed in `zone` (None: this host's own), with the day unless today."""
    look = LOOKS[bay.headline]
    is_take = bay.headline is Headline.TAKE
    return Tile(
        bay=bay.bay,
        headline=bay.headline.value,
        tone=look.tone,
        icon=look.icon,
        words=bay.words,
        state=state_name(bay.state) if bay.headline in _IN_BETWEEN else None,
        since=clock_time(bay.since, now, zone),
        camera=bay.camera.partition(":")[2] if bay.camera else None,
        model=bay.model,
        battery=battery_of(bay) if bay.session else None,
        bar=bar_of(bay.progress, bay) if bay.progress else None,
        counts=counts_of(bay),
        blockers=() if bay.headline is Headline.CHARGING else bay.blockers,
        officer=bay.officer,
        next_try=clock_time(bay.retry_at, now, zone) if bay.retry_at else None,
        code=bay.code,
        may_release=bay.headline is Headline.HELD,
        may_cancel=is_take and bay.officer is not None,
    )


def battery_of(bay: BayStatus) -> Battery:
    """The battery with its level in a word, because colour alone is not enough."""
    percent, is_charging = bay.battery_percent, bay.is_charging is True
    plug = ", charging" if is_charging else ", not charging" if bay.is_charging is False else ""
    if percent is None:
        return Battery(None, "unknown", is_charging, f"Battery level not known{plug}")
    if percent >= BATTERY_GOOD_PERCENT:
        level = "good"
    elif percent >= BATTERY_LOW_PERCENT:
        level = "medium"
    else:
        level = "low"
    return Battery(percent, level, is_charging, f"Battery {percent} %, {level}{plug}")


def bar_of(progress: Progress, bay: BayStatus) -> Bar:
    """Progress by bytes; by recordings when there are no bytes to count (empty files)."""
    done, total = progress.done_bytes, progress.total_bytes
    if total <= 0:
        done, total = progress.done_recordings, progress.total_recordings
    total = max(1, total)
    done = max(0, min(done, total))
    rate, eta = progress.rate_bytes_per_second, progress.eta_seconds
    return Bar(
        done=done,
        total=total,
        percent=percent_of(done, total),
        label=f"Bay {bay.bay}: {state_name(bay.state)}",
        amount=f"{size_in_words(progress.done_bytes)} of {size_in_words(progress.total_bytes)}",
        rate=None if rate is None else rate_in_words(rate),
        remaining=None if eta is None else remaining_in_words(eta),
    )


def counts_of(bay: BayStatus) -> tuple[Count, ...]:
    """How many recordings have come how far, without noughts; `safe` only until `stored` says the same."""
    if bay.recordings_listed == 0:
        return ()
    stored = bay.recordings_accepted
    counts = (
        Count("found", bay.recordings_listed),
        Count("safe", bay.recordings_safe_here if bay.recordings_safe_here != stored else 0),
        Count("stored", stored),
        Count("erased", bay.recordings_erased),
        Count("kept", bay.recordings_retained),
    )
    return tuple(count for count in counts if count.value)


def board_of(status: DockStatus) -> Board:
    """Choose the words of the bar above the tiles."""
    used = status.staging_total_bytes - status.staging_free_bytes
    waiting, oldest = status.waiting_recordings, status.oldest_waiting_since
    return Board(
        dock=status.dock,
        site=status.site,
        ready=status.ready_count,
        occupied=sum(bay.headline is not Headline.EMPTY for bay in status.bays),
        bays=len(status.bays),
        attention=tuple(bay.bay for bay in status.bays if bay.headline in NEEDS_PERSON),
        staging_free=size_in_words(status.staging_free_bytes),
        staging_used_percent=percent_of(used, status.staging_total_bytes),
        is_staging_low=status.staging_free_bytes * 10 < status.staging_total_bytes,
        is_centre_reachable=status.is_centre_reachable,
        centre_words=status.centre_words,
        waiting_count=count_in_words(waiting, "recording", "recordings") if waiting else None,
        waiting_size=size_in_words(status.waiting_bytes),
        oldest_waiting=age_in_words(oldest, status.at) if oldest and waiting else None,
        clock_warning=clock_warning(status.clock_sync),
        facts=f"{status.facts_at_centre:,} of {status.facts:,} facts at the centre",
    )


def clock_warning(sync: ClockSync) -> str | None:
    """A sentence when the host's clock may not be trusted, else None."""
    match sync:
        case ClockSync.SYNCHRONISED:
            return None
        case ClockSync.UNSYNCHRONISED:
            return "This dock's clock is not synchronised: times in the record may be wrong. Tell IT."
        case ClockSync.UNKNOWN:
            return "This dock cannot tell whether its clock is right. Tell IT."
