"""One worker thread per camera, every call bounded by a time-out.

Knows threads and time-outs. Must not know what runs in them. A thread that hangs in a call (a device
that stopped answering inside the kernel) is abandoned: it ends by itself when the call returns at last,
and its late result reaches nobody.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from dockd.errors import DriverTimeout

T = TypeVar("T")

_ABANDONED_LIMIT = 4
"""Threads of one camera that may hang at the same time; more would only be lost as well."""


@dataclass(slots=True)
class _Task:
    work: Callable[[], Any]
    outcome: Future[Any]

    def run(self) -> None:
        if not self.outcome.set_running_or_notify_cancel():
            return
        try:
            result = self.work()
        except BaseException as error:  # noqa: BLE001  carried to the awaiting caller, never swallowed
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(result)


class _Thread:
    """A daemon thread that runs tasks in order until it is told to end."""

    def __init__(self, name: str) -> None:
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        # Daemon: a camera that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def put(self, task: _Task) -> None:
        self._tasks.put(task)

    def end(self) -> None:
        self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task.run()


class CameraThread:
    """Runs one camera's blocking calls, one after the other, in a thread of its own.

    `close` when the camera's session is over. To be used from one event loop.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: _Thread | None = None
        self._abandoned: list[_Thread] = []
        self._waiting: set[Future[Any]] = set()
        self._is_closed = False

    @property
    def abandoned_count(self) -> int:
        """Threads that hang in a call at this moment."""
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive]
        return len(self._abandoned)

    async def run_blocking(self, work: Callable[..., T], *arguments: Any, timeout_seconds: float) -> T:
        """Return what `work(*arguments)` returns, or raise what it raises.

        Raises DriverTimeout when it has not come back after `timeout_seconds`; the thread is then
        abandoned, calls queued behind it fail in the same way, and the next call gets a new thread. A
        caller that is cancelled leaves its call running; the next one waits its turn behind it.
        """
        if self._is_closed:
            raise RuntimeError(f"{self._name} is closed")
        thread = self._running_thread()
        outcome: Future[T] = Future()
        self._waiting.add(outcome)
        outcome.add_done_callback(self._waiting.discard)
        thread.put(_Task(lambda: work(*arguments), outcome))
        wrapped = asyncio.wrap_future(outcome)
        try:
            done, _ = await asyncio.wait({wrapped}, timeout=timeout_seconds)
        except asyncio.CancelledError:
            wrapped.cancel()  # not begun: never will be; begun: goes on, and nobody wants its result
            raise
        if not done:
            wrapped.cancel()
            if self._thread is thread:
                self._abandon(thread)
        if wrapped.cancelled() or not done:
            raise DriverTimeout(f"The camera did not answer within {timeout_seconds:g} s.")
        return wrapped.result()

    def close(self) -> None:
        """Let the thread end after what it is doing. Never waits; may be called again."""
        self._is_closed = True
        if self._thread is not None:
            self._thread.end()
            self._thread = None

    def _running_thread(self) -> _Thread:
        if self._thread is None:
            if self.abandoned_count >= _ABANDONED_LIMIT:
                raise DriverTimeout(f"The camera does not answer: {_ABANDONED_LIMIT} calls to it have not come back.")
            self._thread = _Thread(self._name)
        return self._thread

    def _abandon(self, thread: _Thread) -> None:
        self._thread = None
        thread.end()
        self._abandoned.append(thread)
        for outcome in list(self._waiting):
            outcome.cancel()  # those behind the hanging call; their callers see a cancelled future
