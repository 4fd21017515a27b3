"""Claims about times as evidence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.model.moment import format_utc, parse_utc

_times = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1))  # noqa: DTZ001 # hypothesis wants naive limits
_zones = st.integers(-720, 720).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(_times, _zones)
def test_a_time_reads_back_as_the_same_moment(naive: datetime, zone: timezone) -> None:
    at = naive.replace(tzinfo=zone)
    assert parse_utc(format_utc(at)) == at
    assert parse_utc(format_utc(at)).tzinfo is UTC


@given(_times, _times)
def test_the_order_of_texts_is_the_order_of_time(one: datetime, other: datetime) -> None:
    first, second = one.replace(tzinfo=UTC), other.replace(tzinfo=UTC)
    assert (format_utc(first) < format_utc(second)) == (first < second)


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001 # the point of the test
        "2026-11-22T06:00:00Z",
        "2026-11-22T06:00:00.000000+00:00",
        "2026-13-22T06:00:00.000000Z",
        "",
        1_763_791_200,
        None,
    ],
    ids=str,
)
def test_a_time_without_zone_or_in_another_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        parse_utc(value)
