"""Ending work in order, whatever else happens meanwhile.

Knows asyncio's cancellation. Must not know what is ended. A camera whose cable is pulled fails twice: a read fails,
and a moment later the kernel says that the device has left. The second news cancels what the first has begun to clear
up, and what is cancelled in there stays for good: a mount, an open file, a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end; return what it returns, or raise what it raises.

    A caller who is cancelled meanwhile still waits, and is cancelled then; an error of `work` is no news any more.
    So `work` must have time-outs of its own.
    """
    running = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError as cancellation:
            cancelled = cancellation
    if cancelled is not None:
        if not running.cancelled():
            running.exception()
        raise cancelled
    return running.result()
