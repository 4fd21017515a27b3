"""Giving a READY camera to an officer: one at a time, best charged first.

Chooses by `rules/issuing.py`; the promise itself is written by the camera's session.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection

import structlog

from dockd.dock.journal import Journal
from dockd.dock.kiosk.view import Issued
from dockd.dock.session import Session
from dockd.errors import AlreadyHolding, DockdError, NotFound, NothingReady
from dockd.model.ids import BayId, CameraId, OfficerNumber
from dockd.rules.issuing import choose

log = structlog.get_logger(__name__)


class Issuing:
    """Issues the cameras of this dock."""

    def __init__(self, journal: Journal, sessions: Callable[[], Collection[Session]]) -> None:
        self._journal = journal
        self._sessions = sessions
        self._one_at_a_time = asyncio.Lock()

    async def issue(self, officer: OfficerNumber) -> Issued:
        """Promise the best charged READY camera to `officer`.

        The same officer asking again is told the same bay. A camera that does not keep the number
        faults by itself and the next one is tried. Raises AlreadyHolding, NothingReady.
        """
        async with self._one_at_a_time:
            for session in self._sessions():
                if session.promised_to == officer and session.camera is not None:
                    return self._issued(session, session.camera, officer)
            held = await self._journal.open_assignment_by(officer)
            if held is not None and held.started_at is not None:
                raise AlreadyHolding(f"Officer {officer} already holds camera {held.camera}.")
            return await self._first_that_takes(officer)

    async def cancel(self, bay: BayId) -> None:
        """Take back the promise of the camera in `bay`. Raises NotFound when there is none."""
        async with self._one_at_a_time:
            session = self._in(bay)
            if session is None or session.promised_to is None:
                raise NotFound(f"No camera in bay {bay} is promised to anyone.")
            await session.withdraw("taken back on the dock's page")

    def _in(self, bay: BayId) -> Session | None:
        return next((session for session in self._sessions() if session.bay == bay), None)

    async def _first_that_takes(self, officer: OfficerNumber) -> Issued:
        refused: set[BayId] = set()
        while True:
            candidates = [one for session in self._sessions() if (one := session.candidate()) is not None]
            chosen = choose(one for one in candidates if one.bay not in refused)
            session = self._in(chosen.bay) if chosen else None
            if chosen is None or session is None:
                raise NothingReady("No camera in this dock is ready to be issued.")
            try:
                await session.promise(secrets.token_hex(12), officer)
            except DockdError as error:
                log.warning("camera did not take its assignment", bay=chosen.bay, code=error.code)
                refused.add(chosen.bay)
                session.interrupt(error)
                continue
            return self._issued(session, chosen.camera, officer)

    @staticmethod
    def _issued(session: Session, camera: CameraId, officer: OfficerNumber) -> Issued:
        return Issued(
            bay=session.bay,
            camera=camera,
            officer=officer,
            battery_percent=session.battery_percent,
        )
