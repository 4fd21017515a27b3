"""The dock's process is killed before and after every fact that it writes, and started again.

First a whole day of one camera without a kill tells which facts there are. Then for every one of them: a new
station, the same day, SIGKILL at that fact, the judge; the ordinary dock on the same folders until the
camera is ready, the judge again. Stations run side by side and send to one centre.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from functools import partial

import pytest

from dockd.model.facts import RecordedFact
from tests.support.aftermath import check_after_kill, check_job_done, check_no_false_alarm
from tests.support.processes import StationProcess, Town, is_everything_told, is_ready, side_by_side

pytestmark = pytest.mark.slow

CAMERA = "A1"
FILE_SIZES_BYTES = (50_000, 0, 7)


@dataclass(frozen=True)
class Fate:
    """A dock dies before or after the nth fact of one kind; the camera may be moved to another bay meanwhile."""

    die: str
    kind: str
    nth: int
    is_moved: bool = False

    @property
    def name(self) -> str:
        return f"{self.die}-{self.kind}-{self.nth}{'-moved' if self.is_moved else ''}"

    @property
    def options(self) -> tuple[str, ...]:
        return ("--die", self.die, "--fact", str(self.nth), "--kind", self.kind)


def fates_of(day: list[RecordedFact]) -> list[Fate]:
    """Before and after every append of a day: facts handed in together are written together or not at all."""
    seen: Counter[str] = Counter()
    fates: list[Fate] = []
    for _, together in itertools.groupby(day, key=lambda one: one.moment):
        kinds = [one.fact.kind for one in together]
        fates += [Fate(die, kinds[0], seen[kinds[0]] + 1) for die in ("before", "after")]
        seen.update(kinds)
    return fates


def station_with_camera(town: Town, name: str) -> StationProcess:
    station = town.station(name)
    files = {f"DCIM/{number}.MP4": town.dice.randbytes(size) for number, size in enumerate(FILE_SIZES_BYTES)}
    station.rig.camera(CAMERA, files)
    return station


async def live_a_day(station: StationProcess) -> None:
    """Put in, ready, issue, take out, put back, ready, take out, stop; where the dock dies, the day ends."""
    rig = station.rig
    rig.dock(CAMERA, 1)
    if not await station.until(is_ready(1), "ready", may_die=True):
        return
    await station.issue("PC1001")
    rig.undock(CAMERA, 1)
    if not await station.until(is_everything_told, "the camera taken", may_die=True):
        return
    rig.dock(CAMERA, 1)
    if not await station.until(is_ready(1), "ready again", may_die=True):
        return
    rig.undock(CAMERA, 1)
    if await station.until(is_everything_told, "everything told", may_die=True):
        assert station.daemon is not None
        await station.daemon.stop()


async def finish(station: StationProcess, bay: int) -> None:
    """The ordinary dock, until the camera in `bay` is ready and the centre knows; then stop it in order."""
    daemon = await station.start()
    await station.until(is_ready(bay), "ready after the kill")
    station.rig.undock(CAMERA, bay)
    await station.until(is_everything_told, "everything told after the kill")
    assert await daemon.stop() == 0, daemon.end_of_log()


async def suffer(town: Town, fate: Fate) -> None:
    """One station from its first start to its end."""
    station = station_with_camera(town, fate.name)
    rig = station.rig
    daemon = await station.launch(*fate.options)
    await live_a_day(station)
    assert await daemon.wait() == -9, f"{fate} did not come\n{daemon.end_of_log()}"
    await check_after_kill(rig)
    is_docked = (rig.bay(1) / CAMERA).exists()
    if is_docked and fate.is_moved:
        rig.undock(CAMERA, 1)
    bay = 2 if fate.is_moved or not is_docked else 1
    if bay == 2:
        rig.dock(CAMERA, 2)
    await finish(station, bay)
    await check_job_done(town.centre, rig)
    check_no_false_alarm(rig)


async def suffer_all(town: Town, fates: list[Fate]) -> None:
    """All of them, some at a time."""
    await side_by_side({fate.name: partial(suffer, town, fate) for fate in fates})


async def whole_day(town: Town, name: str) -> list[RecordedFact]:
    """The facts of a day without a kill."""
    station = station_with_camera(town, name)
    daemon = await station.launch()
    await live_a_day(station)
    assert daemon.status == 0, daemon.end_of_log()
    await check_job_done(town.centre, station.rig)
    check_no_false_alarm(station.rig)
    return station.rig.oracle.facts()


async def test_dock_killed_before_and_after_every_fact_finishes_the_job(town: Town) -> None:
    # The empty file is the same at every station: from the second on the store has it before it is sent.
    await whole_day(town, "first-day")
    day = await whole_day(town, "usual-day")
    assert len(day) > 50
    assert {"RecordingErased", "AssignmentEnded", "ManifestStored", "DockStopped"} <= {one.fact.kind for one in day}
    await suffer_all(town, fates_of(day))


async def test_camera_moved_to_another_bay_between_kill_and_restart_finishes_the_job(town: Town) -> None:
    kinds = (
        "CameraDocked",
        "CameraIdentified",
        "RecordingListed",
        "RecordingStaged",
        "RecordingVerified",
        "RecordingStored",
        "RecordingAccepted",
        "WipeIntended",
        "ChainSigned",
        "RecordingErased",
        "SpaceMeasured",
        "SessionReconciled",
        "AssignmentIntended",
    )
    await suffer_all(town, [Fate(die, kind, 1, is_moved=True) for kind in kinds for die in ("before", "after")])
