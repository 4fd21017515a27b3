"""Reading back proves the disk, not the page cache, and says which part has which digest."""

from __future__ import annotations

import asyncio
import errno
import hashlib

import pytest

from dockd.dock.stages.verify import read_back
from dockd.dock.transfer.part_digests import KnownParts, PartDigests
from dockd.errors import CameraGone, DigestMismatch, StagingSuspect
from dockd.model.recording import ReadBackMethod, part_count

KIB = 1024
PART = 64 * KIB


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def verify(bench, staged, **options):
    options.setdefault("part_size_bytes", PART)
    return await read_back(
        staged,
        staging=bench.staging,
        run_blocking=bench.thread.run_blocking,
        progress=bench.progress,
        settings=bench.settings,
        **options,
    )


@pytest.mark.parametrize("part_size_bytes", [PART, 10_000, 1 << 24])
@pytest.mark.parametrize("size_bytes", [0, 1, 4096, PART - 1, PART, PART + 1, 5 * PART, 5 * PART + 77])
async def test_read_back_gives_the_digest_of_every_part(bench, size_bytes, part_size_bytes):
    content = bench.put(size_bytes)
    staged = await bench.copy()
    bench.progress_bytes = 0
    verified = await verify(bench, staged, part_size_bytes=part_size_bytes)
    starts = range(0, size_bytes, part_size_bytes)
    assert verified.part_digests == tuple(sha256(content[start : start + part_size_bytes]) for start in starts)
    assert len(verified.part_digests) == part_count(size_bytes, part_size_bytes)
    assert verified.staged == staged
    assert bench.progress_bytes == size_bytes


async def test_recording_of_one_part_is_hashed_once(bench, monkeypatch):
    bench.put(PART)
    staged = await bench.copy()
    monkeypatch.setattr(PartDigests, "parts", lambda *_: pytest.fail("hashed a second time"))
    assert (await verify(bench, staged)).part_digests == (staged.digest,)


@pytest.mark.parametrize("size_bytes", [PART + 1, 2 * PART, 5 * PART + 77])
@pytest.mark.parametrize("part_size_bytes", [PART, 10_000])
async def test_parts_hashed_while_copying_are_not_hashed_again(bench, monkeypatch, size_bytes, part_size_bytes):
    content = bench.put(size_bytes)
    copied = await bench.copy_with_parts(part_size_bytes=part_size_bytes)
    monkeypatch.setattr(PartDigests, "parts", lambda *_: pytest.fail("hashed a second time"))
    verified = await verify(bench, copied.staged, known_parts=copied.parts, part_size_bytes=part_size_bytes)
    starts = range(0, size_bytes, part_size_bytes)
    assert verified.part_digests == tuple(sha256(content[start : start + part_size_bytes]) for start in starts)


@pytest.mark.parametrize("place", [0, PART + 5, 3 * PART])
async def test_known_parts_vouch_for_nothing_that_the_disk_gives_back_otherwise(bench, place):
    content = bytearray(bench.put(3 * PART + 1))
    copied = await bench.copy_with_parts(part_size_bytes=PART)
    content[place] ^= 1
    bench.final.write_bytes(content)
    with pytest.raises(DigestMismatch):
        await verify(bench, copied.staged, known_parts=copied.parts)


async def test_parts_of_another_size_or_of_other_bytes_are_hashed_afresh(bench):
    content = bench.put(3 * PART + 1)
    copied = await bench.copy_with_parts(part_size_bytes=10_000)
    right = tuple(sha256(content[start : start + PART]) for start in range(0, len(content), PART))
    assert (await verify(bench, copied.staged, known_parts=copied.parts)).part_digests == right
    foreign = KnownParts(whole=sha256(b"other"), part_size_bytes=PART, digests=(sha256(b"x"),) * 4)
    assert (await verify(bench, copied.staged, known_parts=foreign)).part_digests == right


async def test_copy_that_goes_on_after_an_absence_knows_no_parts(bench):
    bench.put(5 * PART + 77)
    bench.card.faults.gone_at = 3 * PART
    with pytest.raises(CameraGone):
        await bench.copy_with_parts(part_size_bytes=PART)
    assert bench.checkpoint is not None
    bench.redock()
    copied = await bench.copy_with_parts(part_size_bytes=PART)
    assert (copied.parts, copied.staged.is_read_whole) == (None, False)
    assert len((await verify(bench, copied.staged)).part_digests) == 6


async def test_record_says_that_o_direct_passed_the_cache(bench):
    bench.put(3 * PART)
    assert (await verify(bench, await bench.copy())).method is ReadBackMethod.O_DIRECT


@pytest.mark.parametrize("at_open", [True, False])
async def test_disk_that_refuses_o_direct_is_read_after_dropping_its_pages(bench, at_open):
    content = bench.put(3 * PART + 1)
    staged = await bench.copy()
    dropped = []
    real = bench.disk.drop_pages
    bench.disk.drop_pages = lambda descriptor: dropped.append(descriptor) or real(descriptor)
    if at_open:
        bench.disk.refuses_direct = True
    else:
        bench.disk.fail["read"] = [errno.EINVAL, 0]
    verified = await verify(bench, staged)
    assert verified.method is ReadBackMethod.FADV_DONTNEED
    assert dropped
    assert verified.part_digests[0] == sha256(content[:PART])


@pytest.mark.parametrize("place", [0, PART + 5, 3 * PART])
async def test_one_flipped_bit_on_the_disk_is_a_mismatch(bench, place):
    content = bytearray(bench.put(3 * PART + 1))
    staged = await bench.copy()
    content[place] ^= 1
    bench.final.write_bytes(content)
    with pytest.raises(DigestMismatch):
        await verify(bench, staged)
    bench.staging.check_usable()


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content + b"x"])
async def test_copy_of_another_length_is_a_mismatch(bench, change):
    content = bench.put(PART)
    staged = await bench.copy()
    bench.final.write_bytes(change(content))
    with pytest.raises(DigestMismatch, match="bytes instead of"):
        await verify(bench, staged)


async def test_copy_that_is_gone_is_a_mismatch(bench):
    bench.put(PART)
    staged = await bench.copy()
    bench.final.unlink()
    with pytest.raises(DigestMismatch, match="not there"):
        await verify(bench, staged)


async def test_read_error_marks_the_disk(bench):
    bench.put(3 * PART)
    staged = await bench.copy()
    bench.disk.fail["read"] = [0, 0, 0, errno.EIO]
    with pytest.raises(StagingSuspect):
        await verify(bench, staged)
    with pytest.raises(StagingSuspect):
        bench.staging.check_usable()


async def test_cancelled_read_back_leaves_nothing_running(bench):
    bench.put(20 * PART)
    staged = await bench.copy()
    task = asyncio.create_task(verify(bench, staged))
    await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await verify(bench, staged)).staged == staged
