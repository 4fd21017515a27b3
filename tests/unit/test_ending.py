"""What is begun to be cleared up is cleared up, however often its caller is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from dockd.ending import to_the_end


async def test_it_returns_what_the_work_returns_and_raises_what_it_raises() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("the card is gone")

    assert await to_the_end(answer()) == 7
    with pytest.raises(ValueError, match="the card is gone"):
        await to_the_end(fail())


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("fails", [False, True])
async def test_a_caller_cancelled_meanwhile_waits_for_the_end_and_is_cancelled_then(*, times: int, fails: bool) -> None:
    may_end = asyncio.Event()
    has_ended = False

    async def clear_up() -> None:
        nonlocal has_ended
        await may_end.wait()
        has_ended = True
        if fails:
            raise ValueError("no news any more")

    caller = asyncio.create_task(to_the_end(clear_up()))
    for _ in range(times):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert has_ended


async def test_work_that_is_itself_cancelled_cancels_its_caller() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await to_the_end(cancelled())


async def test_a_time_out_around_it_is_still_a_time_out() -> None:
    async def slow() -> str:
        await asyncio.sleep(0.05)
        return "late"

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await to_the_end(slow())
