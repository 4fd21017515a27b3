"""Centre processes that share a database and a bucket, as far as claims go; each has connections of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dockd.central.canary import CanaryRecords
from dockd.central.claims import Claims
from dockd.central.database import Database
from dockd.central.identity import Identity
from dockd.central.stores import StoredObject, UploadPlan
from dockd.central.stores.s3.store import S3Store
from dockd.central.verifier import Verifier
from dockd.central.verifier_queue import VerifierQueue
from dockd.clock import Clock
from dockd.model.recording import ContainerVerdict
from dockd.wire.messages import Claim
from tests.support.memory_bucket import MemoryBucket
from tests.support.store_site import PART_BYTES, digest_of

Gate = Callable[[], Any]


class GatedStore:
    """A store at whose proof a test may make everybody wait: `before` it begins, `after` the object is proved."""

    def __init__(self, store: S3Store) -> None:
        self._store = store
        self.before: Gate | None = None
        self.after: Gate | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def placed(self, plan: UploadPlan) -> AsyncIterator[StoredObject]:
        if self.before is not None:
            await self.before()
        async with self._store.placed(plan) as stored:
            if self.after is not None:
                await self.after()
            yield stored


@dataclass
class BucketCentre:
    """One process."""

    database: Database
    claims: Claims
    store: GatedStore
    canaries: CanaryRecords

    async def send(self, content: bytes, bucket: MemoryBucket) -> str:
        """Claim `content` and put every part that is asked for; returns the upload."""
        answer = await self.claims.claim(claim_of(content), "http://centre.example")
        assert answer.upload is not None
        for part in answer.upload.parts:
            key = part.url.removeprefix(f"{bucket.place.endpoint}/").partition("?")[0]
            bucket.put_part(key, part.part_number, content[part.offset_bytes : part.offset_bytes + part.size_bytes])
        return answer.upload.upload


def claim_of(content: bytes) -> Claim:
    """What a dock claims of these bytes."""
    parts = [content[at : at + PART_BYTES] for at in range(0, len(content), PART_BYTES)]
    return Claim(
        dock="dock-7",
        recording=f"r-{os.urandom(4).hex()}",
        camera="simulated:CAM1",
        session="s-1",
        digest=digest_of(content),
        size_bytes=len(content),
        part_size_bytes=PART_BYTES,
        part_digests=tuple(map(digest_of, parts)),
        path="0001.MP4",
        recorded_at=None,
        officer=None,
        container=ContainerVerdict.COMPLETE,
    )


@asynccontextmanager
async def open_bucket_centre(
    url: str, bucket: MemoryBucket, identity: Identity, clock: Clock, *, verifiers: int = 1
) -> AsyncIterator[BucketCentre]:
    """One process on the database at `url`, its verifiers at work."""
    async with AsyncExitStack() as stack:
        database = Database(url)
        stack.push_async_callback(database.close)
        await database.open()
        work_to_do = asyncio.Event()
        store = GatedStore(S3Store(bucket, database=database, clock=clock, work_to_do=work_to_do))
        claims = Claims(database, store, identity, clock, address_lifetime=timedelta(minutes=15))
        stack.push_async_callback(claims.close)
        queue = VerifierQueue(database, clock, bucket.place.bucket)
        working = [
            asyncio.create_task(Verifier(bucket, queue, work_to_do, number).run()) for number in range(verifiers)
        ]
        try:
            yield BucketCentre(database, claims, store, CanaryRecords(database, bucket.place, clock))
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
