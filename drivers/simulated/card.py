"""The card of a simulated camera: listing, reading, erasing and room, with the faults of a bad card.

Knows what counts as clutter. Must not know how the cable behaves (`read_path`) or how files are
reached safely (`drivers.card_tree`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from dockd.driver_api import Clearance, DriverContext, Listing, SourceReader
from dockd.errors import CardUnreadable, EraseFailed
from dockd.model.camera import SpaceReading
from dockd.model.ids import CameraId
from dockd.model.recording import SourceFile
from drivers.card_tree import Entry, Names
from drivers.simulated.docked import DockedFolder
from drivers.simulated.read_path import Cable, CableReader

_CLUTTER = ("._*", "*.log", "system volume information", "$recycle.bin", ".trash*", ".fseventsd", ".spotlight-*")
_LIST_TIMEOUT_SECONDS = 120.0
_ACT_TIMEOUT_SECONDS = 60.0
_MOST_IGNORED_NAMED = 1000


class SimulatedCard:
    """`Storage` on the folder `card/` of a camera folder."""

    def __init__(self, docked: DockedFolder, cable: Cable, camera: CameraId | None, context: DriverContext) -> None:
        """`camera` is None when its serial number is unusable: then nothing can be erased."""
        self._docked = docked
        self._tree = docked.tree
        self._cable = cable
        self._camera = camera
        self._context = context

    async def list(self) -> Listing:
        return await self._context.run_blocking(self._list, timeout_seconds=_LIST_TIMEOUT_SECONDS)

    def open_reader(self, source: SourceFile) -> SourceReader:
        return CableReader(self._tree.open_file(source), source.path, self._cable)

    @asynccontextmanager
    async def erasing(self) -> AsyncIterator[SimulatedEraser]:
        yield SimulatedEraser(self._erase, self._context)
        await self._context.run_blocking(self._tree.sync, timeout_seconds=_ACT_TIMEOUT_SECONDS)

    async def measure(self) -> SpaceReading:
        return await self._context.run_blocking(self._measure, timeout_seconds=_LIST_TIMEOUT_SECONDS)

    # --- in the worker thread -----------------------------------------------------------------

    def _list(self) -> Listing:
        if self._docked.description.faults.list_error:
            raise CardUnreadable("The card cannot be listed: Input/output error.")
        footage: list[SourceFile] = []
        ignored: list[str] = []
        for entry in self._tree.walk(_is_clutter):
            is_clutter = _is_clutter(entry.path.names)
            if entry.is_file and not is_clutter:
                footage.append(_as_source(entry))
            elif (is_clutter or not entry.is_folder) and len(ignored) < _MOST_IGNORED_NAMED:
                ignored.append(entry.path.text)
        return Listing(footage=tuple(footage), ignored=tuple(ignored))

    def _erase(self, clearance: Clearance) -> None:
        if self._camera is None:
            raise EraseFailed("The camera has no usable serial number.")
        if self._docked.description.faults.erase_refused:
            raise EraseFailed(f"The card did not erase {clearance.path.text!r}: Read-only file system.")
        before = self._tree.look_up(clearance.path)
        self._tree.erase(clearance, self._camera)
        if before is not None and self._docked.description.faults.space_not_freed:
            self._docked.update(lambda now: {"unfreed_bytes": now.unfreed_bytes + before.st_size})

    def _measure(self) -> SpaceReading:
        description = self._docked.description
        used = sum(entry.size_bytes for entry in self._tree.walk(lambda _: False) if entry.is_file)
        free = description.card_size_bytes - used - description.unfreed_bytes
        return SpaceReading(total_bytes=description.card_size_bytes, free_bytes=max(0, free))


class SimulatedEraser:
    """`Eraser`: hands each clearance to the worker thread."""

    def __init__(self, erase: Callable[[Clearance], None], context: DriverContext) -> None:
        self._erase = erase
        self._context = context

    async def erase(self, clearance: Clearance) -> None:
        await self._context.run_blocking(self._erase, clearance, timeout_seconds=_ACT_TIMEOUT_SECONDS)


def _is_clutter(names: Names) -> bool:
    name = names[-1].decode("latin-1").lower()
    return any(fnmatchcase(name, pattern) for pattern in _CLUTTER)


def _as_source(entry: Entry) -> SourceFile:
    return replace(entry.as_source(), untrusted_recorded_at=recorded_at(entry.modified_ns))


def recorded_at(modified_ns: int) -> datetime | None:
    """A file time as the camera's wall clock read as UTC; None for one that is no date."""
    try:
        return datetime.fromtimestamp(modified_ns / 1_000_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
