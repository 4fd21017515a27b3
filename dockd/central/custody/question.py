"""What an auditor asked for, from a form or an address, checked. Raises BadRequest in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from dockd.errors import BadRequest
from dockd.model.ids import parse_id, parse_officer_number
from dockd.model.moment import parse_utc
from dockd.wire.custody import CustodySelection

FIELDS = ("camera", "officer", "site", "dock", "from", "to")
TIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)?$"
_CAMERA = re.compile(r"[a-z0-9_]{1,32}:[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def read_selection(query: Mapping[str, str]) -> CustodySelection:
    """Read the fields; empty ones mean any.

    `from` and `to` are UTC days, both included, or moments, of which `to` is the first that is not included.
    """
    given = {name: query[name].strip() for name in FIELDS if query.get(name, "").strip()}
    camera = given.get("camera")
    if camera is not None and not _CAMERA.fullmatch(camera):
        raise BadRequest(f"{camera[:60]!r} is not a camera: write it as the list shows it, driver:serial.")
    from_at, before_at = _moment(given.get("from"), 0), _moment(given.get("to"), 1)
    if from_at and before_at and before_at <= from_at:
        raise BadRequest("The period ends before it begins.")
    return CustodySelection(
        camera=camera,
        officer=parse_officer_number(given["officer"]) if "officer" in given else None,
        site=parse_id(given["site"], "site") if "site" in given else None,
        dock=parse_id(given["dock"], "dock") if "dock" in given else None,
        from_at=from_at,
        before_at=before_at,
    )


def _moment(text: str | None, more_days: int) -> datetime | None:
    if text is None:
        return None
    try:
        if "T" in text:
            return parse_utc(text)
        day = date.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{text[:40]!r} is not a day: write it as 2026-11-22.") from None
    if not 1970 <= day.year <= 9000:
        raise BadRequest(f"The year {day.year} cannot be right.")
    return datetime.combine(day, time(), UTC) + timedelta(days=more_days)
