"""Closing something that another thread may still be inside of."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class LastOneOut:
    """Runs `close` exactly once: when it was asked for and nobody is inside any more.

    A file descriptor that is closed under a thread's feet may already belong to another file when that
    thread writes to it; a reader that hangs may not be closed by a second thread. Both wait here.
    """

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._lock = threading.Lock()
        self._inside = 0
        self._is_forbidden = False
        self._is_closing = False
        self._is_closed = False

    @property
    def is_closing(self) -> bool:
        """No new visit is allowed; whoever is inside should leave soon."""
        return self._is_forbidden or self._is_closing

    @property
    def is_closed(self) -> bool:
        """`close` has run, or is running."""
        return self._is_closed

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Stay inside for the block. Raises OSError (EBADF) once closing was asked for."""
        with self._lock:
            if self.is_closing:
                raise OSError(errno.EBADF, "closed already")
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                mine = self._may_close()
            if mine:
                self._close()

    def forbid(self) -> None:
        """Let nobody in any more, but do not close yet: `close` follows, perhaps in another thread."""
        self._is_forbidden = True

    def close(self) -> None:
        """Close now, or leave it to the last one inside. May be called again; never waits."""
        with self._lock:
            self._is_closing = True
            mine = self._may_close()
        if mine:
            self._close()

    def _may_close(self) -> bool:
        if not self._is_closing or self._inside or self._is_closed:
            return False
        self._is_closed = True
        return True
