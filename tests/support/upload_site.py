"""A dock's sending side over folders: real journal, real staging disk, real client, a centre on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dockd.clock import Clock, SystemClock
from dockd.dock.centre_client import CentreClient
from dockd.dock.centre_wire import open_http_session
from dockd.dock.journal import Journal
from dockd.dock.sections import UploaderConfig
from dockd.dock.staging import Staging, StagingConfig
from dockd.dock.uploader import Uploader
from dockd.model import facts
from dockd.model.ids import CameraId, CardPath, Digest, DockId, RecordingId, SessionId
from dockd.model.recording import (
    ContainerVerdict,
    ReadBackMethod,
    SourceFile,
    StagedRecording,
    VerifiedRecording,
    recording_id,
)
from dockd.rules.custody import Custody, LedgerEntry
from dockd.rules.receipts import PinnedStore
from tests.support.clock import START
from tests.support.custody import CAMERA, SESSION, sha256

DOCK = DockId("dock-1")
PART_BYTES = 64 * 1024
"""Small parts: what is tested is their number, not their size."""


@dataclass
class UploadSite:
    """What a test of sending works with."""

    journal: Journal
    staging: Staging
    client: CentreClient
    pinned: PinnedStore
    clock: Clock = field(default_factory=SystemClock)
    config: dict[str, Any] = field(default_factory=lambda: {"longest_retry_seconds": 1.0})
    session: SessionId = SESSION
    camera: CameraId = CAMERA

    async def stage(self, content: bytes, name: bytes = b"0001.MP4", *, part_bytes: int = PART_BYTES) -> RecordingId:
        """A recording that was listed, copied to the staging disk and verified."""
        source = SourceFile(CardPath((b"DCIM", name)), len(content), 1_763_791_200_000_000_000)
        recording = recording_id(self.camera, source, 0)
        parts = [content[at : at + part_bytes] for at in range(0, len(content), part_bytes)]
        staged = StagedRecording(
            recording=recording,
            session=self.session,
            digest=sha256(content),
            size_bytes=len(content),
            container=ContainerVerdict.COMPLETE,
            is_read_whole=True,
        )
        verified = VerifiedRecording(
            staged=staged,
            method=ReadBackMethod.FADV_DONTNEED,
            part_size_bytes=part_bytes,
            part_digests=tuple(sha256(part) for part in parts),
        )
        self.staging.partial_path(recording).write_bytes(content)
        self.staging.publish(recording)
        await self.journal.append(
            facts.RecordingListed(
                recording=recording,
                session=self.session,
                camera=self.camera,
                path=source.path.text,
                size_bytes=len(content),
                modified_ns=source.modified_ns,
                generation=0,
                recorded_at=START,
                officer="PC1234",
            ),
            facts.RecordingStaged(staged=staged),
            facts.RecordingVerified(verified=verified),
        )
        return recording

    def uploader(self, *, docked: Callable[[], frozenset[CameraId]] = frozenset) -> Uploader:
        """A fresh uploader, as after a start of the daemon."""
        return Uploader(
            self.journal,
            self.staging,
            self.client,
            dock=DOCK,
            pinned=self.pinned,
            clock=self.clock,
            config=UploaderConfig(**self.config),
            docked=docked,
            jitter=lambda: 0.0,
        )

    @asynccontextmanager
    async def uploading(self, uploader: Uploader | None = None) -> AsyncIterator[Uploader]:
        """An uploader that runs until the block is left, then is killed as it stands."""
        running = uploader or self.uploader()
        task = asyncio.create_task(running.run())
        try:
            yield running
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    async def entry(self, recording: RecordingId) -> LedgerEntry:
        entry = await self.journal.entry(recording)
        assert entry is not None
        return entry

    async def reaches(self, recording: RecordingId, state: Custody, *, seconds: float = 15.0) -> LedgerEntry:
        """Wait until the ledger says so."""
        with self.journal.changes() as changes:
            async with asyncio.timeout(seconds):
                while (entry := await self.entry(recording)).state is not state:
                    await changes.wait()
        return entry

    async def digest(self, recording: RecordingId) -> Digest:
        digest = (await self.entry(recording)).digest
        assert digest is not None
        return digest


@asynccontextmanager
async def open_site(
    folder: Path, url: str, pinned: PinnedStore, clock: Clock | None = None
) -> AsyncIterator[UploadSite]:
    """Open journal, staging and client over `folder`; again over the same folder as after a restart."""
    the_clock = clock or SystemClock()
    journal = await Journal.open(folder / "journal", dock=DOCK, clock=the_clock)
    try:
        staging = Staging(StagingConfig(folder=str(folder / "staging"), floor_bytes=0))
        await staging.open()
        async with open_http_session() as http:
            client = CentreClient(http, url, DOCK, the_clock)
            yield UploadSite(journal, staging, client, pinned, the_clock)
    finally:
        await journal.close()


async def until(condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Wait for something outside the journal."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
