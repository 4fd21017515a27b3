"""Threat: disk work that goes on behind the back of a caller who was told that it is over."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dockd.dock.transfer.patience import DiskFailed, on_disk


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_caller_waits_for_its_work_however_often_it_is_cancelled(times: int) -> None:
    may_end, has_ended = threading.Event(), threading.Event()

    def rename() -> None:
        assert may_end.wait(10)
        has_ended.set()

    caller = asyncio.create_task(on_disk(rename, timeout_seconds=10))
    for _ in range(times):
        await asyncio.sleep(0.01)
        caller.cancel()
    await asyncio.sleep(0.01)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert has_ended.is_set()


async def test_work_that_hangs_is_a_failed_disk_and_its_late_error_is_no_news() -> None:
    may_end = threading.Event()

    def hang() -> None:
        may_end.wait(10)
        raise OSError("much later")

    try:
        with pytest.raises(DiskFailed, match="did not answer"):
            await on_disk(hang, timeout_seconds=0.05)
    finally:
        may_end.set()


async def test_error_of_the_disk_is_told_as_the_disks() -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFailed) as failed:
        await on_disk(fail, timeout_seconds=10)
    assert failed.value.error.errno == 28
