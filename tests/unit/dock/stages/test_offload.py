"""What a staged copy proves, and what happens to it when the card, the cable or the disk fails."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import mmap
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from dockd.errors import (
    CameraGone,
    CardUnreadable,
    DriverTimeout,
    SourceChanged,
    StagingFull,
    StagingSuspect,
)
from dockd.model.recording import ByteRange, ContainerVerdict

KIB = 1024


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_open_below(folder):
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself is closed by now
            found.append(descriptor.readlink())
    return [one for one in found if folder in one.parents]


# --- what a good copy is ----------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [1, 511, 4095, 4096, 4097, 16 * KIB, 16 * KIB + 1, 48 * KIB, 200 * KIB + 77])
async def test_copy_has_every_byte_and_the_sources_digest(bench, size_bytes):
    content = bench.put(size_bytes)
    staged = await bench.copy()
    assert bench.final.read_bytes() == content
    assert (staged.digest, staged.size_bytes) == (sha256(content), size_bytes)
    assert staged.is_read_whole
    assert staged.unreadable == ()
    assert not bench.partial.exists()
    assert bench.progress_bytes == size_bytes


async def test_empty_recording_is_kept_and_labelled(bench):
    bench.put(0)
    staged = await bench.copy()
    assert staged.digest == sha256(b"")
    assert staged.container is ContainerVerdict.EMPTY
    assert staged.is_read_whole
    assert bench.final.read_bytes() == b""


async def test_short_reads_are_continued(bench):
    content = bench.put(70 * KIB)
    bench.card.faults.longest_read_bytes = 1000
    assert (await bench.copy()).digest == sha256(content)
    assert bench.final.read_bytes() == content


async def test_short_writes_are_continued(bench):
    content = bench.put(70 * KIB)
    bench.disk.max_write_bytes = 5000
    await bench.copy()
    assert bench.final.read_bytes() == content


async def test_disk_without_o_direct_gets_the_same_copy(bench):
    content = bench.put(70 * KIB + 5)
    bench.disk.refuses_direct = True
    assert (await bench.copy()).digest == sha256(content)
    assert bench.final.read_bytes() == content


async def test_file_is_synced_before_it_gets_its_name_and_the_folder_after(bench):
    bench.put(20 * KIB)
    await bench.copy()
    assert bench.disk.calls.index("sync") < bench.disk.calls.index("rename")
    assert "sync" in bench.disk.calls[bench.disk.calls.index("rename") :]
    assert "write" not in bench.disk.calls[bench.disk.calls.index("sync") :]


async def test_memory_does_not_grow_with_the_size_of_a_recording(bench):
    async def forget(_checkpoint):
        """The bench's own check of a checkpoint would read the whole file into memory."""

    bench.save_checkpoint = forget
    peaks = []
    for size_bytes in (1024 * KIB, 8 * 1024 * KIB):
        bench.put(size_bytes, seed=size_bytes)
        tracemalloc.start()
        await bench.copy()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 256 * KIB


async def test_no_more_buffers_are_made_than_agreed(bench, monkeypatch):
    made = []
    real = mmap.mmap
    monkeypatch.setattr("dockd.dock.transfer.line.mmap.mmap", lambda *a: made.append(a) or real(*a))
    bench.put(1024 * KIB)
    await bench.copy()
    assert 1 <= len(made) <= bench.settings.buffer_count


# --- checkpoints and resume -------------------------------------------------------------------


async def pulled_at(bench, size_bytes: int, offset: int) -> bytes:
    content = bench.put(size_bytes)
    bench.card.faults.gone_at = offset
    with pytest.raises(CameraGone):
        await bench.copy()
    assert not bench.final.exists()
    bench.redock()
    return content


async def test_copy_goes_on_where_the_cable_was_pulled(bench):
    content = await pulled_at(bench, 400 * KIB, 300 * KIB)
    assert bench.checkpoint.offset_bytes == 288 * KIB
    read_before = bench.card.bytes_read
    staged = await bench.copy()
    assert staged.digest == sha256(content)
    assert bench.final.read_bytes() == content
    assert not staged.is_read_whole
    # The rest, and the sample of the prefix (all of it here: it is shorter than a sample).
    assert bench.card.bytes_read - read_before <= 400 * KIB
    assert bench.progress_bytes == 400 * KIB


async def test_checkpoints_are_made_while_the_copy_runs(bench):
    bench.put(800 * KIB)
    saved = []
    keep = bench.save_checkpoint

    async def save(checkpoint):
        saved.append(checkpoint.offset_bytes)
        await keep(checkpoint)

    bench.save_checkpoint = save
    await bench.copy()
    assert len(saved) >= 3
    assert saved == sorted(set(saved))
    assert bench.disk.calls.count("datasync") == len(saved)


