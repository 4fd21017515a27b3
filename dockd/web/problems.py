"""Refusals over HTTP: one shape (`application/problem+json`, RFC 9457), one middleware, one body reader.

Knows which of our errors becomes which status. A `Problem` told to the other side never carries a
traceback, a path of this machine or a value that was sent. Must not know any route or table.

The rule that docks live by: 4xx means "never acceptable as it is", 408, 429, 503 and 507 mean "later". So
a bug of ours must never come out as 4xx: only `read_model` turns a pydantic error into a refusal, and a
pydantic error from anywhere else is a 500.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import structlog
from aiohttp import ClientPayloadError, web
from aiohttp.web_exceptions import HTTPException, HTTPMethodNotAllowed
from pydantic import BaseModel, ValidationError

from dockd.errors import BadRequest, CentreUnavailable, DockdError, NotFound, Reaction
from dockd.wire.problems import CONTENT_TYPE, Problem

_log = structlog.get_logger(__name__)

JSON_CONTENT_TYPE = "application/json"
MAXIMUM_MISTAKES_NAMED = 10
_LINGER_SECONDS = 5.0
_BODY_GRACE_SECONDS = 60.0
_SLOWEST_BYTES_PER_SECOND = 16 * 1024
"""Slower than that is not a bad line but somebody who holds connections open."""

Model = TypeVar("Model", bound=BaseModel)
WebHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One stable code with its HTTP status; `meaning` is the line in the generated API reference."""

    code: str
    status: int
    title: str
    meaning: str


BAD_REQUEST = ProblemKind("bad-request", 400, "Bad request", "a value in the address or a header has a wrong form")
INVALID_BODY = ProblemKind("invalid-body", 422, "Invalid body", "the body is not the JSON that this call takes")
WRONG_CONTENT_TYPE = ProblemKind("wrong-content-type", 415, "Wrong content type", "the Content-Type is not accepted")
TOO_LARGE = ProblemKind("too-large", 413, "Body too large", "the body is larger than this call takes")
CUT_OFF = ProblemKind("cut-off", 400, "Body cut off", "the connection ended before the whole body had arrived")
TOO_SLOW = ProblemKind("too-slow", 408, "Too slow", "no byte arrived for too long; send it again")
NO_SUCH_THING = ProblemKind("not-found", 404, "Not found", "there is no such address, dock, recording or file")
WRONG_METHOD = ProblemKind("method-not-allowed", 405, "Method not allowed", "the address does not take this method")
WRONG_HOST = ProblemKind("wrong-host", 421, "Wrong host", "the Host header names a host that is not served here")
UNAVAILABLE = ProblemKind("unavailable", 503, "Not now", "not possible at present; try again later")
INTERNAL_ERROR = ProblemKind("internal-error", 500, "Internal error", "a bug; it is in the log; try again later")

GENERAL_KINDS = (
    BAD_REQUEST,
    INVALID_BODY,
    WRONG_CONTENT_TYPE,
    TOO_LARGE,
    CUT_OFF,
    TOO_SLOW,
    NO_SUCH_THING,
    WRONG_METHOD,
    WRONG_HOST,
    UNAVAILABLE,
    INTERNAL_ERROR,
)
"""What any call may answer."""


