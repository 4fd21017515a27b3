"""Whole stories of things going wrong, from a printed seed: in the end every byte is in the store, none was lost."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dockd.clock import SystemClock
from dockd.dock.policy import Retain
from dockd.model.moment import Moment
from tests.support.dock_rig import DockRig
from tests.support.fault_plan import FaultPlan
from tests.support.faulty_centre import FaultyCentre, faulty_centre

CAMERAS = 3
STEPS = 8


class JumpingClock(SystemClock):
    """The host's clock, which somebody sets while the dock works."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.jumped

    def moment(self) -> Moment:
        return super().moment().model_copy(update={"at": self.now()})


def place_of(rig: DockRig, serial: str) -> Path | None:
    """The camera's folder, wherever it is: a bay, the shelf, or where a pulled cable put it."""
    found = [path.parent for path in rig.root.rglob("camera.toml") if path.parent.name == serial]
    return found[0] if found else None


def put_into_free_bay(rig: DockRig, camera: Path) -> None:
    free = [rig.bay(number) for number in range(1, rig.bay_count + 1) if not any(rig.bay(number).iterdir())]
    if free:
        camera.rename(free[0] / camera.name)


def put_back(rig: DockRig) -> None:
    """Every camera that is in no bay goes into a free one."""
    for index in range(CAMERAS):
        camera = place_of(rig, f"C{index}")
        if camera is not None and camera.parent.name in ("shelf", ".pulled"):
            put_into_free_bay(rig, camera)


async def play(rig: DockRig, centre: FaultyCentre, plan: FaultPlan, clock: JumpingClock) -> None:
    """The troubled part of the story; the daemon is stopped and started where the plan says so."""
    steps = iter(range(STEPS))
    for step in steps:
        async with rig.run():
            put_back(rig)
            for here in (step, *steps):
                await asyncio.sleep(plan.pauses[here])
                rig.oracle.check_nothing_lost()
                rig.oracle.check_erased_only_what_the_store_has()
                camera = place_of(rig, f"C{plan.targets[here]}")
                if plan.actions[here] == "move" and camera is not None:
                    camera.rename(rig.shelf / camera.name)
                    await asyncio.sleep(0.2)
                    put_into_free_bay(rig, rig.shelf / camera.name)
                elif plan.actions[here] == "clock jump":
                    clock.jumped += timedelta(seconds=plan.jumps_seconds[here])
                elif plan.actions[here] == "restart":
                    break
        rig.oracle.check_all()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(5))
async def test_a_story_of_faults_ends_with_every_byte_accounted_for(tmp_path: Path, seed: int, number: int) -> None:
    plan = FaultPlan(seed + number, cameras=CAMERAS, steps=STEPS)
    print(plan)
    clock = JumpingClock()
    async with faulty_centre(tmp_path / "centre") as centre:
        rig = DockRig(
            tmp_path / "station",
            centre.url,
            centre.pinned,
            tmp_path / "centre",
            bay_count=CAMERAS + 1,
            policy={"retain": Retain.NEVER, "read_card_twice": True},
            copying={"stall_timeout_seconds": 1.0},
            clock=clock,
        )
        for fault in plan.centre_faults:
            centre.plan(fault.call, fault.behaviour, times=fault.times, after=fault.after)
        for index, faults in enumerate(plan.camera_faults):
            files = {f"DCIM/{name}.MP4": os.urandom(size) for name, size in (("a", 700_000), ("b", 300_000), ("c", 0))}
            rig.camera(f"C{index}", files, faults=faults, read_bytes_per_second=1_500_000)
        await play(rig, centre, plan, clock)
        # The end of a bad day: the centre behaves, every camera sits in a bay again.
        centre.behave()
        async with rig.run():
            for _ in range(120):
                put_back(rig)
                if _all_ready(rig):
                    break
                await asyncio.sleep(0.5)
            assert _all_ready(rig), [(bay.bay, bay.state, bay.words) for bay in rig.running.desk.snapshot().bays]
    rig.oracle.check_finished()


def _all_ready(rig: DockRig) -> bool:
    assert rig.running is not None
    return rig.running.desk.snapshot().ready_count == CAMERAS
