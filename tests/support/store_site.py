"""One object store with its database and the door that the centre gives it, for tests of the store's own promises."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import insert
from yarl import URL

from dockd.central.database import Database, sqlite_url
from dockd.central.stores import ObjectStore, StoredObject, UploadPlan
from dockd.central.stores.addresses import PART_PATH
from dockd.central.stores.files import FileStore
from dockd.central.stores.s3.config import StoreConfig
from dockd.central.stores.s3.service import BucketService
from dockd.central.tables import uploads
from dockd.clock import Clock
from dockd.model.ids import Digest
from dockd.web.problems import problem_middleware
from dockd.wire.messages import PartAddress

PART_BYTES = 5 * 1024 * 1024
"""The smallest that S3 takes."""
_NOT_TAKEN_HERE = frozenset({"content-length"})


def digest_of(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).hexdigest())


@dataclass
class StoreSite:
    """A store that runs. `service` is what goes on beside it, where it is a bucket."""

    store: ObjectStore
    database: Database
    clock: Clock
    origin: str
    http: aiohttp.ClientSession
    service: BucketService | None = None

    async def plan(self, content: bytes, *, part_bytes: int = PART_BYTES) -> UploadPlan:
        """An upload of `content`, known to the centre."""
        parts = [content[at : at + part_bytes] for at in range(0, len(content), part_bytes)]
        plan = UploadPlan(
            upload=f"up-{os.urandom(8).hex()}",
            digest=digest_of(content),
            size_bytes=len(content),
            part_size_bytes=part_bytes,
            part_digests=tuple(digest_of(one) for one in parts),
        )
        row = {
            "upload": plan.upload,
            "digest": plan.digest,
            "size_bytes": plan.size_bytes,
            "part_size_bytes": part_bytes,
            "part_digests": "[]",
            "is_done": False,
            "touched_at": self.clock.now(),
        }
        async with self.database.writing() as connection:
            await connection.execute(insert(uploads).values(row))
        return plan

    def address(self, plan: UploadPlan, number: int, *, minutes: float = 5) -> PartAddress:
        """Where one part goes."""
        return self.store.part_address(plan, number, self.origin, self.clock.now() + timedelta(minutes=minutes))

    async def put(self, address: PartAddress, body: bytes, **changed: str) -> int:
        """PUT as the dock does; returns the status. `changed` replaces headers (`_` for `-`)."""
        headers = {name: one for name, one in address.headers.items() if name.lower() not in _NOT_TAKEN_HERE}
        headers |= {name.replace("_", "-"): one for name, one in changed.items()}
        async with self.http.put(URL(address.url, encoded=True), data=io.BytesIO(body), headers=headers) as answer:
            await answer.read()
            return answer.status

    async def put_pieces(self, address: PartAddress, pieces: AsyncIterator[bytes]) -> int | None:
        """PUT a stream with the signed length; None when the connection breaks."""
        try:
            async with self.http.put(URL(address.url, encoded=True), data=pieces, headers=address.headers) as answer:
                return answer.status
        except (aiohttp.ClientError, ConnectionError):
            return None

    async def send(self, plan: UploadPlan, content: bytes, *numbers: int) -> None:
        """Send these parts of `content` (none named: all)."""
        for number in numbers or plan.part_numbers:
            part = plan.part(number)
            body = content[part.offset_bytes : part.offset_bytes + part.size_bytes]
            status = await self.put(self.address(plan, number), body)
            assert status in (200, 204), status

    async def place(self, plan: UploadPlan) -> StoredObject:
        """Complete and prove."""
        async with self.store.placed(plan) as stored:
            return stored

    async def keep(self, content: bytes) -> StoredObject:
        """The whole way."""
        plan = await self.plan(content)
        await self.store.begin(plan)
        await self.send(plan, content)
        return await self.place(plan)

    async def get(self, object_key: str, **headers: str) -> tuple[int, bytes]:
        """Read an object through the centre's door."""
        async with self.http.get(f"{self.origin}/content/{object_key}", headers=headers) as answer:
            return answer.status, await answer.read()


@asynccontextmanager
async def open_folder_site(folder: Path, clock: Clock) -> AsyncIterator[StoreSite]:
    """The embedded store."""
    database = Database(sqlite_url(folder / "centre.sqlite"))
    await database.open()
    store = FileStore(
        folder / "store",
        database=database,
        clock=clock,
        address_secret=os.urandom(32),
        floor_bytes=0,
        part_idle_seconds=10,
    )
    (folder / "store").mkdir()
    try:
        async with _opened(store, database, clock, None) as site:
            yield site
    finally:
        await database.close()


@asynccontextmanager
async def open_s3_site(
    folder: Path, config: StoreConfig, clock: Clock, *, database: Database | None = None, is_verifying: bool = True
) -> AsyncIterator[StoreSite]:
    """A bucket, with its verifiers at work unless told otherwise; the canary waits to be asked."""
    own = database or Database(sqlite_url(folder / "centre.sqlite"))
    if database is None:
        await own.open()
    service = BucketService(config, own, clock)
    try:
        async with _opened(service.store, own, clock, service) as site:
            verifying = asyncio.create_task(service.verify(2)) if is_verifying else None
            try:
                yield site
            finally:
                if verifying is not None:
                    verifying.cancel()
                    await asyncio.wait([verifying])
    finally:
        if database is None:
            await own.close()


@asynccontextmanager
async def _opened(
    store: ObjectStore, database: Database, clock: Clock, service: BucketService | None
) -> AsyncIterator[StoreSite]:
    async def take_part(request: web.Request) -> web.StreamResponse:
        await store.receive_part(request)
        return web.Response(status=204)

    async def give_content(request: web.Request) -> web.StreamResponse:
        return await store.content_response(request.match_info["key"], {"Cache-Control": "no-store"})

    app = web.Application(middlewares=[problem_middleware])
    app.router.add_put(PART_PATH, take_part)
    app.router.add_get("/content/{key:.+}", give_content)
    await store.open()
    try:
        async with TestServer(app) as door, aiohttp.ClientSession() as http:
            yield StoreSite(store, database, clock, str(door.make_url("")).rstrip("/"), http, service)
    finally:
        await store.close()