async def test_prefix_zeroed_by_a_power_cut_does_not_vouch_for_itself(bench):
    content = await pulled_at(bench, 400 * KIB, 300 * KIB)
    length = bench.partial.stat().st_size
    bench.partial.write_bytes(bytes(length))
    staged = await bench.copy()
    assert staged.digest == sha256(content)
    assert bench.final.read_bytes() == content
    assert staged.is_read_whole, "it was copied again from byte 0"


@pytest.mark.parametrize("place", [0, 100 * KIB + 3, 288 * KIB - 1])
async def test_one_flipped_bit_in_the_staged_prefix_restarts_the_copy(bench, place):
    content = await pulled_at(bench, 400 * KIB, 300 * KIB)
    damaged = bytearray(bench.partial.read_bytes())
    damaged[place] ^= 1
    bench.partial.write_bytes(damaged)
    staged = await bench.copy()
    assert bench.final.read_bytes() == content
    assert staged.is_read_whole


async def test_bytes_beyond_the_checkpoint_are_cut_off(bench):
    content = await pulled_at(bench, 400 * KIB, 300 * KIB)
    with bench.partial.open("ab") as partial:
        partial.write(b"\xff" * 500 * KIB)
    await bench.copy()
    assert bench.final.read_bytes() == content


@pytest.mark.parametrize("kept_bytes", [0, 4096, 288 * KIB - 1])
async def test_partial_file_shorter_than_its_checkpoint_restarts_the_copy(bench, kept_bytes):
    content = await pulled_at(bench, 400 * KIB, 300 * KIB)
    bench.partial.write_bytes(content[:kept_bytes])
    staged = await bench.copy()
    assert bench.final.read_bytes() == content
    assert staged.is_read_whole


async def test_partial_file_without_a_checkpoint_is_worth_nothing(bench):
    content = await pulled_at(bench, 400 * KIB, 300 * KIB)
    bench.checkpoint = None
    staged = await bench.copy()
    assert bench.final.read_bytes() == content
    assert staged.is_read_whole


@pytest.mark.parametrize("place", [0, 280 * KIB])
async def test_card_with_other_bytes_in_the_prefix_after_an_absence_restarts_the_copy(bench, place):
    await pulled_at(bench, 400 * KIB, 300 * KIB)
    other = bytearray(bench.card.content)
    other[place] ^= 0x40
    bench.card.content = bytes(other)
    staged = await bench.copy()
    assert bench.final.read_bytes() == bytes(other)
    assert staged.digest == sha256(bytes(other))
    assert staged.is_read_whole


async def test_file_left_at_the_final_place_by_a_crash_is_not_believed(bench):
    content = bench.put(50 * KIB)
    bench.partial.parent.mkdir(exist_ok=True)
    bench.final.write_bytes(bytes(50 * KIB))
    staged = await bench.copy()
    assert bench.final.read_bytes() == content
    assert staged.digest == sha256(content)


async def test_cancelled_copy_leaves_nothing_running_and_can_go_on(bench):
    content = bench.put(400 * KIB)
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def before_read(offset):
        bench.clock.advance(0.3)
        if offset > 200 * KIB:
            loop.call_soon_threadsafe(reached.set)
            bench.card.faults.released.wait(0.2)

    bench.card.faults.before_read = before_read
    task = asyncio.create_task(bench.copy())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not bench.final.exists()
    bench.redock()
    bench.card.faults.before_read = lambda _offset: None
    assert (await bench.copy()).digest == sha256(content)


async def test_copy_that_is_cancelled_while_it_clears_up_after_a_failure_leaves_nothing_open(bench):
    content = bench.put(400 * KIB)
    bench.card.faults.gone_at = 300 * KIB
    with pytest.raises(asyncio.CancelledError):
        await bench.cancelled_when_it_closes_the_card(bench.copy())
    assert not files_open_below(bench.partial.parent)
    bench.redock()
    assert (await bench.copy()).digest == sha256(content)


# --- the source changes -----------------------------------------------------------------------


async def test_source_written_to_while_copied_is_not_staged(bench):
    bench.put(100 * KIB)

    def touch(offset):
        if offset > 50 * KIB:
            bench.card.modified_ns = 7

    bench.card.faults.before_read = touch
    with pytest.raises(SourceChanged, match="written to"):
        await bench.copy()
    assert not bench.final.exists()
    assert not bench.partial.exists()


