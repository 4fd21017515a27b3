"""The dock's own disk fails: it stops taking, says so in words, and erases nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockd.dock.policy import Retain
from dockd.errors import JournalLocked, StagingBelowFloor, StagingSuspect
from dockd.model import facts
from dockd.wire.status import Headline
from tests.support.dock_rig import DockRig
from tests.support.full_disk import FailingDisk

MIB = 1 << 20


@pytest.fixture
def small_disk(rig: DockRig) -> Iterator[Path]:
    """A real file system of 8 MiB as the staging disk."""
    folder = rig.root / "staging"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_full_staging_stops_taking_says_so_and_goes_on_when_the_store_takes(
    rig: DockRig, small_disk: Path
) -> None:
    rig.policy["retain"] = Retain.NEVER
    real_url, rig.centre_url = rig.centre_url, "http://127.0.0.1:9"
    rig.camera("A1", {f"DCIM/{number}.MP4": os.urandom(2 * MIB) for number in range(5)})
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until(lambda: rig.status(1).code == "staging-full", "the full disk is told")
        bay = rig.status(1)
        assert bay.headline is Headline.FAULT
        assert "Nothing is erased" in bay.words
        assert bay.retry_at is not None
    assert len(rig.oracle.on_cards()) == 5
    rig.oracle.check_all()
    rig.centre_url = real_url
    async with rig.run():
        # What is accepted is evicted, and the rest fits by and by.
        await rig.until_state(1, "ready", 60)
    rig.oracle.check_finished()
    assert any(isinstance(one.fact, facts.StagingEvicted) for one in rig.oracle.facts())


async def test_file_larger_than_the_staging_disk_is_never_taken_nor_erased(rig: DockRig, small_disk: Path) -> None:
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(10 * MIB)})
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until(lambda: rig.status(1).code == "staging-full", "the full disk is told")
    assert len(rig.oracle.on_cards()) == 1
    rig.oracle.check_all()


async def test_failed_fsync_marks_the_disk_and_the_camera_stays_the_source(rig: DockRig) -> None:
    rig.disk = FailingDisk()
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(MIB)})
    async with rig.run() as dock:
        rig.disk.failing.add("sync")
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "held")
        assert bay.code == "staging-suspect"
        assert "Nothing is erased" in bay.words
        failed = rig.disk.calls.count("sync")
        rig.disk.failing.clear()
        await dock.desk.release("bay-1")
        await rig.until(lambda: rig.status(1).state == "held", "held again: the disk stays suspect until a restart")
        assert rig.disk.calls.count("sync") == failed, "no fsync was tried again"
    assert len(rig.oracle.on_cards()) == 1
    rig.oracle.check_all()
    rig.disk = None
    async with rig.run():
        await rig.until_state(1, "ready")
    rig.oracle.check_finished()


async def test_read_only_staging_is_refused_at_start(rig: DockRig, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StagingSuspect):
        async with rig.run():
            pass


async def test_staging_below_its_floor_is_refused_at_start(rig: DockRig, small_disk: Path) -> None:
    rig.staging["floor_bytes"] = 100 * MIB
    with pytest.raises(StagingBelowFloor):
        async with rig.run():
            pass


async def test_staging_that_turns_read_only_at_work_holds_the_bay(rig: DockRig, small_disk: Path) -> None:
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(4 * MIB)}, read_bytes_per_second=2 * MIB)
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until(lambda: rig.is_copying(1), "copying")
        subprocess.run(["mount", "-o", "remount,ro,force", str(small_disk)], check=False)
        subprocess.run(["umount", "-l", str(small_disk)], check=True)  # the folder is another file system now
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,ro", "none", str(small_disk)], check=True)
        bay = await rig.until_state(1, "held")
        assert bay.code == "staging-suspect"
    assert len(rig.oracle.on_cards()) == 1


async def test_staged_copy_that_rots_before_it_is_sent_is_copied_again(rig: DockRig) -> None:
    rig.policy["retain"] = Retain.NEVER
    real_url, rig.centre_url = rig.centre_url, "http://127.0.0.1:9"
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(MIB)})
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until_state(1, "securing")
    (copy,) = [path for path in (rig.root / "staging").rglob("*") if path.is_file() and path.stat().st_size == MIB]
    with copy.open("r+b") as file:
        file.seek(70_000)
        file.write(b"rot")
    rig.centre_url = real_url
    async with rig.run():
        await rig.until_state(1, "ready")
    rig.oracle.check_finished()
    assert any(isinstance(one.fact, facts.CopyDiscarded) for one in rig.oracle.facts())


async def test_staging_disk_that_was_replaced_is_filled_again_from_the_camera(rig: DockRig) -> None:
    rig.policy["retain"] = Retain.NEVER
    real_url, rig.centre_url = rig.centre_url, "http://127.0.0.1:9"
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(MIB)})
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until_state(1, "securing")
    rig.lose_copies()
    rig.centre_url = real_url
    async with rig.run():
        await rig.until_state(1, "ready")
    rig.oracle.check_finished()


async def test_second_daemon_on_one_state_folder_is_refused(rig: DockRig) -> None:
    async with rig.run():
        with pytest.raises(JournalLocked):
            async with rig.run():
                pass
