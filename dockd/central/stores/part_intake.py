"""Takes one part from the network: checks the address, streams to its place, hashes, makes it durable.

All parts of an upload are written into one file, each at its own offset, so that joining them later
copies nothing. What keeps that safe:
- a part's range is locked (open-file-description lock, good across processes and kills) while it is
  written, and a part that is finished is never written again;
- only a row says that a part is there, and the row comes after digest and fdatasync agree;
- whatever was written without success is made unwritten again;
- in the end the whole file is read back and hashed before anyone gets a receipt.

The event loop only moves references; hashing and writing of blocks of 1 MiB run in threads, one at
a time for each part, so that memory stays constant. Where the file system allows it they are written past
the page cache (O_DIRECT): nothing that the read-back could mistake for the disk, and less processor time.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import mmap
import os
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientPayloadError, web

from dockd.central.refusals import BUSY, LENGTH_DIFFERS, LENGTH_REQUIRED, PART_DIFFERS
from dockd.central.stores import PlannedPart
from dockd.central.stores.addresses import GrantedPart, PartAddresses
from dockd.central.stores.disk import StoreDisk
from dockd.central.stores.durable import forget_range, lock_range
from dockd.central.stores.part_rows import PartRows, Standing
from dockd.central.stores.read_along import ReadAlong
from dockd.central.stores.read_back import ALIGNMENT_BYTES
from dockd.clock import Clock
from dockd.errors import NotFound
from dockd.web.problems import CUT_OFF, TOO_SLOW, Refusal, require_content_type

PART_CONTENT_TYPE = "application/octet-stream"

_BLOCK_BYTES = 1024 * 1024
_WRITERS = 8
_LOCK_PATIENCE_SECONDS = 10.0
_STALE_SECONDS = 3.0
"""A part that somebody sends again while its first sending has been silent for so long takes its place."""


class PartIntake:
    """Receives parts into the files of `folder`, one file for each upload."""

    def __init__(
        self,
        folder: Path,
        *,
        addresses: PartAddresses,
        rows: PartRows,
        disk: StoreDisk,
        along: ReadAlong,
        clock: Clock,
        idle_seconds: float,
    ) -> None:
        self._folder = folder
        self._addresses = addresses
        self._rows = rows
        self._disk = disk
        self._along = along
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="part-writer")
        # Only to end a sending that went silent; the lock on the file is what keeps two apart.
        self._receiving: dict[tuple[str, int], asyncio.Timeout] = {}

    def close(self) -> None:
        """Wait for blocks on their way to the disk."""
        self._pool.shutdown(wait=True)

    async def receive(self, request: web.Request) -> None:
        """Take the part that the request's address allows; return when it is durable.

        A part already finished is read and thrown away, and counts as taken. Raises Refusal, NotFound.
        """
        match = request.match_info
        granted = self._addresses.check(match["upload"], match["number"], request.query, self._clock.now())
        require_content_type(request, (PART_CONTENT_TYPE,))
        _check_length(request, granted.part)
        self._disk.check(granted.part.size_bytes)
        async with self._transfer(granted) as transfer:
            # Asked only with the lock held: nobody else can finish or begin this part now.
            standing = await self._rows.standing(granted.upload, granted.part.number)
            if standing is Standing.WANTED and transfer is not None:
                await self._take(request, granted, transfer)
                return
        if standing is not Standing.FINISHED:
            raise NotFound("There is no such upload any more.", action="Ask for fresh addresses, or claim again.")
        await self._drain(request)

    @asynccontextmanager
    async def _transfer(self, granted: GrantedPart) -> AsyncIterator[_Transfer | None]:
        """The upload's file with the part's range locked; None when there is no file. Raises Refusal (503)."""
        try:
            descriptor = os.open(self._folder / granted.upload, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            raise self._disk.refusal_for(error) from error
        transfer = _Transfer(descriptor, granted.part, self._pool)
        try:
            await self._lock(descriptor, granted)
            yield transfer
        finally:
            transfer.end()

    async def _lock(self, descriptor: int, granted: GrantedPart) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + _LOCK_PATIENCE_SECONDS
        while not lock_range(descriptor, granted.part.offset_bytes, granted.part.size_bytes):
            if loop.time() > give_up_at:
                raise Refusal(BUSY, "This part is being sent by somebody else.", retry_after_seconds=2)
            other = self._receiving.get((granted.upload, granted.part.number))
            if other is not None and _silent_seconds(other, self._idle_seconds) > _STALE_SECONDS:
                other.reschedule(loop.time())
            await asyncio.sleep(0.05)

    async def _take(self, request: web.Request, granted: GrantedPart, transfer: _Transfer) -> None:
        try:
            await self._stream(request, granted, transfer)
            digest = await transfer.make_durable()
        except OSError as error:
            raise self._disk.refusal_for(error) from error
        if digest != granted.part.digest:
            raise Refusal(PART_DIFFERS, "The bytes that arrived do not have the part's digest; none was kept.")
        transfer.is_proved = True
        finished_at = await self._rows.finish(granted.upload, granted.part.number)
        self._along.part_finished(granted.upload, granted.part, finished_at)

    async def _stream(self, request: web.Request, granted: GrantedPart, transfer: _Transfer) -> None:
        """Move the body to the disk, block by block. Raises Refusal (408, 400 `cut-off`), OSError of the disk."""
        loop = asyncio.get_running_loop()
        key = (granted.upload, granted.part.number)
        chunks: list[memoryview] = []
        gathered_bytes = 0
        try:
            async with asyncio.timeout(self._idle_seconds) as patience:
                self._receiving[key] = patience
                async for chunk in request.content.iter_any():
                    patience.reschedule(loop.time() + self._idle_seconds)
                    rest = memoryview(chunk)
                    while rest:
                        taken, rest = rest[: _BLOCK_BYTES - gathered_bytes], rest[_BLOCK_BYTES - gathered_bytes :]
                        chunks.append(taken)
                        gathered_bytes += len(taken)
                        if gathered_bytes == _BLOCK_BYTES:
                            await transfer.write(chunks)
                            chunks, gathered_bytes = [], 0
                await transfer.write(chunks)
        except TimeoutError:
            raise Refusal(TOO_SLOW, "No byte of the part arrived for too long; nothing of it was kept.") from None
        except (ClientPayloadError, ConnectionError, web.RequestPayloadError):
            raise Refusal(CUT_OFF, "The connection ended within the part; nothing of it was kept.") from None
        finally:
            self._receiving.pop(key, None)
        if transfer.accepted_bytes != granted.part.size_bytes:
            raise Refusal(CUT_OFF, "The part ended early; nothing of it was kept.")

    async def _drain(self, request: web.Request) -> None:
        """Read what comes and throw it away, so that the connection can be used again."""
        try:
            async with asyncio.timeout(self._idle_seconds):
                async for _ in request.content.iter_any():
                    pass
        except (TimeoutError, ClientPayloadError, ConnectionError, web.RequestPayloadError):
            raise Refusal(CUT_OFF, "The connection ended within the part, which is held already.") from None


class _Transfer:
    """One part on its way into the file; owns the descriptor and with it the lock."""

    def __init__(self, descriptor: int, part: PlannedPart, pool: ThreadPoolExecutor) -> None:
        self._descriptor = descriptor
        self._part = part
        self._pool = pool
        self._hash = hashlib.sha256()
        self._block: mmap.mmap | None = None
        self._is_direct = part.offset_bytes % ALIGNMENT_BYTES == 0 and _set_direct(descriptor, is_wanted=True)
        self._pending: Future[None] | None = None
        self.accepted_bytes = 0
        self.is_proved = False
        """Set when the bytes are durable and have their digest: from then on they are not taken back."""

    async def write(self, chunks: list[memoryview]) -> None:
        """Hand a block to a thread; waits for the block before. Raises OSError of the block before.

        Every block but the last has `_BLOCK_BYTES`.
        """
        await self._settle()
        if not chunks:
            return
        offset = self._part.offset_bytes + self.accepted_bytes
        self.accepted_bytes += sum(map(len, chunks))
        if self.accepted_bytes > self._part.size_bytes:
            raise Refusal(LENGTH_DIFFERS, "More bytes arrived than the part has.")
        self._pending = self._pool.submit(self._write_block, chunks, offset)

    async def make_durable(self) -> str:
        """Wait for the disk; return the digest of what was written. Raises OSError."""
        await self._settle()
        self._pending = self._pool.submit(os.fdatasync, self._descriptor)
        await self._settle()
        return self._hash.hexdigest()

    def end(self) -> None:
        """Unlock and close; what was not proved is made unwritten again, after the last block has settled."""
        if self._pending is None or (self.is_proved and self._pending.done()):
            os.close(self._descriptor)
        else:
            self._pool.submit(self._end_in_thread, self._pending)

    async def _settle(self) -> None:
        if self._pending is not None:
            await asyncio.wrap_future(self._pending)

    def _end_in_thread(self, pending: Future[None]) -> None:
        wait([pending])
        if not self.is_proved:
            forget_range(self._descriptor, self._part.offset_bytes, self._part.size_bytes)
        os.close(self._descriptor)

    def _write_block(self, chunks: list[memoryview], offset: int) -> None:
        if self._block is None:
            self._block = mmap.mmap(-1, _BLOCK_BYTES)  # an anonymous mapping is page-aligned
        with memoryview(self._block) as block:
            length = 0
            for chunk in chunks:
                block[length : length + len(chunk)] = chunk
                length += len(chunk)
            self._hash.update(block[:length])
            written = 0
            while written < length:  # a signal, or the disk is nearly full
                if self._is_direct and (written % ALIGNMENT_BYTES or length % ALIGNMENT_BYTES):
                    _set_direct(self._descriptor, is_wanted=False)
                    self._is_direct = False
                written += os.pwrite(self._descriptor, block[written:length], offset + written)


def _set_direct(descriptor: int, *, is_wanted: bool) -> bool:
    """Write past the page cache from now on, or through it; returns whether it is past it."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT if is_wanted else flags & ~os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False  # this file system has no O_DIRECT
    return is_wanted


def _check_length(request: web.Request, part: PlannedPart) -> None:
    length = request.content_length
    if length is None:
        raise Refusal(LENGTH_REQUIRED, "A part needs a Content-Length, without chunked coding.")
    if length != part.size_bytes:
        raise Refusal(LENGTH_DIFFERS, f"The part has {part.size_bytes} bytes, the request announces {length}.")


def _silent_seconds(patience: asyncio.Timeout, idle_seconds: float) -> float:
    when = patience.when()
    return 0.0 if when is None else asyncio.get_running_loop().time() - (when - idle_seconds)
