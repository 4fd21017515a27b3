"""Cameras and cards as bad as they come: each ends in words, and every byte is accounted for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dockd.model import facts
from dockd.wire.status import Headline
from drivers.simulated import Faults, ReadError
from drivers.simulated.footage import make_clip, truncate_clip
from tests.support.clock import START
from tests.support.dock_rig import DockRig
from tests.support.oracle import sha256_of

KIB = 1024
MIB = 1024 * KIB


def kinds(rig: DockRig, kind: type) -> list:
    return [one.fact for one in rig.oracle.facts() if isinstance(one.fact, kind)]


async def test_unknown_camera_is_held_with_the_reason_and_left_alone(rig: DockRig) -> None:
    async with rig.run():
        camera = rig.shelf / "X1"
        (camera / "card").mkdir(parents=True)
        (camera / "card" / "1.MP4").write_bytes(b"footage")
        (camera / "camera.toml").write_text("serial = \n", encoding="utf-8")
        rig.dock("X1", 1)
        bay = await rig.until_state(1, "held")
        assert bay.headline is Headline.HELD
        assert bay.code == "unknown-camera"
        assert "camera.toml" in bay.words
        assert (rig.bay(1) / "X1" / "card" / "1.MP4").read_bytes() == b"footage"


async def test_two_cameras_with_one_identity_are_both_held_and_neither_is_erased(rig: DockRig) -> None:
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(2 * MIB)}, read_bytes_per_second=MIB)
    rig.camera("A1b", {"DCIM/2.MP4": os.urandom(MIB)})
    toml = rig.shelf / "A1b" / "camera.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace("A1b", "A1"), encoding="utf-8")
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until(lambda: rig.status(1).camera is not None, "A1 identified")
        rig.dock("A1b", 2)
        first, second = await rig.until_state(1, "held"), await rig.until_state(2, "held")
        for bay in (first, second):
            assert bay.code == "duplicate-identity"
            assert "bay-1, bay-2" in bay.words
        rig.oracle.check_all()
        assert len(rig.oracle.on_cards()) == 2, "nothing was erased"
        # One of them leaves, a person releases the other: it goes on.
        rig.undock("A1b", 2)
        await rig.until(lambda: rig.status(2).state == "empty", "bay 2 empty")
        await rig.running.desk.release("bay-1")
        await rig.until_state(1, "ready")
    rig.oracle.check_all()


async def test_hostile_names_are_stored_and_erased_like_any_other(rig: DockRig) -> None:
    names = [
        b"..mp4",
        b"new\nline.MP4",
        b"\xff\xfe bad utf8.mp4",
        b"x" * 251 + b".mp4",
        b"CLIP.MP4",
        b"clip.mp4",
        b"-rf.mp4",
        b"100% $(reboot);.mp4",
        b"<script>.mp4",
    ]
    camera = rig.camera("A1", {"DCIM/plain.MP4": os.urandom(1000)})
    for number, name in enumerate(names):
        (camera / "card" / "DCIM" / os.fsdecode(name)).write_bytes(bytes([number]) * (5000 + number))
    rig.oracle.remember(camera)
    async with rig.run():
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "ready")
        assert bay.recordings_erased == len(names) + 1
    rig.oracle.check_finished()


async def test_empty_file_is_a_recording_like_any_other(rig: DockRig) -> None:
    rig.camera("A1", {"DCIM/empty.MP4": b"", "DCIM/full.MP4": os.urandom(100)})
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until_state(1, "ready")
    rig.oracle.check_finished()
    (record,) = kinds(rig, facts.SessionReconciled)
    assert (record.listed.count, record.erased.count) == (2, 2)


async def test_truncated_and_zero_filled_videos_are_kept_labelled_and_stored(rig: DockRig, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make_clip(clip, seconds=3, size_bytes_hint=400_000, seed=1, started_at=START)
    truncated = tmp_path / "cut.mp4"
    shutil.copy2(clip, truncated)
    truncate_clip(truncated, keep_bytes=200_000)
    rig.camera(
        "A1",
        {
            "DCIM/whole.MP4": clip.read_bytes(),
            "DCIM/cut.MP4": truncated.read_bytes(),
            "DCIM/zero.MP4": bytes(300_000),
        },
    )
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until_state(1, "ready")
    rig.oracle.check_finished()
    listed = {one.recording: one.path for one in kinds(rig, facts.RecordingListed)}
    labels = {listed[one.staged.recording]: one.staged.container.value for one in kinds(rig, facts.RecordingStaged)}
    assert labels == {"DCIM/whole.MP4": "complete", "DCIM/cut.MP4": "truncated", "DCIM/zero.MP4": "zero-filled"}


async def test_file_that_grows_while_copied_ends_whole_in_the_store(rig: DockRig) -> None:
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(2 * MIB)}, read_bytes_per_second=2 * MIB)
    path = rig.bay(1) / "A1" / "card" / "DCIM" / "1.MP4"
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until(lambda: rig.is_copying(1), "copying")
        with path.open("ab") as file:
            file.write(os.urandom(MIB))
        rig.oracle.expected.clear()  # the shorter file never was a whole recording
        rig.oracle.remember(rig.bay(1) / "A1")
        await rig.until_state(1, "ready")
    rig.oracle.check_finished()


async def test_file_that_vanishes_while_copied_is_named_and_the_bay_held(rig: DockRig) -> None:
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(2 * MIB), "DCIM/2.MP4": os.urandom(1000)}, read_bytes_per_second=MIB)
    vanishing = rig.bay(1) / "A1" / "card" / "DCIM" / "1.MP4"
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until(lambda: rig.is_copying(1), "copying")
        del rig.oracle.expected[sha256_of(vanishing)]
        vanishing.unlink()
        bay = await rig.until_state(1, "held")
        assert bay.code == "reconciliation-differs"
        assert "DCIM/1.MP4" in bay.words
    rig.oracle.check_all()


async def test_bad_sectors_keep_the_readable_ranges_and_the_original(rig: DockRig) -> None:
    content = os.urandom(3 * MIB)
    error = ReadError(path="DCIM/1.MP4", start_byte=MIB + 100, end_byte=MIB + 5000)
    rig.camera("A1", {"DCIM/1.MP4": content, "DCIM/2.MP4": os.urandom(5000)}, faults=Faults(read_error=error))
    original = rig.oracle.expected.copy()
    rig.oracle.expected = {}
    async with rig.run():
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "held")
        assert bay.code == "card-damaged"
    staged = {one.staged.recording: one.staged for one in kinds(rig, facts.RecordingStaged)}
    (damaged,) = [one for one in staged.values() if one.unreadable]
    (gap,) = damaged.unreadable
    assert gap.start_byte <= MIB + 100
    assert gap.end_byte >= MIB + 5000
    assert gap.end_byte - gap.start_byte <= 16 * KIB, "narrowed down"
    stored = rig.store / "objects" / damaged.digest[:2] / damaged.digest[2:4] / damaged.digest
    kept = stored.read_bytes()
    assert kept[: gap.start_byte] == content[: gap.start_byte]
    assert kept[gap.end_byte :] == content[gap.end_byte :]
    assert (rig.bay(1) / "A1" / "card" / "DCIM" / "1.MP4").read_bytes() == content, "the original stays"
    assert not (rig.bay(1) / "A1" / "card" / "DCIM" / "2.MP4").exists(), "the good one was erased"
    assert len(original) == 2


async def test_bit_read_wrong_once_is_found_by_reading_twice_before_anything_is_erased(rig: DockRig) -> None:
    """A bit that flips on the way into digest and copy alike can only be found by reading the card again."""
    rig.policy["read_card_twice"] = True
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(MIB)}, faults=Faults(bit_flip_at_byte=5000))
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until_state(1, "ready")
    rig.oracle.check_finished()
    assert len(kinds(rig, facts.RecordingReplaced)) == 1
    assert len(kinds(rig, facts.RecordingErased)) == 1, "only the right copy's clearance erased the file"


async def test_card_that_frees_no_space_is_held(rig: DockRig) -> None:
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(4 * MIB)}, faults=Faults(space_not_freed=True))
    async with rig.run():
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "held")
        assert bay.code == "space-not-freed"
        assert "safe in the central store" in bay.words
    rig.oracle.check_finished()


async def test_card_that_refuses_to_erase_is_held_and_nothing_is_called_erased(rig: DockRig) -> None:
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(MIB)}, faults=Faults(erase_refused=True))
    async with rig.run():
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "held")
        assert bay.code == "erase-failed"
    assert kinds(rig, facts.RecordingErased) == []
    rig.oracle.check_all()


async def test_camera_that_stalls_is_tried_again_and_ends_ready(rig: DockRig) -> None:
    rig.copying["stall_timeout_seconds"] = 0.5
    rig.camera(
        "A1", {"DCIM/1.MP4": os.urandom(3 * MIB)}, faults=Faults(stall_at_byte=MIB, stall_seconds=3.0, short_reads=True)
    )
    async with rig.run():
        rig.dock("A1", 1)
        await rig.until(lambda: rig.status(1).code == "driver-timeout", "the stall is told")
        await rig.until_state(1, "ready")
    rig.oracle.check_finished()


async def test_card_that_cannot_be_listed_is_faulted_with_the_time_of_the_next_try(rig: DockRig) -> None:
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(1000)}, faults=Faults(list_error=True))
    async with rig.run():
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "faulted")
        assert bay.code == "card-unreadable"
        assert bay.retry_at is not None
    rig.oracle.check_all()


async def test_battery_that_does_not_charge_is_faulted_with_the_reason(rig: DockRig) -> None:
    rig.policy["not_charging_after_seconds"] = 1
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(1000)}, battery_percent=30.0, faults=Faults(not_charging=True))
    async with rig.run():
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "faulted")
        assert bay.code == "not-charging"
        assert "30 %" in bay.words
    rig.oracle.check_finished()


@pytest.mark.slow
async def test_hundreds_of_files_on_one_card(rig: DockRig) -> None:
    """The whole way; the conformance suite lists ten thousand, and they go all the way in `bench/daemon.py`."""
    rig.camera("A1", {f"DCIM/{number // 50}/{number:05}.MP4": b"%06d" % number for number in range(300)})
    async with rig.run():
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "ready", 300)
        assert bay.recordings_erased == 300
    rig.oracle.check_finished()


@pytest.mark.slow
async def test_file_over_four_gib_is_whole_in_the_store(rig: DockRig) -> None:
    size = (4 << 30) + 4097
    camera = rig.camera("A1", {})
    path = camera / "card" / "DCIM" / "long.MP4"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(b"begin")
        file.seek(size - 3)
        file.write(b"end")
    rig.oracle.remember(camera)
    async with rig.run():
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "ready", 300)
        assert bay.recordings_erased == 1
    rig.oracle.check_finished()
    (record,) = kinds(rig, facts.SessionReconciled)
    assert record.erased.size_bytes == size
