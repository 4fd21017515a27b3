"""A card with faults to play: implements `driver_api.Storage` and `driver_api.SourceReader` over bytes in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from dockd.driver_api import Clearance, Eraser, Listing, SourceUnreadable
from dockd.errors import CameraGone, EraseFailed, SourceChanged
from dockd.model.camera import SpaceReading
from dockd.model.ids import CardPath
from dockd.model.recording import SourceFile


@dataclass
class Faults:
    """What goes wrong, by byte offset. Everything is absent by default."""

    longest_read_bytes: int | None = None
    """Every read gives at most so much."""
    bad: tuple[tuple[int, int], ...] = ()
    """Ranges in which every read fails."""
    gone_at: int | None = None
    """The cable is pulled when this byte would be read."""
    vanishes_at: int | None = None
    """The file is deleted on the camera when this byte would be read."""
    ends_at: int | None = None
    """Reads give nothing from here on, though the size stays the same."""
    hang_at: int | None = None
    """The read of this byte does not come back until `released` is set."""
    released: threading.Event = field(default_factory=threading.Event)
    before_read: Callable[[int], None] = lambda _offset: None
    before_close: Callable[[], None] = lambda: None


class ScriptedCard:
    """A card with one file, and counters of what was done to it."""

    def __init__(self, content: bytes, *, modified_ns: int | None = 1_764_000_000_000_000_000, name: bytes = b"A.MP4"):
        self.content = content
        self.modified_ns = modified_ns
        self.path = CardPath((b"DCIM", name))
        self.faults = Faults()
        self.opened = 0
        self.closed = 0
        self.bytes_read = 0

    @property
    def listed(self) -> SourceFile:
        return SourceFile(self.path, len(self.content), self.modified_ns)

    async def list(self) -> Listing:
        return Listing((self.listed,))

    def open_reader(self, source: SourceFile) -> ScriptedReader:
        if source.path != self.path:
            raise SourceChanged(f"{source.path.text} is not there any more.")
        self.opened += 1
        return ScriptedReader(self)

    def erasing(self) -> AbstractAsyncContextManager[Eraser]:
        @asynccontextmanager
        async def refuse() -> Any:
            yield _NoEraser()

        return refuse()

    async def measure(self) -> SpaceReading:
        return SpaceReading(total_bytes=1 << 30, free_bytes=1 << 29)


class _NoEraser:
    async def erase(self, clearance: Clearance) -> None:
        raise EraseFailed(f"{clearance.path.text}: this card erases nothing.")


class ScriptedReader:
    """One open file on a `ScriptedCard`."""

    def __init__(self, card: ScriptedCard) -> None:
        self._card = card
        self._is_closed = False

    def stat(self) -> SourceFile:
        return self._card.listed

    def read_into(self, offset: int, buffer: memoryview) -> int:
        assert not self._is_closed, "read after close"
        card, faults = self._card, self._card.faults
        faults.before_read(offset)
        end = min(offset + len(buffer), len(card.content))
        if faults.ends_at is not None:
            end = min(end, max(faults.ends_at, offset))
        if faults.longest_read_bytes is not None:
            end = min(end, offset + faults.longest_read_bytes)
        if faults.hang_at is not None and offset <= faults.hang_at < end:
            faults.released.wait(30)
        if faults.gone_at is not None and end > faults.gone_at:
            raise CameraGone("The camera was taken out.")
        if faults.vanishes_at is not None and end > faults.vanishes_at:
            raise SourceChanged("The file is not there any more.")
        if any(offset < bad_end and bad_start < end for bad_start, bad_end in faults.bad):
            raise SourceUnreadable(f"EIO at {offset}")
        buffer[: end - offset] = card.content[offset:end]
        card.bytes_read += max(0, end - offset)
        return max(0, end - offset)

    def close(self) -> None:
        assert not self._is_closed, "closed twice"
        self._is_closed = True
        self._card.faults.before_close()
        self._card.closed += 1
