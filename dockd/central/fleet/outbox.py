"""Messages that wait to be sent: taken by one process at a time, marked when sent, put off when not.

A process that is killed between sending and marking leaves a message that is sent again: never lost, perhaps doubled,
and its id tells. Every method raises Refusal (503, 507).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, select, text, update

from dockd.central.database import Database
from dockd.central.fleet.tables import alert_messages
from dockd.clock import Clock

LEASE = timedelta(minutes=3)
_FIRST_PAUSE_SECONDS = 30
_LONGEST_PAUSE_SECONDS = 3600
_LONGEST_SAID = 500
_IS_TO_SEND = text("sent_at IS NULL AND given_up_at IS NULL")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message taken to be sent."""

    number: int
    body: str
    made_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Undelivered:
    """What could not be sent yet. `said` is what the last attempt on the oldest came to."""

    count: int
    since: datetime | None
    said: str | None


class Outbox:
    """The messages of all channels."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def take(self, channel: str, worker: str) -> Waiting | None:
        """The oldest that is due, on a lease of LEASE; None when there is nothing to do.

        In order: as long as the oldest is put off, those behind it wait too, so that "over" never comes before "new".
        """
        now = self._clock.now()
        oldest = (
            select(alert_messages)
            .where(alert_messages.c.channel == channel, _IS_TO_SEND)
            .order_by(alert_messages.c.number)
            .limit(1)
        )
        async with self._database.reading() as connection:  # most looks find nothing: no writer's turn for that
            row = (await connection.execute(oldest)).one_or_none()
            if row is None or not _is_due(row.not_before, row.taken_until, now):
                return None
        async with self._database.writing() as connection:
            row = (await connection.execute(oldest.with_for_update())).one_or_none()
            if row is None or not _is_due(row.not_before, row.taken_until, now):
                return None
            mine = {"taken_by": worker, "taken_until": now + LEASE, "attempts": row.attempts + 1}
            await connection.execute(update(alert_messages).where(alert_messages.c.number == row.number).values(mine))
        return Waiting(row.number, row.body, row.made_at, row.attempts + 1)

    async def mark_sent(self, taken: Waiting) -> None:
        """It was sent; true also when the lease had passed."""
        values = {"sent_at": self._clock.now(), "taken_by": None, "taken_until": None, "said": None}
        await self._change(taken, values)

    async def put_off(self, taken: Waiting, worker: str, said: str) -> None:
        """It was not sent; again after a pause that doubles with every attempt, up to an hour."""
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(taken.attempts - 1, 12), _LONGEST_PAUSE_SECONDS)
        not_before = self._clock.now() + timedelta(seconds=pause)
        values = {"taken_by": None, "taken_until": None, "said": _clean(said), "not_before": not_before}
        await self._change(taken, values, worker)

    async def give_up(self, taken: Waiting, worker: str, said: str) -> None:
        """It is too old to be of use; the alerts that it told of are still on the page."""
        values = {"taken_by": None, "taken_until": None, "said": _clean(said), "given_up_at": self._clock.now()}
        await self._change(taken, values, worker)

    async def undelivered(self) -> Undelivered:
        """What waits and was tried at least once."""
        tried = and_(_IS_TO_SEND, alert_messages.c.attempts > 0, alert_messages.c.said.is_not(None))
        counted = select(func.count(), func.min(alert_messages.c.number)).where(tried)
        async with self._database.reading() as connection:
            count, number = (await connection.execute(counted)).one()
            if number is None:
                return Undelivered(0, None, None)
            question = select(alert_messages).where(alert_messages.c.number == number)
            oldest = (await connection.execute(question)).one()
        return Undelivered(count, oldest.made_at, oldest.said)

    async def _change(self, taken: Waiting, values: Mapping[str, object], worker: str | None = None) -> None:
        condition = and_(alert_messages.c.number == taken.number, alert_messages.c.sent_at.is_(None))
        if worker is not None:
            condition = and_(condition, alert_messages.c.taken_by == worker)
        async with self._database.writing() as connection:
            await connection.execute(update(alert_messages).where(condition).values(dict(values)))


def _is_due(not_before: datetime, taken_until: datetime | None, now: datetime) -> bool:
    return not_before <= now and (taken_until is None or taken_until < now)


def _clean(said: str) -> str:
    return "".join(one if one.isprintable() else " " for one in said)[:_LONGEST_SAID]
