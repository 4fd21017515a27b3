"""Object Lock's retention: asked for when an upload is created, believed only when the object confirms it.

There is no other way here, on purpose: a store without Object Lock may answer PutObjectRetention with 200 and
overwrite the object with the request's body. Knows days and the bucket's lock; must not know parts or rows.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from dockd.central.refusals import STORE_SUSPECT
from dockd.central.stores.s3.bucket import Bucket, Found, Retention
from dockd.central.stores.s3.upload_rows import MultipartUpload
from dockd.clock import Clock
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)
_RETRY_SECONDS = 300


class RetentionPolicy:
    """What the `[store]` section wants of Object Lock, for one bucket."""

    def __init__(self, bucket: Bucket, clock: Clock) -> None:
        self._bucket = bucket
        self._days = bucket.config.retention_days
        self._mode = bucket.config.retention_mode
        self._clock = clock

    async def now_wanted(self) -> Retention | None:
        """What an upload that begins now asks for; None where the bucket has no lock or nobody wants it.

        Raises Refusal (503, 507).
        """
        if self._days == 0 or not await self._bucket.has_lock():
            return None
        until = (self._clock.now() + timedelta(days=self._days)).replace(microsecond=0)
        return Retention(self._mode, until)

    def asked_by(self, one: MultipartUpload) -> Retention | None:
        """What this upload asked for when it was created."""
        return Retention(self._mode, one.retain_until) if one.retain_until else None


def confirm_retention(object_key: str, retain_until: datetime | None, found: Found) -> None:
    """Raise Refusal (503) unless HEAD on the very version tells at least the retention that was asked for."""
    if retain_until is None:
        return
    if found.lock_mode is None or found.retain_until is None or found.retain_until < retain_until:
        _log.error("retention_not_confirmed", object_key=object_key, asked=str(retain_until))
        words = "The object store does not confirm the retention that was asked for; IT must look at the bucket."
        raise Refusal(STORE_SUSPECT, words, retry_after_seconds=_RETRY_SECONDS)
