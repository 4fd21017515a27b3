"""Numbers in words: exact at the edges, never more than is true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.web import text

NOW = datetime(2026, 11, 22, 6, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (99_951, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (12_345_678_901, "12.3 GB"),
        (7 * 10**15, "7.0 PB"),
        (7 * 10**18, "7000 PB"),
    ],
)
def test_sizes(size_bytes: int, words: str) -> None:
    assert text.size_in_words(size_bytes) == words


@given(st.integers(0, 10**17), st.integers(0, 10**17))
def test_a_larger_size_never_reads_smaller(one: int, other: int) -> None:
    def read(words: str) -> float:
        number, unit = words.split()
        return float(number) * {"bytes": 1, "byte": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15}[unit]

    small, large = sorted((one, other))
    assert read(text.size_in_words(small)) <= read(text.size_in_words(large))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (4800, "1 h 20 min"),
        (86_400, "1 day"),
        (86_400 * 2 + 3 * 3600 + 59, "2 days 3 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert text.duration_in_words(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a few seconds left"),
        (11, "about 20 s left"),
        (59, "about 60 s left"),
        (61, "about 2 min left"),
        (3541, "about 1 h left"),
    ],
)
def test_remaining_time_is_rounded_up(seconds: int, words: str) -> None:
    assert text.remaining_in_words(seconds) == words


@given(st.integers(0, 10**15), st.integers(1, 10**15))
def test_hundred_percent_only_when_all_is_done(done: int, total: int) -> None:
    percent = text.percent_of(done, total)
    assert 0 <= percent <= 100
    assert (percent == 100) == (done >= total)


def test_percent_of_nothing_is_nought() -> None:
    assert text.percent_of(0, 0) == 0


def test_ages_and_a_clock_that_runs_ahead() -> None:
    assert text.age_in_words(NOW - timedelta(minutes=3), NOW) == "3 min ago"
    assert text.age_in_words(NOW + timedelta(hours=1), NOW) == "just now"


def test_clock_time_names_the_day_unless_it_is_today() -> None:
    zone = timezone(timedelta(hours=1))
    assert text.clock_time(NOW, NOW, zone) == "07:01"
    assert text.clock_time(NOW - timedelta(days=1), NOW, zone) == "21 Nov 07:01"
    assert text.clock_time(NOW - timedelta(days=365), NOW, zone) == "22 Nov 2025 07:01"


def test_today_is_today_in_the_zone_of_the_reader() -> None:
    late = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    assert text.clock_time(late, NOW, timezone(timedelta(hours=1))) == "00:30"


def test_record_times_are_utc() -> None:
    assert text.utc_time(NOW.astimezone(timezone(timedelta(hours=5)))) == "2026-11-22 06:01:30 UTC"


def test_counts_and_rates() -> None:
    assert text.count_in_words(1, "recording", "recordings") == "1 recording"
    assert text.count_in_words(10_000, "recording", "recordings") == "10,000 recordings"
    assert text.rate_in_words(34_000_000) == "34.0 MB/s"
    assert text.rate_in_words(12) == "12 B/s"


def test_local_time_names_its_zone_and_is_silent_where_it_is_as_utc() -> None:
    assert text.local_time(NOW, timezone(timedelta(hours=1), "BST")) == "2026-11-22 07:01:30 BST"
    assert text.local_time(NOW, UTC) == ""
    assert text.local_time(NOW, timezone(timedelta(0), "GMT")) == ""
