"""What the stages need from the staging disk and from the session, as narrow as they need it.

Protocols only. `dockd.dock.staging.Staging` satisfies `StagingArea`, `dockd.dock.worker.CameraThread`
offers `RunBlocking`, the journal offers `SaveCheckpoint`; none of them is imported here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from dockd.dock.disk import Disk
from dockd.model.ids import RecordingId
from dockd.model.recording import CopyCheckpoint

T = TypeVar("T")

Progress = Callable[[int], None]
"""Told how many more bytes are done; cheap, may be called from any thread."""

SaveCheckpoint = Callable[[CopyCheckpoint], Awaitable[None]]
"""Makes the checkpoint of the recording being copied durable in the journal before it returns."""


class RunBlocking(Protocol):
    """Runs blocking work in the camera's own worker thread."""

    async def __call__(self, work: Callable[..., T], *arguments: Any, timeout_seconds: float) -> T:
        """Return what `work(*arguments)` returns. Raises DriverTimeout; the thread is then abandoned."""


class StagingArea(Protocol):
    """The staging disk as a stage sees it. Paths are made of ids only. Blocking methods are small."""

    @property
    def disk(self) -> Disk:
        """The file calls to use for everything below the two paths."""

    def check_usable(self) -> None:
        """Raises StagingSuspect once the disk has been marked."""

    def mark_suspect(self, reason: str) -> None:
        """The disk failed; nothing more is taken. `reason` is for staff."""

    def partial_path(self, recording: RecordingId) -> Path:
        """Where an unfinished copy grows. Its folder exists."""

    def final_path(self, recording: RecordingId) -> Path:
        """Where a finished copy lies."""

    def publish(self, recording: RecordingId) -> None:
        """Rename the partial file, already fsynced, to its final place and fsync the folder(s).

        May replace only a final file that no journal row vouches for (a crash fell between rename and
        row). Lets OSError through: the caller decides what it means.
        """

    def discard_partial(self, recording: RecordingId) -> None:
        """Remove the unfinished copy, if there is one."""
