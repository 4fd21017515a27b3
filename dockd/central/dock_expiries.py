"""Certificates of docks that end, for alerts. Knows both sides and decides nothing."""

from __future__ import annotations

from datetime import datetime

from dockd.central.enrolment import Enrolment
from dockd.rules.alerts import Expiry


class DockExpiries:
    """Implements `fleet.expiries.Expiries` for the certificates that this centre gave to docks."""

    def __init__(self, enrolment: Enrolment) -> None:
        self._enrolment = enrolment

    async def ending_before(self, at: datetime) -> tuple[Expiry, ...]:
        """Docks' newest certificates that end before `at`; a dock that was put out has none. Raises Refusal (503)."""
        return tuple(
            Expiry(one.dock, f"dock {one.dock}", one.site, one.expires_at)
            for one in await self._enrolment.enrolled()
            if one.revoked_at is None and one.expires_at < at
        )
