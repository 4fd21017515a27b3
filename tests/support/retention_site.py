"""A centre as far as claims, facts and retention go, over a folder or a bucket in memory, its clock moved by hand.

Recordings come in as docks bring them: facts first, then the claim, the bytes and the proof.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from dockd.central.claims import Claims
from dockd.central.database import Database
from dockd.central.fact_intake import FactIntake
from dockd.central.identity import Identity, create_identity, load_identity
from dockd.central.retention.config import RetentionConfig
from dockd.central.retention.service import Retention
from dockd.central.retention.tables import disposals
from dockd.central.stores import ObjectStore
from dockd.central.stores.files import FileStore
from dockd.central.stores.part_rows import PartRows
from dockd.central.stores.s3.store import S3Store
from dockd.central.tables import receipts
from dockd.central.verifier import Verifier
from dockd.central.verifier_queue import VerifierQueue
from dockd.model import facts as f
from dockd.model.camera import ClockReading
from dockd.model.recording import ContainerVerdict, Receipt
from dockd.wire.messages import Claim, ClaimAnswer
from tests.support.clock import ManualClock
from tests.support.dock_voice import Chain
from tests.support.memory_bucket import MemoryBucket

ON = RetentionConfig(delete=True, most_percent=100)
"""Deletes, and its brake never grips."""


@dataclass
class RetentionSite:
    """One process of a centre."""

    folder: Path
    database: Database
    store: ObjectStore
    claims: Claims
    retention: Retention
    clock: ManualClock
    bucket: MemoryBucket | None = None
    chains: dict[str, Chain] = field(default_factory=dict)

    async def bring(
        self,
        content: bytes,
        *,
        recorded_at: datetime | None,
        camera: str = "simulated:CAM-1",
        officer: str | None = "PC1",
        dock: str = "dock-7",
        is_proved: bool = True,
        recording: str | None = None,
    ) -> str:
        """A dock lists, claims and sends a recording; returns its digest once there is a receipt."""
        digest = hashlib.sha256(content).hexdigest()
        name = recording or digest[:32]
        session = f"s-{name[:8]}-{len(self.chain(dock).facts)}"
        await self.tell(dock, session, name, camera, officer, recorded_at, len(content), is_proved=is_proved)
        answer = await self.claim(
            content, recorded_at=recorded_at, camera=camera, officer=officer, dock=dock, recording=name
        )
        if answer.upload is not None:
            await self.send(answer.upload.upload, content)
        return digest

    async def claim(
        self,
        content: bytes,
        *,
        recorded_at: datetime | None,
        camera: str = "simulated:CAM-1",
        officer: str | None = "PC1",
        dock: str = "dock-7",
        recording: str | None = None,
    ) -> ClaimAnswer:
        """What the centre answers to a dock's claim."""
        digest = hashlib.sha256(content).hexdigest()
        wanted = Claim(
            dock=dock,
            recording=recording or digest[:32],
            camera=camera,
            session="s-1",
            digest=digest,
            size_bytes=len(content),
            part_size_bytes=16 * 1024 * 1024,
            part_digests=(digest,) if content else (),
            path="DCIM/0001.MP4",
            recorded_at=recorded_at,
            officer=officer,
            container=ContainerVerdict.COMPLETE,
        )
        return await self.claims.claim(wanted, "http://centre.example")

    async def send(self, upload: str, content: bytes) -> Receipt:
        """The bytes, as the store takes them, and the proof."""
        if self.bucket is not None:
            digest = hashlib.sha256(content).hexdigest()
            key = next(one.key for one in self.bucket.multiparts.values() if digest in one.key)
            self.bucket.put_part(key, 1, content)
        else:
            with (self.folder / "uploads" / upload).open("r+b") as file:
                file.write(content)
            await PartRows(self.database, self.clock).finish(upload, 1)
        return await self.claims.complete(upload)

    async def tell(
        self,
        dock: str,
        session: str,
        recording: str,
        camera: str,
        officer: str | None,
        recorded_at: datetime | None,
        size_bytes: int,
        *,
        is_proved: bool,
    ) -> None:
        """The facts of a docking in which the recording was listed."""
        chain = self.chain(dock)
        new: list[f.Fact] = [f.CameraDocked(session=session, bay="1", port="1-1")]
        if is_proved:
            now = self.clock.now()
            reading = ClockReading(camera_at=now, host_at=now, offset_milliseconds=0, uncertainty_milliseconds=5)
            new.append(f.ClockMeasured(session=session, camera=camera, reading=reading))
        new.append(
            f.RecordingListed(
                recording=recording,
                session=session,
                camera=camera,
                path="DCIM/0001.MP4",
                size_bytes=size_bytes,
                modified_ns=None,
                generation=0,
                recorded_at=recorded_at,
                officer=officer,
            )
        )
        await FactIntake(self.database, self.clock).take(dock, tuple(chain.add(*new)))

    def chain(self, dock: str) -> Chain:
        """This dock's facts so far."""
        return self.chains.setdefault(dock, Chain(dock, clock=self.clock))

    async def receipt(self, digest: str) -> Receipt:
        """The one in force."""
        async with self.database.reading() as connection:
            question = select(receipts.c.receipt).where(receipts.c.digest == digest)
            return Receipt.model_validate_json((await connection.execute(question)).scalar_one())

    async def has(self, digest: str) -> bool:
        """Whether the bytes are in the store, looked at from outside."""
        receipt = await self.receipt(digest)
        if self.bucket is not None:
            return receipt.object_key in self.bucket.objects
        return (self.folder / receipt.object_key).exists()

    async def state(self, digest: str) -> str | None:
        """What is being done, or was done, about the receipt in force."""
        receipt = await self.receipt(digest)
        is_it = (disposals.c.digest == digest) & (disposals.c.accepted_at == receipt.accepted_at)
        async with self.database.reading() as connection:
            return (await connection.execute(select(disposals.c.state).where(is_it))).scalar_one_or_none()

    async def told(self, kind: str) -> list[dict[str, object]]:
        """What the centre's facts of this kind are about."""
        return [dict(one.about) for one in await self.retention.facts.read(limit=1000, kind=kind)]

    def pass_days(self, days: float) -> None:
        """Let time pass."""
        self.clock.advance(days * 86_400)


