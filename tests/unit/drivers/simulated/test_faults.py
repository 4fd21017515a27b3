"""Each fault does what its name says, and those that happen once are over afterwards."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockd.driver_api import SourceUnreadable
from dockd.errors import (
    CameraGone,
    CardUnreadable,
    ClockNotSettable,
    EraseFailed,
    UnknownCamera,
    UnusableIdentity,
)
from dockd.model.ids import Digest, OfficerNumber
from drivers.simulated.description import Faults, ReadError
from drivers.simulated.docked import DockedFolder
from drivers.simulated.read_path import Cable
from tests.support.driver_clearance import make_clearance
from tests.support.driver_rigs import SimulatedRig

CONTENT = bytes(range(256)) * 400


@pytest.fixture
def made(tmp_path: Path) -> Iterator[list[SimulatedRig]]:
    rigs: list[SimulatedRig] = []
    yield rigs
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig_with(made: list[SimulatedRig], tmp_path: Path) -> Any:
    def make(**description: Any) -> SimulatedRig:
        rig = SimulatedRig(tmp_path, **description)
        rig.put(b"a.mp4", CONTENT)
        made.append(rig)
        return rig

    return make


def on_disk(rig: SimulatedRig) -> dict[str, Any]:
    return tomllib.loads((rig.card.parent / "camera.toml").read_text(encoding="utf-8"))


async def read_whole(rig: SimulatedRig) -> bytes:
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        return await rig.read(camera, source)


async def test_unplug_after_bytes_moves_the_folder_out_at_that_byte_and_only_once(
    rig_with: Any, tmp_path: Path
) -> None:
    rig = rig_with(faults=Faults(unplug_after_bytes=70_001))
    got = bytearray()

    async def read_until_pulled() -> None:
        async with rig.open() as camera:
            (source,) = (await camera.storage.list()).footage
            reader = await rig.blocking(camera.storage.open_reader, source)
            try:
                buffer = memoryview(bytearray(30_000))
                while True:
                    count = await rig.blocking(reader.read_into, len(got), buffer)
                    got.extend(buffer[:count])
            finally:
                reader.close()

    with pytest.raises(CameraGone):
        await read_until_pulled()
    assert bytes(got) == CONTENT[:70_001]
    pulled = tmp_path / "bays" / ".pulled" / "cam"
    assert (pulled / "card" / "a.mp4").read_bytes() == CONTENT
    pulled.rename(tmp_path / "bays" / "1" / "cam")
    assert await read_whole(rig) == CONTENT


async def test_a_flipped_bit_is_on_the_cable_not_on_the_card_and_comes_once(rig_with: Any) -> None:
    rig = rig_with(faults=Faults(bit_flip_at_byte=70_000))
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        first = await rig.read(camera, source)
        second = await rig.read(camera, source)
    assert [index for index in range(len(CONTENT)) if first[index] != CONTENT[index]] == [70_000]
    assert second == CONTENT
    assert "faults" not in on_disk(rig)


async def test_short_reads_deliver_everything_in_small_pieces(rig_with: Any) -> None:
    rig = rig_with(faults=Faults(short_reads=True))
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        reader = await rig.blocking(camera.storage.open_reader, source)
        counts = []
        buffer = memoryview(bytearray(50_000))
        while count := await rig.blocking(reader.read_into, sum(counts), buffer):
            counts.append(count)
        reader.close()
    assert sum(counts) == len(CONTENT)
    assert len(counts) > 3


async def test_a_read_error_spoils_its_range_and_nothing_else(rig_with: Any) -> None:
    rig = rig_with(faults=Faults(read_error=ReadError(path="a.mp4", start_byte=1000, end_byte=1512)))
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        assert await rig.read(camera, source, start=0, at_most=1000) == CONTENT[:1000]
        for start in (1000, 1511):
            with pytest.raises(SourceUnreadable):
                await rig.read(camera, source, start=start, at_most=1)
        assert await rig.read(camera, source, start=1512) == CONTENT[1512:]


async def test_a_card_that_cannot_be_listed_is_unreadable_not_empty(rig_with: Any) -> None:
    rig = rig_with(faults=Faults(list_error=True))
    async with rig.open() as camera:
        with pytest.raises(CardUnreadable):
            await camera.storage.list()


async def test_erase_refused_and_space_not_freed(rig_with: Any) -> None:
    rig = rig_with(faults=Faults(erase_refused=True))

    async def erase() -> tuple[int, int]:
        async with rig.open() as camera:
            (source,) = (await camera.storage.list()).footage
            digest = Digest(hashlib.sha256(CONTENT).hexdigest())
            clearance = make_clearance((await camera.identify()).id, source, digest)
            before = await camera.storage.measure()
            async with camera.storage.erasing() as eraser:
                await eraser.erase(clearance)
            return before.free_bytes, (await camera.storage.measure()).free_bytes

    with pytest.raises(EraseFailed, match="Read-only"):
        await erase()
    edited = (rig.card.parent / "camera.toml").read_text(encoding="utf-8").replace("erase_refused", "space_not_freed")
    (rig.card.parent / "camera.toml").write_text(edited, encoding="utf-8")
    before, after = await erase()
    assert before == after
    assert not (rig.card / "a.mp4").exists()
    assert on_disk(rig)["unfreed_bytes"] == len(CONTENT)


async def test_an_assignment_not_kept_is_taken_without_an_error_and_forgotten(rig_with: Any) -> None:
    rig = rig_with(officer="PC1", faults=Faults(assignment_not_kept=True))
    async with rig.open() as camera:
        await camera.assignment.write(OfficerNumber("PC2"))
        assert await camera.assignment.read() == "PC1"


async def test_a_clock_not_settable_says_so_and_keeps_its_offset(rig_with: Any) -> None:
    rig = rig_with(clock_offset_milliseconds=-90_500, faults=Faults(clock_not_settable=True))
    async with rig.open() as camera:
        with pytest.raises(ClockNotSettable):
            await camera.clock.set(rig.clock.now())
        assert (await camera.clock.read()).offset_milliseconds == -90_500


async def test_the_battery_rises_with_time_in_the_bay_and_is_kept(rig_with: Any) -> None:
    rig = rig_with(battery_percent=40.0, charge_percent_per_minute=2.0)
    async with rig.open() as camera:
        assert (await camera.battery.read()).percent == 40
        rig.clock.advance(90)
        assert (await camera.battery.read()).percent == 43
        rig.clock.advance(15)
        assert (await camera.battery.read()).percent == 43
    assert on_disk(rig)["battery_percent"] == 43.5
    async with rig.open() as camera:
        rig.clock.advance(3600)
        reading = await camera.battery.read()
        assert (reading.percent, reading.is_charging) == (100, True)


async def test_a_battery_that_does_not_charge_says_so_and_does_not_rise(rig_with: Any) -> None:
    rig = rig_with(battery_percent=40.0, charge_percent_per_minute=60.0, faults=Faults(not_charging=True))
    async with rig.open() as camera:
        rig.clock.advance(600)
        reading = await camera.battery.read()
        assert (reading.percent, reading.is_charging) == (40, False)


async def test_a_camera_without_a_gauge_tells_nothing(rig_with: Any) -> None:
    async with rig_with(has_battery_gauge=False).open() as camera:
        reading = await camera.battery.read()
        assert (reading.percent, reading.is_charging) == (None, None)


async def test_a_sound_edit_counts_at_once_and_a_wrong_one_does_not(rig_with: Any) -> None:
    rig = rig_with(battery_percent=40.0)
    file = rig.card.parent / "camera.toml"
    async with rig.open() as camera:
        assert (await camera.battery.read()).percent == 40
        file.write_text('serial = "RIG-0001"\nbattery_percent = 77\nofficer = "PC9"\n', encoding="utf-8")
        assert (await camera.battery.read()).percent == 77
        assert await camera.assignment.read() == "PC9"
        file.write_text("serial = ", encoding="utf-8")
        assert await camera.assignment.read() == "PC9"


@pytest.mark.parametrize("content", [b"serial = ", b"serial = 'A'\nunknown = 1", b"\xff"])
async def test_opening_a_malformed_camera_says_what_is_wrong(rig_with: Any, content: bytes) -> None:
    rig = rig_with()
    (rig.card.parent / "camera.toml").write_bytes(content)
    with pytest.raises(UnknownCamera, match=r"camera\.toml"):
        async with rig.open():
            pass


async def test_opening_a_camera_without_a_card_says_so(rig_with: Any) -> None:
    rig = rig_with()
    rig.card.rename(rig.card.parent / "elsewhere")
    with pytest.raises(CardUnreadable):
        async with rig.open():
            pass


@pytest.mark.parametrize("serial", ["", "  ", "../x", "a" * 41, "läufer"])
async def test_an_unusable_serial_number_is_refused(made: list[SimulatedRig], tmp_path: Path, serial: str) -> None:
    rig = SimulatedRig(tmp_path)
    made.append(rig)
    (rig.card.parent / "camera.toml").write_text(f'serial = "{serial}"\n', encoding="utf-8")
    async with rig.open() as camera:
        with pytest.raises(UnusableIdentity):
            await camera.identify()


class Stopwatch:
    """Monotonic time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 500.0
        self.steps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.steps.append(seconds)
        self.now += seconds


