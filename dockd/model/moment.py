"""When something happened, with the evidence for it: the clock is part of the custody record."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer


class ClockSync(StrEnum):
    """What the host's kernel said of its own clock. UNKNOWN is "cannot ask", not "unsynchronised"."""

    SYNCHRONISED = "synchronised"
    UNSYNCHRONISED = "unsynchronised"
    UNKNOWN = "unknown"


def format_utc(at: datetime) -> str:
    """`2026-11-22T06:00:00.000000Z`: always UTC, always microseconds, so that text order is time order."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone cannot be evidence")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_utc(value: object) -> datetime:
    """Read what `format_utc` writes, or pass an aware datetime. Raises ValueError."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be evidence")
        return value.astimezone(UTC)
    if not isinstance(value, str) or len(value) != 27:
        raise ValueError("a time must look like 2026-11-22T06:00:00.000000Z")
    return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


UtcTime = Annotated[datetime, BeforeValidator(parse_utc), PlainSerializer(format_utc, return_type=str)]


class Moment(BaseModel):
    """Wall time, monotonic time of this boot, which boot, and whether the wall clock was synchronised."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    at: UtcTime
    monotonic_milliseconds: int
    boot_id: str
    clock_sync: ClockSync
