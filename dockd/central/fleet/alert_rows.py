"""Alerts and silences between tables and rules. Knows both; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.fleet.tables import alert_silences, alerts
from dockd.rules.alerting import Alert, Silence
from dockd.rules.alerts import AlertKind, Severity

_COLUMNS = (
    "number",
    "subject",
    "site",
    "words",
    "since",
    "opened_at",
    "absent_since",
    "resolved_at",
    "acknowledged_at",
    "announced_at",
    "announcements",
    "is_resolution_told",
)


def alert_of(row: Mapping[str, Any]) -> Alert:
    """A row of `alerts`."""
    named = {name: row[name] for name in _COLUMNS}
    return Alert(kind=AlertKind(row["kind"]), severity=Severity(row["severity"]), **named)


def silence_of(row: Mapping[str, Any]) -> Silence:
    """A row of `alert_silences`."""
    kind = AlertKind(row["kind"]) if row["kind"] is not None else None
    return Silence(kind, row["site"], row["subject"], row["until"])


async def alerts_not_over(connection: AsyncConnection) -> tuple[Alert, ...]:
    """Those that are open, and those of which the end was not told yet."""
    question = select(alerts).where(text("NOT is_resolution_told")).order_by(alerts.c.number)
    return tuple(alert_of(dict(row)) for row in (await connection.execute(question)).mappings())


async def silences_at(connection: AsyncConnection, now: datetime) -> tuple[Silence, ...]:
    """Those that hold at `now`."""
    question = select(alert_silences).where(alert_silences.c.until > now, alert_silences.c.ended_at.is_(None))
    return tuple(silence_of(dict(row)) for row in (await connection.execute(question)).mappings())
