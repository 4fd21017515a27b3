"""What a person asked for in the search form, checked. Raises BadRequest in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from dockd.central.queries import RecordingFilter
from dockd.errors import BadRequest
from dockd.model.ids import parse_id, parse_officer_number

_FIELDS = ("camera", "officer", "dock", "session", "from", "to")
_CAMERA = re.compile(r"[a-z0-9_]{1,32}:[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Search:
    """The checked search. `fields` are those that were filled in, as they go into an address again."""

    wanted: RecordingFilter
    before: int | None
    fields: dict[str, str]

    def field(self, name: str) -> str:
        """What was typed there, for the form."""
        return self.fields.get(name, "")


def read_search(query: Mapping[str, str]) -> Search:
    """Read the form's fields; empty ones mean any. `from` and `to` are days, both included, in UTC."""
    fields = {name: query[name].strip() for name in _FIELDS if query.get(name, "").strip()}
    camera, officer = fields.get("camera"), fields.get("officer")
    if camera is not None and not _CAMERA.fullmatch(camera):
        raise BadRequest(f"{camera[:60]!r} is not a camera: write it as the list shows it, driver:serial.")
    first, last = _day(fields.get("from")), _day(fields.get("to"))
    if first and last and last < first:
        raise BadRequest("The last day is before the first.")
    before = query.get("before")
    if before is not None and not _NUMBER.fullmatch(before):
        raise BadRequest("The place to go on from is not a number.")
    return Search(
        wanted=RecordingFilter(
            dock=_name(fields, "dock"),
            camera=camera,
            session=_name(fields, "session"),
            officer=parse_officer_number(officer) if officer else None,
            recorded_from=_midnight(first),
            recorded_before=_midnight(last + timedelta(days=1)) if last else None,
        ),
        before=int(before) if before is not None else None,
        fields=fields,
    )


def _name(fields: Mapping[str, str], what: str) -> str | None:
    return parse_id(fields[what], what) if what in fields else None


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{text[:40]!r} is not a day: write it as 2026-11-22.") from None
    if not 1970 <= day.year <= 9000:
        raise BadRequest(f"The year {day.year} cannot be right.")
    return day


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time(), UTC) if day else None
