"""What an HTTP answer of the centre means: the one table that tells *later* from *never*.

| answer | meaning |
|---|---|
| no connection, time-out, broken or oversized answer | later (`CentreUnavailable`) |
| 5xx, 408, 425, 429 | later, not before `Retry-After` |
| 507 | the store is full: later |
| 401, 403, 405, 407, 421, 426, 431 | the way to the centre is set up wrongly: later, never a refusal of footage |
| other 4xx with problem+json | refused, with the centre's code and reason (`CentreRefused`) |
| other 4xx without problem+json | something between here and the centre answers in its place: later |
| 1xx, 3xx, unexpected 2xx | later; redirections are never followed |

A part address belongs to the object store, which may speak another dialect: nothing it answers ever
refuses a recording (`part_outcome`). What the centre answers is untrusted until it is parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum

from pydantic import ValidationError

from dockd.errors import CentreRefused, CentreUnavailable
from dockd.wire.problems import CONTENT_TYPE, Problem

MAXIMUM_RETRY_AFTER_SECONDS = 3600.0

_ACCESS = frozenset({401, 403, 405, 407, 421, 426, 431})
_LATER = frozenset({408, 425, 429})
_PASSING_REFUSALS = frozenset({"parts-missing", "digest-differs", "not-found", "gap", "fork", "rewrite"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the whole body, already limited in size."""

    status: int
    content_type: str
    retry_after: str | None
    body: bytes


class PartOutcome(Enum):
    """What to do after a part was sent."""

    TAKEN = "the store has the part"
    ADDRESS_STALE = "the address is expired or unknown: ask for a fresh one"
    RELIST = "the store's list differs from ours: ask what is missing"
    LATER = "the store is busy or full: later"
    NOT_TAKEN = "the store did not take these bytes as they arrived: send again"


def check_answer(answer: Answer, now: datetime) -> bytes:
    """Return the body of a 2xx answer. Raises CentreUnavailable or CentreRefused by the table above."""
    status = answer.status
    if status in (200, 201, 204):
        return answer.body
    later_seconds = retry_after_seconds(answer.retry_after, now)
    if status == 507:
        raise CentreUnavailable("The central store is full.", retry_after_seconds=later_seconds)
    if status >= 500 or status in _LATER:
        raise CentreUnavailable(
            f"The centre is busy or has a fault (HTTP {status}).", retry_after_seconds=later_seconds
        )
    problem = _problem(answer) if 400 <= status < 500 else None
    if status in _ACCESS:
        why = f": {problem.detail}"[:1500] if problem is not None and problem.detail else "."
        raise CentreUnavailable(f"The centre does not let this dock in (HTTP {status}){why}")
    if problem is None:
        raise CentreUnavailable(f"What answers at the centre's address is not the centre (HTTP {status}).")
    reason = f"The centre refuses: {problem.title} {problem.detail}".strip()
    raise CentreRefused(reason[:1500], status=status, refusal=problem.code[:200])


def is_final(refused: CentreRefused) -> bool:
    """Whether a refused claim or completion means that the store can never take the recording."""
    return refused.status != 404 and refused.refusal not in _PASSING_REFUSALS


def part_outcome(status: int) -> PartOutcome:
    """What the status of a part's PUT means."""
    if status in (200, 201, 204):
        return PartOutcome.TAKEN
    if status in (401, 403, 404, 410):
        return PartOutcome.ADDRESS_STALE
    if status in (409, 412):
        return PartOutcome.RELIST
    if status >= 500 or status in _LATER:
        return PartOutcome.LATER
    return PartOutcome.NOT_TAKEN


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """`Retry-After` (RFC 9110 §10.2.3: seconds or an HTTP date) as seconds from `now`, 0 to one hour."""
    if header is None:
        return None
    try:
        seconds = float(header) if header.strip().isdigit() else (parsedate_to_datetime(header) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAXIMUM_RETRY_AFTER_SECONDS)


def _problem(answer: Answer) -> Problem | None:
    if answer.content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        return None
    try:
        return Problem.model_validate_json(answer.body)
    except ValidationError:
        return None
