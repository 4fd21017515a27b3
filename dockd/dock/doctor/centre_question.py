"""One question to the centre, and everything that can be learned from how it is answered. Judges nothing.

Asks `GET /api/v1/store` once, with the dock's own HTTP session and its reading of answers; follows no redirection.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from pathlib import Path

import aiohttp
from pydantic import ValidationError

from dockd.clock import Clock
from dockd.dock.centre_answers import Answer, check_answer
from dockd.dock.centre_tls import enrolled_context
from dockd.dock.centre_wire import SMALL_ANSWER_BYTES, open_http_session
from dockd.errors import CentreRefused, CentreUnavailable
from dockd.wire.messages import StoreDescription

ANSWER_SECONDS = 15.0


class Trouble(Enum):
    """Why the centre did not describe itself."""

    NAME_UNKNOWN = "its name is not known to this network"
    NOT_TRUSTED = "its certificate is not trusted"
    NOT_REACHED = "no connection"
    NO_ANSWER = "no answer in time"
    LATER = "busy, or this dock is not let in"
    NOT_A_CENTRE = "something else answers"


@dataclass(frozen=True, slots=True)
class CentreAnswer:
    """What came back. Exactly one of `description` and `trouble` is set."""

    description: StoreDescription | None
    trouble: Trouble | None
    words: str
    """The trouble in the words of who told it."""
    centre_ahead_seconds: float | None
    """The centre's `Date` less this host's clock in the middle of the exchange; None without a readable Date."""
    uncertain_seconds: float
    """How far off that may be: half of the exchange and the whole second that Date is cut to."""


def ask_centre(url: str, clock: Clock, enrolment_folder: Path | None = None) -> CentreAnswer:
    """Ask the centre at `url` who it is, as the dock enrolled in that folder would.

    Blocking, at most ANSWER_SECONDS; to be called without a running loop. Raises ConfigInvalid for a damaged enrolment.
    """
    return asyncio.run(_ask(url, clock, True if enrolment_folder is None else enrolled_context(enrolment_folder)))


async def _ask(url: str, clock: Clock, tls: ssl.SSLContext | bool) -> CentreAnswer:
    began_at, began_monotonic = clock.now(), clock.monotonic()
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            open_http_session() as session,
            session.get(f"{url.rstrip('/')}/api/v1/store", allow_redirects=False, ssl=tls) as response,
        ):
            took_seconds = clock.monotonic() - began_monotonic
            dated_at = _date(response.headers.get("Date"))
            body = await _body(response)
            answer = Answer(response.status, response.headers.get("Content-Type", ""), None, body)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return CentreAnswer(None, *_network_trouble(error), None, 0.0)
    description, trouble, words = _read(answer, began_at)
    ahead_seconds = None
    if dated_at is not None:
        # Date is cut to whole seconds (RFC 9110 section 6.6.1): on average it is half a second late.
        ahead_seconds = (dated_at - began_at).total_seconds() + 0.5 - took_seconds / 2
    return CentreAnswer(description, trouble, words, ahead_seconds, took_seconds / 2 + 0.5)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body, up to a limit; what is longer is no description of a store."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > SMALL_ANSWER_BYTES:
            break
    return bytes(body)


def _read(answer: Answer, now: datetime) -> tuple[StoreDescription | None, Trouble | None, str]:
    try:
        return StoreDescription.model_validate_json(check_answer(answer, now)), None, ""
    except CentreUnavailable as error:
        is_passing = answer.status >= 500 or answer.status in (401, 403, 408, 425, 429)
        return None, Trouble.LATER if is_passing else Trouble.NOT_A_CENTRE, error.what.rstrip(".")
    except CentreRefused as error:
        return None, Trouble.NOT_A_CENTRE, error.what.rstrip(".")
    except ValidationError as error:
        return (
            None,
            Trouble.NOT_A_CENTRE,
            f"its answer is not a description of a store ({error.error_count()} mistakes)",
        )


def _network_trouble(error: Exception) -> tuple[Trouble, str]:
    if isinstance(error, TimeoutError):
        return Trouble.NO_ANSWER, f"nothing came in {ANSWER_SECONDS:g} s"
    if isinstance(error, aiohttp.ClientConnectorDNSError) or isinstance(error.__cause__, socket.gaierror):
        return Trouble.NAME_UNKNOWN, "the name cannot be resolved"
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return Trouble.NOT_TRUSTED, str(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return Trouble.NOT_REACHED, os.strerror(number).lower() if number else "the connection failed"
    if isinstance(error, aiohttp.ClientResponseError):
        return Trouble.NOT_A_CENTRE, "its answer is not HTTP"
    if isinstance(error, aiohttp.InvalidURL):
        return Trouble.NAME_UNKNOWN, "the address is not one"
    return Trouble.NOT_REACHED, f"the connection broke ({type(error).__name__})"


def _date(header: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(header) if header else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found
