"""What a line of each list is: sites, officers, cameras. Pure.

Knows columns, their checks and the rules between them; knows neither files nor tables. A row exists only when
everything in it was checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Generic, TypeVar

from dockd.central.places.csv_lines import Cells, Mistake
from dockd.errors import BadRequest
from dockd.model.ids import parse_id, parse_officer_number

LONGEST_NAME = 100
MOST_CAMERAS_OF_SITE = 1_000_000
MOST_DOCKS_OF_SITE = 200

_CAMERA = re.compile(r"[a-z0-9_]{1,32}:[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_NUMBER = re.compile(r"[0-9]{1,7}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class SiteState(StrEnum):
    """Said by whoever keeps the list, never worked out from a date: a day that has passed opens no station."""

    PLANNED = "planned"
    LIVE = "live"
    CLOSED = "closed"


class OfficerState(StrEnum):
    """Whether the officer still serves. One who left keeps the number, because footage names it."""

    ACTIVE = "active"
    LEFT = "left"


class CameraState(StrEnum):
    """What the force has decided about a camera. What it is doing now is told by facts."""

    IN_USE = "in-use"
    IN_REPAIR = "in-repair"
    LOST = "lost"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class SiteRow:
    """A station or depot of a borough or specialist unit, with the docks that stand in it."""

    site: str
    name: str
    unit: str
    state: SiteState
    planned_on: date | None
    live_on: date | None
    closed_on: date | None
    cameras_planned: int | None
    docks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OfficerRow:
    """Somebody who may hold a camera. `site` None: at no site of ours."""

    officer: str
    name: str
    site: str | None
    state: OfficerState


@dataclass(frozen=True, slots=True)
class CameraRow:
    """A camera that was delivered. `firmware` is as delivered; `site` None: not handed to a site yet."""

    camera: str
    model: str
    firmware: str | None
    batch: str | None
    state: CameraState
    site: str | None
    delivered_on: date | None


Row = SiteRow | OfficerRow | CameraRow
RowT = TypeVar("RowT", SiteRow, OfficerRow, CameraRow)


@dataclass(frozen=True, slots=True)
class ListColumn:
    """One column. `read` turns a cell that is not empty into a value or raises BadRequest; `when_empty` stands for
    an empty one, unless the column is needed."""

    name: str
    read: Callable[[str], Any]
    is_needed: bool = False
    when_empty: Any = None


@dataclass(frozen=True, slots=True)
class ListForm(Generic[RowT]):
    """One kind of list: its columns, the first of which names the row, and how a row is made."""

    name: str
    columns: tuple[ListColumn, ...]
    make: Callable[..., RowT]
    check: Callable[[RowT], Iterator[tuple[str, str]]]
    """What contradicts itself in a row: column and words."""

    @property
    def key(self) -> str:
        return self.columns[0].name

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def needed_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.is_needed)

    def read(self, cells: Cells) -> RowT | tuple[Mistake, ...]:
        """The row, or everything that is wrong with it."""
        values: dict[str, Any] = {}
        mistakes: list[Mistake] = []
        for column in self.columns:
            text = cells.text.get(column.name, "")
            if text:
                try:
                    values[column.name] = column.read(text)
                except BadRequest as error:
                    mistakes.append(Mistake(cells.line, column.name, error.what))
            elif column.is_needed:
                mistakes.append(Mistake(cells.line, column.name, "The cell is empty."))
            else:
                values[column.name] = column.when_empty
        if mistakes:
            return tuple(mistakes)
        row = self.make(**values)
        found = tuple(Mistake(cells.line, column, words) for column, words in self.check(row))
        return found or row


def _name(text: str) -> str:
    if len(text) > LONGEST_NAME:
        raise BadRequest(f"{text[:40]!r}… is longer than {LONGEST_NAME} characters.")
    return text


def _id(what: str) -> Callable[[str], str]:
    return lambda text: parse_id(text, what)


def _day(text: str) -> date:
    # The order of day and month in 04/05/2026 would have to be guessed.
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not 2000 <= day.year <= 2200:
        raise BadRequest(f"{text[:40]!r} is not a day: write it as 2026-11-22.")
    return day


def _camera(text: str) -> str:
    if not _CAMERA.fullmatch(text):
        raise BadRequest(f"{text[:60]!r} is not a camera: write driver:serial, like massstorage:B0012345.")
    return text


def _count(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > MOST_CAMERAS_OF_SITE:
        raise BadRequest(f"{text[:40]!r} is not a number of cameras: write 0 to {MOST_CAMERAS_OF_SITE}, digits only.")
    return int(text)


def _docks(text: str) -> tuple[str, ...]:
    names = text.split()
    if len(names) > MOST_DOCKS_OF_SITE:
        raise BadRequest(f"More than {MOST_DOCKS_OF_SITE} docks at one site.")
    for name in names:
        parse_id(name, "dock")
        if names.count(name) > 1:
            raise BadRequest(f"The dock {name} is named {names.count(name)} times.")
    return tuple(sorted(names))


def _one_of(states: type[StrEnum]) -> Callable[[str], StrEnum]:
    by_text: Mapping[str, StrEnum] = {state.value: state for state in states}

    def read(text: str) -> StrEnum:
        state = by_text.get(text.casefold())
        if state is None:
            raise BadRequest(f"{text[:40]!r} is none of: {', '.join(by_text)}.")
        return state

    return read


def _check_site(row: SiteRow) -> Iterator[tuple[str, str]]:
    if row.state is SiteState.PLANNED and row.live_on:
        yield "live_on", "A planned site is not live yet; write the day on which it shall be in planned_on."
    if row.state is SiteState.LIVE and row.live_on is None:
        yield "live_on", "A live site needs the day on which it went live."
    if row.state is SiteState.CLOSED and row.closed_on is None:
        yield "closed_on", "A closed site needs the day on which it closed."
    if row.state is not SiteState.CLOSED and row.closed_on:
        yield "closed_on", f"The site is {row.state.value}; only a closed one has this day."
    if row.live_on and row.closed_on and row.closed_on < row.live_on:
        yield "closed_on", "The site would have closed before it went live."


def _nothing(_row: OfficerRow | CameraRow) -> Iterator[tuple[str, str]]:
    return iter(())


SITES: ListForm[SiteRow] = ListForm(
    "sites",
    (
        ListColumn("site", _id("site"), is_needed=True),
        ListColumn("name", _name, is_needed=True),
        ListColumn("unit", _name, is_needed=True),
        ListColumn("state", _one_of(SiteState), is_needed=True),
        ListColumn("planned_on", _day),
        ListColumn("live_on", _day),
        ListColumn("closed_on", _day),
        ListColumn("cameras_planned", _count),
        ListColumn("docks", _docks, when_empty=()),
    ),
    SiteRow,
    _check_site,
)
OFFICERS: ListForm[OfficerRow] = ListForm(
    "officers",
    (
        ListColumn("officer", parse_officer_number, is_needed=True),
        ListColumn("name", _name, is_needed=True),
        ListColumn("site", _id("site")),
        ListColumn("state", _one_of(OfficerState), when_empty=OfficerState.ACTIVE),
    ),
    OfficerRow,
    _nothing,
)
CAMERAS: ListForm[CameraRow] = ListForm(
    "cameras",
    (
        ListColumn("camera", _camera, is_needed=True),
        ListColumn("model", _name, is_needed=True),
        ListColumn("firmware", _name),
        ListColumn("batch", _name),
        ListColumn("state", _one_of(CameraState), when_empty=CameraState.IN_USE),
        ListColumn("site", _id("site")),
        ListColumn("delivered_on", _day),
    ),
    CameraRow,
    _nothing,
)
Form = ListForm[SiteRow] | ListForm[OfficerRow] | ListForm[CameraRow]
FORMS: Mapping[str, Form] = {"officers": OFFICERS, "cameras": CAMERAS, "sites": SITES}
"""Every kind of list, by the word that the command line uses."""
