"""Too much at once looks like a mistake: the run stops, and a person is asked about that very list.

The list is kept, and its digest is what is confirmed. Whatever is not on it is not deleted on that confirmation, and
what is on it is judged again like everything else. Question and answer expire. Must not know stores.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database
from dockd.central.refusals import LIST_CHANGED
from dockd.central.retention.config import RetentionConfig
from dockd.central.retention.decisions import checked_reason
from dockd.central.retention.gate import pass_gate
from dockd.central.retention.survey import Survey
from dockd.central.retention.tables import stop_answers, stop_items, stops
from dockd.clock import Clock
from dockd.lots import in_lots
from dockd.model.canonical import Json
from dockd.rules.retention import grips_brake
from dockd.web.problems import Refusal

_LOT = 1000


@dataclass(frozen=True, slots=True)
class Stop:
    """A list that waits for a person, or was answered. `is_confirmed` None: nobody has answered."""

    number: int
    list_digest: str
    recordings: int
    size_bytes: int
    stored: int
    made_at: datetime
    expires_at: datetime
    is_confirmed: bool | None = None
    answered_at: datetime | None = None
    answered_by: str | None = None
    reason: str | None = None


class Brake:
    """Stops runs and keeps the answers. Every method raises Refusal (503, 507)."""

    def __init__(self, database: Database, clock: Clock, facts: CentreFacts, config: RetentionConfig) -> None:
        self._database = database
        self._clock = clock
        self._facts = facts
        self._config = config

    def grips(self, survey: Survey) -> bool:
        """Whether so much at once needs a person."""
        most = {"most_recordings": self._config.most_recordings, "most_percent": self._config.most_percent}
        return grips_brake(len(survey.due), survey.stored, **most)

    async def stop(self, survey: Survey) -> Stop:
        """Keep the list and ask, unless this very list is being asked about already."""
        now = self._clock.now()
        newest = await self.newest()
        if newest is not None and newest.list_digest == survey.list_digest and newest.expires_at > now:
            return newest
        told: dict[str, Json] = {"recordings": len(survey.due), "size_bytes": survey.size_bytes}
        told |= {"list_digest": survey.list_digest, "stored": survey.stored}
        row = {**told, "made_at": now, "expires_at": now + self._config.confirmation_lifetime}
        async with self._database.writing() as connection:
            await pass_gate(connection)
            await connection.execute(delete(stop_items))  # only the newest list can still be confirmed
            number = (await connection.execute(insert(stops).values(row).returning(stops.c.number))).scalar_one()
            for lot in in_lots(survey.due, _LOT):
                items = [{"stop": number, "digest": one.digest, "accepted_at": one.accepted_at} for one in lot]
                await connection.execute(insert(stop_items), items)
            about = told | {"stop": number}
            await self._facts.add_in(connection, kind="DisposalStopped", actor="dockd", about=about)
            kept = await _newest(connection)
        if kept is None:
            raise RuntimeError("the stop that was just kept is gone")
        return kept

    async def answer(self, list_digest: str, recordings: int, *, is_confirmed: bool, by: str, reason: str) -> Stop:
        """Keep a person's answer about exactly this list of so many recordings.

        Raises Refusal (409): it is not the list that waits, it has expired, or it was answered before.
        """
        checked = checked_reason(reason)
        now = self._clock.now()
        async with self._database.writing() as connection:
            await pass_gate(connection)
            stop = await _newest(connection)
            if stop is None or (stop.list_digest, stop.recordings) != (list_digest, recordings):
                raise Refusal(LIST_CHANGED, "This is not the list that waits for an answer; look at it again.")
            if stop.is_confirmed is not None:
                raise Refusal(LIST_CHANGED, f"This list was answered by {stop.answered_by} before.")
            if stop.expires_at <= now:
                raise Refusal(LIST_CHANGED, "This question has expired; the next run asks again.")
            row = {"stop": stop.number, "is_confirmed": is_confirmed, "answered_at": now, "answered_by": by}
            await connection.execute(insert(stop_answers).values(row | {"reason": checked}))
            about: dict[str, Json] = {
                "list_digest": list_digest,
                "reason": checked,
                "recordings": recordings,
                "stop": stop.number,
            }
            kind = "DisposalConfirmed" if is_confirmed else "DisposalDeclined"
            await self._facts.add_in(connection, kind=kind, actor=by, about=about)
            answered = await _newest(connection)
        if answered is None:
            raise RuntimeError("the stop that was answered is gone")
        return answered

    async def newest(self) -> Stop | None:
        """The last list that was stopped, whatever became of it."""
        async with self._database.reading() as connection:
            return await _newest(connection)

    async def confirmed(self) -> frozenset[tuple[str, datetime]] | None:
        """What a person confirmed and what has not expired: (digest, accepted_at) of each; None when there is none."""
        async with self._database.reading() as connection:
            stop = await _newest(connection)
            if stop is None or not stop.is_confirmed or stop.expires_at <= self._clock.now():
                return None
            mine = select(stop_items.c.digest, stop_items.c.accepted_at).where(stop_items.c.stop == stop.number)
            return frozenset((row.digest, row.accepted_at) for row in (await connection.execute(mine)).all())


async def _newest(connection: AsyncConnection) -> Stop | None:
    answer = stop_answers.c
    joined = stops.outerjoin(stop_answers, answer.stop == stops.c.number)
    told = (answer.is_confirmed, answer.answered_at, answer.answered_by, answer.reason)
    question = select(stops, *told).select_from(joined).order_by(stops.c.number.desc()).limit(1)
    row = (await connection.execute(question)).one_or_none()
    return None if row is None else Stop(**row._mapping)
