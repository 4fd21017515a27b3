"""Copy one recording from the camera to the staging disk, so that its copy can be believed.

One pass reads, hashes (SHA-256, the whole and every upload part) and writes. Every few seconds the copy is made
durable, and its offset and prefix digest go to the journal. A resume re-hashes the staged prefix from the disk and
compares it with the journal's digest of what the camera gave: a prefix that a power cut zeroed cannot vouch for
itself. At the end: fsync, rename, fsync of the folder, then the container is looked at.

Must not know the journal, the network or the other stages. Threads: the camera is read in its own
worker thread (`run_blocking`), in legs of a few seconds; hashing and writing have a thread each
(`transfer/line.py`); opening, fsync and rename are short-lived disk work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from dockd.clock import Clock
from dockd.dock.disk import is_full
from dockd.dock.transfer.contracts import Progress, RunBlocking, SaveCheckpoint, StagingArea
from dockd.dock.transfer.growing_copy import GrowingCopy
from dockd.dock.transfer.part_digests import KnownParts
from dockd.dock.transfer.patience import DiskFailed, forget, on_disk
from dockd.dock.transfer.pump import Pump, close_source, leg_limit_seconds
from dockd.dock.transfer.settings import CopySettings
from dockd.dock.transfer.source import OpenSource, SourceWalk
from dockd.dock.transfer.staged_container import container_of
from dockd.driver_api import Storage
from dockd.ending import to_the_end
from dockd.errors import (
    CameraGone,
    CardUnreadable,
    DriverTimeout,
    SourceChanged,
    StagingFull,
    StagingSuspect,
)
from dockd.model.ids import RecordingId, SessionId
from dockd.model.recording import PART_SIZE_BYTES, CopyCheckpoint, SourceFile, StagedRecording

__all__ = ["CopiedRecording", "CopyOrder", "CopySettings", "copy_recording"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CopyOrder:
    """What to copy. `checkpoint` is the journal's, from an earlier attempt, or None."""

    recording: RecordingId
    source: SourceFile
    session: SessionId
    checkpoint: CopyCheckpoint | None = None


@dataclass(frozen=True, slots=True)
class CopiedRecording:
    """What a copy proved, and the digests of its upload parts, so that reading it back need not hash them too.

    `parts` is None when some of the copy was taken over from an earlier attempt, and for a recording of one part.
    """

    staged: StagedRecording
    parts: KnownParts | None


async def copy_recording(
    order: CopyOrder,
    *,
    storage: Storage,
    staging: StagingArea,
    run_blocking: RunBlocking,
    save_checkpoint: SaveCheckpoint,
    progress: Progress,
    settings: CopySettings,
    clock: Clock,
    part_size_bytes: int = PART_SIZE_BYTES,
) -> CopiedRecording:
    """Copy `order.source` and return it as staged: durable, in its final place, with its digest.

    `progress` is told of every byte once, also of those taken over from an earlier attempt. The copy
    replaces a file at its final place: there can only be one that no journal row vouches for, left by
    a crash between rename and row, and it is copied afresh rather than believed.

    Bad places on the card do not end the copy: they are zeros in it, and `unreadable` names them.
    Raises CameraGone, DriverTimeout, CardUnreadable (what was copied stays, with a checkpoint; but no
    checkpoint reaches behind an unreadable place: that is tried again); SourceChanged (the unfinished
    copy is thrown away); StagingFull (what was copied stays, with a checkpoint); StagingSuspect
    (thrown away and the disk marked; a failed fsync is never tried again).
    """
    staging.check_usable()
    copy = _Copy(
        order,
        storage=storage,
        staging=staging,
        run_blocking=run_blocking,
        save_checkpoint=save_checkpoint,
        progress=progress,
        settings=settings,
        clock=clock,
        part_size_bytes=part_size_bytes,
    )
    return await copy.run()