class Refusal(DockdError):
    """A request is refused with `kind`; nothing was changed. `what` goes to the caller as `detail`.

    `expected_number` and `expected_head` are for the chain refusals; `retry_after_seconds` becomes
    Retry-After.
    """

    code: ClassVar[str] = "refused"
    reaction: ClassVar[Reaction] = Reaction.REFUSE
    footage = "No footage is affected."
    action = "Correct the request and try again."

    def __init__(
        self,
        kind: ProblemKind,
        what: str,
        *,
        expected_number: int | None = None,
        expected_head: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(what)
        self.kind = kind
        self.expected_number = expected_number
        self.expected_head = expected_head
        self.retry_after_seconds = retry_after_seconds


# --- reading a body ---------------------------------------------------------------------------


async def read_bytes(request: web.Request, *, limit_bytes: int, content_types: Iterable[str]) -> bytes:
    """Return the whole body, at most `limit_bytes`. Raises Refusal (415, 413, 400 `cut-off`, 408)."""
    require_content_type(request, content_types)
    if request.content_length is not None and request.content_length > limit_bytes:
        raise _too_large(limit_bytes)
    body = bytearray()
    expected_bytes = limit_bytes if request.content_length is None else request.content_length
    seconds = _BODY_GRACE_SECONDS + expected_bytes / _SLOWEST_BYTES_PER_SECOND
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit_bytes:
                    raise _too_large(limit_bytes)
    except TimeoutError:
        raise Refusal(TOO_SLOW, f"The body did not arrive within {seconds:.0f} s.") from None
    except (ClientPayloadError, ConnectionError, web.RequestPayloadError):
        raise Refusal(CUT_OFF, "The connection ended before the whole body had arrived.") from None
    return bytes(body)


async def read_model(request: web.Request, model: type[Model], *, limit_bytes: int) -> Model:
    """Return the JSON body as `model`. Raises Refusal (415, 413, 400, 408, 422)."""
    body = await read_bytes(request, limit_bytes=limit_bytes, content_types=(JSON_CONTENT_TYPE,))
    return parse_model(model, body)


def parse_model(model: type[Model], body: bytes) -> Model:
    """Return `body` as `model`. Raises Refusal (422) that names the first mistakes, never the values."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise Refusal(INVALID_BODY, describe_mistakes(error)) from None


def describe_mistakes(error: ValidationError) -> str:
    """Where the mistakes are and what is wrong, without repeating what was sent."""
    mistakes = error.errors(include_url=False, include_input=False, include_context=False)
    named = [
        f"{'.'.join(str(step) for step in one['loc']) or 'body'}: {one['msg']}"
        for one in mistakes[:MAXIMUM_MISTAKES_NAMED]
    ]
    more = len(mistakes) - len(named)
    return "; ".join(named)[:3000] + (f"; and {more} more" if more else "")


def require_content_type(request: web.Request, allowed: Iterable[str]) -> None:
    """Raise Refusal (415) unless the body's media type, parameters apart, is one of `allowed`."""
    names = tuple(allowed)
    if "Content-Type" not in request.headers or request.content_type not in names:
        raise Refusal(WRONG_CONTENT_TYPE, f"The Content-Type must be {' or '.join(names)}.")


def _too_large(limit_bytes: int) -> Refusal:
    return Refusal(TOO_LARGE, f"The body is larger than {limit_bytes} bytes.")


# --- answering --------------------------------------------------------------------------------


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> web.Response:
    """The problem as an HTTP answer."""
    return web.Response(
        status=problem.status,
        body=problem.model_dump_json(exclude_none=True).encode("utf-8"),
        headers={**(headers or {}), "Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"},
    )


def problem_of(error: DockdError) -> tuple[Problem, dict[str, str]]:
    """What to answer for one of our errors, with extra headers.

    A RETRY or EXIT error is something of ours that passes: 503. A HOLD or REFUSE error that reaches
    the web is a refusal: 409, or the status that its class or kind names.
    """
    if isinstance(error, Refusal):
        problem = Problem(
            title=error.kind.title,
            status=error.kind.status,
            code=error.kind.code,
            detail=error.what,
            expected_number=error.expected_number,
            expected_head=error.expected_head,
        )
        return problem, _retry_header(error.retry_after_seconds)
    title = error.code.replace("-", " ").capitalize()
    if isinstance(error, CentreUnavailable):
        problem = Problem(title=title, status=503, code=error.code, detail=str(error))
        seconds = error.retry_after_seconds
        return problem, _retry_header(None if seconds is None else max(1, round(seconds)))
    status = _STATUS_OF_CLASS.get(type(error)) or _STATUS_OF_REACTION[error.reaction]
    return Problem(title=title, status=status, code=error.code, detail=str(error)), {}


_STATUS_OF_CLASS: dict[type[DockdError], int] = {BadRequest: 400, NotFound: 404}
_STATUS_OF_REACTION = {
    Reaction.RETRY: 503,
    Reaction.EXIT: 503,
    Reaction.END: 409,
    Reaction.HOLD: 409,
    Reaction.REFUSE: 409,
}
_KIND_OF_STATUS = {kind.status: kind for kind in (NO_SUCH_THING, WRONG_METHOD, TOO_LARGE, WRONG_CONTENT_TYPE)}


def _retry_header(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(seconds)}


def _answer_http_exception(error: HTTPException) -> web.Response:
    kind = _KIND_OF_STATUS.get(error.status, INTERNAL_ERROR if error.status >= 500 else BAD_REQUEST)
    problem = Problem(title=kind.title, status=error.status, code=kind.code, detail=error.reason or kind.meaning)
    headers = {}
    if isinstance(error, HTTPMethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    return problem_response(problem, headers)


@web.middleware
async def problem_middleware(request: web.Request, handler: WebHandler) -> web.StreamResponse:
    """Turn every error of a call into a problem answer; the one broad except of the web.

    Redirects pass. An unexpected exception is logged with its traceback and told as 500 without it.
    """
    try:
        return await handler(request)
    except HTTPException as error:
        if error.status < 400:
            raise
        return _answer_http_exception(error)
    except DockdError as error:
        problem, headers = problem_of(error)
        if problem.status >= 500:
            _log.warning("request_not_now", path=request.path, code=problem.code, detail=problem.detail)
        return problem_response(problem, headers)
    except Exception as error:
        if isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing()):
            # The other side is gone; there is nobody to answer and nothing of ours is wrong.
            _log.info("caller_gone", path=request.path)
            raise
        _log.exception("request_failed", method=request.method, path=request.path)
        return problem_response(
            Problem(
                title=INTERNAL_ERROR.title,
                status=500,
                code=INTERNAL_ERROR.code,
                detail="Something went wrong here that should not; it is in the log. Nothing was acknowledged.",
            )
        )


@web.middleware
async def unread_body_middleware(request: web.Request, handler: WebHandler) -> web.StreamResponse:
    """Send a refusal at once although its request is still being sent; the outermost middleware.

    Closing at once would make the other side lose the answer (RFC 9112 §9.6), so what still comes is
    read for a while and thrown away. aiohttp does that too, but goes on for its whole time after the other
    side has left.
    """
    response = await handler(request)
    if response.status < 400 or not request.body_exists or request.content.is_eof():
        return response
    response.force_close()
    await response.prepare(request)
    await response.write_eof()
    with contextlib.suppress(TimeoutError, ConnectionError, ClientPayloadError, web.RequestPayloadError):
        async with asyncio.timeout(_LINGER_SECONDS):
            async for _ in request.content.iter_any():
                pass
    return response
