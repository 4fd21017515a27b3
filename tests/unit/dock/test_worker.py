"""One thread per camera; a call that hangs costs that thread and nothing else."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dockd.dock.worker import CameraThread
from dockd.errors import DriverTimeout


@pytest.fixture
def thread():
    one = CameraThread("camera-test")
    yield one
    one.close()


@pytest.fixture
def stuck():
    event = threading.Event()
    yield event
    event.set()


async def test_result_and_error_come_back(thread):
    assert await thread.run_blocking(divmod, 7, 2, timeout_seconds=5) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await thread.run_blocking(divmod, 7, 0, timeout_seconds=5)


async def test_all_calls_run_in_one_thread_in_order(thread):
    order = []

    def work(number):
        order.append(number)
        return threading.get_ident()

    idents = await asyncio.gather(*(thread.run_blocking(work, number, timeout_seconds=5) for number in range(20)))
    assert order == list(range(20))
    assert len(set(idents)) == 1
    assert idents[0] != threading.get_ident()


async def test_hanging_call_is_a_driver_timeout_and_the_next_call_works(thread, stuck):
    with pytest.raises(DriverTimeout):
        await thread.run_blocking(stuck.wait, timeout_seconds=0.02)
    assert thread.abandoned_count == 1
    assert await thread.run_blocking(len, "abc", timeout_seconds=5) == 3
    stuck.set()
    while thread.abandoned_count:
        await asyncio.sleep(0.001)


async def test_calls_queued_behind_a_hanging_one_time_out_and_never_run(thread, stuck):
    ran = []
    first = asyncio.create_task(thread.run_blocking(stuck.wait, timeout_seconds=0.02))
    second = asyncio.create_task(thread.run_blocking(ran.append, 1, timeout_seconds=60))
    for task in (first, second):
        with pytest.raises(DriverTimeout):
            await task
    stuck.set()
    while thread.abandoned_count:
        await asyncio.sleep(0.001)
    assert ran == []


async def test_device_that_hangs_again_and_again_does_not_use_up_threads(thread, stuck):
    for _ in range(8):
        with pytest.raises(DriverTimeout):
            await thread.run_blocking(stuck.wait, timeout_seconds=0.001)
    assert thread.abandoned_count == 4


async def test_cancelled_caller_leaves_its_call_to_end_before_the_next_begins(thread, stuck):
    order = []

    def slow():
        stuck.wait()
        order.append("slow")

    task = asyncio.create_task(thread.run_blocking(slow, timeout_seconds=5))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    following = asyncio.create_task(thread.run_blocking(order.append, "next", timeout_seconds=5))
    await asyncio.sleep(0.01)
    stuck.set()
    await following
    assert order == ["slow", "next"]


async def test_late_result_of_an_abandoned_call_reaches_nobody(thread, stuck):
    def late():
        stuck.wait()
        raise ValueError("too late")

    with pytest.raises(DriverTimeout):
        await thread.run_blocking(late, timeout_seconds=0.01)
    stuck.set()
    while thread.abandoned_count:
        await asyncio.sleep(0.001)


async def test_closed_thread_refuses_work(thread):
    thread.close()
    thread.close()
    with pytest.raises(RuntimeError, match="closed"):
        await thread.run_blocking(len, "", timeout_seconds=1)