class _Copy:
    """One attempt at one recording: what runs in which thread, and what becomes of a failure."""

    def __init__(
        self,
        order: CopyOrder,
        *,
        storage: Storage,
        staging: StagingArea,
        run_blocking: RunBlocking,
        save_checkpoint: SaveCheckpoint,
        progress: Progress,
        settings: CopySettings,
        clock: Clock,
        part_size_bytes: int,
    ) -> None:
        self._order = order
        self._size_bytes = order.source.size_bytes
        self._staging = staging
        self._run_blocking = run_blocking
        self._save_checkpoint = save_checkpoint
        self._progress = progress
        self._settings = settings
        self._clock = clock
        self._part_size_bytes = part_size_bytes
        self._source = OpenSource(storage, order.source)
        self._walk = SourceWalk(
            self._source,
            clock=clock,
            damage_limit_seconds=settings.damage_limit_seconds,
            progress=progress,
        )
        self._copy: GrowingCopy | None = None
        self._pump: Pump | None = None
        self._saved_bytes = 0

    async def run(self) -> CopiedRecording:
        """Copy, and say what a failure means."""
        try:
            return await self._run()
        except DiskFailed as failed:
            raise await self._disk_failed(failed.error) from failed.error
        finally:
            await to_the_end(self._close())

    async def _run(self) -> CopiedRecording:
        try:
            copy = await self._on_disk(self._open_copy)
            await self._fill(copy)
        except (CameraGone, DriverTimeout, CardUnreadable):
            await self._keep_what_is_written()
            raise
        except SourceChanged:
            await self._throw_away()
            raise
        return await self._on_disk(lambda: self._finish(copy))

    def _open_copy(self) -> GrowingCopy:
        path = self._staging.partial_path(self._order.recording)
        # Known from here on, so that it is closed whatever happens next.
        self._copy = copy = GrowingCopy(
            self._staging.disk,
            path,
            self._settings,
            name=self._order.recording,
            size_bytes=self._size_bytes,
            part_size_bytes=self._part_size_bytes,
        )
        copy.resume(self._usable_checkpoint())
        return copy

    def _usable_checkpoint(self) -> CopyCheckpoint | None:
        checkpoint = self._order.checkpoint
        return checkpoint if checkpoint and checkpoint.offset_bytes <= self._size_bytes else None

    async def _fill(self, copy: GrowingCopy) -> None:
        """Read the camera leg by leg; the checkpoint of one leg is made while the next is read."""
        checkpoint: asyncio.Task[None] | None = None
        blocks, moved_monotonic = 0, self._clock.monotonic()
        try:
            while not await self._next_leg(copy):
                if checkpoint is not None:
                    await checkpoint
                checkpoint = asyncio.create_task(self._checkpoint(copy))
                now = self._clock.monotonic()
                if copy.line.finished_count != blocks or not self._is_disk_behind():
                    blocks, moved_monotonic = copy.line.finished_count, now
                elif now - moved_monotonic > self._settings.disk_timeout_seconds:
                    raise DiskFailed(TimeoutError(f"it took no data for {now - moved_monotonic:.0f} s"))
            if checkpoint is not None:
                await checkpoint
        except BaseException:
            if checkpoint is not None:
                # No fsync of ours may still run when the copy is closed or tried again.
                await to_the_end(asyncio.wait({checkpoint}))
                forget(checkpoint)
            raise

    async def _next_leg(self, copy: GrowingCopy) -> bool:
        limit_seconds = leg_limit_seconds(self._settings)
        return await self._run_blocking(self._source.in_leg, lambda: self._leg(copy), timeout_seconds=limit_seconds)

    def _leg(self, copy: GrowingCopy) -> bool:
        """In the camera's thread, with the source open."""
        if self._pump is None:
            if copy.start_bytes and not self._is_same_source(copy):
                copy.resume(None)
            self._progress(copy.start_bytes)
            self._pump = Pump(
                self._source,
                self._walk,
                copy.line,
                start=copy.start_bytes,
                size_bytes=self._size_bytes,
                leg_seconds=self._settings.checkpoint_interval_seconds,
                clock=self._clock,
            )
        return self._pump.leg()

    def _is_same_source(self, copy: GrowingCopy) -> bool:
        """After an absence, whether the card still gives the start and the end of the taken-over prefix.

        Same name, size and time are not enough: a camera that was away may have been reformatted.
        """
        checkpoint = self._order.checkpoint
        if checkpoint is not None and checkpoint.session == self._order.session:
            return True
        return all(self._source.read_exactly(offset, len(content)) == content for offset, content in copy.samples())

    def _is_disk_behind(self) -> bool:
        return self._pump is not None and self._pump.is_waiting_for_line

    async def _checkpoint(self, copy: GrowingCopy) -> None:
        offset, prefix_digest = copy.reached()
        damaged_from = self._walk.unreadable[0].start_byte if self._walk.unreadable else offset
        # A checkpoint does not carry ranges; behind a bad place it would lose the label.
        if offset <= self._saved_bytes or offset <= copy.start_bytes or offset > damaged_from:
            return
        await self._on_disk(copy.datasync)
        await self._save_checkpoint(CopyCheckpoint(offset, prefix_digest, self._order.session))
        self._saved_bytes = offset

    def _finish(self, copy: GrowingCopy) -> CopiedRecording:
        copy.settle(self._settings.disk_timeout_seconds)
        copy.seal(self._size_bytes)
        self._staging.publish(self._order.recording)
        copy.close(self._settings.disk_timeout_seconds)
        unreadable = self._walk.unreadable
        staged = StagedRecording(
            recording=self._order.recording,
            session=self._order.session,
            digest=copy.digest(),
            size_bytes=self._size_bytes,
            unreadable=unreadable,
            container=container_of(self._staging.disk, self._staging.final_path(self._order.recording)),
            is_read_whole=copy.start_bytes == 0 and not unreadable,
        )
        return CopiedRecording(staged, copy.known_parts())

    async def _keep_what_is_written(self) -> None:
        self._source.leave()
        copy = self._copy
        if copy is None or self._pump is None:
            return
        await self._on_disk(lambda: copy.settle(self._settings.disk_timeout_seconds))
        await self._checkpoint(copy)

    async def _throw_away(self) -> None:
        await self._on_disk(lambda: self._staging.discard_partial(self._order.recording))

    async def _disk_failed(self, error: OSError) -> StagingFull | StagingSuspect:
        """Keep or throw away what there is, and return what to raise."""
        name = self._order.source.path.text
        if is_full(error):
            try:
                await self._keep_after_full()
            except DiskFailed as worse:
                error = worse.error
        if is_full(error):
            return StagingFull(f"The dock's disk became full while {name} was copied.")
        reason = f"The dock's disk failed while {name} was copied: {error.strerror or error}."
        self._staging.mark_suspect(reason)
        with suppress(DiskFailed):
            await self._throw_away()
        return StagingSuspect(reason)

    async def _keep_after_full(self) -> None:
        copy = self._copy
        if copy is None:
            return
        if copy.has_failed_sync:
            await self._throw_away()
            return
        await self._on_disk(lambda: copy.line.drain(self._settings.disk_timeout_seconds))
        await self._checkpoint(copy)

    async def _close(self) -> None:
        await close_source(self._source, self._run_blocking, self._settings)
        copy = self._copy
        if copy is not None and not copy.is_closed:
            # A thread that hangs in the disk closes the file when it comes out.
            with suppress(DiskFailed):
                await self._on_disk(lambda: copy.close(self._settings.disk_timeout_seconds))

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await on_disk(work, timeout_seconds=self._settings.disk_allowance_seconds(self._size_bytes))
