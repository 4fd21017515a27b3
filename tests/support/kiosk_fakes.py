"""A dock without cameras: implements the kiosk's `DockView` and `DockActions` and really keeps state."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from dockd.dock.kiosk.view import Changes, Issued
from dockd.errors import AlreadyHolding, BadRequest, NotFound, NothingReady
from dockd.model.ids import BayId, CameraId, OfficerNumber
from dockd.model.moment import ClockSync
from dockd.wire.status import BayStatus, DockStatus, Headline

NOW = datetime(2026, 11, 22, 6, 1, 30, tzinfo=UTC)


class Waiter:
    """Satisfies `Changes`."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def wait(self) -> None:
        await self.event.wait()
        self.event.clear()


def empty_bay(name: str) -> BayStatus:
    return BayStatus(
        bay=name,
        port=f"folder:{name}",
        state="empty",
        headline=Headline.EMPTY,
        words="No camera. Any camera may be put in here.",
        since=NOW - timedelta(hours=1),
    )


def ready_bay(name: str, *, percent: int | None = 95, camera: str | None = None) -> BayStatus:
    return BayStatus(
        bay=name,
        port=f"folder:{name}",
        state="ready",
        headline=Headline.READY,
        words="May be issued.",
        since=NOW - timedelta(minutes=20),
        session=f"s{name}",
        camera=camera or f"simulated:CAM{name}",
        model="Sim 1",
        battery_percent=percent,
        is_charging=True,
    )


def held_bay(name: str, words: str = "The card is write-protected.") -> BayStatus:
    return ready_bay(name).model_copy(
        update={"state": "held", "headline": Headline.HELD, "words": words, "code": "erase-failed"}
    )


class DockOnPaper:
    """Bays that tests change by hand; issuing, releasing and cancelling change them as a dock would."""

    def __init__(self, *bays: BayStatus, **changed: object) -> None:
        self._bays = {bay.bay: bay for bay in bays}
        self._changed = changed
        self._waiters: list[Waiter] = []

    def put(self, bay: BayStatus) -> None:
        """The bay is like this from now on."""
        self._bays[bay.bay] = bay
        self._notify()

    def change(self, **changed: object) -> None:
        """Fields of the dock itself."""
        self._changed |= changed
        self._notify()

    def bay(self, name: str) -> BayStatus:
        return self._bays[name]

    @property
    def watchers(self) -> int:
        return len(self._waiters)

    def snapshot(self) -> DockStatus:
        bays = tuple(self._bays.values())
        status = DockStatus(
            dock="dock-7",
            site="Charing Cross",
            version="0.1.0",
            at=NOW,
            clock_sync=ClockSync.SYNCHRONISED,
            bays=bays,
            ready_count=sum(bay.headline is Headline.READY for bay in bays),
            staging_free_bytes=820_000_000_000,
            staging_total_bytes=1_000_000_000_000,
            is_centre_reachable=True,
            centre_words="Last heard just now.",
            waiting_recordings=0,
            waiting_bytes=0,
            oldest_waiting_since=None,
            facts=1234,
            facts_at_centre=1230,
        )
        return DockStatus.model_validate(dict(status) | self._changed)

    @contextmanager
    def changes(self) -> Iterator[Changes]:
        waiter = Waiter()
        self._waiters.append(waiter)
        try:
            yield waiter
        finally:
            self._waiters.remove(waiter)

    async def issue(self, officer: OfficerNumber) -> Issued:
        if any(bay.officer == officer for bay in self._bays.values()):
            raise AlreadyHolding(f"Officer {officer} already holds a camera.")
        ready = [bay for bay in self._bays.values() if bay.headline is Headline.READY]
        if not ready:
            raise NothingReady("No camera in this dock is ready.")
        best = max(ready, key=lambda bay: bay.battery_percent or 0)
        words = f"This camera is for officer {officer}. Take it out now; it is yours."
        self.put(best.model_copy(update={"headline": Headline.TAKE, "officer": officer, "words": words}))
        assert best.camera is not None
        return Issued(BayId(best.bay), CameraId(best.camera), officer, best.battery_percent)

    async def release(self, bay: BayId) -> None:
        held = self._known(bay)
        if held.headline is not Headline.HELD:
            raise BadRequest(f"Bay {bay} is not held.")
        update = {"state": "unlocking", "headline": Headline.LEAVE_IN_BAY, "words": "Opening the camera.", "code": None}
        self.put(held.model_copy(update=update))

    async def cancel_issue(self, bay: BayId) -> None:
        taken = self._known(bay)
        if taken.headline is not Headline.TAKE:
            raise BadRequest(f"Bay {bay} is promised to nobody.")
        self.put(taken.model_copy(update={"headline": Headline.READY, "officer": None, "words": "May be issued."}))

    def _known(self, bay: BayId) -> BayStatus:
        if bay not in self._bays:
            raise NotFound(f"This dock has no bay {bay}.")
        return self._bays[bay]

    def _notify(self) -> None:
        for waiter in self._waiters:
            waiter.event.set()