@pytest.mark.parametrize("change", [lambda content: content + b"more", lambda content: content[:-5000]])
async def test_source_of_another_length_is_not_staged(bench, change):
    content = bench.put(100 * KIB)

    def resize(offset):
        if offset >= 64 * KIB:
            bench.card.content = change(content)

    bench.card.faults.before_read = resize
    with pytest.raises(SourceChanged, match="bytes"):
        await bench.copy()
    assert not bench.final.exists()
    assert not bench.partial.exists()


async def test_source_changed_before_the_first_byte_is_not_read(bench):
    bench.put(100 * KIB)
    bench.card.modified_ns = 7
    with pytest.raises(SourceChanged):
        await bench.copy()
    assert bench.card.bytes_read == 0


async def test_source_that_vanishes_is_not_staged(bench):
    bench.put(100 * KIB)
    bench.card.faults.vanishes_at = 50 * KIB
    with pytest.raises(SourceChanged):
        await bench.copy()
    assert not bench.final.exists()


async def test_source_that_grows_between_the_last_look_and_the_last_read_is_changed_and_not_unreadable(bench):
    bench.put(64 * KIB)
    plain = type(bench.card).open_reader

    def growing(card, source):
        reader = plain(card, source)
        read_into = reader.read_into

        def read(offset, buffer):
            if offset == 64 * KIB:
                card.content += b"more"
            return read_into(offset, buffer)

        reader.read_into = read
        return reader

    bench.card.open_reader = growing.__get__(bench.card)
    with pytest.raises(SourceChanged):
        await bench.copy()
    assert not bench.final.exists()


async def test_card_that_gives_more_than_it_lists_is_not_taken_for_whole(bench):
    bench.put(64 * KIB)
    short = bench.listed
    bench.card.content += b"and more"
    bench.card.__class__ = type("Short", (type(bench.card),), {"listed": property(lambda _self: short)})
    with pytest.raises(CardUnreadable, match="gives more"):
        await bench.copy()
    assert not bench.final.exists()


# --- bad places -------------------------------------------------------------------------------


async def test_bad_place_is_narrowed_down_zeroed_and_named(bench):
    content = bench.put(100 * KIB)
    bench.card.faults.bad = ((20_000, 20_100), (61_000, 62_000))
    staged = await bench.copy()
    assert staged.unreadable == (
        ByteRange(start_byte=16384, end_byte=20480),
        ByteRange(start_byte=57344, end_byte=65536),
    )
    expected = bytearray(content)
    expected[16384:20480] = bytes(4096)
    expected[57344:65536] = bytes(8192)
    assert bench.final.read_bytes() == expected
    assert staged.digest == sha256(expected)
    assert not staged.is_read_whole
    assert bench.progress_bytes == 100 * KIB


async def test_neighbouring_bad_places_become_one_range_over_buffer_borders(bench):
    bench.put(64 * KIB)
    bench.card.faults.bad = ((12 * KIB, 20 * KIB),)
    staged = await bench.copy()
    assert staged.unreadable == (ByteRange(start_byte=12 * KIB, end_byte=20 * KIB),)


async def test_wholly_unreadable_file_is_kept_as_one_range(bench):
    bench.put(50_000)
    bench.card.faults.bad = ((0, 50_000),)
    staged = await bench.copy()
    assert staged.unreadable == (ByteRange(start_byte=0, end_byte=50_000),)
    assert bench.final.read_bytes() == bytes(50_000)


async def test_time_spent_on_bad_places_is_bounded(bench):
    content = bench.put(400 * KIB)
    bench.card.faults.bad = ((100 * KIB, 300 * KIB),)
    tries = []

    def slow(offset):
        bad = offset + 16 * KIB > 100 * KIB
        bench.clock.advance(10.0 if bad else 0.0)
        tries.extend([offset] * bad)

    bench.card.faults.before_read = slow
    staged = await bench.copy()
    assert len(tries) <= 10
    (lost,) = staged.unreadable
    assert lost.end_byte == 400 * KIB
    assert lost.start_byte <= 100 * KIB
    assert bench.final.read_bytes()[: lost.start_byte] == content[: lost.start_byte]


