"""What every driver promises of battery, clock, officer's number and of being left half-way."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from dockd.errors import BadRequest, CameraGone, DriverTimeout
from dockd.model.ids import OfficerNumber
from tests.support.driver_rigs import Rig


async def test_the_battery_is_a_percentage_or_unknown(rig: Rig) -> None:
    async with rig.open() as camera:
        reading = await camera.battery.read()
    assert reading.percent is None or 0 <= reading.percent <= 100
    assert reading.is_charging in (None, True, False)


async def test_a_clock_that_was_set_reads_as_set_or_cannot_be_read(rig: Rig) -> None:
    async with rig.open() as camera:
        if camera.clock is None:
            pytest.skip("this camera has no clock that can be set")
        await camera.clock.set(rig.clock.now())
        reading = await camera.clock.read()
        assert (reading is not None) == rig.reads_clock
        if reading is not None:
            assert abs(reading.offset_milliseconds) <= reading.uncertainty_milliseconds
            assert reading.camera_at - reading.host_at == timedelta(milliseconds=reading.offset_milliseconds)


async def test_an_officers_number_is_kept_over_a_docking_and_can_be_cleared(rig: Rig) -> None:
    async with rig.open() as camera:
        assert (camera.assignment is not None) == rig.keeps_assignment
        if camera.assignment is None:
            pytest.skip("this camera keeps no number")
        assert await camera.assignment.read() is None
        await camera.assignment.write(OfficerNumber("PC-123"))
        assert await camera.assignment.read() == "PC-123"
    async with rig.open() as camera:
        assert camera.assignment is not None
        assert await camera.assignment.read() == "PC-123"
        await camera.assignment.write(OfficerNumber("S9"))
        assert await camera.assignment.read() == "S9"
        await camera.assignment.write(None)
        assert await camera.assignment.read() is None


async def test_a_number_is_kept_whole_or_refused_never_shortened(rig: Rig) -> None:
    async with rig.open() as camera:
        if camera.assignment is None:
            pytest.skip("this camera keeps no number")
        await camera.assignment.write(OfficerNumber("OLD"))
        try:
            await camera.assignment.write(OfficerNumber("ABCDEFGH-1234567"))
        except BadRequest:
            assert await camera.assignment.read() == "OLD"
        else:
            assert await camera.assignment.read() == "ABCDEFGH-1234567"


async def test_a_pulled_camera_takes_neither_time_nor_number(rig: Rig) -> None:
    async with rig.open() as camera:
        rig.unplug()
        if camera.clock is not None:
            with pytest.raises(CameraGone):
                await camera.clock.set(rig.clock.now())
        if camera.assignment is not None:
            with pytest.raises(CameraGone):
                await camera.assignment.write(OfficerNumber("PC-123"))
            with pytest.raises(CameraGone):
                await camera.assignment.read()


async def test_a_docking_that_is_cancelled_at_any_await_leaves_nothing_behind(rig: Rig) -> None:
    """The bay's task is cancelled when the camera leaves: at the worst moment, whichever that is."""
    rig.put(b"DCIM/a.mp4")

    async def whole_docking() -> None:
        async with rig.open() as camera:
            await camera.identify()
            await camera.storage.list()
            async with camera.storage.erasing():
                await asyncio.sleep(0)
            await camera.storage.measure()

    outcomes = []
    for step in range(120):
        task = asyncio.create_task(whole_docking())
        for _ in range(step % 60):
            await (asyncio.sleep(0.0001) if step >= 60 else asyncio.sleep(0))
        task.cancel()
        outcomes += await asyncio.gather(task, return_exceptions=True)
        assert rig.open_mounts == 0
    assert {type(one) for one in outcomes} <= {asyncio.CancelledError, type(None)}
    await rig.blocking(lambda: None)  # what was begun in the thread has ended; the rig checks descriptors


async def test_a_worker_that_hangs_does_not_keep_the_camera_open(rig: Rig) -> None:
    rig.put(b"DCIM/a.mp4")
    async with rig.open() as camera:
        await camera.storage.list()
        loop = asyncio.get_running_loop()
        entered, release = asyncio.Event(), threading.Event()

        def hang() -> None:
            loop.call_soon_threadsafe(entered.set)
            release.wait(10)

        with pytest.raises(DriverTimeout):
            await rig.thread.run_blocking(hang, timeout_seconds=0.05)
        await entered.wait()
    release.set()
    assert rig.open_mounts == 0
