"""Judges again and again what is worth an alert, and puts messages into the outbox; one process of a centre at a time.

Any number of processes may run it. Whose turn it is stands in the database, with an end: a process that was killed
in the middle has changed nothing, and another takes over. All that one judgement changes (alerts, messages, figures)
is one transaction. Knows the order of things; what is judged and how is in `observing` and the rules.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.database import Database, insert_new, insert_or_replace
from dockd.central.fleet.alert_rows import alerts_not_over, silences_at
from dockd.central.fleet.config import AlertsConfig
from dockd.central.fleet.dock_states import PlacedDock
from dockd.central.fleet.expiries import Expiries
from dockd.central.fleet.messages import message_text
from dockd.central.fleet.observing import Observed, observe
from dockd.central.fleet.tables import (
    alert_groups,
    alert_messages,
    alert_turns,
    alerts,
    dock_hours,
    force_hours,
)
from dockd.clock import Clock
from dockd.lots import in_lots
from dockd.rules.alerting import Alert, Changes, Planned, compare, plan
from dockd.rules.alerts import AlertKind, Limits
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)

_TURN = timedelta(minutes=2)
_HOURS_KEPT = timedelta(days=92)
_MESSAGES_KEPT = timedelta(days=92)
_LOT = 500


class AlertEvaluator:
    """`run` never returns; `evaluate` is one turn."""

    def __init__(
        self, database: Database, clock: Clock, config: AlertsConfig, expiries: Expiries, *, store: str
    ) -> None:
        self._database = database
        self._clock = clock
        self._config = config
        self._expiries = expiries
        self._store = store
        # Containers may share host name and process id; a turn must belong to one process alone.
        self._name = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"

    async def run(self) -> None:
        """Judge until cancelled; trouble of the database passes, and is tried again."""
        while True:
            await self._clock.sleep(self._config.evaluate_seconds)
            try:
                await self.evaluate()
            except Refusal as refusal:
                _log.warning("alerts_not_judged", reason=refusal.what)

    async def evaluate(self) -> bool:
        """Judge once; False when it is not due or another process is at it. Raises Refusal (503, 507)."""
        if not await self._take_turn():
            return False
        limits = self._config.limits
        observed = await observe(self._database, self._expiries, limits, self._clock.now())
        async with self._database.writing() as connection:
            if await self._holder(connection) != self._name:
                return False  # it took so long that another process took over
            now = self._clock.now()
            await self._apply(connection, observed, now)
            await _note_hour(connection, observed.docks, limits, now)
            await connection.execute(update(alert_turns).values(done_at=now, taken_by=None, taken_until=None))
        return True

    async def _take_turn(self) -> bool:
        question = select(alert_turns)
        async with self._database.reading() as connection:  # most looks find that it is not due
            row = (await connection.execute(question)).one_or_none()
            if row is not None and not self._is_free(row.done_at, row.taken_until):
                return False
        async with self._database.writing() as connection:
            await insert_new(connection, alert_turns, [{"place": 1}])
            row = (await connection.execute(question.with_for_update())).one()
            if not self._is_free(row.done_at, row.taken_until):
                return False
            until = self._clock.now() + _TURN
            await connection.execute(update(alert_turns).values(taken_by=self._name, taken_until=until))
        return True

    def _is_free(self, done_at: datetime | None, taken_until: datetime | None) -> bool:
        now = self._clock.now()
        # A little early is better than a whole interval late: several processes sleep out of step.
        pause = timedelta(seconds=self._config.evaluate_seconds * 0.9)
        return (taken_until is None or taken_until < now) and (done_at is None or now - done_at >= pause)

    async def _holder(self, connection: AsyncConnection) -> str | None:
        row = (await connection.execute(select(alert_turns).with_for_update())).one()
        return str(row.taken_by) if row.taken_by is not None else None

    async def _apply(self, connection: AsyncConnection, observed: Observed, now: datetime) -> None:
        before = await alerts_not_over(connection)
        is_open = [one for one in before if one.resolved_at is None]
        pace = self._config.pace
        changes = compare(is_open, observed.conditions, observed.judged, pace.calm, now)
        await _write_changes(connection, changes, is_open, now)
        if not self._config.channels:
            # Nobody is told anything, so nothing is left to be told; what is open is told once there is a channel.
            over = update(alerts).where(alerts.c.resolved_at.is_not(None), alerts.c.is_resolution_told.is_(False))
            await connection.execute(over.values(is_resolution_told=True))
            return
        rows = await connection.execute(select(alert_groups))
        told_at = {(AlertKind(row.kind), row.site): row.told_at for row in rows}
        silences = await silences_at(connection, now)
        for planned in plan(await alerts_not_over(connection), silences, told_at, pace, now):
            await self._tell(connection, planned, now)

    async def _tell(self, connection: AsyncConnection, planned: Planned, now: datetime) -> None:
        body = message_text(planned, store=self._store, page_url=self._config.page_url, now=now)
        await connection.execute(
            insert(alert_messages),
            [
                {"channel": channel, "body": body, "made_at": now, "not_before": now, "attempts": 0}
                for channel in self._config.channels
            ],
        )
        announced = {"announced_at": now, "announcements": alerts.c.announcements + 1}
        await _change(connection, [one.number for one in (*planned.new, *planned.reminded)], announced)
        await _change(connection, [one.number for one in planned.resolved], {"is_resolution_told": True})
        await insert_or_replace(
            connection, alert_groups, [{"kind": planned.kind.value, "site": planned.group, "told_at": now}]
        )


async def _write_changes(
    connection: AsyncConnection, changes: Changes, is_open: Sequence[Alert], now: datetime
) -> None:
    for opened in in_lots(changes.opened, _LOT):
        rows = [
            {
                "kind": one.kind.value,
                "subject": one.subject,
                "site": one.site,
                "severity": int(one.severity),
                "words": one.words,
                "since": one.since,
                "opened_at": now,
                "announcements": 0,
                "is_resolution_told": False,
            }
            for one in opened
        ]
        await connection.execute(insert(alerts), rows)
    for number, one in changes.changed:
        await _change(connection, [number], {"words": one.words, "severity": int(one.severity)})
    await _change(
        connection, changes.worsened, {"announced_at": None, "acknowledged_at": None, "acknowledged_by": None}
    )
    await _change(connection, changes.absent, {"absent_since": now})
    await _change(connection, changes.back, {"absent_since": None})
    never_told = {one.number for one in is_open if not one.announcements}
    for is_told in (True, False):
        numbers = [number for number in changes.resolved if (number in never_told) is is_told]
        await _change(connection, numbers, {"resolved_at": now, "is_resolution_told": is_told})


async def _change(connection: AsyncConnection, numbers: Sequence[int], values: dict[str, object]) -> None:
    for some in in_lots(numbers, _LOT):
        await connection.execute(update(alerts).where(alerts.c.number.in_(some)).values(values))


async def _note_hour(connection: AsyncConnection, docks: Sequence[PlacedDock], limits: Limits, now: datetime) -> None:
    """The force's figures of this hour; a silent dock's cameras are not counted as ready, its backlog is."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    heard = [one.state for one in docks if not one.state.is_silent(limits, now)]
    every = [one.state for one in docks]
    ready = sum(one.ready for one in heard)
    oldest = min((one.oldest_waiting_since for one in every if one.oldest_waiting_since is not None), default=now)
    before = (await connection.execute(select(force_hours).where(force_hours.c.hour == hour))).one_or_none()
    row = {
        "hour": hour,
        "looks": (before.looks if before else 0) + 1,
        "ready_least": min(ready, before.ready_least) if before else ready,
        "ready_last": ready,
        "bays": sum(one.bays for one in heard),
        "waiting_bytes_most": max(sum(one.waiting_bytes for one in every), before.waiting_bytes_most if before else 0),
        "waiting_recordings_most": max(
            sum(one.waiting_recordings for one in every), before.waiting_recordings_most if before else 0
        ),
        "oldest_waiting_seconds_most": max(
            int((now - oldest).total_seconds()), before.oldest_waiting_seconds_most if before else 0, 0
        ),
    }
    await insert_or_replace(connection, force_hours, [row])
    if before is None:  # once an hour
        await connection.execute(delete(dock_hours).where(dock_hours.c.hour < now - _HOURS_KEPT))
        await connection.execute(delete(alert_messages).where(alert_messages.c.sent_at < now - _MESSAGES_KEPT))
