"""Column types that the dock's journal and the centre's database share. Knows no table."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

from dockd.model.moment import format_utc, parse_utc


class UtcText(TypeDecorator[datetime]):
    """An aware time as the text of `model.moment.format_utc`: SQLite has no times and would drop the zone.

    The text sorts as the times do. Raises ValueError for a time without a zone, before anything is written.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else format_utc(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else parse_utc(value)


class DayText(TypeDecorator[date]):
    """A day, which belongs to no zone, as `2026-11-22`: the text sorts as the days do."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else value.isoformat()

    def process_result_value(self, value: str | None, dialect: Dialect) -> date | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else date.fromisoformat(value)
