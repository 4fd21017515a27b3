"""Disk work in a thread: bounded, never left running behind the caller's back, its failures marked as the disk's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from dockd.ending import to_the_end

T = TypeVar("T")


class DiskFailed(Exception):
    """A call to the staging disk failed with `error` (TimeoutError: it did not come back).

    Apart from OSError, because a driver that lets one escape must not be taken for a failing disk.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error) or type(error).__name__)
        self.error = error


async def on_disk(work: Callable[[], T], *, timeout_seconds: float) -> T:
    """Run `work` in a thread and return its result. Raises DiskFailed for OSError and when it hangs.

    A caller who is cancelled, however often, still waits until the work has ended: a rename that happens after its
    copy was given up could hit the next copy of the same recording.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        done, _ = await asyncio.wait({running}, timeout=timeout_seconds)
    except asyncio.CancelledError:
        try:
            await to_the_end(asyncio.wait({running}, timeout=timeout_seconds))
        finally:
            forget(running)
        raise
    if not done:
        forget(running)
        raise DiskFailed(TimeoutError(f"it did not answer within {timeout_seconds:.0f} s"))
    try:
        return running.result()
    except OSError as error:
        raise DiskFailed(error) from error


def forget(running: asyncio.Future[T]) -> None:
    """Nobody asks for the outcome any more; an error in it is not news."""
    if not running.done():
        running.add_done_callback(forget)
    elif not running.cancelled():
        running.exception()
