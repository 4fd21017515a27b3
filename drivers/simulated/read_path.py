"""The simulated cable: how fast bytes come, and what goes wrong on their way.

Knows one docking's count of delivered bytes, the read speed and the stream faults. Must not know files
on disk; it wraps a reader of the card. Blocking: it runs in the camera's worker thread, and sleeps in
small steps so that a pulled cable ends it within a twentieth of a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dockd.driver_api import SourceReader, SourceUnreadable
from dockd.model.ids import CardPath
from dockd.model.recording import SourceFile
from drivers.simulated.description import CameraDescription, Faults
from drivers.simulated.docked import DockedFolder

_STEP_SECONDS = 0.05
_BURSTS_PER_SECOND = 10


class Cable:
    """One docking's way from the card to the dock; shared by all of its readers."""

    def __init__(
        self,
        docked: DockedFolder,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._docked = docked
        self._monotonic = monotonic
        self._sleep = sleep
        self._delivered_bytes = 0
        self._free_at_monotonic = 0.0

    @property
    def faults(self) -> Faults:
        """As they stand now; a fault that happens once is gone after it happened."""
        return self._docked.description.faults

    def allowed_bytes(self, path: CardPath, offset: int, wanted_bytes: int) -> int:
        """Play what is due before a read and return how many bytes it may give (at least one if any wanted).

        Raises CameraGone, SourceUnreadable.
        """
        self._wait_until(self._free_at_monotonic)
        self._docked.check_present()
        faults, delivered = self.faults, self._delivered_bytes
        if faults.unplug_after_bytes is not None and delivered >= faults.unplug_after_bytes:
            self._play_once(unplug_after_bytes=None)
            self._docked.pull()
            self._docked.check_present()
        if faults.stall_at_byte is not None and delivered >= faults.stall_at_byte:
            self._play_once(stall_at_byte=None)
            self._wait_until(self._monotonic() + faults.stall_seconds)
        allowed = wanted_bytes
        for stop in (faults.unplug_after_bytes, faults.stall_at_byte):
            if stop is not None and stop > delivered:
                allowed = min(allowed, stop - delivered)
        bad = faults.read_error
        if bad is not None and bad.path == path.text and offset < bad.end_byte:
            if offset >= bad.start_byte:
                raise SourceUnreadable(f"{path.text!r}: Input/output error at byte {offset}")
            allowed = min(allowed, bad.start_byte - offset)
        if faults.short_reads:
            allowed = min(allowed, 1 + (delivered * 7919 + 4096) % max(1, wanted_bytes))
        speed = self._docked.description.read_bytes_per_second
        if speed is not None:
            allowed = min(allowed, max(1, speed // _BURSTS_PER_SECOND))
        return allowed

    def deliver(self, given: memoryview) -> None:
        """Count what was read, spoil it if a fault says so, and note when the cable is free again."""
        flip_at = self.faults.bit_flip_at_byte
        if flip_at is not None and self._delivered_bytes <= flip_at < self._delivered_bytes + len(given):
            given[flip_at - self._delivered_bytes] ^= 0x10
            self._play_once(bit_flip_at_byte=None)
        self._delivered_bytes += len(given)
        speed = self._docked.description.read_bytes_per_second
        if speed is not None:
            begun = max(self._free_at_monotonic, self._monotonic() - 1 / _BURSTS_PER_SECOND)
            self._free_at_monotonic = begun + len(given) / speed

    def _wait_until(self, at_monotonic: float) -> None:
        while (left := at_monotonic - self._monotonic()) > 0:
            self._docked.check_present()
            self._sleep(min(left, _STEP_SECONDS))

    def _play_once(self, **done: None) -> None:
        def without(description: CameraDescription) -> dict[str, object]:
            return {"faults": description.faults.model_copy(update=done)}

        self._docked.update(without)


class CableReader:
    """A `SourceReader` whose bytes come through the cable."""

    def __init__(self, reader: SourceReader, path: CardPath, cable: Cable) -> None:
        self._reader = reader
        self._path = path
        self._cable = cable

    def stat(self) -> SourceFile:
        return self._reader.stat()

    def read_into(self, offset: int, buffer: memoryview) -> int:
        if not buffer:
            return 0
        allowed = self._cable.allowed_bytes(self._path, offset, len(buffer))
        count = self._reader.read_into(offset, buffer[:allowed])
        self._cable.deliver(buffer[:count])
        return count

    def close(self) -> None:
        self._reader.close()
