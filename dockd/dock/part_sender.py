"""One part of one recording: from the staging file to the address that the centre gave.

The bytes are hashed as they are read, and the last piece is held back until the whole part has the digest
that was verified: a staged copy that was damaged since then never arrives as good, it does not even
arrive in full. Constant memory: two pieces at a time, read ahead in a worker thread.

Knows nothing of retries or of what a damaged copy means; it raises `StagedCopyDamaged`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dockd.clock import Clock
from dockd.dock.centre_answers import Answer, PartOutcome, part_outcome, retry_after_seconds
from dockd.dock.pace import Pace
from dockd.errors import CentreUnavailable
from dockd.model.ids import Digest

_STALL_SECONDS = 60.0


class StagedCopyDamaged(Exception):
    """The staging file no longer gives back the bytes that were verified; `code` and `reason` for the fact.

    `is_disk_fault` is true when the disk refused to read, rather than gave other bytes.
    """

    def __init__(self, code: str, reason: str, *, is_disk_fault: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.is_disk_fault = is_disk_fault


class PartNotTaken(Exception):
    """The part did not arrive, for a reason that a fresh list of addresses may cure."""

    def __init__(self, outcome: PartOutcome, status: int) -> None:
        super().__init__(f"{outcome.value} (HTTP {status})")
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `offset_bytes` to `offset_bytes + size_bytes` of a staging file. `number` is from 1."""

    number: int
    offset_bytes: int
    size_bytes: int
    digest: Digest


class PartTaker(Protocol):
    """Who carries the bytes (`CentreClient.put_part`)."""

    async def put_part(
        self, url: str, headers: Mapping[str, str], size_bytes: int, chunks: AsyncIterator[bytes]
    ) -> Answer:
        """PUT the part once."""


@dataclass(frozen=True, slots=True)
class PartSender:
    """Sends parts at a common pace. `count_sent` is told of bytes as they leave."""

    client: PartTaker
    pace: Pace
    clock: Clock
    count_sent: Callable[[int], None]
    stall_seconds: float = _STALL_SECONDS

    async def send(self, path: Path, part: Part, url: str, headers: Mapping[str, str]) -> None:
        """Send `part` of the file at `path`; returns when the store has acknowledged it.

        Raises StagedCopyDamaged, PartNotTaken, CentreUnavailable.
        """
        reading = _Reading(path, part, self.pace.piece_bytes)
        try:
            async with (
                asyncio.timeout(self.stall_seconds) as stall,
                aclosing(self._pieces(reading, stall)) as pieces,
            ):
                answer = await self.client.put_part(url, headers, part.size_bytes, pieces)
        except TimeoutError as error:
            raise CentreUnavailable("The store took no bytes for a minute.") from error
        except CentreUnavailable:
            if reading.damage is not None:
                raise reading.damage from None
            raise
        finally:
            await reading.close()
        if reading.damage is not None:
            raise reading.damage
        outcome = part_outcome(answer.status)
        if outcome is PartOutcome.TAKEN and not reading.is_whole:
            raise CentreUnavailable("The store acknowledged a part before it had all of its bytes.")
        if outcome is PartOutcome.LATER:
            seconds = retry_after_seconds(answer.retry_after, self.clock.now())
            words = "The central store is full." if answer.status == 507 else f"The store is busy ({answer.status})."
            raise CentreUnavailable(words, retry_after_seconds=seconds)
        if outcome is not PartOutcome.TAKEN:
            raise PartNotTaken(outcome, answer.status)

    async def _pieces(self, reading: _Reading, stall: asyncio.Timeout) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        async with aclosing(reading.pieces()) as source:
            async for piece in source:
                stall.reschedule(None)  # waiting for our own pace is not the store's fault
                await self.pace.take(len(piece))
                stall.reschedule(loop.time() + self.stall_seconds)
                self.count_sent(len(piece))
                yield piece
        stall.reschedule(None)  # the transport bounds the wait for the answer


class _Reading:
    """One pass over one part, hashing as it reads; the piece after the one being sent is read ahead."""

    def __init__(self, path: Path, part: Part, piece_bytes: int) -> None:
        self._path = path
        self._part = part
        self._piece_bytes = piece_bytes
        self._ahead: asyncio.Future[bytes] | None = None
        self._descriptor = -1
        self.damage: StagedCopyDamaged | None = None
        self.is_whole = False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the part's bytes; stops short, with `damage` set, before the last piece of a damaged part."""
        loop = asyncio.get_running_loop()
        sha256 = hashlib.sha256()
        done_bytes = 0
        try:
            while done_bytes < self._part.size_bytes:
                want = min(self._piece_bytes, self._part.size_bytes - done_bytes)
                if self._ahead is None:
                    self._ahead = loop.run_in_executor(None, self._read, done_bytes, want, sha256)
                piece = await asyncio.shield(self._ahead)
                done_bytes += len(piece)
                left = self._part.size_bytes - done_bytes
                self._ahead = None
                if left:
                    self._ahead = loop.run_in_executor(
                        None, self._read, done_bytes, min(self._piece_bytes, left), sha256
                    )
                elif sha256.hexdigest() != self._part.digest:
                    raise StagedCopyDamaged(
                        "staged-copy-damaged",
                        f"Part {self._part.number} of the staged copy has SHA-256 {sha256.hexdigest()}, "
                        f"but {self._part.digest} was verified.",
                    )
                else:
                    self.is_whole = True
                yield piece
        except StagedCopyDamaged as damage:
            self.damage = damage
            raise

    async def close(self) -> None:
        """Wait for a read that is still under way, then close the file."""
        if self._ahead is not None:
            await asyncio.wait([self._ahead])
            if not self._ahead.cancelled():
                self._ahead.exception()  # a read-ahead that nobody needed may fail in peace
            self._ahead = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self, start: int, want: int, sha256: hashlib._Hash) -> bytes:
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            piece = os.pread(self._descriptor, want, self._part.offset_bytes + start)
        except FileNotFoundError:
            raise StagedCopyDamaged("staged-copy-missing", "The staged copy is not on the staging disk.") from None
        except OSError as error:
            reason = f"The staging disk could not read the copy: {error.strerror}."
            raise StagedCopyDamaged("staged-copy-unreadable", reason, is_disk_fault=True) from error
        if not piece:
            raise StagedCopyDamaged("staged-copy-short", "The staged copy is shorter than it was when verified.")
        sha256.update(piece)
        return piece
