"""Footage in a bucket: the docks send parts straight to it, we join them and prove the whole.

    objects/ab/cd/<sha256>-<attempt>   footage; each attempt has a key of its own, so nothing is ever overwritten
    sessions/<dock>/<session>/         manifests

Here the pieces meet: `uploads` (parts), `proof` (the object), `retention` (Object Lock), `content` and `documents`
(reading). Nothing but an unfinished upload is ever deleted, unless the rules of retention permit it (`disposal`). Must
not know receipts, docks or routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from aiohttp import web

from dockd.central.canary import CanaryRecords
from dockd.central.database import Database
from dockd.central.stores import StoredObject, UploadPlan
from dockd.central.stores.s3.bucket import Bucket
from dockd.central.stores.s3.content import BucketContent
from dockd.central.stores.s3.disposal import dispose_object, is_there
from dockd.central.stores.s3.documents import keep_document, read_document
from dockd.central.stores.s3.failures import NotThere
from dockd.central.stores.s3.proof import Proof
from dockd.central.stores.s3.retention import RetentionPolicy
from dockd.central.stores.s3.upload_rows import MultipartRows
from dockd.central.stores.s3.uploads import MultipartUploads
from dockd.central.verifier_queue import VerifierQueue
from dockd.clock import Clock
from dockd.errors import NotFound
from dockd.rules.retention import DisposalPermit
from dockd.wire.messages import PartAddress


class S3Store:
    """Keeps objects in `bucket`. Implements `ObjectStore`; any number of processes may share it.

    `work_to_do` is set when something was put into the verifier's queue.
    """

    def __init__(self, bucket: Bucket, *, database: Database, clock: Clock, work_to_do: asyncio.Event) -> None:
        self._bucket = bucket
        self._clock = clock
        self._queue = VerifierQueue(database, clock, bucket.place.bucket)
        self._retention = RetentionPolicy(bucket, clock)
        self._uploads = MultipartUploads(bucket, MultipartRows(database), self._retention, clock)
        self._proof = Proof(
            bucket,
            self._uploads,
            self._retention,
            queue=self._queue,
            canaries=CanaryRecords(database, bucket.place, clock),
            clock=clock,
            work_to_do=work_to_do,
        )

    async def open(self) -> None:
        """Ready the connections. A store that is away now is asked again later, by whoever needs it."""
        await self._bucket.open()

    async def close(self) -> None:
        await self._bucket.close()

    # --- uploads ------------------------------------------------------------------------------

    async def begin(self, plan: UploadPlan) -> frozenset[int]:
        """Create the multipart upload unless there is one. Raises Refusal (422, 503, 507)."""
        one = await self._uploads.begin(plan)
        try:
            return frozenset(await self._uploads.held_parts(plan, one))
        except NotThere:
            if await self._proof.find(one, looks=1) is not None:
                return frozenset(plan.part_numbers)  # joined; a kill came before the receipt
            await self._uploads.begin_again(plan, one)
            return frozenset()

    def part_address(self, plan: UploadPlan, number: int, origin: str, expires_at: datetime) -> PartAddress:  # noqa: ARG002 - parts go to the store, not to us
        return self._uploads.address(plan, number, expires_at)

    async def receive_part(self, request: web.Request) -> None:  # noqa: ARG002 - the protocol's
        raise NotFound("Parts go to the object store itself.", action="Ask for fresh addresses.")

    @asynccontextmanager
    async def placed(self, plan: UploadPlan) -> AsyncIterator[StoredObject]:
        """See `ObjectStore.placed`. Two processes may be inside at once, each with the same proved object."""
        one = await self._uploads.standing(plan)
        found = await self._proof.proved(plan, one)
        yield StoredObject(one.object_key, found.version, found.retain_until)

    async def discard(self, plan: UploadPlan) -> None:
        one = await self._uploads.discard(plan)
        if one is not None:
            await self._queue.forget(one.object_key)
            await self._uploads.abort(one.object_key, one.multipart)

    async def give_up_orphans(self, older_than: timedelta) -> int:
        """Abort multipart uploads that no row speaks of any more, forget old read-backs; returns how many uploads."""
        count = await self._uploads.abort_orphans(older_than)
        await self._queue.forget_older_than(self._clock.now() - older_than)
        return count

    # --- objects and documents ----------------------------------------------------------------

    async def holds(self, object_key: str, size_bytes: int) -> bool:
        try:
            return (await self._bucket.head(object_key)).size_bytes == size_bytes
        except NotThere:
            return False

    async def has_object(self, object_key: str, object_version: str | None) -> bool:
        return await is_there(self._bucket, object_key, object_version)

    @asynccontextmanager
    async def disposing(self) -> AsyncIterator[None]:
        """See `ObjectStore.disposing`. Every object has a key of its own, which is never used again."""
        yield

    async def dispose(self, permit: DisposalPermit) -> None:
        await dispose_object(self._bucket, permit, self._clock)

    async def content_response(self, object_key: str, headers: Mapping[str, str]) -> web.StreamResponse:
        try:
            await self._bucket.head(object_key)
        except NotThere:
            raise NotFound("The store does not hold this object.") from None
        return BucketContent(self._bucket, object_key, headers)

    async def keep_document(self, key: str, content: bytes) -> None:
        await keep_document(self._bucket, key, content, await self._retention.now_wanted())

    async def read_document(self, key: str) -> bytes:
        try:
            return await read_document(self._bucket, key)
        except NotThere:
            raise NotFound("The store does not hold this document.") from None
