"""Clock and assignment are written, read back and compared; nothing is believed because it was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from dockd.dock.stages.prepare import set_camera_clock, write_assignment
from dockd.errors import AssignmentNotWritten, ClockNotSettable
from dockd.model.camera import ClockReading
from dockd.model.ids import OfficerNumber

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


@dataclass
class WorkingClock:
    """A camera clock that may drift when it is set, keep its own time, or have no way to be read."""

    error: timedelta = timedelta()
    uncertainty_milliseconds: int = 0
    is_readable: bool = True
    at: datetime = NOW - timedelta(days=3)

    async def read(self) -> ClockReading | None:
        if not self.is_readable:
            return None
        return ClockReading(
            camera_at=self.at,
            host_at=NOW,
            offset_milliseconds=int((self.at - NOW).total_seconds() * 1000),
            uncertainty_milliseconds=self.uncertainty_milliseconds,
        )

    async def set(self, at: datetime) -> None:
        self.at = at + self.error


@dataclass
class Slot:
    """A camera's memory for the officer's number, of limited length."""

    length: int = 16
    text: str | None = "OLD1"
    written: list[str | None] = field(default_factory=list)

    async def read(self) -> str | None:
        return self.text

    async def write(self, officer: OfficerNumber | None) -> None:
        self.written.append(officer)
        self.text = officer[: self.length] if officer else ""


@dataclass
class ClockOnly:
    """The part of a camera that setting the clock looks at."""

    clock: WorkingClock | None


async def test_clock_is_set_and_its_read_back_returned() -> None:
    reading = await set_camera_clock(ClockOnly(WorkingClock()), NOW)
    assert reading is not None
    assert reading.offset_milliseconds == 0


@pytest.mark.parametrize(("error", "is_fine"), [(1.9, True), (-1.9, True), (2.5, False), (-3600, False)])
async def test_clock_that_did_not_take_the_time_is_not_believed(error: float, is_fine: bool) -> None:
    camera = ClockOnly(WorkingClock(error=timedelta(seconds=error)))
    if is_fine:
        assert await set_camera_clock(camera, NOW) is not None
    else:
        with pytest.raises(ClockNotSettable):
            await set_camera_clock(camera, NOW)


async def test_uncertain_reading_widens_the_tolerance() -> None:
    camera = ClockOnly(WorkingClock(error=timedelta(seconds=2.5), uncertainty_milliseconds=1000))
    assert await set_camera_clock(camera, NOW) is not None


async def test_camera_without_clock_or_without_read_back_gives_no_reading() -> None:
    assert await set_camera_clock(ClockOnly(None), NOW) is None
    written = WorkingClock(is_readable=False)
    assert await set_camera_clock(ClockOnly(written), NOW) is None
    assert written.at == NOW


async def test_assignment_is_written_and_read_back() -> None:
    slot = Slot()
    assert await write_assignment(slot, OfficerNumber("PC1234"))
    assert slot.text == "PC1234"


async def test_empty_text_counts_as_unassigned() -> None:
    slot = Slot()
    assert await write_assignment(slot, None)
    assert slot.text == ""


async def test_camera_that_cuts_the_number_short_is_not_issued() -> None:
    with pytest.raises(AssignmentNotWritten, match="officer PC1234"):
        await write_assignment(Slot(length=4), OfficerNumber("PC1234"))


async def test_camera_without_a_slot_says_so() -> None:
    assert not await write_assignment(None, OfficerNumber("PC1234"))
