"""A bench for one copy: a scripted card, a real staging folder, a disk that can be told to fail."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from dockd.dock.disk import Disk
from dockd.dock.stages.offload import CopiedRecording, CopyOrder, CopySettings, copy_recording
from dockd.dock.staging import Staging, StagingConfig
from dockd.dock.worker import CameraThread
from dockd.model.ids import CameraId, SessionId
from dockd.model.recording import (
    PART_SIZE_BYTES,
    CopyCheckpoint,
    SourceFile,
    StagedRecording,
    recording_id,
)
from tests.support.clock import ManualClock
from tests.support.scripted_source import ScriptedCard

KIB = 1024
SETTINGS = CopySettings(
    buffer_size_bytes=16 * KIB,
    buffer_count=3,
    checkpoint_interval_seconds=1.0,
    stall_timeout_seconds=5.0,
    damage_limit_seconds=60.0,
    disk_timeout_seconds=5.0,
)


class FaultyDisk(Disk):
    """The real disk, with calls that can be made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.fail: dict[str, list[int]] = {}
        """Call name -> errnos of the coming calls; 0 lets one through; the last one stays."""
        self.room_bytes: int | None = None
        self.calls: list[str] = []
        self.refuses_direct = False
        self.max_write_bytes: int | None = None

    def _called(self, name: str) -> None:
        self.calls.append(name)
        coming = self.fail.get(name)
        if not coming:
            return
        number = coming.pop(0) if len(coming) > 1 else coming[0]
        if number:
            raise OSError(number, os.strerror(number))

    def open_to_write(self, path: Path) -> tuple[int, bool]:
        self._called("open_to_write")
        descriptor, is_direct = super().open_to_write(path)
        if self.refuses_direct and is_direct:
            self.leave_direct(descriptor)
            is_direct = False
        return descriptor, is_direct

    def open_to_read(self, path: Path, *, direct: bool) -> int:
        if direct and self.refuses_direct:
            raise OSError(errno.EINVAL, "Invalid argument")
        return super().open_to_read(path, direct=direct)

    def write(self, descriptor: int, content: memoryview, offset: int) -> int:
        self._called("write")
        if self.room_bytes is not None and offset + len(content) > self.room_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.max_write_bytes is not None:
            content = content[: self.max_write_bytes]
        return super().write(descriptor, content, offset)

    def read(self, descriptor: int, buffer: memoryview, offset: int) -> int:
        self._called("read")
        return super().read(descriptor, buffer, offset)

    def datasync(self, descriptor: int) -> None:
        self._called("datasync")
        super().datasync(descriptor)

    def sync(self, descriptor: int) -> None:
        self._called("sync")
        super().sync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        self._called("rename")
        super().rename(source, target)


class CopyBench:
    """One card, one staging disk, the journal's memory of one checkpoint."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.clock = clock
        self.disk = FaultyDisk()
        self.config = StagingConfig(folder=str(folder), floor_bytes=0)
        self.staging = Staging(self.config, disk=self.disk)
        self.card = ScriptedCard(b"")
        self.thread = CameraThread("camera-1")
        self.checkpoint: CopyCheckpoint | None = None
        self.settings = SETTINGS
        self.session = SessionId("s1")
        self.progress_bytes = 0
        self.listed: SourceFile | None = None

    def put(self, size_bytes: int, *, seed: int = 1) -> bytes:
        """Put random content on the card, time passing with every read so that legs end."""
        self.card.content = random.Random(seed).randbytes(size_bytes)
        self.card.faults.before_read = lambda _offset: self.clock.advance(0.3)
        self.listed = self.card.listed
        assert self.partial.parent.is_dir()  # made here, so that the calls seen later are the copy's own
        self.disk.calls.clear()
        return self.card.content

    @property
    def recording(self):
        return recording_id(CameraId("fake:1"), self.listed, 0)

    @property
    def partial(self) -> Path:
        return self.staging.partial_path(self.recording)

    @property
    def final(self) -> Path:
        return self.staging.final_path(self.recording)

    async def save_checkpoint(self, checkpoint: CopyCheckpoint) -> None:
        durable = self.partial.read_bytes()[: checkpoint.offset_bytes]
        assert hashlib.sha256(durable).hexdigest() == checkpoint.prefix_digest
        self.checkpoint = checkpoint

    def progress(self, count: int) -> None:
        self.progress_bytes += count

    async def copy(self) -> StagedRecording:
        return (await self.copy_with_parts()).staged

    async def copy_with_parts(self, *, part_size_bytes: int = PART_SIZE_BYTES) -> CopiedRecording:
        return await copy_recording(
            CopyOrder(self.recording, self.listed, self.session, self.checkpoint),
            storage=self.card,
            staging=self.staging,
            run_blocking=self.thread.run_blocking,
            save_checkpoint=self.save_checkpoint,
            progress=self.progress,
            settings=self.settings,
            clock=self.clock,
            part_size_bytes=part_size_bytes,
        )

    async def cancelled_when_it_closes_the_card(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run `work`; the kernel says that the camera has left while its file on the card is being closed."""
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(work)

        def the_kernel_says_that_it_left() -> None:
            loop.call_soon_threadsafe(task.cancel)
            time.sleep(0.05)

        self.card.faults.before_close = the_kernel_says_that_it_left
        return await task

    def redock(self) -> None:
        """The camera comes back, in another session, with the fault mended."""
        self.session = SessionId(f"s{int(self.session[1:]) + 1}")
        before_read = self.card.faults.before_read
        self.card.faults = type(self.card.faults)()
        self.card.faults.before_read = before_read
        self.progress_bytes = 0


@pytest.fixture
async def bench(tmp_path: Path, clock: ManualClock) -> AsyncIterator[CopyBench]:
    one = CopyBench(tmp_path / "staging", clock)
    await one.staging.open()
    one.disk.calls.clear()
    yield one
    one.card.faults.released.set()
    one.thread.close()
    assert one.card.opened == one.card.closed, "a file on the card was left open"


@pytest.fixture
def new_bench(tmp_path: Path) -> Callable[[], CopyBench]:
    """Fresh benches for a property test, each in a folder of its own."""
    count = iter(range(10**6))
    return lambda: CopyBench(tmp_path / f"staging-{next(count)}", ManualClock())
