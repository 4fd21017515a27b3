"""The promise of the product: fifty moves at random moments, dock and centre killed in between, nothing lost.

A camera folder is moved out of and into bays with `mv`, as a person would pull and put a camera, while its
files are read slowly enough that most moves fall in the middle of something. Dock and centre are ordinary
processes; each is killed with SIGKILL several times and started again, and the moves do not wait for it.
Now and then there is new footage on the card while it is on the shelf, sometimes under the name, size and time
of footage that was erased.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import struct
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drivers.simulated import make_clip
from tests.support.aftermath import check_after_kill, check_job_done
from tests.support.launchers import ROOT, PlainLauncher, launching
from tests.support.oracle import files_below, sha256_of
from tests.support.processes import (
    CentreProcess,
    StationProcess,
    Town,
    is_everything_told,
    is_ready,
)

pytestmark = pytest.mark.slow

CAMERA = "A1"
MOVES = 50
BAYS = 3
DOCK_KILLS = 6
CENTRE_KILLS = 5
CLIP_BYTES = 2_000_000
READ_BYTES_PER_SECOND = 8_000_000
FIRST_CLIPS = 5
MOST_CLIPS = 7


async def run(*command: str) -> str:
    """Run a command to its end; returns what it printed, fails unless it left with 0."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, f"{' '.join(command)}\n{output.decode('utf-8', 'replace')}"
    return output.decode("utf-8", "replace")


def pad(clip: Path, size_bytes: int) -> None:
    """Bring an MP4 file to exactly `size_bytes` with a `free` box at its end (ISO/IEC 14496-12 §8.1.2)."""
    missing_bytes = size_bytes - clip.stat().st_size
    assert missing_bytes >= 8
    with clip.open("ab") as file:
        file.write(struct.pack(">I4s", missing_bytes, b"free") + bytes(missing_bytes - 8))


def undisturbed(check: Callable[[], None]) -> None:
    """Judge again from the start when a file was moved on while it was being looked at."""
    for _ in range(100):
        try:
            check()
        except FileNotFoundError:
            continue
        return
    raise AssertionError("the files never held still")


@dataclass
class Officer:
    """Whoever holds the camera: moves it, and films. Keeps the only other copy of everything filmed."""

    station: StationProcess
    originals: Path
    dice: random.Random
    bay: int | None = None
    taken: int = 0
    names: list[tuple[str, int]] = field(default_factory=list)
    """Names that were used, with the modification time of their file."""

    @property
    def shelf(self) -> Path:
        return self.station.rig.shelf / CAMERA

    async def put_in(self) -> None:
        """Into any bay."""
        self.bay = self.dice.randrange(BAYS) + 1
        await run("mv", "-T", str(self.shelf), str(self.station.rig.bay(self.bay) / CAMERA))

    async def take_out(self) -> None:
        """Wherever the dock is with it."""
        assert self.bay is not None
        await run("mv", "-T", str(self.station.rig.bay(self.bay) / CAMERA), str(self.shelf))
        self.bay = None

    def film(self) -> None:
        """One more clip on the card; only on the shelf."""
        folder = self.shelf / "card" / "DCIM"
        free = [one for one in self.names if not (folder / one[0]).exists()]
        clip = self.originals / f"{self.taken:04}.MP4"
        began_at = datetime(2026, 11, 22, 6, 0, tzinfo=UTC) + timedelta(seconds=self.taken)
        make_clip(
            clip, seconds=4.0, size_bytes_hint=CLIP_BYTES * 4 // 5, seed=self.dice.randrange(2**31), started_at=began_at
        )
        pad(clip, CLIP_BYTES)
        # Some cameras begin their numbers anew when the card is empty: names, sizes and times say nothing.
        name, modified_ns = f"{self.taken:04}.MP4", clip.stat().st_mtime_ns
        if free and self.dice.random() < 0.5:
            name, modified_ns = self.dice.choice(free)
        else:
            self.names.append((name, modified_ns))
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clip, folder / name)
        os.utime(folder / name, ns=(modified_ns, modified_ns))
        self.taken += 1
        self.station.rig.oracle.remember(self.shelf)

    def is_card_full(self) -> bool:
        return sum(1 for _ in files_below(self.shelf / "card")) >= MOST_CLIPS


