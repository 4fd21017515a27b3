"""Read a recording on the card again, in whole, before it may be erased.

For recordings that were not read whole in this session: a camera that was away may have written other
bytes under the same name, size and time. Must not know the staging disk, the journal or the network.
"""

from __future__ import annotations

import hashlib

from dockd.clock import Clock, SystemClock
from dockd.dock.transfer.contracts import Progress, RunBlocking
from dockd.dock.transfer.line import Line
from dockd.dock.transfer.patience import on_disk
from dockd.dock.transfer.pump import Pump, close_source, leg_limit_seconds
from dockd.dock.transfer.settings import CopySettings
from dockd.dock.transfer.source import OpenSource, SourceWalk
from dockd.driver_api import Storage
from dockd.ending import to_the_end
from dockd.errors import CardUnreadable, SourceChanged
from dockd.model.ids import SessionId
from dockd.model.recording import ConfirmedSource, SourceFile
from dockd.rules.custody import LedgerEntry


async def confirm_source(
    entry: LedgerEntry,
    source: SourceFile,
    *,
    session: SessionId,
    storage: Storage,
    run_blocking: RunBlocking,
    progress: Progress,
    settings: CopySettings,
    clock: Clock | None = None,
) -> ConfirmedSource:
    """Prove that `source` on the card holds, now, the bytes that `entry` was verified with.

    Raises SourceChanged when size, time or digest differ; CardUnreadable when a place in it cannot be
    read now; CameraGone, DriverTimeout. `entry` must have a digest.
    """
    clock = clock or SystemClock()
    opened = OpenSource(storage, source)
    sha256 = hashlib.sha256()
    line = Line(
        f"confirm-{entry.recording}",
        (lambda _offset, buffer, length: sha256.update(buffer[:length]),),
        buffer_count=settings.buffer_count,
        buffer_size_bytes=settings.buffer_size_bytes,
    )
    # No patience with bad places: a card that cannot be read in whole is not erased.
    walk = SourceWalk(opened, clock=clock, damage_limit_seconds=0, progress=progress)
    pump = Pump(
        opened,
        walk,
        line,
        start=0,
        size_bytes=source.size_bytes,
        leg_seconds=settings.checkpoint_interval_seconds,
        clock=clock,
    )
    try:
        limit_seconds = leg_limit_seconds(settings)
        while not await run_blocking(opened.in_leg, pump.leg, timeout_seconds=limit_seconds):
            if walk.unreadable:
                break
        if walk.unreadable:
            raise CardUnreadable(f"{source.path.text} cannot be read in whole any more; it is not erased.")
        await on_disk(lambda: line.drain(limit_seconds), timeout_seconds=limit_seconds)
        line.check()
    finally:
        await to_the_end(_close(opened, line, run_blocking, settings))
    digest = sha256.hexdigest()
    if digest != entry.digest:
        raise SourceChanged(f"{source.path.text} holds other bytes on the card now than when it was copied.")
    return ConfirmedSource(recording=entry.recording, session=session, digest=digest, size_bytes=source.size_bytes)


async def _close(source: OpenSource, line: Line, run_blocking: RunBlocking, settings: CopySettings) -> None:
    limit_seconds = leg_limit_seconds(settings)
    await close_source(source, run_blocking, settings)
    await on_disk(lambda: line.close(limit_seconds), timeout_seconds=limit_seconds)
