"""One daemon per state folder: an advisory lock that the kernel releases however its holder ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from dockd.errors import JournalLocked, JournalUnwritable

LOCK_NAME = "journal.lock"


class FolderLock:
    """Holds `flock(2)` on the folder's lock file from construction until `release`.

    The file holds the holder's process id, for people only: the lock is the kernel's. It is never
    removed, for a removed lock file can be locked twice.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock. Raises JournalLocked naming the holder, JournalUnwritable when it cannot be made."""
        path = folder / LOCK_NAME
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise JournalUnwritable(f"The lock file {path} cannot be opened: {error.strerror}.") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise JournalLocked(f"The journal in {folder} is open in another dockd, process {holder}.") from error
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        except OSError as error:
            self.release()
            raise JournalUnwritable(f"The lock file {path} cannot be written: {error.strerror}.") from error

    def release(self) -> None:
        """Give the lock back; again is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
