"""Staging: paths of ids only, room kept before copying, and a disk that failed is not trusted again."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dockd.dock.disk import Disk
from dockd.dock.staging import Staging, StagingConfig
from dockd.errors import BadRequest, StagingBelowFloor, StagingFull, StagingSuspect
from dockd.model.camera import SpaceReading
from dockd.model.ids import RecordingId
from tests.support.full_disk import FailingDisk, ForgetfulDisk, Room

MIB = 1024**2
ONE = RecordingId("1" * 32)
TWO = RecordingId("2" * 32)


def staging_in(
    folder: Path, *, total_bytes: int = 100 * MIB, floor_bytes: int = 10 * MIB, disk: Disk | None = None
) -> Staging:
    config = StagingConfig(folder=str(folder), floor_bytes=floor_bytes)
    return Staging(config, disk=disk, statvfs=Room(folder, total_bytes))


@pytest.fixture
async def staging(tmp_path: Path) -> Staging:
    made = staging_in(tmp_path / "staging")
    await made.open()
    return made


def write_partial(staging: Staging, recording: RecordingId, size_bytes: int) -> Path:
    path = staging.partial_path(recording)
    descriptor, _ = staging.disk.open_to_write(path)
    os.close(descriptor)
    path.write_bytes(os.urandom(size_bytes))
    with path.open("rb") as file:
        os.fsync(file.fileno())  # so that its blocks are counted
    return path


# --- files ----------------------------------------------------------------------------------------


async def test_folders_and_files_are_private_to_their_owner(staging: Staging, tmp_path: Path) -> None:
    write_partial(staging, ONE, 10)
    staging.publish(ONE)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "staging").rglob("*") if path.is_dir()}
    assert modes == {0o700}
    assert stat.S_IMODE(staging.final_path(ONE).stat().st_mode) == 0o600


async def test_loose_permissions_are_tightened(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir(mode=0o755)
    await staging_in(tmp_path / "staging").open()
    assert stat.S_IMODE((tmp_path / "staging").stat().st_mode) == 0o700


@pytest.mark.parametrize("hostile", ["", "..", "../../etc/passwd", "a/b", "a\nb", ".hidden", "a" * 65, "\x00"])
async def test_only_an_id_becomes_a_path(staging: Staging, hostile: str) -> None:
    for path_of in (staging.partial_path, staging.final_path, staging.discard):
        with pytest.raises(BadRequest):
            path_of(RecordingId(hostile))


async def test_published_copy_has_the_bytes_and_the_partial_is_gone(staging: Staging) -> None:
    partial = write_partial(staging, ONE, 1000)
    content = partial.read_bytes()
    assert staging.partial_copies() == (ONE,)
    assert not await staging.present(ONE, 1000)
    staging.publish(ONE)
    assert staging.final_path(ONE).read_bytes() == content
    assert not partial.exists()
    assert (staging.copies(), staging.partial_copies()) == ((ONE,), ())
    assert await staging.present(ONE, 1000)
    assert not await staging.present(ONE, 999)
    assert not await staging.present(TWO, 1000)


async def test_link_in_the_place_of_a_copy_is_not_a_copy(staging: Staging, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"12345")
    staging.partial_path(ONE)
    staging.final_path(ONE).symlink_to(tmp_path / "elsewhere")
    assert not await staging.present(ONE, 5)


async def test_rename_comes_before_the_folder_is_synced(tmp_path: Path) -> None:
    disk = FailingDisk()
    staging = staging_in(tmp_path, disk=disk)
    await staging.open()
    write_partial(staging, ONE, 10)
    disk.calls.clear()
    staging.publish(ONE)
    assert disk.calls == ["rename", "sync_folder", "sync"]


@pytest.mark.parametrize("fault", ["rename", "sync_folder", "sync"])
async def test_fault_while_publishing_reaches_the_caller_and_is_not_tried_again(tmp_path: Path, fault: str) -> None:
    disk = FailingDisk()
    staging = staging_in(tmp_path, disk=disk)
    await staging.open()
    write_partial(staging, ONE, 10)
    disk.calls.clear()
    disk.failing = {fault}
    with pytest.raises(OSError, match="Input/output error"):
        staging.publish(ONE)
    assert disk.calls.count(fault) == 1


async def test_discarding_removes_durably_and_again_is_harmless(staging: Staging) -> None:
    write_partial(staging, ONE, 10)
    staging.publish(ONE)
    write_partial(staging, ONE, 10)
    staging.discard(ONE)
    assert not staging.final_path(ONE).exists()
    assert staging.partial_copies() == (ONE,)
    staging.discard_partial(ONE)
    staging.discard_partial(ONE)
    staging.discard(ONE)
    staging.discard(TWO)
    assert (staging.copies(), staging.partial_copies()) == ((), ())


async def test_foreign_files_are_neither_listed_nor_removed(staging: Staging, tmp_path: Path) -> None:
    foreign = tmp_path / "staging" / "copies" / "notes.txt"
    foreign.write_text("keep me")
    (tmp_path / "staging" / "copies" / "11").mkdir()
    odd = tmp_path / "staging" / "copies" / "11" / ".swp"
    odd.write_text("keep me")
    assert (staging.copies(), staging.partial_copies()) == ((), ())
    await staging.open()
    assert foreign.exists()
    assert odd.exists()


# --- room -----------------------------------------------------------------------------------------


async def test_room_is_measured_as_the_kernel_tells(staging: Staging, tmp_path: Path) -> None:
    assert staging.measure() == SpaceReading(total_bytes=100 * MIB, free_bytes=100 * MIB)
    assert staging.available_bytes() == 90 * MIB
    real = Staging(StagingConfig(folder=str(tmp_path), floor_bytes=0)).measure()
    seen = os.statvfs(tmp_path)
    assert real.total_bytes == seen.f_blocks * seen.f_frsize


async def test_reservation_is_refused_when_it_would_touch_the_floor(staging: Staging) -> None:
    with staging.reserve(ONE, 90 * MIB):
        assert staging.available_bytes() == 0
    with pytest.raises(StagingFull), staging.reserve(ONE, 90 * MIB + 1):
        pass
    assert staging.available_bytes() == 90 * MIB


async def test_reservations_of_others_count(staging: Staging) -> None:
    with staging.reserve(ONE, 50 * MIB):
        with pytest.raises(StagingFull), staging.reserve(TWO, 41 * MIB):
            pass
        with staging.reserve(TWO, 40 * MIB):
            assert staging.available_bytes() == 0
        assert staging.available_bytes() == 40 * MIB
    assert staging.available_bytes() == 90 * MIB


async def test_reservation_ends_with_an_error_too(staging: Staging) -> None:
    with pytest.raises(ZeroDivisionError), staging.reserve(ONE, 50 * MIB):
        raise ZeroDivisionError
    assert staging.available_bytes() == 90 * MIB


async def test_bytes_already_written_are_not_counted_twice(staging: Staging) -> None:
    with staging.reserve(ONE, 40 * MIB):
        write_partial(staging, ONE, 16 * MIB)
        assert abs(staging.available_bytes() - 50 * MIB) < 64 * 1024
        staging.publish(ONE)
        assert abs(staging.available_bytes() - 50 * MIB) < 64 * 1024


async def test_resumed_copy_needs_room_only_for_the_rest(staging: Staging) -> None:
    write_partial(staging, ONE, 50 * MIB)
    with staging.reserve(ONE, 80 * MIB):
        assert staging.available_bytes() < 11 * MIB
    with pytest.raises(StagingFull), staging.reserve(TWO, 80 * MIB):
        pass


async def test_empty_recording_fits_on_a_disk_at_its_floor(tmp_path: Path) -> None:
    staging = staging_in(tmp_path, total_bytes=10 * MIB)
    await staging.open()
    with staging.reserve(ONE, 0):
        pass
    with pytest.raises(StagingFull), staging.reserve(ONE, 1):
        pass


async def test_start_below_the_floor_is_refused(tmp_path: Path) -> None:
    staging = staging_in(tmp_path, total_bytes=10 * MIB - 4096)
    with pytest.raises(StagingBelowFloor):
        await staging.open()


# --- trust ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["write", "sync", "read", "sync_folder"])
async def test_disk_that_fails_its_trial_is_suspect(tmp_path: Path, fault: str) -> None:
    disk = FailingDisk(fault)
    staging = staging_in(tmp_path, disk=disk)
    with pytest.raises(StagingSuspect):
        await staging.open()
    assert staging.suspect_reason is not None
    assert disk.calls.count(fault) == 1
    assert list((tmp_path).glob(".probe*")) == []


async def test_disk_that_gives_back_other_bytes_is_suspect(tmp_path: Path) -> None:
    with pytest.raises(StagingSuspect, match="other bytes"):
        await staging_in(tmp_path, disk=ForgetfulDisk()).open()


async def test_folder_that_cannot_be_made_is_suspect(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StagingSuspect):
        await staging_in(tmp_path / "file" / "staging").open()


async def test_suspect_disk_takes_nothing_more_and_keeps_its_first_reason(staging: Staging) -> None:
    staging.check_usable()
    staging.mark_suspect("The first fault.")
    staging.mark_suspect("Its echo.")
    assert staging.suspect_reason == "The first fault."
    with pytest.raises(StagingSuspect, match=r"The first fault\."):
        staging.check_usable()
    with pytest.raises(StagingSuspect), staging.reserve(ONE, 1):
        pass


async def test_disk_that_cannot_tell_its_room_is_suspect(tmp_path: Path) -> None:
    room = Room(tmp_path, 100 * MIB)
    staging = Staging(StagingConfig(folder=str(tmp_path), floor_bytes=0), statvfs=room)
    await staging.open()
    room.failing = True
    with pytest.raises(StagingSuspect), staging.reserve(ONE, 1):
        pass