def identity_in(folder: Path) -> Identity:
    """The centre's, made when it is not there."""
    if not (folder / "keys").exists():
        create_identity(folder, store="store-test")
    return load_identity(folder)


@asynccontextmanager
async def open_retention_site(
    folder: Path,
    url: str,
    clock: ManualClock,
    *,
    bucket: MemoryBucket | None = None,
    config: RetentionConfig = ON,
) -> AsyncIterator[RetentionSite]:
    """One process on the database at `url`; with `bucket` its footage lies there, else in `folder`."""
    async with AsyncExitStack() as stack:
        identity = await asyncio.to_thread(identity_in, folder)
        database = Database(url)
        stack.push_async_callback(database.close)
        await database.open()
        store: ObjectStore
        if bucket is None:
            store = FileStore(
                folder,
                database=database,
                clock=clock,
                address_secret=identity.address_secret,
                floor_bytes=0,
                part_idle_seconds=10,
            )
        else:
            work_to_do = asyncio.Event()
            store = S3Store(bucket, database=database, clock=clock, work_to_do=work_to_do)
            queue = VerifierQueue(database, clock, bucket.place.bucket)
            working = asyncio.create_task(Verifier(bucket, queue, work_to_do, 1).run())

            async def stop() -> None:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)

            stack.push_async_callback(stop)
        await store.open()
        stack.push_async_callback(store.close)
        claims = Claims(database, store, identity, clock, address_lifetime=timedelta(minutes=15))
        stack.push_async_callback(claims.close)
        retention = Retention(database, store, clock, config)
        await retention.decisions.begin()
        yield RetentionSite(folder, database, store, claims, retention, clock, bucket)
