"""What a power cut may leave on the staging disk, made by hand after a SIGKILL: the store still gets the card's bytes.

A killed process leaves the page cache behind; a power cut does not. So what was not yet synced is spoiled
here as a file system may give it back, and also what was synced, as a disk that lies about it would.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from dockd.model import facts
from dockd.wire.status import DockStatus
from tests.support.aftermath import check_after_kill, check_job_done, check_no_false_alarm
from tests.support.oracle import files_below
from tests.support.processes import StationProcess, Town, is_everything_told, is_ready, side_by_side, until

pytestmark = pytest.mark.slow

CAMERA = "A1"
SIZE_BYTES = 12_000_000
READ_BYTES_PER_SECOND = 2_000_000
LEAST_CHECKPOINT_BYTES = 4_000_000
"""So far that the middle of the prefix is not among the places that are compared with the card after an absence."""

Spoil = Callable[[Path, int], None]
"""Changes the unfinished copy, whose checkpoint is at the given byte."""


def zero(path: Path, start: int, end: int) -> None:
    """Zeros where bytes were, the length kept."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(max(0, end - start)))


def cut(path: Path, size_bytes: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size_bytes)


def grow(path: Path, size_bytes: int) -> None:
    """Blocks that belonged to another file appear behind the end."""
    with path.open("ab") as file:
        file.write(b"\xa5" * size_bytes)


SPOILS: dict[str, Spoil] = {
    "tail-behind-checkpoint-zeroed": lambda path, at: zero(path, at, path.stat().st_size),
    "cut-at-checkpoint": cut,
    "cut-before-checkpoint": lambda path, at: cut(path, at // 2),
    "all-zeros-same-length": lambda path, _: zero(path, 0, path.stat().st_size),
    "one-page-before-checkpoint-zeroed": lambda path, at: zero(path, at // 2, at // 2 + 4096),
    "zeros-across-checkpoint": lambda path, at: zero(path, at - 8192, at + 8192),
    "foreign-bytes-behind": lambda path, _: grow(path, SIZE_BYTES),
    "empty": lambda path, _: cut(path, 0),
    "gone": lambda path, _: path.unlink(),
}


def with_one_recording(town: Town, name: str, *, read_bytes_per_second: int | None = None) -> StationProcess:
    station = town.station(name, copying={"checkpoint_interval_seconds": 0.2})
    files = {"DCIM/LONG.MP4": town.dice.randbytes(SIZE_BYTES)}
    station.rig.camera(CAMERA, files, read_bytes_per_second=read_bytes_per_second)
    station.rig.dock(CAMERA, 1)
    return station


def checkpoint_bytes(station: StationProcess) -> int:
    """Where the dock's journal says that the copy is durable up to; 0 when it says nothing."""
    journal = station.rig.oracle.journal
    if not journal.exists():
        return 0
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=30)) as database:
        try:
            rows = database.execute("SELECT offset_bytes FROM checkpoints").fetchall()
        except sqlite3.OperationalError:  # its tables are being made
            rows = []
    return int(rows[0][0]) if rows else 0


def the_copy(station: StationProcess) -> Path:
    """The only file of footage on the staging disk."""
    (copy,) = files_below(station.rig.root / "staging")
    return copy


async def finish(town: Town, station: StationProcess) -> None:
    daemon = await station.start()
    await station.until(is_ready(1), "ready after the power cut", 120)
    station.rig.undock(CAMERA, 1)
    await station.until(is_everything_told, "everything told after the power cut")
    assert await daemon.stop() == 0, daemon.end_of_log()
    await check_job_done(town.centre, station.rig)
    check_no_false_alarm(station.rig)
    for one in station.rig.oracle.facts():
        if isinstance(one.fact, facts.RecordingStaged):
            assert one.fact.staged.digest in station.rig.oracle.expected, f"fact {one.number} vouches for spoiled bytes"


async def spoil_unfinished(town: Town, name: str, spoil: Spoil) -> None:
    station = with_one_recording(town, name, read_bytes_per_second=READ_BYTES_PER_SECOND)
    daemon = await station.start()
    await until(lambda: checkpoint_bytes(station) > LEAST_CHECKPOINT_BYTES, daemon.end_of_log, look_again=0.02)
    assert await daemon.kill() == -9
    await check_after_kill(station.rig)
    at = checkpoint_bytes(station)
    copy = the_copy(station)
    assert copy.name.endswith(".partial")
    assert 0 < at <= copy.stat().st_size < SIZE_BYTES
    spoil(copy, at)
    await finish(town, station)


async def test_unfinished_copy_spoiled_by_a_power_cut_never_vouches_for_itself(town: Town) -> None:
    await side_by_side({name: partial(spoil_unfinished, town, name, spoil) for name, spoil in SPOILS.items()})


SPOILED_WHOLE: dict[str, Callable[[Path], None]] = {
    "zeroed": lambda path: zero(path, 0, SIZE_BYTES),
    "last-page-zeroed": lambda path: zero(path, SIZE_BYTES - 4096, SIZE_BYTES),
    "cut": lambda path: cut(path, SIZE_BYTES // 2),
    "gone": lambda path: path.unlink(),
}


def check_copied_again(station: StationProcess) -> None:
    written = [one.fact for one in station.rig.oracle.facts()]
    assert any(isinstance(one, facts.CopyDiscarded) for one in written), "the lost copy was not written down"
    assert sum(isinstance(one, facts.RecordingStaged) for one in written) == 2


async def spoil_finished(town: Town, name: str, after: str, spoil: Callable[[Path], None]) -> None:
    station = with_one_recording(town, name)
    daemon = await station.launch("--die", "after", "--fact", "1", "--kind", after)
    assert await daemon.wait() == -9
    await check_after_kill(station.rig)
    copy = the_copy(station)
    assert copy.stat().st_size == SIZE_BYTES
    spoil(copy)
    await finish(town, station)
    check_copied_again(station)


async def test_finished_copy_that_the_disk_loses_is_made_again_from_the_card(town: Town) -> None:
    lives = {
        f"{after}-{name}": partial(spoil_finished, town, f"{after}-{name}", after, spoil)
        for after in ("RecordingStaged", "RecordingVerified")
        for name, spoil in SPOILED_WHOLE.items()
    }
    await side_by_side(lives)


async def test_copy_lost_while_the_camera_waits_for_the_centre_is_made_again(town: Town) -> None:
    assert town.centre.daemon is not None
    await town.centre.daemon.kill()
    lives = {name: with_one_recording(town, name) for name in SPOILED_WHOLE}
    for station in lives.values():
        await station.start()
    for name, station in lives.items():
        await station.until(is_securing, "securing")
        SPOILED_WHOLE[name](the_copy(station))
    await town.centre.start()
    for station in lives.values():
        await station.until(is_ready(1), "ready although the copy was lost")
        station.rig.undock(CAMERA, 1)
        await station.until(is_everything_told, "everything told")
        assert station.daemon is not None
        assert await station.daemon.stop() == 0
        await check_job_done(town.centre, station.rig)
        check_no_false_alarm(station.rig)
        check_copied_again(station)


def is_securing(shown: DockStatus) -> bool:
    return any(one.state == "securing" for one in shown.bays)
