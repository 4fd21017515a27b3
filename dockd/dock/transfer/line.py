"""A line of threads through which a fixed set of buffers goes round.

The caller fills a buffer; each step sees it in turn, in its own thread; then the buffer is free again.
So reading, hashing and writing overlap (all three release the GIL), no byte is copied between them,
and memory is `buffer_count * buffer_size_bytes` whatever the file's size. Knows no files and no digests.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

Step = Callable[[int, memoryview, int], None]
"""`step(offset, buffer, length)`: do one thing with the first `length` bytes of `buffer`."""


@dataclass(slots=True)
class _Block:
    buffer: memoryview
    offset: int
    length: int


class Line:
    """Buffers and one thread per step. One caller thread; blocks reach every step in the order given.

    The threads start with the second block, so that a recording of one block costs no thread. After a
    step has failed, the blocks behind it pass unprocessed and `check` raises what it raised.
    """

    def __init__(self, name: str, steps: Sequence[Step], *, buffer_count: int, buffer_size_bytes: int) -> None:
        self._name = name
        self._steps = tuple(steps)
        self._buffer_size_bytes = buffer_size_bytes
        self._unmade = buffer_count
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._queues: tuple[SimpleQueue[_Block | None], ...] = tuple(SimpleQueue() for _ in self._steps)
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None
        self._is_closing = False
        self._ending = threading.Lock()
        self._done = threading.Condition()
        self._given = 0
        self._finished = 0

    @property
    def finished_count(self) -> int:
        """Blocks that have left the line; stands still when a step hangs."""
        return self._finished

    def take(self, timeout_seconds: float) -> memoryview | None:
        """Return a free buffer (page-aligned, contents undefined), or None when none came free in time."""
        try:
            return self._free.get_nowait()
        except Empty:
            pass
        if self._unmade:
            self._unmade -= 1
            # An anonymous mapping is page-aligned, as O_DIRECT asks, and goes back to the kernel whole.
            return memoryview(mmap.mmap(-1, self._buffer_size_bytes))
        try:
            return self._free.get(timeout=timeout_seconds)
        except Empty:
            return None

    def give(self, offset: int, buffer: memoryview, length: int, *, is_only: bool = False) -> None:
        """Pass a filled buffer on. `is_only`: the first and last block, done here and now.

        After `close` the block is dropped.
        """
        block = _Block(buffer, offset, length)
        with self._ending:
            if self._is_closing:
                return  # whoever fills buffers was left behind and has not noticed yet
            self._given += 1
            is_done_here = is_only and not self._threads
            if not is_done_here:
                if not self._threads:
                    self._start()
                self._queues[0].put(block)
        if is_done_here:
            for step in self._steps:
                self._apply(step, block)
            self._leave(block)

    @property
    def has_failed(self) -> bool:
        """Whether a step has raised."""
        return self._failure is not None

    def check(self) -> None:
        """Raise what a step raised, if one did."""
        if self._failure is not None:
            raise self._failure

    def drain(self, timeout_seconds: float) -> bool:
        """Wait until every block given has left the line; whether it did in time."""
        with self._done:
            return self._done.wait_for(lambda: self._finished == self._given, timeout_seconds)

    def close(self, timeout_seconds: float) -> bool:
        """Let the threads end, dropping blocks not yet begun; whether all have ended in time."""
        with self._ending:
            if self._threads and not self._is_closing:
                self._queues[0].put(None)
            self._is_closing = True
        for thread in self._threads:
            thread.join(timeout_seconds)
        # The steps usually belong to whoever holds this line: without this, the buffers would stay until
        # the garbage collector comes by.
        self._free = SimpleQueue()
        return not any(thread.is_alive() for thread in self._threads)

    def _start(self) -> None:
        for number in range(len(self._steps)):
            # Daemon: a disk that never answers must not keep the process from ending.
            thread = threading.Thread(target=self._work, args=(number,), name=f"{self._name}-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self, number: int) -> None:
        step, mine = self._steps[number], self._queues[number]
        following = self._queues[number + 1] if number + 1 < len(self._queues) else None
        while (block := mine.get()) is not None:
            self._apply(step, block)
            if following is None:
                self._leave(block)
            else:
                following.put(block)
        if following is not None:
            following.put(None)

    def _apply(self, step: Step, block: _Block) -> None:
        if self._failure is not None or self._is_closing:
            return
        try:
            step(block.offset, block.buffer, block.length)
        except BaseException as error:  # noqa: BLE001  carried to the caller by `check`, never swallowed
            self._failure = error

    def _leave(self, block: _Block) -> None:
        self._free.put(block.buffer)
        with self._done:
            self._finished += 1
            self._done.notify_all()
