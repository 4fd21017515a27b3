"""Kills that fall inside one step: while the card is being erased, and while parts are on their way."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from tests.support.aftermath import check_after_kill, check_job_done, check_no_false_alarm
from tests.support.oracle import files_below
from tests.support.processes import StationProcess, Town, is_everything_told, is_ready, until
from tests.support.relay import Relay

pytestmark = pytest.mark.slow

CAMERA = "A1"
MIB = 1 << 20
PART_BYTES = 16 * MIB
FILES = 60
PARTS = 6


async def finish(town: Town, station: StationProcess, bay: int) -> None:
    """The ordinary dock on the same folders, until all is done; then the judge."""
    daemon = await station.start()
    await station.until(is_ready(bay), "ready after the kill", 120)
    station.rig.undock(CAMERA, bay)
    await station.until(is_everything_told, "everything told after the kill")
    assert await daemon.stop() == 0, daemon.end_of_log()
    await check_job_done(town.centre, station.rig)
    check_no_false_alarm(station.rig)


@pytest.mark.parametrize("is_moved", [False, True], ids=["same-bay", "other-bay"])
async def test_dock_killed_while_the_card_is_half_erased_writes_down_what_went_and_erases_the_rest(
    town: Town, is_moved: bool
) -> None:
    station = town.station("half-erased")
    rig = station.rig
    rig.camera(CAMERA, {f"DCIM/{number:03}.MP4": town.dice.randbytes(2_000) for number in range(FILES)})
    rig.dock(CAMERA, 1)
    card = rig.bay(1) / CAMERA / "card" / "DCIM"
    daemon = await station.start()
    await until(lambda: len(list(card.iterdir())) < FILES, daemon.end_of_log, 180, look_again=0.001)
    assert await daemon.kill() == -9
    left = sum(1 for _ in files_below(card))
    assert 0 < left < FILES, f"{left} files were left: the kill did not fall while erasing"
    await check_after_kill(rig)
    written = [one.fact.kind for one in rig.oracle.facts()]
    assert "RecordingErased" not in written
    assert written.count("WipeIntended") == FILES
    if is_moved:
        rig.undock(CAMERA, 1)
        rig.dock(CAMERA, 2)
    await finish(town, station, 2 if is_moved else 1)
    confirmed = [one.fact.kind for one in rig.oracle.facts()].count("SourceConfirmed")
    assert confirmed == left, "what the first dock did not erase is read again before it is erased"


def finished_parts(station: StationProcess) -> set[tuple[str, int]]:
    """Parts that the dock has written down as taken by the store."""
    journal = station.rig.oracle.journal
    if not journal.exists():
        return set()
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=30)) as database:
        try:
            return set(database.execute("SELECT upload, part_number FROM finished_parts").fetchall())
        except sqlite3.OperationalError:  # its tables are being made
            return set()


@pytest.mark.parametrize("victims", [("dock",), ("centre",), ("dock", "centre")], ids="+".join)
async def test_killed_while_parts_are_sent_does_not_send_finished_parts_again(
    town: Town, victims: tuple[str, ...]
) -> None:
    async with Relay(town.centre.port).listening() as relay:
        station = town.station(
            "parts",
            centre_url=relay.url,
            uploader={"bytes_per_second": 30_000_000, "parallel_parts": 2, "longest_retry_seconds": 2.0},
        )
        rig = station.rig
        size_bytes = PARTS * PART_BYTES - 1000
        rig.camera(CAMERA, {"DCIM/LONG.MP4": town.dice.randbytes(size_bytes)})
        rig.dock(CAMERA, 1)
        daemon = await station.start()
        await until(lambda: len(finished_parts(station)) >= 2, daemon.end_of_log, 180)
        centre = town.centre.daemon
        assert centre is not None
        for victim in victims:
            assert await (daemon if victim == "dock" else centre).kill() == -9
        noted = finished_parts(station)
        assert 2 <= len(noted) < PARTS
        assert all(relay.parts[part] == 1 for part in noted)
        if "dock" in victims:
            await check_after_kill(rig)
        before = relay.sent_bytes
        relay.parts.clear()
        await asyncio.sleep(0.5)  # the centre is missed for a moment
        if "centre" in victims:
            await town.centre.start()
        if "dock" in victims:
            await finish(town, station, 1)
        else:
            await station.until(is_ready(1), "ready after the kill", 120)
            rig.undock(CAMERA, 1)
            await station.until(is_everything_told, "everything told after the kill")
            assert await daemon.stop() == 0
            await check_job_done(town.centre, rig)
        again = noted & relay.parts.keys()
        assert not again, f"sent again: {sorted(again)}"
        missing_bytes = (PARTS - len(noted)) * PART_BYTES
        assert relay.sent_bytes - before < missing_bytes + MIB, "more went over the line than was missing"
