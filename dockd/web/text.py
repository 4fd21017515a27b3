"""Numbers and times in plain words, the same on every page and in the terminal.

Sizes are decimal (1 GB = 10^9 bytes), as disks and cards are sold. Knows no page and no clock: the
time to compare with is passed in.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

_UNITS = ("kB", "MB", "GB", "TB", "PB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def size_in_words(size_bytes: int) -> str:
    """`0 bytes`, `1 byte`, `1.5 kB`, `340 MB`, `12.3 GB`: three figures at most."""
    if size_bytes < 1000:
        return "1 byte" if size_bytes == 1 else f"{size_bytes} bytes"
    amount, step = size_bytes / 1000, 0
    while amount >= 999.5 and step < len(_UNITS) - 1:
        amount, step = amount / 1000, step + 1
    unit = _UNITS[step]
    return f"{amount:.1f} {unit}" if amount < 99.95 else f"{amount:.0f} {unit}"


def rate_in_words(bytes_per_second: int) -> str:
    """`34.0 MB/s`."""
    if bytes_per_second < 1000:
        return f"{bytes_per_second} B/s"
    return f"{size_in_words(bytes_per_second)}/s"


def duration_in_words(seconds: float) -> str:
    """`5 s`, `3 min`, `1 h 20 min`, `2 days 3 h`: the two units that matter, never negative."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        minutes = whole % _HOUR // _MINUTE
        return f"{whole // _HOUR} h {minutes} min" if minutes else f"{whole // _HOUR} h"
    days, hours = whole // _DAY, whole % _DAY // _HOUR
    name = "1 day" if days == 1 else f"{days} days"
    return f"{name} {hours} h" if hours else name


def remaining_in_words(seconds: int) -> str:
    """`a few seconds left`, `about 3 min left`: rounded up, because too early is worse than too late."""
    if seconds <= 10:
        return "a few seconds left"
    if seconds < _MINUTE:
        return f"about {-(-seconds // 10) * 10} s left"
    return f"about {duration_in_words(-(-seconds // _MINUTE) * _MINUTE)} left"


def age_in_words(at: datetime, now: datetime) -> str:
    """`just now`, `3 min ago`. A time that lies ahead (clocks differ) is `just now` too."""
    seconds = (now - at).total_seconds()
    return "just now" if seconds < 5 else f"{duration_in_words(seconds)} ago"


def clock_time(at: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """`06:01` today, `21 Nov 06:01` on another day, in `zone` (None: this host's own)."""
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    if local.date() == today:
        return f"{local:%H:%M}"
    year = "" if local.year == today.year else f" {local.year}"
    return f"{local.day} {local:%b}{year} {local:%H:%M}"


def clock_offset_in_words(offset_milliseconds: int) -> str:
    """`1.250 s ahead`, `3 min 5 s behind`, `exact`: how a clock stood against another."""
    if offset_milliseconds == 0:
        return "exact"
    side = "ahead" if offset_milliseconds > 0 else "behind"
    seconds, thousandths = divmod(abs(offset_milliseconds), 1000)
    if seconds < _MINUTE:
        return f"{seconds}.{thousandths:03d} s {side}"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min {seconds % _MINUTE} s {side}"
    return f"{duration_in_words(seconds)} {side}"


def utc_time(at: datetime) -> str:
    """`2026-11-22 06:00:05 UTC`: for records, where the zone must not be guessed."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def local_time(at: datetime, zone: tzinfo | None = None) -> str:
    """`2026-07-22 07:00:05 BST` in `zone` (None: this host's own), with its name; empty where it is as UTC then."""
    local = at.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}" if local.utcoffset() else ""


def count_in_words(count: int, one: str, many: str) -> str:
    """`1 recording`, `12 recordings`, `10,000 recordings`."""
    return f"1 {one}" if count == 1 else f"{count:,} {many}"


def percent_of(done: int, total: int) -> int:
    """Whole percent, rounded down, so that 100 is said only when all is done. Of nothing: 0."""
    if total <= 0:
        return 0
    return max(0, min(100, done * 100 // total))
