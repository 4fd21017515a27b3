"""One row that everybody locks who changes what is kept, or decides that something goes.

So that a hold, a policy or a classification and the decision to delete come one after the other, in every process: the
decision sees what was there before it, and whatever comes later finds the decision. The same row holds the lease of the
one process that deletes. Knows the row; must not know what is done behind it.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.database import Database, insert_new
from dockd.central.refusals import BUSY
from dockd.central.retention.tables import worker
from dockd.clock import Clock
from dockd.web.problems import Refusal

LEASE = timedelta(minutes=10)
"""Much longer than a permit is good for: whoever takes over finds no permit that still holds."""


async def pass_gate(connection: AsyncConnection) -> Row[Any]:
    """Wait until nobody else is inside, and lock the gate until this transaction is over."""
    await insert_new(connection, worker, [{"place": 1}])
    return (await connection.execute(select(worker).with_for_update())).one()


class WorkerLease:
    """One process at a time deletes. Every method raises Refusal (503, 507)."""

    def __init__(self, database: Database, clock: Clock, name: str) -> None:
        self._database = database
        self._clock = clock
        self._name = name

    async def take(self, *, night: date | None = None) -> bool:
        """Take it unless another has it. With `night`, only when no run was begun in that night; it is noted."""
        now = self._clock.now()
        async with self._database.writing() as connection:
            row = await pass_gate(connection)
            is_free = row.taken_until is None or row.taken_until <= now or row.taken_by == self._name
            if not is_free or (night is not None and row.last_night is not None and row.last_night >= night):
                return False
            values: dict[str, object] = {"taken_by": self._name, "taken_until": now + LEASE}
            await connection.execute(update(worker).values(values if night is None else values | {"last_night": night}))
        return True

    async def renew_in(self, connection: AsyncConnection) -> None:
        """Pass the gate and hold the lease for another LEASE. Raises Refusal (503) when another has it."""
        row = await pass_gate(connection)
        if not self.is_mine(row):
            raise lease_lost()
        await connection.execute(update(worker).values(taken_until=self._clock.now() + LEASE))

    async def check_in(self, connection: AsyncConnection, *, lasts: timedelta) -> None:
        """Raise Refusal (503) unless the lease is ours for so long at least."""
        row = (await connection.execute(select(worker))).one_or_none()
        if row is None or not self.is_mine(row) or row.taken_until <= self._clock.now() + lasts:
            raise lease_lost()

    async def give_back(self) -> None:
        """The work is over."""
        async with self._database.writing() as connection:
            mine = update(worker).where(worker.c.taken_by == self._name)
            await connection.execute(mine.values(taken_by=None, taken_until=None))

    def is_mine(self, row: Row[Any]) -> bool:
        """Whether this process has it now."""
        until: datetime | None = row.taken_until
        return row.taken_by == self._name and until is not None and until > self._clock.now()


def lease_lost() -> Refusal:
    """Another process took over: what this one was about to do, it does not do."""
    return Refusal(BUSY, "Another process of the centre works on retention now.", retry_after_seconds=60)
