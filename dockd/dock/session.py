"""One camera in one bay, from arrival to departure: the only driver of the life-cycle table.

Knows states, errors and their reactions, retries, holds and the undocking. What is done in each state
is `dock/docking.py`. Our errors lead to a reaction; any other exception holds this bay with its
traceback in the log, and the other bays go on: one of the two broad excepts of the program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import structlog

from dockd.dock.bay_board import BayBoard
from dockd.dock.docking import Docking
from dockd.dock.services import DockServices
from dockd.dock.worker import CameraThread
from dockd.driver_api import Driver
from dockd.errors import CameraGone, DockdError, InternalError, Reaction
from dockd.model import facts
from dockd.model.camera import Port
from dockd.model.ids import BayId, CameraId, OfficerNumber, SessionId
from dockd.rules.issuing import Candidate
from dockd.rules.lifecycle import Event, State, step

log = structlog.get_logger(__name__)

_DEPARTURE_PATIENCE_SECONDS = 5.0
"""A driver may notice a pulled cable before the port watcher does."""

_STAGES = {
    State.IDENTIFYING: Docking.identify,
    State.OFFLOADING: Docking.offload,
    State.VERIFYING: Docking.verify,
    State.SECURING: Docking.secure,
    State.WIPING: Docking.wipe,
    State.PREPARING: Docking.prepare,
    State.CHARGING: Docking.charge,
    State.READY: Docking.stay_ready,
}


class Session:
    """Drives one docking. `run` returns when the camera has left; `undock`, `interrupt` and `release` steer it."""

    def __init__(self, services: DockServices, bay: BayId, port: Port) -> None:
        self.id: SessionId = services.new_session_id()
        self.bay = bay
        self.port = port
        self.docked_at = services.clock.now()
        self.state = State.ARRIVED
        self.mismatches: dict[str, int] = {}
        """Read-back mismatches by recording, over the retries of this session."""
        self._services = services
        self._board: BayBoard = services.board.occupy(bay, port, self.id)
        self._undocked = asyncio.Event()
        self._released = asyncio.Event()
        self._interrupted = asyncio.Event()
        self._interruption: DockdError | None = None
        self._faults = 0
        self._docking: Docking | None = None

    # --- steering from outside ---------------------------------------------------------------

    def undock(self) -> None:
        """The port is empty: whatever runs is cancelled and the session ends."""
        self._undocked.set()

    def interrupt(self, error: DockdError) -> None:
        """Something outside failed this session (a duplicate identity, an assignment): stop and react to `error`."""
        self._interruption = error
        self._interrupted.set()

    def release(self) -> bool:
        """A person lets a HELD bay try again. Returns False when it is not HELD."""
        if self.state is not State.HELD:
            return False
        self._released.set()
        return True

    @property
    def camera(self) -> CameraId | None:
        """Who is in the bay, once it is known."""
        return self._docking.camera_id if self._docking else None

    def candidate(self) -> Candidate | None:
        """This camera as a candidate for issue: READY and not promised."""
        docking = self._docking
        if self.state is not State.READY or docking is None or docking.promised is not None:
            return None
        camera = docking.camera_id
        if camera is None:
            return None
        return Candidate(
            bay=self.bay,
            camera=camera,
            battery_percent=docking.battery.percent,
            ready_since=self._board.since,
        )

    @property
    def promised_to(self) -> OfficerNumber | None:
        """Whom the camera is promised to."""
        return self._docking.promised if self._docking else None

    @property
    def battery_percent(self) -> int | None:
        """As last read."""
        return self._docking.battery.percent if self._docking else None

    async def promise(self, assignment: str, officer: OfficerNumber) -> bool:
        """Write `officer` to the READY camera and promise it. Returns whether the camera keeps the number.

        Raises AssignmentNotWritten, CameraGone, DriverTimeout; the session then faults by itself.
        """
        if self._docking is None or self.state is not State.READY:
            raise CameraGone(f"The camera in bay {self.bay} is not ready any more.")
        return await self._docking.promise(assignment, officer)

    async def withdraw(self, reason: str) -> None:
        """Take back a promise: the number is cleared from the camera. Raises as `promise`."""
        if self._docking is not None and self._docking.promised is not None:
            await self._docking.withdraw(reason)

    # --- the life -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Live from ARRIVED to GONE. Raises only errors whose reaction is EXIT."""
        await self._services.journal.append(
            facts.CameraDocked(session=self.id, bay=self.bay, port=self.port.path),
        )
        try:
            while not self._undocked.is_set():
                error = await self._until_error_or_departure(self._walk())
                if error is not None:
                    await self._react(error)
        finally:
            self._services.identities.forget(self)
        await self._leave()

    async def _walk(self) -> None:
        """Walk the path from UNLOCKING; returns never but by an error or cancellation."""
        # Judged anew at every try, also after a person released the bay: releasing is no permission.
        self._services.check_port(self.port)
        driver = self._services.registry.choose(self.port)
        await self._services.admit(self.port)
        if self.state is State.ARRIVED:
            await self._move(Event.STAGE_DONE)
        thread = CameraThread(f"camera-{self.bay}")
        try:
            await self._walk_with(driver, thread)
        finally:
            thread.close()

    async def _walk_with(self, driver: Driver, thread: CameraThread) -> None:
        context = self._services.context_for(self.port, thread)
        async with driver.open(self.port, context) as camera:
            await self._move(Event.STAGE_DONE)
            docking = Docking(self._services, self, camera, driver.name, thread, self._board)
            self._docking = docking
            while True:
                stage_is_ready = self.state is State.READY
                await _STAGES[self.state](docking)
                await self._move(Event.CLEARED_LATER if stage_is_ready else Event.STAGE_DONE)
                self._faults = 0 if self.state is State.READY else self._faults

    async def _until_error_or_departure(self, work: Coroutine[Any, Any, None]) -> DockdError | None:
        """Run `work` until it fails, it is interrupted or the camera leaves (then None)."""
        task = asyncio.create_task(work, name=f"work-{self.bay}")
        waits = [asyncio.create_task(event.wait()) for event in (self._undocked, self._interrupted)]
        try:
            await asyncio.wait([task, *waits], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in (task, *waits):
                one.cancel()
            await asyncio.gather(task, *waits, return_exceptions=True)
        error = self._error_of(task)
        if self._undocked.is_set():
            return None
        if self._interrupted.is_set():
            self._interrupted.clear()
            return self._interruption
        return error

    def _error_of(self, task: asyncio.Task[None]) -> DockdError | None:
        if task.cancelled():
            return None
        try:
            task.result()
        except DockdError as error:
            if error.reaction is Reaction.EXIT:
                raise
            return error
        except Exception:
            # The boundary named in the design: our own bug holds one bay and never stops the others.
            log.exception("session failed", bay=self.bay, session=self.id, state=self.state)
            return InternalError(f"The dock's software failed in bay {self.bay} while it was {self.state.value}.")
        return None

    async def _react(self, error: DockdError) -> None:
        log.warning("session error", bay=self.bay, session=self.id, code=error.code, what=error.what)
        if error.reaction is Reaction.END and await self._departs():
            return
        if error.reaction in (Reaction.RETRY, Reaction.END):
            await self._fault(error)
        else:
            await self._be_held(error)

    async def _departs(self) -> bool:
        """Whether the port watcher confirms within a moment what the driver noticed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DEPARTURE_PATIENCE_SECONDS):
                await self._undocked.wait()
        return self._undocked.is_set()

    async def _fault(self, error: DockdError) -> None:
        if self.state is not State.FAULTED:
            delay = self._services.policy.retry_delay_seconds(self._faults)
            self._faults += 1
            await self._move(Event.ERROR_RETRY, error, self._services.clock.now() + timedelta(seconds=delay))
            interruption = await self._until_error_or_departure(self._services.clock.sleep(delay))
            if interruption is not None and interruption.reaction is not Reaction.RETRY:
                await self._be_held(interruption)
                return
        if not self._undocked.is_set():
            await self._move(Event.RETRY_DUE)

    async def _be_held(self, error: DockdError) -> None:
        self._released.clear()
        if self.state is State.HELD:
            self._board.held_for(error)
        else:
            await self._move(Event.ERROR_HOLD, error)
        waits = [asyncio.create_task(event.wait()) for event in (self._undocked, self._released)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._interrupted.clear()
        if not self._undocked.is_set():
            await self._move(Event.RELEASED)

    async def _move(self, event: Event, error: DockdError | None = None, retry_at: datetime | None = None) -> None:
        transition = step(self.state, event)
        await self._services.journal.append(
            facts.SessionMoved(
                session=self.id,
                from_state=transition.source.value,
                to_state=transition.target.value,
                code=error.code if error else None,
                reason=str(error)[:4000] if error else None,
            )
        )
        self.state = transition.target
        self._board.enter(self.state, error, retry_at)

    async def _leave(self) -> None:
        """Close the books: the interval of a promised camera begins, the session is reconciled and signed."""
        closing: list[facts.Fact] = []
        if self._docking is not None:
            closing += await self._docking.closing_facts(was_ready=self.state is State.READY)
        closing.append(facts.CameraUndocked(session=self.id, bay=self.bay, camera=self.camera))
        await self._services.journal.append(*closing)
        await self._move(Event.UNDOCKED)
        await self._services.sign_chain("session end")
        self._services.board.vacate(self.bay, self.id)
