"""One part of one recording: from the staging file to the address that the centre gave.

The bytes are not hashed here once more: the address is bound to the digest that was verified, so whoever
takes the part proves it, and before the receipt the whole is read back and proved. Only when the store did
not take the bytes as they arrived is the staged copy hashed, to tell a damaged copy from a damaged line.
Constant memory: two pieces at a time, read ahead in a worker thread.

Knows nothing of retries or of what a damaged copy means; it raises `StagedCopyDamaged`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
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
            async with asyncio.timeout(self.stall_seconds) as stall:
                pieces = _Sending(self, reading, stall)
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
        if outcome is PartOutcome.NOT_TAKEN:
            await self.prove(path, part)
        if outcome is not PartOutcome.TAKEN:
            raise PartNotTaken(outcome, answer.status)

    async def prove(self, path: Path, part: Part) -> None:
        """Read `part` of the staged copy and compare its digest. Raises StagedCopyDamaged."""
        reading = _Reading(path, part, self.pace.piece_bytes)
        sha256 = hashlib.sha256()
        try:
            while (piece := await reading.next()) is not None:
                await asyncio.to_thread(sha256.update, piece)
        finally:
            await reading.close()
        if sha256.hexdigest() != part.digest:
            raise StagedCopyDamaged(
                "staged-copy-damaged",
                f"Part {part.number} of the staged copy has SHA-256 {sha256.hexdigest()}, "
                f"but {part.digest} was verified.",
            )


class _Sending:
    """The pieces as the transport asks for them, at the common pace.

    An iterator and not a generator: the transport asks from a task of its own, and may still be asking
    when the sending is cancelled; a generator could not be closed then.
    """

    def __init__(self, sender: PartSender, reading: _Reading, stall: asyncio.Timeout) -> None:
        self._sender = sender
        self._reading = reading
        self._stall = stall

    def __aiter__(self) -> _Sending:
        return self

    async def __anext__(self) -> bytes:
        self._may_stall_until(None)  # waiting for our own disk and pace is not the store's fault
        piece = await self._reading.next()
        if piece is None:
            raise StopAsyncIteration  # from here on the transport bounds the wait for the answer
        await self._sender.pace.take(len(piece))
        self._may_stall_until(asyncio.get_running_loop().time() + self._sender.stall_seconds)
        self._sender.count_sent(len(piece))
        return piece

    def _may_stall_until(self, at: float | None) -> None:
        if not self._reading.is_closed:
            self._stall.reschedule(at)


class _Reading:
    """One pass over one part; the piece after the one being sent is read ahead."""

    def __init__(self, path: Path, part: Part, piece_bytes: int) -> None:
        self._path = path
        self._part = part
        self._piece_bytes = piece_bytes
        self._ahead: asyncio.Future[bytes] | None = None
        self._descriptor = -1
        self._done_bytes = 0
        self.damage: StagedCopyDamaged | None = None
        self.is_closed = False

    @property
    def is_whole(self) -> bool:
        """Every byte was given out."""
        return self._done_bytes == self._part.size_bytes

    async def next(self) -> bytes | None:
        """The next piece; None behind the last, and after `close`.

        Raises StagedCopyDamaged, and keeps it as `damage`, where the copy does not give the bytes.
        """
        if self.is_whole or self.is_closed:
            return None
        try:
            piece = await asyncio.shield(self._ahead or self._begin())
        except StagedCopyDamaged as damage:
            self.damage = damage
            raise
        self._ahead = None
        self._done_bytes += len(piece)
        if not self.is_whole and not self.is_closed:
            self._begin()
        return piece

    async def close(self) -> None:
        """Wait for a read that is still under way, then close the file."""
        self.is_closed = True
        if (ahead := self._ahead) is not None:
            await asyncio.wait([ahead])
            if not ahead.cancelled():
                ahead.exception()  # a read-ahead that nobody needed may fail in peace
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _begin(self) -> asyncio.Future[bytes]:
        want = min(self._piece_bytes, self._part.size_bytes - self._done_bytes)
        self._ahead = asyncio.get_running_loop().run_in_executor(None, self._read, self._done_bytes, want)
        return self._ahead

    def _read(self, start: int, want: int) -> bytes:
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
        return piece
