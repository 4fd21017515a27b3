"""What the page, the tools and the heartbeat see of this dock, and the three things a person may do.

Implements `kiosk.view.DockView` and `DockActions` over the board, the bays and the issuing.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from dataclasses import dataclass

from dockd import __version__
from dockd.dock.bay_board import BoardChanges, DockBoard
from dockd.dock.bays import Bays
from dockd.dock.issuing import Issuing
from dockd.dock.journal import Journal
from dockd.dock.journal.queries import Backlog
from dockd.dock.kiosk.view import Issued
from dockd.dock.policy import DockSection
from dockd.dock.reporter import Reporter
from dockd.dock.staging import Staging
from dockd.dock.uploader import Uploader
from dockd.model.ids import BayId, OfficerNumber
from dockd.rules.lifecycle import State
from dockd.wire.status import DockStatus

_REFRESH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What the desk looks at."""

    section: DockSection
    journal: Journal
    staging: Staging
    board: DockBoard
    bays: Bays
    issuing: Issuing
    uploader: Uploader
    reporter: Reporter


class DockDesk:
    """The dock as people see it."""

    def __init__(self, parts: DeskParts) -> None:
        self._parts = parts
        self._backlog = Backlog(count=0, size_bytes=0, oldest_at=None)

    async def run(self) -> None:
        """Keep what must be asked of the journal fresh, and the progress bars moving, for ever."""
        parts = self._parts
        while True:
            self._backlog = await parts.journal.backlog()
            parts.board.is_centre_reachable = parts.uploader.status().is_reachable
            parts.board.notify()
            await asyncio.sleep(_REFRESH_SECONDS)

    def snapshot(self) -> DockStatus:
        """The whole dock at this moment, from memory."""
        parts = self._parts
        bays = parts.board.statuses()
        moment = parts.board.clock.moment()
        space = parts.staging.measure()
        sending = parts.uploader.status()
        return DockStatus(
            dock=parts.section.id,
            site=parts.section.site,
            version=__version__,
            at=moment.at,
            clock_sync=moment.clock_sync,
            bays=bays,
            ready_count=sum(bay.state == State.READY.value and bay.officer is None for bay in bays),
            staging_free_bytes=space.free_bytes,
            staging_total_bytes=space.total_bytes,
            is_centre_reachable=sending.is_reachable,
            centre_words=parts.reporter.stopped_words or sending.words,
            waiting_recordings=self._backlog.count,
            waiting_bytes=self._backlog.size_bytes,
            oldest_waiting_since=self._backlog.oldest_at,
            facts=parts.journal.head[0],
            facts_at_centre=parts.reporter.facts_at_centre,
        )

    def changes(self) -> AbstractContextManager[BoardChanges]:
        """Wait for the next change."""
        return self._parts.board.changes()

    async def issue(self, officer: OfficerNumber) -> Issued:
        """As `Issuing.issue`."""
        return await self._parts.issuing.issue(officer)

    async def cancel_issue(self, bay: BayId) -> None:
        """As `Issuing.cancel`."""
        await self._parts.issuing.cancel(bay)

    async def release(self, bay: BayId) -> None:
        """As `Bays.release`."""
        self._parts.bays.release(bay)
