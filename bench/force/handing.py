"""How a dock hands its facts over, as `dock/reporter.py` does: gather for a while, then everything, again and again.

Knows moments and texts. Must not know connections; whoever uses it sends what `due` gives, and says when it was taken.
"""

from __future__ import annotations

from dockd.dock.reporter import BATCH_BYTES
from dockd.dock.sections import ReporterConfig
from dockd.wire.messages import MAXIMUM_FACTS_PER_BATCH

GATHER_SECONDS = ReporterConfig().gather_seconds


class Handing:
    """The facts of one dock that the centre does not have. Times are those of the caller's clock, in seconds."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._due_at: float | None = None
        self._is_under_way = False

    def write(self, facts: tuple[str, ...], at: float) -> float | None:
        """The dock wrote `facts` down at `at`. Returns when to look for what is `due`, if not planned already."""
        self._waiting += facts
        if self._is_under_way or self._due_at is not None:
            return None
        self._due_at = at + GATHER_SECONDS
        return self._due_at

    def due(self) -> tuple[float, bytes] | None:
        """The next batch, if there is one, and since when it was due. Its time is up: send it now."""
        if not self._waiting or self._due_at is None:
            return None
        size, count = 0, 0
        for text in self._waiting[:MAXIMUM_FACTS_PER_BATCH]:
            size += len(text)
            if size > BATCH_BYTES and count:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._is_under_way = True
        return self._due_at, f'{{"facts":[{",".join(batch)}]}}'.encode()

    def taken(self, at: float) -> float | None:
        """The centre took the batch at `at`. Returns when to look again; at once while more was waiting already."""
        self._is_under_way, self._due_at = False, None
        if not self._waiting:
            return None
        self._due_at = at
        return at
