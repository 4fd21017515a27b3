"""The embedded object store: a folder on one disk.

    objects/ab/cd/<sha256>     footage, read-only, proved before it got this name
    uploads/<upload>           an upload under way: every part at its own offset
    sessions/<dock>/<session>/ manifests
    drafts/                    small files on their way; swept at start

Knows files, locks and the rows of finished parts. Must not know receipts or docks. All names are made of
checked ids and digests, never of anything that a card or a request said.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TypeVar

import structlog
from aiohttp import web

from dockd.central.database import Database
from dockd.central.refusals import BUSY, DIGEST_DIFFERS, PART_DAMAGED, PARTS_MISSING
from dockd.central.stores import StoredObject, UploadPlan
from dockd.central.stores.addresses import PartAddresses
from dockd.central.stores.disk import StoreDisk
from dockd.central.stores.durable import lock_range, make_folders, reserve, sync_folder, write_new
from dockd.central.stores.part_intake import PART_CONTENT_TYPE, PartIntake
from dockd.central.stores.part_rows import PartRows
from dockd.central.stores.placing import (
    OBJECTS,
    PartsDamaged,
    WholeDiffers,
    dispose_file,
    object_key,
    prove_and_place,
    prove_placed,
)
from dockd.central.stores.read_along import Prefix, ReadAlong
from dockd.clock import Clock
from dockd.errors import CentreUnusable, NotFound
from dockd.rules.retention import DisposalPermit
from dockd.web.problems import Refusal
from dockd.wire.messages import PartAddress

_log = structlog.get_logger(__name__)
T = TypeVar("T")

_PROVERS = 4
_LOCK_PATIENCE_SECONDS = 30.0
_LEFT_ALONE_SECONDS = 3600.0
"""Files younger than this may belong to another process that is at work now; a sweep leaves them."""
_NAMED_MISSING = 20
_DISPOSAL_LOCK = ".disposal-lock"


class _Made(Enum):
    """When an upload's file was made."""

    NOW = "now"
    BEFORE = "before"
    PLACED = "and placed: a kill came between that and the receipt; `placed` proves it again"


