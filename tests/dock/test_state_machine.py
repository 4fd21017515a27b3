"""Anything in any order: a Hypothesis machine docks, pulls, records, restarts and cuts the centre off.

After every step the judge looks at cards, staging disk, store and journal from outside. The daemon runs
only while a rule lets its event loop turn, so a failing run can be repeated from its printed blob.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dockd.dock.policy import Retain
from dockd.errors import DockdError
from dockd.model.ids import BayId, OfficerNumber
from tests.support import faulty_centre as faulty
from tests.support.dock_rig import DockRig
from tests.support.fault_plan import CENTRE_CALLS
from tests.support.oracle import Oracle, facts_in

BAYS = 3
CAMERAS = ("C0", "C1")
OFFICERS = ("PC1", "PC2")


class Station(RuleBasedStateMachine):
    """One dock with three bays, two cameras, two officers and a centre."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="station-"))
        self.runner = asyncio.Runner()
        self.stack: AsyncExitStack | None = None
        self.daemon: AsyncExitStack | None = None
        self.recorded = 0

    def turn(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Let the event loop run until `work` is done."""

        async def do() -> Any:
            return await work()

        return self.runner.run(do())

    @initialize(retain=st.sampled_from([Retain.NEVER, Retain.WHEN_UNREACHABLE]))
    def open_station(self, retain: Retain) -> None:
        async def opening() -> None:
            self.stack = AsyncExitStack()
            self.centre = await self.stack.enter_async_context(faulty.faulty_centre(self.folder / "centre"))
            self.rig = DockRig(
                self.folder / "station",
                self.centre.url,
                self.centre.pinned,
                self.folder / "centre",
                bay_count=BAYS,
                policy={"retain": retain, "unreachable_after_seconds": 1},
            )
            for serial in CAMERAS:
                files = {f"DCIM/{name}.MP4": os.urandom(size) for name, size in (("a", 200_000), ("b", 700))}
                self.rig.camera(serial, files, read_bytes_per_second=800_000)

        self.turn(opening)
        self.start_dock()

    # --- what can happen ----------------------------------------------------------------------

    @precondition(lambda self: self.daemon is None)
    @rule()
    def start_dock(self) -> None:
        async def starting() -> None:
            self.daemon = AsyncExitStack()
            await self.daemon.enter_async_context(self.rig.run())

        self.turn(starting)

    @precondition(lambda self: self.daemon is not None)
    @rule()
    def stop_dock(self) -> None:
        daemon, self.daemon = self.daemon, None
        self.turn(daemon.aclose)

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0]))
    def time_passes(self, seconds: float) -> None:
        self.turn(lambda: asyncio.sleep(seconds))

    @rule(serial=st.sampled_from(CAMERAS), bay=st.integers(1, BAYS))
    def dock_camera(self, serial: str, bay: int) -> None:
        if (self.rig.shelf / serial).exists() and not any(self.rig.bay(bay).iterdir()):
            self.rig.dock(serial, bay)
            self.turn(lambda: asyncio.sleep(0.05))

    @rule(serial=st.sampled_from(CAMERAS))
    def pull_camera(self, serial: str) -> None:
        for bay in range(1, BAYS + 1):
            if (self.rig.bay(bay) / serial).exists():
                self.rig.undock(serial, bay)
                self.turn(lambda: asyncio.sleep(0.05))
                return

    @rule(serial=st.sampled_from(CAMERAS), size=st.sampled_from([0, 1000, 150_000]), is_over_old=st.booleans())
    def record(self, serial: str, size: int, is_over_old: bool) -> None:
        """The officer records: under a new name, or under one that was used and erased before."""
        camera = self.rig.shelf / serial
        if not camera.exists():
            return
        self.recorded += 1
        path = camera / "card" / "DCIM" / ("a.MP4" if is_over_old else f"new{self.recorded}.MP4")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return
        path.write_bytes(os.urandom(size))
        self.rig.oracle.remember(camera)

    @rule(kind=st.sampled_from(["away", "busy", "forgetful", "lying", "well"]))
    def centre_becomes(self, kind: str) -> None:
        self.centre.behave()
        behaviours = {
            "away": faulty.dropped,
            "busy": faulty.busy,
            "forgetful": faulty.lost_answer,
            "lying": faulty.wrong_digest,
        }
        if kind in behaviours:
            for call in CENTRE_CALLS:
                self.centre.plan(call, behaviours[kind](), times=None)

    @precondition(lambda self: self.daemon is not None)
    @rule(officer=st.sampled_from(OFFICERS))
    def issue(self, officer: str) -> None:
        async def issuing() -> None:
            try:
                issued = await self.rig.running.desk.issue(OfficerNumber(officer))
            except DockdError as refusal:
                assert refusal.code in ("nothing-ready", "already-holding")
            else:
                shown = [bay for bay in self.rig.running.desk.snapshot().bays if bay.bay == issued.bay]
                assert [bay.officer for bay in shown] == [officer]

        self.turn(issuing)

    @precondition(lambda self: self.daemon is not None)
    @rule(bay=st.integers(1, BAYS))
    def release(self, bay: int) -> None:
        async def releasing() -> None:
            try:
                await self.rig.running.desk.release(BayId(f"bay-{bay}"))
            except DockdError as refusal:
                assert refusal.code in ("not-found", "bad-request")

        self.turn(releasing)

    # --- what must always hold ----------------------------------------------------------------

    @invariant()
    def every_byte_is_accounted_for(self) -> None:
        if self.stack is None:
            return
        oracle: Oracle = self.rig.oracle
        oracle.check_all()

    @invariant()
    def the_ledger_is_what_the_facts_say_and_the_centre_holds_a_beginning_of_them(self) -> None:
        if self.stack is None or self.daemon is None:
            return
        journal = self.rig.running.journal
        assert self.turn(journal.projection_differences) == ()
        head = self.turn(lambda: self.centre.services.facts.head(self.rig.dock_id))
        facts = facts_in(self.rig.oracle.journal)
        assert head.number <= len(facts)
        assert head.number == 0 or facts[head.number - 1].hash == head.head

    @invariant()
    def ready_means_nothing_blocks_and_each_camera_is_in_one_bay(self) -> None:
        if self.daemon is None:
            return
        shown = self.rig.running.desk.snapshot().bays
        cameras = [bay.camera for bay in shown if bay.camera is not None and bay.state != "held"]
        assert len(cameras) == len(set(cameras)), "one camera in two bays"
        sessions = [bay.session for bay in shown if bay.session is not None]
        assert len(sessions) == len(set(sessions)), "one session in two bays"
        for bay in shown:
            if bay.state == "ready":
                assert bay.blockers == ()
                assert bay.recordings_safe_here == bay.recordings_listed
                assert bay.battery_percent is None or bay.battery_percent >= 80

    def teardown(self) -> None:
        """The end of the day: the centre is well, every camera sits in a bay; nothing is left over."""
        if self.stack is None:
            return
        try:
            self._end_the_day()
        finally:
            if self.daemon is not None:
                self.turn(self.daemon.aclose)
            self.turn(self.stack.aclose)
            left = [task for task in asyncio.all_tasks(self.runner.get_loop()) if not task.done()]
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)
        assert not left, f"tasks left: {left}"

    def _end_the_day(self) -> None:
        self.centre.behave()
        if self.daemon is None:
            self.start_dock()
        for number, serial in enumerate(CAMERAS, 1):
            if (self.rig.shelf / serial).exists():
                bay = number if not any(self.rig.bay(number).iterdir()) else BAYS
                self.rig.dock(serial, bay)

        async def until_done() -> None:
            for _ in range(200):
                if self.rig.running.desk.snapshot().bays and self._is_done():
                    return
                await asyncio.sleep(0.1)
            shown = [(bay.bay, bay.state, bay.words) for bay in self.rig.running.desk.snapshot().bays]
            raise AssertionError(f"the day does not end: {shown}")

        self.turn(until_done)
        self.rig.oracle.check_finished()

    def _is_done(self) -> bool:
        shown = [bay for bay in self.rig.running.desk.snapshot().bays if bay.camera is not None]
        ready = [bay for bay in shown if bay.state == "ready" and bay.recordings_retained == 0]
        return len(ready) == len(CAMERAS) and not self.rig.oracle.on_cards()


TestStation = Station.TestCase
TestStation.settings = settings(
    max_examples=8,
    stateful_step_count=14,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestStation.pytestmark = [pytest.mark.slow]
