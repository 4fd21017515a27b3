"""Erase cleared recordings from a card, and read back that they are gone and that space was freed.

The only caller of `Eraser.erase`; it can erase nothing for which the caller has no `Clearance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dockd.driver_api import Clearance, Storage
from dockd.errors import SpaceNotFreed
from dockd.model.camera import SpaceReading
from dockd.model.ids import RecordingId

_SLACK_BYTES = 1024 * 1024
"""What a camera's own log or a file system's bookkeeping may take while we erase."""
_SLACK_PERCENT = 1


@dataclass(frozen=True, slots=True)
class Room:
    """The card's room before and after an erasing, beside what was erased."""

    before: SpaceReading
    after: SpaceReading
    erased_bytes: int

    def then(self, later: Room) -> Room:
        """This erasing and the one that followed it, taken as one."""
        return Room(self.before, later.after, self.erased_bytes + later.erased_bytes)


@dataclass(frozen=True, slots=True)
class Wiped:
    """What erasing did, as the card itself tells afterwards."""

    erased: tuple[RecordingId, ...]
    still_listed: tuple[str, ...]
    """Path texts of cleared recordings that the card still lists."""
    room: Room


async def wipe(storage: Storage, clearances: Sequence[Clearance]) -> Wiped:
    """Erase every cleared recording and read the card back.

    The caller has made the intent durable before. Raises EraseFailed, SourceChanged, CameraGone,
    DriverTimeout; then some may be erased already, which the next session finds by reading back.
    """
    before = await storage.measure()
    if clearances:
        async with storage.erasing() as eraser:
            for clearance in clearances:
                await eraser.erase(clearance)
    after = await storage.measure()
    listed = {source.path for source in (await storage.list()).footage} if clearances else set()
    gone = [clearance for clearance in clearances if clearance.path not in listed]
    return Wiped(
        erased=tuple(clearance.recording for clearance in gone),
        still_listed=tuple(clearance.path.text for clearance in clearances if clearance.path in listed),
        room=Room(before, after, sum(clearance.size_bytes for clearance in gone)),
    )


def check_space_freed(room: Room) -> None:
    """Raise SpaceNotFreed when the card has clearly less free space than was erased.

    A camera whose protected or damaged files keep their space would fill up in service.
    """
    freed = room.after.free_bytes - room.before.free_bytes
    slack = _SLACK_BYTES + room.erased_bytes * _SLACK_PERCENT // 100
    if freed + slack < room.erased_bytes:
        raise SpaceNotFreed(
            f"{room.erased_bytes} bytes were erased from the card, but it reports only {freed} bytes more free space."
        )