class FileStore:
    """Keeps objects in `folder`. Implements `ObjectStore`; several processes may share the folder."""

    def __init__(
        self,
        folder: Path,
        *,
        database: Database,
        clock: Clock,
        address_secret: bytes,
        floor_bytes: int,
        part_idle_seconds: float,
    ) -> None:
        self._folder = folder
        self._uploads = folder / "uploads"
        self._drafts = folder / "drafts"
        self._clock = clock
        self._rows = PartRows(database, clock)
        self._disk = StoreDisk(folder, floor_bytes)
        self._addresses = PartAddresses(address_secret)
        self._along = ReadAlong(self._uploads, clock)
        self._intake = PartIntake(
            self._uploads,
            addresses=self._addresses,
            rows=self._rows,
            disk=self._disk,
            along=self._along,
            clock=clock,
            idle_seconds=part_idle_seconds,
        )
        self._pool = ThreadPoolExecutor(_PROVERS, thread_name_prefix="store")

    async def open(self) -> None:
        try:
            await asyncio.to_thread(self._prepare_folders)
        except OSError as error:
            raise CentreUnusable(f"The store's folder {self._folder} cannot be used: {error.strerror}.") from error
        unfinished = await self._rows.open_uploads()
        await asyncio.to_thread(self._sweep, unfinished)

    async def close(self) -> None:
        await asyncio.to_thread(self._intake.close)
        await asyncio.to_thread(self._along.close)
        await self._rows.close()
        await asyncio.to_thread(self._pool.shutdown, wait=True)

    # --- uploads ------------------------------------------------------------------------------

    async def begin(self, plan: UploadPlan) -> frozenset[int]:
        """Make the upload's file. Raises Refusal (503, 507)."""
        made = await self._in_thread(self._make_ready, plan)
        if made is _Made.PLACED:
            return frozenset(plan.part_numbers)
        finished = frozenset(await self._rows.finished(plan.upload))
        is_doubtful = made is _Made.NOW or len(finished) < len(plan.part_digests)
        if is_doubtful and await self.holds(object_key(plan.digest), plan.size_bytes):
            # Somebody else completed it meanwhile: the object is placed before the rows are forgotten.
            return frozenset(plan.part_numbers)
        if made is _Made.NOW and finished:
            # Rows without the file they speak of vouch for nothing.
            await self._rows.forget(plan.upload)
            return frozenset()
        return finished

    def part_address(self, plan: UploadPlan, number: int, origin: str, expires_at: datetime) -> PartAddress:
        part = plan.part(number)
        return PartAddress(
            part_number=number,
            offset_bytes=part.offset_bytes,
            size_bytes=part.size_bytes,
            digest=part.digest,
            url=origin + self._addresses.sign(plan.upload, part, expires_at),
            headers={"Content-Type": PART_CONTENT_TYPE},
            expires_at=expires_at.replace(microsecond=0),
        )

    async def receive_part(self, request: web.Request) -> None:
        await self._intake.receive(request)

    @asynccontextmanager
    async def placed(self, plan: UploadPlan) -> AsyncIterator[StoredObject]:
        """See `ObjectStore.placed`. The lock on the upload's file is held until the block is left."""
        async with self._locked(plan.upload) as upload_file:
            if upload_file is None:
                key = await self._in_thread(prove_placed, self._folder, plan)
                if key is None:
                    await self._rows.forget(plan.upload)
                    raise _parts_missing(plan, frozenset())
            else:
                finished = await self._rows.finished(plan.upload)
                if len(finished) < len(plan.part_digests):
                    raise _parts_missing(plan, frozenset(finished))
                prefix = await self._along.take(plan.upload)
                if prefix is not None and not prefix.agrees_with(finished):
                    prefix = None
                key = await self._prove(plan, upload_file, prefix)
            yield StoredObject(key)

    async def discard(self, plan: UploadPlan) -> None:
        def remove() -> None:
            (self._uploads / plan.upload).unlink(missing_ok=True)
            sync_folder(self._uploads)

        self._along.forget(plan.upload)
        await self._in_thread(remove)
        await self._rows.forget(plan.upload)

    # --- objects and documents ----------------------------------------------------------------

    async def holds(self, object_key: str, size_bytes: int) -> bool:
        return await self._in_thread(self._holds, object_key, size_bytes)

    async def has_object(self, object_key: str, object_version: str | None) -> bool:  # noqa: ARG002 - a folder has none
        return await self._in_thread(os.path.lexists, self._folder / object_key)

    @asynccontextmanager
    async def disposing(self) -> AsyncIterator[None]:
        """See `ObjectStore.disposing`. A file's name is used again, so one lock on the folder keeps others out."""
        descriptor = await self._in_thread(os.open, self._folder / _DISPOSAL_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not lock_range(descriptor, 0, 0):
                raise Refusal(BUSY, "Another process of the centre deletes from this folder.", retry_after_seconds=60)
            yield
        finally:
            os.close(descriptor)

    async def dispose(self, permit: DisposalPermit) -> None:
        await self._in_thread(dispose_file, self._folder, permit, self._clock)

    async def content_response(self, object_key: str, headers: Mapping[str, str]) -> web.StreamResponse:
        path = self._folder / object_key
        if not await self._in_thread(path.is_file):
            raise NotFound("The store does not hold this object.")
        return web.FileResponse(path, chunk_size=1024 * 1024, headers=dict(headers))

    async def keep_document(self, key: str, content: bytes) -> None:
        def keep() -> None:
            *folders, name = key.split("/")
            path = make_folders(self._folder, *folders) / name
            try:
                write_new(path, content, drafts=self._drafts)
            except FileExistsError:
                if path.read_bytes() != content:
                    raise
                sync_folder(path.parent)  # a kill may have come between the name and its durability

        self._disk.check(len(content))
        await self._in_thread(keep)

    async def read_document(self, key: str) -> bytes:
        try:
            return await self._in_thread((self._folder / key).read_bytes)
        except Refusal as refusal:
            if isinstance(refusal.__cause__, FileNotFoundError):
                raise NotFound("The store does not hold this document.") from None
            raise

    # --- inside -------------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        """Run blocking file work. FileExistsError passes; any other OSError becomes a Refusal."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, work, *arguments)
        except FileExistsError:
            raise
        except FileNotFoundError as error:
            raise Refusal(BUSY, "A file of the store is gone; look again.", retry_after_seconds=2) from error
        except OSError as error:
            raise self._disk.refusal_for(error) from error

    async def _prove(self, plan: UploadPlan, upload_file: Path, prefix: Prefix | None) -> str:
        try:
            return await self._in_thread(prove_and_place, self._folder, upload_file, plan, prefix)
        except PartsDamaged as damaged:
            _log.error("stored_parts_damaged", upload=plan.upload, parts=damaged.numbers[:_NAMED_MISSING])
            await self._rows.forget(plan.upload, damaged.numbers)
            raise Refusal(
                PART_DAMAGED, f"{len(damaged.numbers)} parts must be sent again.", retry_after_seconds=2
            ) from None
        except WholeDiffers:
            raise Refusal(DIGEST_DIFFERS, "The parts together do not have the claimed digest.") from None

    @asynccontextmanager
    async def _locked(self, upload: str) -> AsyncIterator[Path | None]:
        """The upload's file, locked as a whole against parts and other completions; None when it is gone."""
        path = self._uploads / upload
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            raise self._disk.refusal_for(error) from error
        try:
            loop = asyncio.get_running_loop()
            give_up_at = loop.time() + _LOCK_PATIENCE_SECONDS
            while not lock_range(descriptor, 0, 0):
                if loop.time() > give_up_at:
                    raise Refusal(BUSY, "This upload is being worked on by somebody else.", retry_after_seconds=5)
                await asyncio.sleep(0.05)
            yield path if _is_still(path, descriptor) else None
        finally:
            os.close(descriptor)

    def _prepare_folders(self) -> None:
        for name in (OBJECTS, "uploads", "sessions", "drafts"):
            make_folders(self._folder, name)
        self._disk.probe()

    def _sweep(self, unfinished: frozenset[str]) -> None:
        """Remove what no row speaks of: uploads that are done or given up, old drafts of killed processes."""
        leftover = [file for file in self._uploads.iterdir() if file.name not in unfinished]
        for file in (*leftover, *self._drafts.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - file.stat().st_mtime > _LEFT_ALONE_SECONDS:
                    file.unlink()

    def _holds(self, key: str, size_bytes: int) -> bool:
        try:
            return (self._folder / key).stat().st_size == size_bytes
        except FileNotFoundError:
            return False

    def _make_ready(self, plan: UploadPlan) -> _Made:
        if self._holds(object_key(plan.digest), plan.size_bytes):
            return _Made.PLACED
        self._disk.check(plan.size_bytes - self._allocated_bytes(plan.upload))
        return _Made.NOW if self._create(plan) else _Made.BEFORE

    def _allocated_bytes(self, upload: str) -> int:
        try:
            return (self._uploads / upload).stat().st_blocks * 512  # stat(2): always in units of 512
        except FileNotFoundError:
            return 0

    def _create(self, plan: UploadPlan) -> bool:
        path = self._uploads / plan.upload
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            descriptor, is_new = os.open(path, flags | os.O_EXCL, 0o600), True
        except FileExistsError:
            descriptor, is_new = os.open(path, flags, 0o600), False
        try:
            if os.fstat(descriptor).st_size != plan.size_bytes:
                _size_once(descriptor, plan.size_bytes)
        finally:
            os.close(descriptor)
        if is_new:
            sync_folder(self._uploads)
        return is_new


def _size_once(descriptor: int, size_bytes: int) -> None:
    """Size a new upload's file unless another process, or a part, has it at this moment. Raises Refusal, OSError."""
    give_up_at_monotonic = time.monotonic() + _LOCK_PATIENCE_SECONDS
    while not lock_range(descriptor, 0, 0):
        if time.monotonic() > give_up_at_monotonic:
            raise Refusal(BUSY, "This upload is being begun by somebody else.", retry_after_seconds=2)
        time.sleep(0.01)
    if os.fstat(descriptor).st_size != size_bytes:  # whoever had the lock may have done it, and taken parts since
        _size(descriptor, size_bytes)


def _size(descriptor: int, size_bytes: int) -> None:
    """Give an upload's file its length and its room, durably; none of both when there is no room."""
    try:
        os.ftruncate(descriptor, 0)
        if size_bytes:
            reserve(descriptor, size_bytes)
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, 0)
        raise


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _parts_missing(plan: UploadPlan, finished: frozenset[int]) -> Refusal:
    missing = [number for number in plan.part_numbers if number not in finished]
    named = ", ".join(map(str, missing[:_NAMED_MISSING])) + (", …" if len(missing) > _NAMED_MISSING else "")
    return Refusal(PARTS_MISSING, f"{len(missing)} of {len(plan.part_digests)} parts are missing: {named}.")
