"""The work on one opened camera: runs the stages and writes what they return to the journal.

One method per life-cycle state, called in order by `dock/session.py`. Decides by `rules/`; what needs
more than a few lines has a module of its own (`intake`, `copying`, `erasure`, `fitness`, `promise`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dockd.dock.bay_board import BayBoard, CardTally
from dockd.dock.copying import (
    UNSETTLED,
    check_copies,
    copy_and_record,
    discard_missing_copy,
    rejection_words,
    verify_and_record,
)
from dockd.dock.erasure import Eraser
from dockd.dock.fitness import Fitness
from dockd.dock.intake import Intake, take_in
from dockd.dock.promise import Promise
from dockd.dock.services import DockServices
from dockd.dock.stages.confirm import confirm_source
from dockd.dock.stages.identify import Identified, identify
from dockd.dock.stages.wipe import check_space_freed
from dockd.dock.transfer.part_digests import KnownParts
from dockd.dock.worker import CameraThread
from dockd.driver_api import Camera
from dockd.errors import (
    CardDamaged,
    ReconciliationDiffers,
    RecordingRefused,
    StagingFull,
)
from dockd.model import facts
from dockd.model.camera import BatteryReading
from dockd.model.ids import CameraId, OfficerNumber, RecordingId
from dockd.model.recording import ConfirmedSource
from dockd.rules.custody import Custody, LedgerEntry, is_grace_over
from dockd.rules.lifecycle import NotAllowed
from dockd.rules.reconciliation import Reconciliation

if TYPE_CHECKING:
    from dockd.dock.session import Session

_SECURING_PAUSE_SECONDS = 0.2
"""Receipts may come in hundreds a second; counting them once in a while is enough."""


class Docking:
    """One camera, opened, in one session."""

    def __init__(
        self,
        services: DockServices,
        session: Session,
        camera: Camera,
        driver: str,
        thread: CameraThread,
        board: BayBoard,
    ) -> None:
        self._services = services
        self._session = session
        self._camera = camera
        self._driver = driver
        self._thread = thread
        self._board = board
        self._identified: Identified | None = None
        self._intake = Intake(sources={}, missing=())
        self._parts: dict[RecordingId, KnownParts] = {}
        """Digests of upload parts from copying, until the copy is read back; only of recordings of several parts."""
        self._retained: dict[RecordingId, str] = {}
        self._is_reconciled = False
        self._fitness = Fitness(services, session.id, camera, board)
        self._promise = Promise(services, session.id, session.bay, camera, board)

    # --- what others may ask -------------------------------------------------------------------

    @property
    def camera_id(self) -> CameraId | None:
        """Who it is; None until it has told."""
        return self._identified.identity.id if self._identified else None

    @property
    def battery(self) -> BatteryReading:
        """As last read."""
        return self._board.battery

    @property
    def promised(self) -> OfficerNumber | None:
        """Whom the camera is promised to."""
        return self._promise.officer

    async def promise(self, assignment: str, officer: OfficerNumber) -> bool:
        """Write the officer's number to the camera. Raises AssignmentNotWritten, CameraGone."""
        return await self._promise.make(assignment, self._known_camera(), officer)

    async def withdraw(self, reason: str) -> None:
        """Take the promise back."""
        await self._promise.withdraw(reason)

    async def closing_facts(self, *, was_ready: bool) -> list[facts.Fact]:
        """What must be written when the camera has left."""
        closing: list[facts.Fact] = []
        if self._identified is None:
            return closing
        if was_ready:
            closing += self._promise.taken(self._known_camera())
        if not self._is_reconciled and self._intake.sources:
            closing.append(await self._reconciled())
        return closing

    # --- one method per state -------------------------------------------------------------------

    async def identify(self) -> None:
        """IDENTIFYING: who is it; ends the interval of the officer who brought it back."""
        found = await identify(self._camera)
        self._services.identities.claim(found.identity.id, self._session)
        self._identified = found
        self._board.identified(found.identity, found.battery)
        written: list[facts.Fact] = [
            facts.CameraIdentified(
                session=self._session.id,
                bay=self._session.bay,
                driver=self._driver,
                identity=found.identity,
                battery=found.battery,
                space=found.space,
            )
        ]
        if found.clock is not None:
            written.append(
                facts.ClockMeasured(session=self._session.id, camera=found.identity.camera, reading=found.clock)
            )
        await self._services.journal.append(*written)

    async def offload(self) -> None:
        """OFFLOADING: list the card, then copy whatever has no copy here."""
        camera = self._known_camera()
        listing = await self._camera.storage.list()
        await self._promise.settle_earlier(camera, docked_at=self._session.docked_at, has_footage=bool(listing.footage))
        self._intake = await take_in(
            self._services.journal,
            self._session.id,
            camera,
            listing.footage,
            self._identified.clock_offset if self._identified else None,
        )
        self._is_reconciled = False
        async for entry in self._each_entry():
            await discard_missing_copy(self._services, entry)
        try:
            async for entry in await self._begin(lambda entry: entry.needs_copy):
                parts = await copy_and_record(
                    self._services,
                    self._session.id,
                    entry,
                    self._intake.sources[entry.recording],
                    self._camera.storage,
                    self._thread,
                    self._board.advance,
                )
                if parts is not None:
                    self._parts[entry.recording] = parts
                self._board.one_done()
        except StagingFull:
            # What is here must become sendable, or the room would never come back.
            await self.verify()
            raise

    async def verify(self) -> None:
        """VERIFYING: read every fresh copy back past the page cache."""
        async for entry in await self._begin(lambda entry: entry.has_copy and entry.verified is None):
            await verify_and_record(
                self._services,
                entry,
                self._thread,
                self._board.advance,
                self._session.mismatches,
                self._parts.pop(entry.recording, None),
            )
            self._board.one_done()
        await self._show_card()

    async def secure(self) -> None:
        """SECURING: wait until the store has accepted everything, or the policy lets footage stay aboard."""
        settling = (facts.RecordingAccepted, facts.RecordingRejected, facts.CopyDiscarded)
        with self._services.journal.changes(*settling) as changes:
            while True:
                tally = await self._services.journal.tally(self._session.id)
                self._board.secured(tally)
                if Custody.REJECTED in tally:
                    raise RecordingRefused(await rejection_words(self._services.journal, self._session.id))
                await check_copies(self._services.journal, self._session.id)
                if not any(state in tally for state in UNSETTLED):
                    return
                if self._services.policy.may_retain(self._services.centre.unreachable_seconds()):
                    return
                try:
                    async with asyncio.timeout(self._services.policy.battery_interval_seconds):
                        await changes.wait()
                except TimeoutError:
                    await self._fitness.read_battery(self._known_camera())
                await self._services.clock.sleep(_SECURING_PAUSE_SECONDS)

    async def wipe(self) -> None:
        """WIPING: erase what is cleared; keep the rest with its reason. Raises RecordsDiffer before anything else."""
        self._services.check_agrees()
        eraser = Eraser(
            journal=self._services.journal,
            storage=self._camera.storage,
            session=self._session.id,
            pinned=self._services.pinned,
            grace=timedelta(hours=self._services.policy.grace_hours),
            confirm=self._confirm,
            is_read_twice=self._services.policy.read_card_twice,
            sign_chain=self._services.sign_chain,
        )
        erasure = await eraser.erase_cleared(self._services.clock.now())
        self._retained = erasure.retained
        self._is_reconciled = False
        self._board.wiped(erasure.erased_count, len(erasure.retained))
        check_space_freed(erasure.room)

    async def prepare(self) -> None:
        """PREPARING: reconcile, then clock and assignment."""
        if not self._is_reconciled:
            record = await self._reconciled()
            await self._services.journal.append(record)
            self._is_reconciled = True
            if record.differences:
                raise ReconciliationDiffers(
                    f"{len(record.differences)} recordings do not add up, the first: {record.differences[0]}."
                )
        damaged = await self._count(lambda entry: bool(entry.unreadable) and entry.is_on_card)
        if damaged:
            raise CardDamaged(f"{damaged} recordings on this card could not be read in whole.")
        await self._fitness.prepare(self._known_camera())

    async def charge(self) -> None:
        """CHARGING: until the battery is full enough and nothing else blocks."""

        async def count_unsafe() -> int:
            return await self._count(lambda entry: entry.is_on_card and entry.recording not in self._retained)

        await self._fitness.wait_until_ready(self._known_camera(), count_unsafe)

    async def stay_ready(self) -> None:
        """READY: until footage that was kept aboard may be erased."""
        while True:
            await self._services.clock.sleep(self._services.policy.battery_interval_seconds)
            await self._fitness.read_battery(self._known_camera())
            if self.promised is not None:
                continue
            await check_copies(self._services.journal, self._session.id)
            if await self._has_erasable():
                return

    # --- pieces -------------------------------------------------------------------------------

    def _known_camera(self) -> CameraId:
        if self._identified is None:
            raise NotAllowed("the life-cycle enters no later state before IDENTIFYING")
        return self._identified.identity.id

    def _each_entry(self, is_wanted: Callable[[LedgerEntry], bool] = lambda _: True) -> AsyncIterator[LedgerEntry]:
        """What this session's card holds, and what was erased from it; not what the card has replaced.

        One after the other: a card may hold tens of thousands.
        """
        return self._services.journal.each_entry(
            last_session=self._session.id, is_wanted=lambda entry: not entry.is_replaced and is_wanted(entry)
        )

    async def _begin(self, is_wanted: Callable[[LedgerEntry], bool]) -> AsyncIterator[LedgerEntry]:
        """Show how much there is to do, and return what is to be done, one after the other."""
        await self._show_card()
        wanted_count = wanted_bytes = 0
        async for entry in self._each_entry(is_wanted):
            wanted_count += 1
            wanted_bytes += entry.size_bytes
        self._board.begin(wanted_bytes, wanted_count)
        return self._each_entry(is_wanted)

    async def _show_card(self) -> None:
        tally = CardTally()
        async for entry in self._each_entry():
            tally.add(entry)
        self._board.listed(tally)

    async def _count(self, is_one: Callable[[LedgerEntry], bool]) -> int:
        return sum([1 async for _ in self._each_entry(is_one)])

    async def _confirm(self, entry: LedgerEntry) -> ConfirmedSource:
        return await confirm_source(
            entry,
            self._intake.sources[entry.recording],
            session=self._session.id,
            storage=self._camera.storage,
            run_blocking=self._thread.run_blocking,
            progress=self._board.advance,
            settings=self._services.copying,
        )

    async def _reconciled(self) -> facts.SessionReconciled:
        books = Reconciliation(
            self._session.id, self._known_camera(), retained=self._retained, missing=self._intake.missing
        )
        async for entry in self._each_entry():
            books.add(entry)
        return books.record()

    async def _has_erasable(self) -> bool:
        if not self._retained:
            return False
        now: datetime = self._services.clock.now()
        grace = timedelta(hours=self._services.policy.grace_hours)

        def is_erasable(entry: LedgerEntry) -> bool:
            is_whole = entry.is_on_card and not entry.unreadable
            return is_whole and entry.receipt is not None and is_grace_over(entry.receipt, now, grace)

        accepted = self._services.journal.each_entry(
            last_session=self._session.id, states={Custody.ACCEPTED}, is_wanted=is_erasable
        )
        return await anext(accepted, None) is not None
