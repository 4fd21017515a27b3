"""Which bay holds which session: turns port events into sessions, one per bay.

Knows ports, bays and sessions; nothing of cameras. A port that belongs to no bay is named in the log
and left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import structlog

from dockd.dock.session import Session
from dockd.driver_api import Occupied, PortEvent
from dockd.errors import BadRequest, NotFound
from dockd.model.camera import Port
from dockd.model.ids import BayId

log = structlog.get_logger(__name__)

PortSource = Callable[[], AbstractAsyncContextManager[AsyncIterator[PortEvent]]]
"""Opens a stream of port events: first what is there, then every change."""


@dataclass(slots=True)
class _Occupancy:
    """One stay of something in a port. `session` is None until the stay before it has closed its books."""

    port: Port
    is_over: bool = False
    session: Session | None = None
    task: asyncio.Task[None] | None = None

    def end(self) -> None:
        self.is_over = True
        if self.session is not None:
            self.session.undock()


class Bays:
    """All bays of this dock and the sessions in them.

    `bay_of` maps a port path to its bay, or None. `new_session` makes a session that has not begun.
    """

    def __init__(
        self,
        bay_of: Callable[[str], BayId | None],
        new_session: Callable[[BayId, Port], Session],
        know: Callable[[BayId], None] = lambda _bay: None,
    ) -> None:
        self._bay_of = bay_of
        self._new_session = new_session
        self._know = know
        self._latest: dict[str, _Occupancy] = {}
        self._live: set[Session] = set()

    def sessions(self) -> Collection[Session]:
        """Every session that has not ended."""
        return tuple(self._live)

    def release(self, bay: BayId) -> None:
        """A person lets a HELD bay try again. Raises NotFound, BadRequest."""
        for session in self._live:
            if session.bay == bay:
                if not session.release():
                    raise BadRequest(f"Bay {bay} is not held.")
                return
        raise NotFound(f"There is no camera in bay {bay}.")

    async def serve(self, sources: Collection[PortSource]) -> None:
        """Follow every source for ever. Sessions live in this group; one that raises ends the process."""
        async with asyncio.TaskGroup() as group:
            for source in sources:
                group.create_task(self._follow(source, group))

    async def _follow(self, source: PortSource, group: asyncio.TaskGroup) -> None:
        async with source() as events:
            async for event in events:
                if isinstance(event, Occupied):
                    self._occupy(event.port, group)
                else:
                    self._vacate(event.port_path)

    def _occupy(self, port: Port, group: asyncio.TaskGroup) -> None:
        bay = self._bay_of(port.path)
        if bay is None:
            log.warning("a device on a port that is no bay is left alone", port=port.path)
            return
        before = self._latest.get(port.path)
        if before is not None and not before.is_over:
            if before.port == port:
                return
            # Something else sits there now: the departure event was lost or came merged.
            before.end()
        stay = _Occupancy(port)
        self._latest[port.path] = stay
        stay.task = group.create_task(self._live_through(bay, stay, before), name=f"session-{bay}")

    def _vacate(self, port_path: str) -> None:
        stay = self._latest.get(port_path)
        if stay is not None:
            stay.end()
        elif (bay := self._bay_of(port_path)) is not None:
            self._know(bay)

    async def _live_through(self, bay: BayId, stay: _Occupancy, before: _Occupancy | None) -> None:
        """Sessions of one port never overlap: the one before closes its books first."""
        if before is not None and before.task is not None:
            await asyncio.wait([before.task])
        if stay.is_over:
            return
        stay.session = self._new_session(bay, stay.port)
        self._live.add(stay.session)
        try:
            await stay.session.run()
        finally:
            stay.is_over = True
            self._live.discard(stay.session)
