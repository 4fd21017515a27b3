"""Whether the store's disk may be written now: room above the floor, and no failure seen.

A disk that failed one write or one fsync may have lost others silently: the store then takes nothing more
until the process is started again and its probe succeeds. Knows no upload.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import structlog

from dockd.central.refusals import STORE_FULL, STORE_SUSPECT
from dockd.central.stores.durable import free_bytes, sync_folder
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class StoreDisk:
    """The disk under `folder`, of which the last `floor_bytes` are left alone."""

    def __init__(self, folder: Path, floor_bytes: int) -> None:
        self.folder = folder
        self.floor_bytes = floor_bytes
        self.suspect_reason: str | None = None

    def probe(self) -> None:
        """Write, fsync and remove a small file. Raises OSError."""
        file = self.folder / f".probe-{os.getpid()}"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"dockd")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            file.unlink(missing_ok=True)
        sync_folder(self.folder)

    def check(self, needed_bytes: int) -> None:
        """Raise Refusal (503 or 507) unless `needed_bytes` may be written now."""
        if self.suspect_reason is not None:
            raise Refusal(
                STORE_SUSPECT,
                f"The centre's disk failed ({self.suspect_reason}); it takes nothing until IT has looked at it.",
                retry_after_seconds=300,
            )
        try:
            free = free_bytes(self.folder)
        except OSError as error:
            raise self.refusal_for(error) from error
        if free - needed_bytes < self.floor_bytes:
            raise Refusal(STORE_FULL, "The central store has no room for this now.", retry_after_seconds=60)

    def refusal_for(self, error: OSError) -> Refusal:
        """What a failed write means: full (passes by itself) or suspect (until a restart)."""
        if error.errno in _NO_ROOM:
            return Refusal(STORE_FULL, "The central store has no room for this now.", retry_after_seconds=60)
        self.suspect_reason = error.strerror or type(error).__name__
        _log.error("store_disk_suspect", reason=self.suspect_reason)
        return Refusal(STORE_SUSPECT, "The centre's disk failed; later.", retry_after_seconds=300)
