"""Multipart uploads in the bucket: begun, found again, addressed, and given up without touching an object.

Each attempt has a key of its own, so nothing is ever overwritten. An upload is aborted only when no object has come
of it, because some stores would take the parts out of the object.

The truth is in the store and the database; the table of uploads here only spares `address` a question, and is
filled by `begin`. Must not know what is done with the object that comes of an upload.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from datetime import datetime, timedelta

import structlog

from dockd.central.refusals import PARTS_DIFFER, PARTS_MISSING
from dockd.central.stores import UploadPlan
from dockd.central.stores.s3.bucket import Bucket, HeldPart, part_headers
from dockd.central.stores.s3.failures import NotThere
from dockd.central.stores.s3.retention import RetentionPolicy
from dockd.central.stores.s3.upload_rows import MultipartRows, MultipartUpload
from dockd.clock import Clock
from dockd.web.problems import Refusal
from dockd.wire.messages import PartAddress

_log = structlog.get_logger(__name__)

SMALLEST_PART_BYTES = 5 * 1024 * 1024
"""S3 takes no smaller part but the last (AWS, "Amazon S3 multipart upload limits")."""
_OURS = ("objects/", "canary/")
"""What of the bucket is dockd's to give up; anything else may be somebody's."""
_REMEMBERED = 4096
_NAMED_MISSING = 20


class MultipartUploads:
    """The uploads of one bucket. Every method that asks the store or the database raises Refusal (503, 507)."""

    def __init__(self, bucket: Bucket, rows: MultipartRows, retention: RetentionPolicy, clock: Clock) -> None:
        self._bucket = bucket
        self._rows = rows
        self._retention = retention
        self._clock = clock
        self._remembered: OrderedDict[str, MultipartUpload] = OrderedDict()

    async def begin(self, plan: UploadPlan) -> MultipartUpload:
        """Create the multipart upload unless there is one. Raises Refusal (422) for parts that S3 does not take."""
        if len(plan.part_digests) > 1 and plan.part_size_bytes < SMALLEST_PART_BYTES:
            raise Refusal(PARTS_DIFFER, f"This store takes parts of at least {SMALLEST_PART_BYTES} bytes.")
        one = await self._rows.of(plan.upload) or await self._create(plan)
        self._remember(one)
        return one

    async def begin_again(self, plan: UploadPlan, one: MultipartUpload) -> MultipartUpload:
        """Another attempt, with a key of its own, in place of `one` that the store does not know any more."""
        await self._rows.forget(one)
        return await self.begin(plan)

    async def standing(self, plan: UploadPlan) -> MultipartUpload:
        """The one that stands now. Raises Refusal: PARTS_MISSING when there is none."""
        one = await self._rows.of(plan.upload)
        if one is None:
            raise parts_missing(plan, frozenset())
        self._remember(one)
        return one

    async def held_parts(self, plan: UploadPlan, one: MultipartUpload) -> dict[int, HeldPart]:
        """The parts that the store lists and that are as planned, as far as it tells. Raises NotThere."""
        listed = await self._bucket.parts(one.object_key, one.multipart)
        return {number: held for number, held in listed.items() if _is_as_planned(held, plan)}

    def address(self, plan: UploadPlan, number: int, expires_at: datetime) -> PartAddress:
        """Where a dock PUTs one part until `expires_at`. Only after `begin`."""
        one = self._remembered.get(plan.upload)
        if one is None:
            raise RuntimeError("an address is asked after begin")
        part = plan.part(number)
        headers = part_headers(part)
        now = self._clock.now().replace(microsecond=0)
        expires_at = expires_at.replace(microsecond=0)
        seconds = max(1, int((expires_at - now).total_seconds()))
        return PartAddress(
            part_number=number,
            offset_bytes=part.offset_bytes,
            size_bytes=part.size_bytes,
            digest=part.digest,
            url=self._bucket.part_address(one.object_key, one.multipart, number, headers, now=now, seconds=seconds),
            headers=headers,
            expires_at=expires_at,
        )

    async def stands(self, one: MultipartUpload) -> bool:
        """Whether nobody has given it up or replaced it."""
        return await self._rows.stands(one)

    async def forget(self, one: MultipartUpload) -> None:
        """Its object is of no use; the next `begin` makes another attempt. The store keeps what it has."""
        await self._rows.forget(one)
        self._remembered.pop(one.upload, None)

    async def discard(self, plan: UploadPlan) -> MultipartUpload | None:
        """Forget what stands for `plan`; returns it. Whoever is proving it now sees that and signs nothing."""
        one = await self._rows.of(plan.upload)
        self._remembered.pop(plan.upload, None)
        if one is not None:
            await self._rows.forget(one)
        return one

    async def abort(self, key: str, multipart: str) -> bool:
        """Abort a multipart upload unless an object came of it; returns whether it was aborted."""
        try:
            await self._bucket.head(key)
        except NotThere:
            await self._bucket.abort(key, multipart)
            return True
        return False

    async def abort_orphans(self, older_than: timedelta) -> int:
        """Abort old multipart uploads of ours that no row speaks of any more; returns how many."""
        limit = self._clock.now() - older_than
        known = await self._rows.known()
        count = 0
        for one in await self._bucket.open_multiparts():
            if one.initiated_at < limit and one.multipart not in known and one.key.startswith(_OURS):
                count += await self.abort(one.key, one.multipart)
        if count:
            _log.info("orphaned_uploads_aborted", count=count)
        return count

    # --- inside -------------------------------------------------------------------------------

    def _remember(self, one: MultipartUpload) -> None:
        self._remembered[one.upload] = one
        self._remembered.move_to_end(one.upload)
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)

    async def _create(self, plan: UploadPlan) -> MultipartUpload:
        retention = await self._retention.now_wanted()
        key = f"objects/{plan.digest[:2]}/{plan.digest[2:4]}/{plan.digest}-{os.urandom(4).hex()}"
        multipart = await self._bucket.begin(key, retention)
        until = retention.until if retention else None
        mine = MultipartUpload(plan.upload, multipart, key, until, self._clock.now())
        stands = await self._rows.put(mine)
        if stands.multipart != mine.multipart:  # another process was first, and may have given out addresses
            await self._bucket.abort(key, multipart)
        return stands


def parts_missing(plan: UploadPlan, finished: frozenset[int]) -> Refusal:
    """The refusal that names what is missing, the first few by number."""
    missing = [number for number in plan.part_numbers if number not in finished]
    named = ", ".join(map(str, missing[:_NAMED_MISSING])) + (", …" if len(missing) > _NAMED_MISSING else "")
    return Refusal(PARTS_MISSING, f"{len(missing)} of {len(plan.part_digests)} parts are missing: {named}.")


def _is_as_planned(held: HeldPart, plan: UploadPlan) -> bool:
    """A store that tells no digest is believed for the time being: the whole is proved before anybody signs."""
    if held.number not in plan.part_numbers:
        return False
    part = plan.part(held.number)
    return held.size_bytes == part.size_bytes and held.digest in (None, part.digest)
