"""What people see of alerts and do about them: look, acknowledge, silence, end a silence. Each deed is a fact.

Knows the tables and the chain of the centre's facts; judges nothing and sends nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database
from dockd.central.fleet.alert_rows import alert_of, silence_of, silences_at
from dockd.central.fleet.messages import severity_word
from dockd.central.fleet.outbox import Outbox
from dockd.central.fleet.tables import alert_silences, alerts
from dockd.clock import Clock
from dockd.errors import BadRequest, NotFound
from dockd.model.canonical import Json
from dockd.model.moment import format_utc
from dockd.rules.alerting import Silence
from dockd.rules.alerts import ACTIONS, TITLES, AlertKind
from dockd.wire.alerts import AlertList, AlertView, NewSilence, SilenceList, SilenceView

MOST_SHOWN = 500
MOST_SILENCES = 200


class AlertDesk:
    """Every method raises Refusal (503, 507) when the database cannot be used now."""

    def __init__(self, database: Database, clock: Clock, facts: CentreFacts) -> None:
        self._database = database
        self._clock = clock
        self._facts = facts
        self._outbox = Outbox(database, clock)

    async def alerts(
        self, *, is_open: bool = True, kind: AlertKind | None = None, site: str | None = None, limit: int = MOST_SHOWN
    ) -> AlertList:
        """Open ones, the worst first and of these the longest open; or those that are over, the newest first."""
        wanted: list[ColumnElement[bool]] = [
            alerts.c.resolved_at.is_(None) if is_open else alerts.c.resolved_at.is_not(None)
        ]
        wanted += [alerts.c.kind == kind.value] if kind is not None else []
        wanted += [alerts.c.site == site] if site is not None else []
        worst_first = (alerts.c.severity.desc(), alerts.c.since, alerts.c.number)
        newest_first = (alerts.c.resolved_at.desc(), alerts.c.number.desc())
        return await self._listed(wanted, worst_first if is_open else newest_first, limit)

    async def alert(self, number: int) -> AlertView:
        """One, open or over. Raises NotFound."""
        now = self._clock.now()
        async with self._database.reading() as connection:
            row = await _alert_row(connection, number)
            return _view(row, await silences_at(connection, now), self._clock)

    async def counts(self) -> dict[AlertKind, int]:
        """How many are open, by kind."""
        question = (
            select(alerts.c.kind, func.count().label("open"))
            .where(alerts.c.resolved_at.is_(None))
            .group_by(alerts.c.kind)
        )
        async with self._database.reading() as connection:
            found = {row.kind: row.open for row in await connection.execute(question)}
        return {kind: found[kind.value] for kind in AlertKind if kind.value in found}

    async def acknowledge(self, number: int, *, actor: str) -> AlertView:
        """Somebody looks into it: no reminders, until it worsens or is over. Twice is once. Raises NotFound."""
        async with self._database.writing() as connection:
            row = await _alert_row(connection, number, is_locked=True)
            if row["resolved_at"] is not None:
                raise BadRequest("This alert is over; there is nothing to acknowledge.")
            if row["acknowledged_at"] is None:
                now = self._clock.now()
                values = {"acknowledged_at": now, "acknowledged_by": actor}
                await connection.execute(update(alerts).where(alerts.c.number == number).values(values))
                about = {"alert": number, "kind": row["kind"], "subject": row["subject"]}
                await self._facts.add_in(connection, kind="AlertAcknowledged", actor=actor, about=about)
        return await self.alert(number)

    async def silence(self, wanted: NewSilence, *, actor: str) -> SilenceView:
        """Tell nothing of it until then."""
        now = self._clock.now()
        until = now + timedelta(hours=wanted.hours)
        kind = wanted.kind.value if wanted.kind else None
        row = {
            "kind": kind,
            "site": wanted.site,
            "subject": wanted.subject,
            "until": until,
            "reason": wanted.reason.strip(),
            "made_by": actor,
            "made_at": now,
        }
        async with self._database.writing() as connection:
            made = await connection.execute(insert(alert_silences).values(row).returning(alert_silences.c.number))
            number = int(made.scalar_one())
            about: dict[str, Json] = {"kind": kind, "site": wanted.site, "subject": wanted.subject}
            await self._facts.add_in(
                connection,
                kind="AlertsSilenced",
                actor=actor,
                about={"silence": number, "until": format_utc(until), "reason": wanted.reason.strip(), **about},
            )
        return _silence_view({**row, "number": number, "ended_at": None})

    async def end_silence(self, number: int, *, actor: str) -> SilenceView:
        """Before its time. Twice is once. Raises NotFound."""
        async with self._database.writing() as connection:
            question = select(alert_silences).where(alert_silences.c.number == number).with_for_update()
            row = (await connection.execute(question)).mappings().one_or_none()
            if row is None:
                raise NotFound("There is no such silence.")
            now = self._clock.now()
            if row["ended_at"] is not None or row["until"] <= now:
                return _silence_view(row)
            await connection.execute(
                update(alert_silences).where(alert_silences.c.number == number).values(ended_at=now)
            )
            await self._facts.add_in(connection, kind="SilenceEnded", actor=actor, about={"silence": number})
        return _silence_view({**row, "ended_at": now})

    async def silences(self) -> SilenceList:
        """Those that hold now."""
        question = (
            select(alert_silences)
            .where(alert_silences.c.until > self._clock.now(), alert_silences.c.ended_at.is_(None))
            .order_by(alert_silences.c.until, alert_silences.c.number)
            .limit(MOST_SILENCES)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(question)).mappings().all()
        return SilenceList(silences=tuple(map(_silence_view, rows)))

    async def _listed(self, wanted: list[ColumnElement[bool]], order: tuple[Any, ...], limit: int) -> AlertList:
        now = self._clock.now()
        async with self._database.reading() as connection:
            question = select(alerts).where(*wanted).order_by(*order).limit(limit)
            rows = (await connection.execute(question)).mappings().all()
            count = (await connection.execute(select(func.count()).select_from(alerts).where(*wanted))).scalar_one()
            silences = await silences_at(connection, now)
        undelivered = await self._outbox.undelivered()
        return AlertList(
            at=now,
            alerts=tuple(_view(row, silences, self._clock) for row in rows),
            left_out=count - len(rows),
            undelivered=undelivered.count,
            undelivered_since=undelivered.since,
            undelivered_said=undelivered.said,
        )


async def _alert_row(connection: AsyncConnection, number: int, *, is_locked: bool = False) -> Any:
    question = select(alerts).where(alerts.c.number == number)
    row = (await connection.execute(question.with_for_update() if is_locked else question)).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such alert.")
    return row


def _view(row: Any, silences: tuple[Silence, ...], clock: Clock) -> AlertView:
    alert = alert_of(row)
    now = clock.now()
    covering = [one.until for one in silences if alert.resolved_at is None and one.covers(alert, now)]
    return AlertView(
        number=alert.number,
        kind=alert.kind,
        title=TITLES[alert.kind],
        subject=alert.subject,
        site=alert.site,
        severity=severity_word(alert.severity),
        words=alert.words,
        action=ACTIONS[alert.kind],
        since=alert.since,
        opened_at=alert.opened_at,
        resolved_at=alert.resolved_at,
        acknowledged_at=alert.acknowledged_at,
        acknowledged_by=row["acknowledged_by"],
        silenced_until=max(covering, default=None),
    )


def _silence_view(row: Any) -> SilenceView:
    named = {name: row[name] for name in SilenceView.model_fields if name != "kind"}
    return SilenceView(kind=silence_of(row).kind, **named)
