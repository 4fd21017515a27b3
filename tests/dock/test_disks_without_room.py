"""Journal and staging on real file systems that are full or read-only (small memory disks; needs root)."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockd.dock.journal import Journal
from dockd.dock.staging import Staging, StagingConfig
from dockd.errors import JournalUnwritable, StagingBelowFloor, StagingFull, StagingSuspect
from dockd.model.ids import RecordingId
from tests.support.clock import ManualClock
from tests.support.journals import DOCK, footage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk"),
]

MIB = 1024**2
ONE = RecordingId("1" * 32)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


async def list_until_it_stops(journal: Journal) -> None:
    for number in range(5000):
        await journal.append(footage(number).listed())


async def test_full_disk_stops_the_journal_and_keeps_what_was_acknowledged(
    small_disk: Path, clock: ManualClock
) -> None:
    journal = await Journal.open(small_disk, dock=DOCK, clock=clock)
    with pytest.raises(JournalUnwritable, match="full"):
        await list_until_it_stops(journal)
    acknowledged = journal.head
    await journal.close()
    assert acknowledged[0] > 10
    again = await Journal.open(small_disk, dock=DOCK, clock=clock)
    assert again.head == acknowledged
    assert await again.verify_chain() == acknowledged[0]
    assert await again.projection_differences() == ()
    await again.close()


async def test_disk_that_becomes_read_only_stops_the_journal(small_disk: Path, clock: ManualClock) -> None:
    journal = await Journal.open(small_disk, dock=DOCK, clock=clock)
    await journal.append(footage(0).listed())
    await journal.close()
    make_read_only(small_disk)
    with pytest.raises(JournalUnwritable):
        await Journal.open(small_disk, dock=DOCK, clock=clock)


async def test_read_only_staging_disk_is_suspect_at_start(small_disk: Path) -> None:
    config = StagingConfig(folder=str(small_disk), floor_bytes=0)
    await Staging(config).open()
    make_read_only(small_disk)
    with pytest.raises(StagingSuspect, match="Read-only"):
        await Staging(config).open()


async def test_staging_disk_is_never_filled_beyond_its_floor(small_disk: Path) -> None:
    staging = Staging(StagingConfig(folder=str(small_disk), floor_bytes=256 * 1024))
    await staging.open()
    with pytest.raises(StagingFull), staging.reserve(ONE, MIB):
        pass
    with staging.reserve(ONE, 512 * 1024):
        staging.partial_path(ONE).write_bytes(bytes(512 * 1024))
    assert staging.measure().free_bytes >= 256 * 1024
    filler = small_disk / "another program's file"
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        filler.write_bytes(bytes(MIB))
    with pytest.raises(StagingBelowFloor):
        await Staging(StagingConfig(folder=str(small_disk), floor_bytes=256 * 1024)).open()
