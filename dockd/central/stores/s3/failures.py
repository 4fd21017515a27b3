"""What a failure of an S3 server means to whoever asked: later, full, or simply not there.

Nothing that a store says is ever "stored" or "rejected": all but "not there" and "there already" is *later*.
Knows botocore's errors; must not know uploads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from dockd.central.refusals import BUSY, STORE_FULL, STORE_SUSPECT
from dockd.web.problems import Refusal

_FULL_CODES = frozenset(
    {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "InsufficientCapacity", "EntityTooLargeForQuota"}
)
_GONE_CODES = frozenset({"NoSuchKey", "NoSuchUpload", "NoSuchVersion", "404"})
_CLOCK_CODES = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_SLOW_RETRY_SECONDS = 10
_WRONG_RETRY_SECONDS = 60


class NotThere(Exception):
    """The store does not hold this object or upload."""


class AlreadyThere(Exception):
    """The store holds an object of this key already (If-None-Match)."""


class RangeNotThere(Exception):
    """The object has no such bytes (HTTP 416)."""


@contextmanager
def store_failures() -> Iterator[None]:
    """Turn the store's failures into NotThere, AlreadyThere, RangeNotThere or a Refusal (503, 507)."""
    try:
        yield
    except ClientError as error:
        raise meaning_of(error) from error
    except TimeoutError as error:
        raise _unreachable("does not answer in time") from error
    except (BotoCoreError, aiohttp.ClientError, OSError) as error:
        # The class only: its words may hold an address, and an address may be a permission.
        raise _unreachable(f"cannot be reached ({type(error).__name__})") from error


def meaning_of(error: ClientError) -> Exception:
    """Which of them this answer is."""
    code = str(error.response.get("Error", {}).get("Code") or "")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    said = f"HTTP {status}, {code}" if code and code != str(status) else f"HTTP {status}"
    if code in _FULL_CODES or status == 507:
        return Refusal(STORE_FULL, "The object store has no room for this now.", retry_after_seconds=60)
    if code in _GONE_CODES:
        return NotThere(said)
    if status == 416:
        return RangeNotThere(said)
    if status == 412 or code == "PreconditionFailed":
        return AlreadyThere(said)
    if code in _CLOCK_CODES:
        words = f"The clocks of the centre and of its object store differ too much ({said}); IT must set them."
        return Refusal(STORE_SUSPECT, words, retry_after_seconds=_WRONG_RETRY_SECONDS)
    if status in (401, 403):
        words = f"The object store does not let the centre in ({said}); IT must look at the credentials."
        return Refusal(STORE_SUSPECT, words, retry_after_seconds=_WRONG_RETRY_SECONDS)
    if status in (429, 503) or code in ("SlowDown", "RequestTimeout"):
        return Refusal(BUSY, f"The object store is busy ({said}).", retry_after_seconds=_SLOW_RETRY_SECONDS)
    words = f"The object store answers with a fault ({said})."
    return Refusal(STORE_SUSPECT, words, retry_after_seconds=_WRONG_RETRY_SECONDS)


def refused_for_good(refusal: Refusal) -> str | None:
    """What the store said where it will say the same again: a lock, a right that is missing. None: it may pass.

    AWS and Ceph answer 403 for a locked version, MinIO 400.
    """
    error = refusal.__cause__
    if not isinstance(error, ClientError):
        return None
    code = str(error.response.get("Error", {}).get("Code") or "")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    if code in _CLOCK_CODES or code == "RequestTimeout" or status not in (400, 401, 403, 405, 409):
        return None
    return f"HTTP {status}, {code}" if code else f"HTTP {status}"


def _unreachable(how: str) -> Refusal:
    return Refusal(STORE_SUSPECT, f"The object store {how}.", retry_after_seconds=_SLOW_RETRY_SECONDS)
