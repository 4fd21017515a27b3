"""Reads objects back from the bucket and hashes them in whole; the proof that a receipt rests on.

A worker takes one object after another from the queue. Constant memory: a few pieces of 1 MiB, hashed in a
thread while the next are on their way. An object that reads wrong is read once more, part by part, before
anything is said against it. Knows the queue and the bucket; signs nothing, deletes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import structlog

from dockd.central.refusals import STORE_SUSPECT
from dockd.central.stores.s3.bucket import Bucket
from dockd.central.stores.s3.failures import NotThere
from dockd.central.verifier_queue import LEASE, Outcome, ReadBack, VerifierQueue
from dockd.model.ids import Digest
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)

_BLOCK_BYTES = 4 * 1024 * 1024
_LOOK_AGAIN_SECONDS = 1.0
_AFTER_FAILURE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What one pass over an object gave. `part_digests` only where they were asked for."""

    digest: Digest
    size_bytes: int
    part_digests: tuple[Digest, ...]


class Verifier:
    """One worker. `woken` is set by whoever puts something into the queue in this process."""

    def __init__(self, bucket: Bucket, queue: VerifierQueue, woken: asyncio.Event, number: int = 1) -> None:
        self._bucket = bucket
        self._queue = queue
        self._woken = woken
        # Containers may share host name and process id; a lease must belong to one worker alone.
        self._name = f"{socket.gethostname()}:{os.getpid()}:{number}:{os.urandom(4).hex()}"

    async def run(self) -> None:
        """Take and verify until cancelled; trouble of store and database passes, and is tried again."""
        while True:
            try:
                taken = await self._queue.take(self._name)
                if taken is not None:
                    await self.verify(taken)
                    continue
            except Refusal as refusal:
                _log.warning("verifier_waits", reason=refusal.what)
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            await self._wait()

    async def verify(self, taken: ReadBack) -> None:
        """Read one object back and tell the queue. Raises Refusal when the database cannot be told."""
        async with self._lease(taken):
            try:
                outcome = await self._judge(taken)
            except Refusal as refusal:
                _log.warning("read_back_postponed", object_key=taken.object_key, reason=refusal.what)
                await self._queue.postpone(taken, self._name, refusal.what, _AFTER_FAILURE_SECONDS)
                return
            await self._queue.finish(taken, outcome)
        tell = _log.info if outcome is Outcome.SOUND else _log.error
        tell("object_read_back", object_key=taken.object_key, version=taken.version, outcome=outcome.value)

    async def _judge(self, taken: ReadBack) -> Outcome:
        try:
            first = await read_back(self._bucket, taken, with_parts=False)
            if _is_sound(first, taken):
                return Outcome.SOUND
            second = await read_back(self._bucket, taken, with_parts=True)
        except NotThere:
            return Outcome.LOST
        if (second.digest, second.size_bytes) != (first.digest, first.size_bytes):
            words = "The object store gives different bytes each time it is asked for the same object."
            raise Refusal(STORE_SUSPECT, words, retry_after_seconds=60)
        if second.size_bytes == taken.size_bytes and second.part_digests == taken.part_digests:
            return Outcome.CONTRADICTION
        return Outcome.DAMAGED

    @asynccontextmanager
    async def _lease(self, taken: ReadBack) -> AsyncIterator[None]:
        keeping = asyncio.create_task(self._keep(taken), name=f"lease {taken.object_key}")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])

    async def _keep(self, taken: ReadBack) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            try:
                await self._queue.renew(taken, self._name)
            except Refusal as refusal:  # the worst that comes of it is that another worker reads it too
                _log.warning("lease_not_renewed", object_key=taken.object_key, reason=refusal.what)

    async def _wait(self) -> None:
        self._woken.clear()
        try:
            async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            return


def _is_sound(reading: Reading, taken: ReadBack) -> bool:
    return (reading.digest, reading.size_bytes) == (taken.digest, taken.size_bytes)


async def read_back(bucket: Bucket, wanted: ReadBack, *, with_parts: bool) -> Reading:
    """Read the whole object, by version, and hash it. Raises NotThere, Refusal (503, 507)."""
    told = await bucket.get(wanted.object_key, wanted.version)
    hashes = _Hashes(wanted.part_size_bytes if with_parts else None)
    waiting: list[bytes] = []
    waiting_bytes = 0
    hashing: asyncio.Future[None] | None = None
    loop = asyncio.get_running_loop()
    try:
        async with aclosing(bucket.chunks(told)) as pieces:
            async for piece in pieces:
                waiting.append(piece)
                waiting_bytes += len(piece)
                if waiting_bytes >= _BLOCK_BYTES:
                    if hashing is not None:
                        await hashing
                    hashing = loop.run_in_executor(None, hashes.update, waiting)
                    waiting, waiting_bytes = [], 0
    finally:
        if hashing is not None:
            await asyncio.wait([hashing])
    await asyncio.to_thread(hashes.update, waiting)
    return hashes.reading()


class _Hashes:
    """The digest of the whole, and where asked for those of the parts."""

    def __init__(self, part_size_bytes: int | None) -> None:
        self._part_size_bytes = part_size_bytes
        self._whole = hashlib.sha256()
        self._size_bytes = 0
        self._parts: list[str] = []
        self._part = hashlib.sha256()
        self._part_has_bytes = 0

    def update(self, pieces: list[bytes]) -> None:
        """Blocking."""
        for piece in pieces:
            self._whole.update(piece)
            self._size_bytes += len(piece)
            if self._part_size_bytes is not None:
                self._update_parts(memoryview(piece), self._part_size_bytes)

    def reading(self) -> Reading:
        """What came out; the last part may be shorter."""
        last = [self._part.hexdigest()] if self._part_has_bytes else []
        digests = tuple(Digest(one) for one in (*self._parts, *last))
        return Reading(Digest(self._whole.hexdigest()), self._size_bytes, digests)

    def _update_parts(self, rest: memoryview, part_size_bytes: int) -> None:
        while rest:
            take = min(len(rest), part_size_bytes - self._part_has_bytes)
            self._part.update(rest[:take])
            self._part_has_bytes += take
            rest = rest[take:]
            if self._part_has_bytes == part_size_bytes:
                self._parts.append(self._part.hexdigest())
                self._part, self._part_has_bytes = hashlib.sha256(), 0