def open_cable(rig: SimulatedRig, watch: Stopwatch) -> tuple[Cable, DockedFolder]:
    docked = DockedFolder(Path(rig.port.node))
    docked.open()
    return Cable(docked, monotonic=lambda: watch.now, sleep=watch.sleep), docked


def drain(cable: Cable, docked: DockedFolder, total: int) -> None:
    (entry,) = [one for one in docked.tree.walk(lambda _: False) if one.is_file]
    buffer = memoryview(bytearray(1 << 20))
    delivered = 0
    while delivered < total:
        count = cable.allowed_bytes(entry.path, delivered, min(len(buffer), total - delivered))
        cable.deliver(buffer[:count])
        delivered += count


def test_the_read_speed_is_kept(rig_with: Any) -> None:
    watch = Stopwatch()
    cable, docked = open_cable(rig_with(read_bytes_per_second=20_000), watch)
    drain(cable, docked, 100_000)
    assert watch.now - 500.0 == pytest.approx(5.0, abs=0.3)
    docked.close()


def test_a_stall_stops_the_bytes_once_for_its_time_in_small_steps(rig_with: Any) -> None:
    rig, watch = rig_with(faults=Faults(stall_at_byte=4_000, stall_seconds=7.0)), Stopwatch()
    cable, docked = open_cable(rig, watch)
    drain(cable, docked, 100_000)
    assert watch.now - 500.0 == pytest.approx(7.0)
    assert max(watch.steps) <= 0.05
    assert "stall_at_byte" not in on_disk(rig)["faults"]
    docked.close()


def test_a_cable_pulled_during_a_stall_ends_it(rig_with: Any) -> None:
    rig, watch = rig_with(faults=Faults(stall_at_byte=0, stall_seconds=80_000.0)), Stopwatch()
    cable, docked = open_cable(rig, watch)
    slept = watch.sleep

    def pull_after_a_while(seconds: float) -> None:
        slept(seconds)
        if len(watch.steps) == 10:
            rig.unplug()

    cable._sleep = pull_after_a_while
    with pytest.raises(CameraGone):
        drain(cable, docked, 1)
    assert len(watch.steps) == 10
    docked.close()
