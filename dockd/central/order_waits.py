"""Docks that wait for an order: one look into the database for all that wait at this process.

Orders may be written by another process, so somebody must look; asking for each dock by itself would make the force's
docks, all of them waiting, the database's largest load. Knows who waits. Must not know HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy import func, select

from dockd.central.database import Database
from dockd.central.queries import Queries
from dockd.central.tables import orders
from dockd.lots import in_lots
from dockd.web.problems import Refusal
from dockd.wire.messages import Orders

_log = structlog.get_logger(__name__)

_LOOK_AGAIN_SECONDS = 5.0
_ASKED_TOGETHER = 500


class OrderWaits:
    """Answers docks' long polls. `run` looks on behalf of all who wait, and wakes them when `stopping` is set."""

    def __init__(self, database: Database, queries: Queries, stopping: asyncio.Event) -> None:
        self._database = database
        self._queries = queries
        self._stopping = stopping
        self._waiting: set[_Waiting] = set()

    async def orders(self, dock: str, after: int, wait_seconds: float) -> Orders:
        """The dock's orders numbered above `after`, as soon as there are any or time is up. Raises Refusal (503)."""
        found = await self._queries.orders(dock, after)
        if found.orders or wait_seconds <= 0 or self._stopping.is_set():
            return found
        mine = _Waiting(dock, after)
        self._waiting.add(mine)
        try:
            async with asyncio.timeout(wait_seconds):
                await mine.woken.wait()
        except TimeoutError:
            return found
        finally:
            self._waiting.discard(mine)
        return await self._queries.orders(dock, after)

    async def run(self) -> None:
        """Look for ever; ends only by cancellation."""
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                    await self._stopping.wait()
                    break
            try:
                await self._look()
            except Refusal as refusal:
                _log.info("orders_not_looked_for", reason=refusal.what)  # the database passes; so does this
        for one in self._waiting:
            one.woken.set()
        await asyncio.Event().wait()

    async def _look(self) -> None:
        for some in in_lots(list(self._waiting), _ASKED_TOGETHER):
            last = await self._last_numbers([one.dock for one in some])
            for one in some:
                if last.get(one.dock, 0) > one.after:
                    one.woken.set()

    async def _last_numbers(self, docks: Sequence[str]) -> Mapping[str, int]:
        last = func.max(orders.c.number)
        question = select(orders.c.dock, last.label("last")).where(orders.c.dock.in_(docks)).group_by(orders.c.dock)
        async with self._database.looking() as connection:
            return {row.dock: row.last for row in await connection.execute(question)}


class _Waiting:
    """A dock that waits for an order numbered above `after`."""

    def __init__(self, dock: str, after: int) -> None:
        self.dock = dock
        self.after = after
        self.woken = asyncio.Event()
