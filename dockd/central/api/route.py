"""One call of the API as data: what the server registers and what the OpenAPI document says.

Knows how a call is described; knows no call. Reading of path and query values lives here, so that
what is described is what is checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from dockd.central import refusals
from dockd.central.people.permits import Gate, permit_for
from dockd.errors import BadRequest
from dockd.model.canonical import Json
from dockd.model.ids import DIGEST_PATTERN, ID_PATTERN, OFFICER_PATTERN
from dockd.web.problems import (
    BAD_REQUEST,
    CUT_OFF,
    INVALID_BODY,
    TOO_LARGE,
    TOO_SLOW,
    WRONG_CONTENT_TYPE,
    ProblemKind,
    WebHandler,
)

Call = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]
LARGEST_NUMBER = 2**63 - 1

_LATER = (refusals.STORE_FULL, refusals.STORE_SUSPECT, refusals.BUSY, refusals.DATABASE_AWAY)
_BODY = (BAD_REQUEST, CUT_OFF, TOO_SLOW, WRONG_CONTENT_TYPE, TOO_LARGE, INVALID_BODY)
_CAMERA_PATTERN = r"^[a-z0-9_]{1,32}:[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"
_INTEGER = re.compile(r"^(0|[1-9][0-9]{0,18})$")


@dataclass(frozen=True, slots=True)
class TextValue:
    """A value in a path, a query or a header: text that must match `pattern`."""

    pattern: str
    meaning: str
    example: str
    is_required: bool = False
    """Only for values in a query; the others always are."""

    def schema(self) -> dict[str, Json]:
        return {"type": "string", "pattern": self.pattern, "examples": [self.example]}


@dataclass(frozen=True, slots=True)
class IntegerValue:
    """A whole number from `lowest` to `highest`; `default` where it may be left out of a query."""

    lowest: int
    highest: int
    meaning: str
    default: int | None = None

    @property
    def is_required(self) -> bool:
        return self.default is None

    def schema(self) -> dict[str, Json]:
        schema: dict[str, Json] = {"type": "integer", "minimum": self.lowest, "maximum": self.highest}
        return schema if self.default is None else {**schema, "default": self.default}


ApiValue = TextValue | IntegerValue


class Access(Enum):
    """Whose a call is, where docks are served over TLS. A route that says nothing is closed to docks."""

    ANYONE = "anyone, also without a certificate"
    ANY_DOCK = "every enrolled dock"
    OWN_DOCK = "the dock that its path names"
    OWN_CLAIM = "the dock that its body names; the call itself compares"
    OWN_UPLOAD = "a dock that claimed what the upload in its path is of"
    OWN_CONTENT = "a dock that claimed the recording before the store had it"
    PEOPLE = "people, never docks"

    @property
    def is_of_docks(self) -> bool:
        """Whether a dock may ever make the call because it is one."""
        return self not in (Access.ANYONE, Access.PEOPLE)


DOCK = TextValue(ID_PATTERN, "the dock's name", "dock-7")
SESSION = TextValue(ID_PATTERN, "the session's id", "s-20261122-0001")
UPLOAD = TextValue(ID_PATTERN, "the upload's id, from the answer to a claim", "up-0123456789abcdef01234567")
CAMERA = TextValue(_CAMERA_PATTERN, "the camera's id: driver and serial number", "simulated:CAM-0001")
OFFICER = TextValue(OFFICER_PATTERN, "the officer's number", "PC1234")
DIGEST = TextValue(DIGEST_PATTERN, "SHA-256 of the whole recording", "0" * 64)


@dataclass(frozen=True, slots=True)
class BytesBody:
    """A body that is taken as it is."""

    content_types: tuple[str, ...]
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class JsonBody:
    """A body that must be `model`."""

    model: type[BaseModel]
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is not a problem: `model` for JSON, `content_type` for bytes, neither for none."""

    status: int
    meaning: str
    model: type[BaseModel] | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One call. `path` has `{names}`, each described in `path_values`."""

    method: str
    path: str
    call: Call
    access: Access
    name: str
    summary: str
    answers: tuple[Answer, ...]
    path_values: dict[str, ApiValue]
    query: dict[str, ApiValue]
    headers: dict[str, TextValue]
    body: JsonBody | BytesBody | None = None
    problems: tuple[ProblemKind, ...] = ()

    @property
    def handler(self) -> WebHandler:
        """The call behind a check of every value in its path, query and headers."""

        async def checked(request: web.Request) -> web.StreamResponse:
            _check(self, request)
            return await self.call(request)

        return checked


def api_route(
    method: str,
    path: str,
    call: Call,
    answers: tuple[Answer, ...],
    *,
    values: dict[str, ApiValue] | None = None,
    query: dict[str, ApiValue] | None = None,
    headers: dict[str, TextValue] | None = None,
    body: JsonBody | BytesBody | None = None,
    problems: tuple[ProblemKind, ...] = (),
    access: Access = Access.PEOPLE,
) -> Route:
    """A call below `/api/v1`, with the problems that every call of its kind may answer with."""
    has_input = bool(values or query or headers)
    return Route(
        method=method,
        path=f"/api/v1{path}",
        call=call,
        access=access,
        name=call.__name__,
        summary=(call.__doc__ or "").strip(),
        answers=answers,
        path_values=values or {},
        query=query or {},
        headers=headers or {},
        body=body,
        problems=tuple(
            dict.fromkeys(
                (
                    *((BAD_REQUEST,) if has_input else ()),
                    *(_BODY if body else ()),
                    *_at_the_door(method, f"/api/v1{path}"),
                    *problems,
                    *refusals_at_the_door(access, is_reading=method == "GET"),
                    *_LATER,
                )
            )
        ),
    )


def _at_the_door(method: str, path: str) -> tuple[ProblemKind, ...]:
    """What the people's door may answer, where people sign in."""
    permit = permit_for(method, path)
    asks = permit.asks if permit is not None else None
    if asks in (Gate.ANYONE, Gate.INVITED):
        return ()
    if asks is Gate.DOCKS:
        return (refusals.DOCKS_ONLY,)
    kinds = (refusals.SIGN_IN_REQUIRED, refusals.NOT_ALLOWED, refusals.PASSWORD_FIRST)
    return kinds if method == "GET" else (*kinds, refusals.FORM_OUTDATED)