async def test_no_checkpoint_reaches_behind_a_bad_place(bench):
    content = bench.put(400 * KIB)
    bench.card.faults.bad = ((100 * KIB, 101 * KIB),)
    bench.card.faults.gone_at = 300 * KIB
    with pytest.raises(CameraGone):
        await bench.copy()
    assert bench.checkpoint is None or bench.checkpoint.offset_bytes <= 100 * KIB
    bench.redock()
    bench.card.faults.bad = ((100 * KIB, 101 * KIB),)
    staged = await bench.copy()
    assert staged.unreadable == (ByteRange(start_byte=100 * KIB, end_byte=104 * KIB),)
    assert bench.final.read_bytes()[104 * KIB :] == content[104 * KIB :]


async def test_file_that_ends_early_without_having_changed_is_kept_with_its_hole(bench):
    content = bench.put(100 * KIB)
    bench.card.faults.ends_at = 70_000
    staged = await bench.copy()
    assert staged.unreadable == (ByteRange(start_byte=70_000, end_byte=100 * KIB),)
    assert bench.final.read_bytes() == content[:70_000] + bytes(100 * KIB - 70_000)


# --- the camera hangs ---------------------------------------------------------------------------


@pytest.mark.slow
async def test_camera_that_hangs_is_a_time_out_and_what_was_copied_is_kept(bench):
    content = bench.put(200 * KIB)
    bench.settings = bench.settings.model_copy(
        update={"checkpoint_interval_seconds": 0.01, "stall_timeout_seconds": 0.05}
    )
    bench.card.faults.before_read = lambda _offset: None
    bench.card.faults.hang_at = 150 * KIB
    with pytest.raises(DriverTimeout):
        await bench.copy()
    assert bench.checkpoint.offset_bytes == 144 * KIB
    assert bench.card.closed == 0, "the thread that hangs inside closes it, nobody else"
    bench.card.faults.released.set()
    while bench.card.closed == 0:
        await asyncio.sleep(0.01)
    bench.redock()
    assert (await bench.copy()).digest == sha256(content)


# --- the disk fails -----------------------------------------------------------------------------


async def test_full_disk_keeps_what_was_copied_and_goes_on_later(bench):
    content = bench.put(400 * KIB)
    bench.disk.room_bytes = 200 * KIB
    with pytest.raises(StagingFull):
        await bench.copy()
    assert not bench.final.exists()
    assert bench.checkpoint.offset_bytes == 192 * KIB
    bench.staging.check_usable()
    bench.disk.room_bytes = None
    bench.redock()
    staged = await bench.copy()
    assert bench.final.read_bytes() == content
    assert not staged.is_read_whole


@pytest.mark.parametrize("call", ["sync", "write", "rename", "datasync", "open_to_write"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
async def test_failing_disk_is_marked_and_its_copy_thrown_away(bench, call, number):
    bench.put(400 * KIB)
    bench.disk.fail[call] = [number]
    with pytest.raises(StagingSuspect):
        await bench.copy()
    assert not bench.final.exists()
    assert not bench.partial.exists()
    assert bench.checkpoint is None or call != "datasync"
    with pytest.raises(StagingSuspect):
        await bench.copy()


@pytest.mark.parametrize("call", ["sync", "datasync"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
async def test_failed_fsync_is_never_tried_again(bench, call, number):
    bench.put(400 * KIB)
    bench.disk.fail[call] = [number, 0]
    with pytest.raises(StagingFull if number == errno.ENOSPC else StagingSuspect):
        await bench.copy()
    assert not bench.final.exists()
    assert not bench.partial.exists(), "what a failed fsync left cannot be believed"
    assert bench.checkpoint is None or call != "datasync"


async def test_fsync_that_failed_while_the_cable_was_pulled_is_not_tried_again(bench):
    bench.put(400 * KIB)
    bench.disk.fail["datasync"] = [errno.EIO, 0]
    bench.card.faults.gone_at = 80 * KIB
    with pytest.raises(StagingSuspect):
        await bench.copy()
    assert bench.checkpoint is None
    assert bench.disk.calls.count("datasync") == 1


async def test_error_that_a_driver_lets_out_does_not_blame_the_disk(bench):
    bench.put(100 * KIB)

    def bug(offset):
        if offset > 50 * KIB:
            raise OSError(errno.EIO, "a driver's bug")

    bench.card.faults.before_read = bug
    with pytest.raises(OSError, match="driver's bug"):
        await bench.copy()
    bench.staging.check_usable()


async def test_journal_that_cannot_keep_a_checkpoint_ends_the_copy(bench):
    bench.put(400 * KIB)

    async def refuse(_checkpoint):
        raise RuntimeError("journal unwritable")

    bench.save_checkpoint = refuse
    with pytest.raises(RuntimeError, match="journal"):
        await bench.copy()
    assert not bench.final.exists()