@pytest.fixture
async def town(tmp_path: Path, seed: int) -> AsyncIterator[Town]:
    """Ordinary processes here: `python -m dockd`, with all that their start takes."""
    async with launching(PlainLauncher()) as launcher:
        centre = await CentreProcess.make(tmp_path / "centre", launcher)
        yield Town(tmp_path, centre, random.Random(seed))


def checked_export(folder: Path) -> set[str]:
    """Digests of every file of footage in an export, by reading it."""
    return {sha256_of(path) for path in files_below(folder)}


async def test_fifty_moves_with_kills_of_dock_and_centre_lose_nothing(town: Town, tmp_path: Path) -> None:
    dice = town.dice
    station = town.station("station", bays=BAYS, copying={"checkpoint_interval_seconds": 0.2})
    rig = station.rig
    rig.camera(CAMERA, {}, read_bytes_per_second=READ_BYTES_PER_SECOND)
    originals = tmp_path / "originals"
    originals.mkdir()
    officer = Officer(station, originals, dice)
    for _ in range(FIRST_CLIPS):
        officer.film()
    kills = {move: ["dock"] for move in dice.sample(range(MOVES), DOCK_KILLS)}
    for move in dice.sample(range(MOVES), CENTRE_KILLS):
        kills.setdefault(move, []).append("centre")
    killed = {"dock": 0, "centre": 0}
    await town.centre.launch()
    await station.launch()
    for move in range(MOVES):
        await officer.put_in()
        stay = asyncio.create_task(asyncio.sleep(min(dice.expovariate(1 / 1.1), 4.0)))
        for victim in kills.get(move, []):
            await asyncio.sleep(dice.uniform(0.0, 0.8))
            place = station if victim == "dock" else town.centre
            assert place.daemon is not None
            assert await place.daemon.kill() == -9, place.daemon.end_of_log()
            killed[victim] += 1
            if victim == "dock":
                await check_after_kill(rig)
            # Often systemd is quicker than people are, not always: then the next moves find nobody at home.
            await (place.start() if dice.random() < 0.6 else place.launch())
        await stay
        await officer.take_out()
        undisturbed(rig.oracle.check_nothing_lost)
        undisturbed(rig.oracle.check_erased_only_what_the_store_has)
        if dice.random() < 0.5 and not officer.is_card_full():
            officer.film()
        await asyncio.sleep(dice.uniform(0.0, 0.3))
    assert killed == {"dock": DOCK_KILLS, "centre": CENTRE_KILLS}
    assert station.daemon is not None
    assert station.daemon.status is None, station.daemon.end_of_log()

    await officer.put_in()
    assert officer.bay is not None
    await station.until(is_ready(officer.bay), "ready at last", 180)
    await officer.take_out()
    await station.until(is_everything_told, "everything told at last")
    assert await station.daemon.stop() == 0
    await check_job_done(town.centre, rig)
    await check_everything_comes_back(town, officer, tmp_path / "export")


async def check_everything_comes_back(town: Town, officer: Officer, export: Path) -> None:
    """Byte for byte over the API and by the tools, and the tools find the proof sound."""
    for clip in sorted(officer.originals.iterdir()):
        assert await town.centre.content(sha256_of(clip)) == clip.read_bytes(), clip.name
    dockd = (sys.executable, "-m", "dockd")
    await run(
        *dockd,
        "recordings",
        "export",
        "--centre",
        town.centre.url,
        "--camera",
        f"simulated:{CAMERA}",
        "--to",
        str(export),
    )
    exported = checked_export(export)
    missing = {name for digest, name in officer.station.rig.oracle.expected.items() if digest not in exported}
    assert not missing, f"not in the export: {sorted(missing)}"
    assert "hold" in await run(*dockd, "verify", str(export))