def refusals_at_the_door(access: Access, *, is_reading: bool) -> tuple[ProblemKind, ...]:
    """What a call of this kind may be told before it is even looked at (`api.access`)."""
    kinds = refusals.CERTIFICATE_KINDS
    match access:
        case Access.ANYONE:
            return ()
        case Access.PEOPLE:
            return (*kinds, refusals.NOT_FOR_DOCKS)
        case Access.ANY_DOCK:
            return kinds if is_reading else (*kinds, refusals.TLS_REQUIRED)
        case _:
            owned = (*kinds, refusals.NOT_YOURS)
            return owned if is_reading else (*owned, refusals.TLS_REQUIRED)


def query_number(request: web.Request, name: str, value: IntegerValue) -> int:
    """A checked number from the query, or its default."""
    text = request.query.get(name)
    return int(text) if text is not None else value.default or 0


def _check(route: Route, request: web.Request) -> None:
    """Raise BadRequest unless every value is one that the route describes."""
    for name, value in route.path_values.items():
        _check_value(name, value, request.match_info[name])
    for name, value in route.query.items():
        if value.is_required and name not in request.query:
            raise BadRequest(f"{name!r} is missing in the query.")
    for name in request.query:
        if name not in route.query:
            raise BadRequest(f"This call takes no {name[:40]!r} in its query.")
        if len(request.query.getall(name)) > 1:
            raise BadRequest(f"{name!r} is given more than once.")
        _check_value(name, route.query[name], request.query[name])
    for name, header in route.headers.items():
        _check_value(name, header, request.headers.get(name, ""))


def _check_value(name: str, value: ApiValue, text: str) -> None:
    if isinstance(value, TextValue):
        if not re.fullmatch(value.pattern, text):
            raise BadRequest(f"{name} is not {value.meaning}.")
    elif not _INTEGER.fullmatch(text) or not value.lowest <= int(text) <= value.highest:
        raise BadRequest(f"{name} must be a whole number from {value.lowest} to {value.highest}.")
