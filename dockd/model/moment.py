"""When something happened, with the evidence for it: the clock is part of the custody record."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


class ClockSync(StrEnum):
    """What the host's kernel said of its own clock. UNKNOWN is "cannot ask", not "unsynchronised"."""

    SYNCHRONISED = "synchronised"
    UNSYNCHRONISED = "unsynchronised"
    UNKNOWN = "unknown"


def format_utc(at: datetime) -> str:
    """`2026-11-22T06:00:00.000000Z`: always UTC, always microseconds, so that text order is time order."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone cannot be evidence")
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def parse_utc(value: object) -> datetime:
    """Read what `format_utc` writes, or pass an aware datetime. Raises ValueError."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be evidence")
        return value.astimezone(UTC)
    # Checked by shape and then read by fromisoformat, which alone takes many other forms: a journal is read
    # by the ten thousand facts, and strptime costs ten times as much.
    if not isinstance(value, str) or _FORM.fullmatch(value) is None:
        raise ValueError("a time must look like 2026-11-22T06:00:00.000000Z")
    return datetime.fromisoformat(value)


UtcTime = Annotated[datetime, BeforeValidator(parse_utc), PlainSerializer(format_utc, return_type=str)]


class Moment(BaseModel):
    """Wall time, monotonic time of this boot, which boot, and whether the wall clock was synchronised."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)

    at: UtcTime
    monotonic_milliseconds: int
    boot_id: str
    clock_sync: ClockSync
