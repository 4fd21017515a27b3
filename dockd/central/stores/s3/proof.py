"""From the parts of an upload to an object that is proved: joined by the store, confirmed, read back.

A store's 200 proves nothing. What was joined is read back by version and hashed (`dockd.central.verifier`), unless the
canary's last report shows that this store refuses every wrong digest. Nothing is deleted here: an object that
proves bad keeps its key and is named in the log, and the upload begins again under another key.

Two processes may prove the same object at once; each asks the same row of the queue. Knows no receipts.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from dockd.central.canary import CanaryRecords
from dockd.central.refusals import BUSY, DIGEST_DIFFERS, PART_DAMAGED, STORE_SUSPECT
from dockd.central.stores import UploadPlan
from dockd.central.stores.s3.bucket import Bucket, Found
from dockd.central.stores.s3.failures import AlreadyThere, NotThere
from dockd.central.stores.s3.retention import RetentionPolicy, confirm_retention
from dockd.central.stores.s3.upload_rows import MultipartUpload
from dockd.central.stores.s3.uploads import MultipartUploads, parts_missing
from dockd.central.verifier_queue import Outcome, ReadBack, VerifierQueue
from dockd.clock import Clock
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)

_LOST_AFTER_LOOKS = 3
_LOOK_SECONDS = 0.5
_FIRST_WAIT_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 1.0


class Proof:
    """Joins and proves. `work_to_do` is set when something was put into the verifier's queue."""

    def __init__(
        self,
        bucket: Bucket,
        uploads: MultipartUploads,
        retention: RetentionPolicy,
        *,
        queue: VerifierQueue,
        canaries: CanaryRecords,
        clock: Clock,
        work_to_do: asyncio.Event,
    ) -> None:
        self._bucket = bucket
        self._uploads = uploads
        self._retention = retention
        self._queue = queue
        self._canaries = canaries
        self._clock = clock
        self._work_to_do = work_to_do

    async def proved(self, plan: UploadPlan, one: MultipartUpload) -> Found:
        """The object that came of `one`, joined now or before, proved to be `plan`'s.

        Raises Refusal: PARTS_MISSING, PART_DAMAGED, DIGEST_DIFFERS, BUSY, and the store's own (503, 507).
        """
        found = await self._joined(plan, one)
        if found is None:
            await self._lost(one)
            words = "The object store acknowledged the recording and does not hold it; its parts must be sent again."
            raise Refusal(PART_DAMAGED, words, retry_after_seconds=2)
        if found.size_bytes != plan.size_bytes:
            raise await self._damaged(one, f"it has {found.size_bytes} bytes instead of {plan.size_bytes}")
        confirm_retention(one.object_key, one.retain_until, found)
        if not await self._canaries.is_trusted(self._clock.now()):
            await self._read_back(plan, one, found)
        if not await self._uploads.stands(one):
            raise _given_up()
        return found

    async def find(self, one: MultipartUpload, *, looks: int = _LOST_AFTER_LOOKS) -> Found | None:
        """The object that came of it; None when the store shows none, looked at so many times."""
        for look in range(looks):
            if look:
                await asyncio.sleep(_LOOK_SECONDS)  # some stores show an object a moment after they acknowledge it
            with suppress(NotThere):
                return await self._bucket.head(one.object_key)
        return None

    # --- inside -------------------------------------------------------------------------------

    async def _joined(self, plan: UploadPlan, one: MultipartUpload) -> Found | None:
        """Have the store join the parts, or see that it has; None when it says so and holds nothing."""
        already = await self.find(one, looks=1)
        if already is not None:
            return already
        if not plan.part_digests:
            # S3 joins no upload without parts. It is aborted before the object is there: later nobody would dare to.
            await self._bucket.abort(one.object_key, one.multipart)
            with suppress(AlreadyThere):  # another process, at the same moment; it is looked at below all the same
                await self._bucket.put(one.object_key, b"", retention=self._retention.asked_by(one), is_new=True)
            return await self.find(one)
        try:
            held = await self._uploads.held_parts(plan, one)
            if len(held) < len(plan.part_digests):
                raise parts_missing(plan, frozenset(held))
            await self._bucket.complete(one.object_key, one.multipart, [held[number] for number in plan.part_numbers])
        except NotThere:
            _log.info("multipart_gone", object_key=one.object_key)  # somebody else joined it, or the store lost it
        return await self.find(one)

    async def _read_back(self, plan: UploadPlan, one: MultipartUpload, found: Found) -> None:
        outcome = await self._outcome(ReadBack.of(plan, one.object_key, found.version))
        if outcome is Outcome.LOST:
            await self._lost(one)
            words = "The object store acknowledged the recording and lost it; its parts must be sent again."
            raise Refusal(PART_DAMAGED, words, retry_after_seconds=2)
        if outcome is Outcome.DAMAGED:
            raise await self._damaged(one, "it reads back with other bytes than were claimed")
        if outcome is Outcome.CONTRADICTION:
            raise Refusal(DIGEST_DIFFERS, "The parts together do not have the claimed digest.")

    async def _outcome(self, wanted: ReadBack) -> Outcome:
        """Ask for a read-back and wait for what it comes to. Raises Refusal (503) when it came to nothing."""
        await self._queue.ask(wanted)
        self._work_to_do.set()
        wait_seconds = _FIRST_WAIT_SECONDS
        while True:
            standing = await self._queue.look(wanted)
            if standing is None:
                raise _given_up()
            if standing.outcome is not None:
                return standing.outcome
            if standing.said is not None:
                raise Refusal(STORE_SUSPECT, standing.said, retry_after_seconds=15)
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(wait_seconds * 1.5, _LONGEST_WAIT_SECONDS)

    async def _lost(self, one: MultipartUpload) -> None:
        _log.critical("object_lost_after_complete", object_key=one.object_key)
        await self._give_up(one)

    async def _damaged(self, one: MultipartUpload, how: str) -> Refusal:
        _log.critical("stored_object_damaged", object_key=one.object_key, how=how)
        await self._give_up(one)
        words = f"The object store damaged the recording: {how}; send it again."
        return Refusal(PART_DAMAGED, words, retry_after_seconds=2)

    async def _give_up(self, one: MultipartUpload) -> None:
        await self._uploads.forget(one)
        await self._queue.forget(one.object_key)


def _given_up() -> Refusal:
    return Refusal(BUSY, "The upload was given up at this moment; claim again.", retry_after_seconds=1)
