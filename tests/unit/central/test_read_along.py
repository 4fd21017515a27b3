"""What is read while an upload arrives shortens the proof, and never weakens it."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from dockd.central.stores import UploadPlan
from dockd.central.stores.durable import make_folders
from dockd.central.stores.placing import PartsDamaged, prove_and_place
from dockd.central.stores.read_along import Prefix, ReadAlong
from dockd.model.canonical import digest_of_bytes
from tests.support.clock import ManualClock

PART_BYTES = 8 * 1024 * 1024
SIZE_BYTES = 3 * PART_BYTES + 12_345
UPLOAD = "up-one"


def plan_of(content: bytes) -> UploadPlan:
    parts = [content[at : at + PART_BYTES] for at in range(0, len(content), PART_BYTES)]
    return UploadPlan(UPLOAD, digest_of_bytes(content), len(content), PART_BYTES, tuple(map(digest_of_bytes, parts)))


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(SIZE_BYTES)


@pytest.fixture
def file(tmp_path: Path, content: bytes) -> Path:
    """An upload's file with every byte in it, durable."""
    path = make_folders(tmp_path, "uploads") / UPLOAD
    with path.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    return path


@pytest_asyncio.fixture
async def along(file: Path, clock: ManualClock) -> AsyncIterator[ReadAlong]:
    one = ReadAlong(file.parent, clock)
    yield one
    await asyncio.to_thread(one.close)


def tell(along: ReadAlong, plan: UploadPlan, numbers: Iterable[int], clock: ManualClock) -> None:
    for number in numbers:
        along.part_finished(UPLOAD, plan.part(number), clock.now() + timedelta(seconds=number))


async def read(along: ReadAlong) -> Prefix:
    prefix = await along.take(UPLOAD)
    assert prefix is not None
    return prefix


async def until_read(along: ReadAlong, end_bytes: int) -> None:
    async with asyncio.timeout(10):
        while (one := along._under_way[UPLOAD].prefix) is None or one.end_bytes < end_bytes:
            await asyncio.sleep(0.01)


async def prefix_of_two(along: ReadAlong, plan: UploadPlan, clock: ManualClock) -> Prefix:
    """The first two parts, read."""
    tell(along, plan, (1, 2), clock)
    await until_read(along, 2 * PART_BYTES)
    return await read(along)


@pytest.mark.parametrize("order", [(1, 2, 3, 4), (4, 3, 2, 1), (2, 1, 4, 3), (3, 1, 4, 2)])
async def test_parts_in_any_order_are_read_in_theirs(
    along: ReadAlong, clock: ManualClock, content: bytes, order: tuple[int, ...]
) -> None:
    plan = plan_of(content)
    tell(along, plan, order, clock)
    # The short part is not worth beginning with: where it comes first, it is left for the end.
    expected_bytes = SIZE_BYTES if order[0] != 4 else 3 * PART_BYTES
    await until_read(along, expected_bytes)
    prefix = await read(along)
    assert prefix.end_bytes == expected_bytes
    assert prefix.whole.hexdigest() == hashlib.sha256(content[:expected_bytes]).hexdigest()
    assert await along.take(UPLOAD) is None


async def test_a_gap_ends_what_is_known(along: ReadAlong, clock: ManualClock, content: bytes) -> None:
    tell(along, plan_of(content), (1, 3), clock)
    await until_read(along, PART_BYTES)
    prefix = await read(along)
    assert (prefix.end_bytes, set(prefix.parts)) == (PART_BYTES, {1})


async def test_the_proof_goes_on_from_the_prefix(
    along: ReadAlong, clock: ManualClock, content: bytes, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(content)
    prefix = await prefix_of_two(along, plan, clock)
    offsets: list[int] = []
    real = os.preadv

    def noted(descriptor: int, buffers: list[bytearray], offset: int) -> int:
        offsets.append(offset)
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", noted)
    key = prove_and_place(file.parent.parent, file, plan, prefix)
    assert min(offsets) == 2 * PART_BYTES
    assert (file.parent.parent / key).read_bytes() == content


async def test_a_part_that_was_sent_again_since_is_not_vouched_for(
    along: ReadAlong, clock: ManualClock, content: bytes
) -> None:
    tell(along, plan_of(content), (1, 2, 3), clock)
    await until_read(along, 3 * PART_BYTES)
    prefix = await read(along)
    finished = {number: clock.now() + timedelta(seconds=number) for number in (1, 2, 3, 4)}
    assert prefix.agrees_with(finished)
    assert not prefix.agrees_with(finished | {2: clock.now() + timedelta(seconds=60)})
    assert not prefix.agrees_with({number: at for number, at in finished.items() if number != 2})


async def test_a_file_made_anew_is_read_from_its_start(
    along: ReadAlong, clock: ManualClock, content: bytes, file: Path
) -> None:
    plan = plan_of(content)
    tell(along, plan, (1, 2), clock)
    await until_read(along, 2 * PART_BYTES)
    other = bytearray(content)
    other[0] ^= 1
    file.rename(file.with_name("kept"))  # its inode number must not be given again
    file.write_bytes(other)
    prefix = await read(along)
    assert not prefix.is_of(file)
    with pytest.raises(PartsDamaged) as damaged:
        prove_and_place(file.parent.parent, file, plan, prefix)
    assert damaged.value.numbers == (1,)


async def test_a_file_made_anew_between_two_parts_ends_the_reading(
    along: ReadAlong, clock: ManualClock, content: bytes, file: Path
) -> None:
    plan = plan_of(content)
    tell(along, plan, (1,), clock)
    await until_read(along, PART_BYTES)
    file.rename(file.with_name("kept"))
    file.write_bytes(content)
    tell(along, plan, (2,), clock)
    assert await along.take(UPLOAD) is None


async def test_a_prefix_that_does_not_come_out_blames_nobody_before_all_is_read(
    along: ReadAlong, clock: ManualClock, content: bytes, file: Path
) -> None:
    plan = plan_of(content)
    prefix = await prefix_of_two(along, plan, clock)
    prefix.whole.update(b"something that the disk never held")
    key = prove_and_place(file.parent.parent, file, plan, prefix)
    assert (file.parent.parent / key).read_bytes() == content


async def test_damage_behind_the_prefix_is_found(
    along: ReadAlong, clock: ManualClock, content: bytes, file: Path
) -> None:
    plan = plan_of(content)
    tell(along, plan, (1, 2), clock)
    await until_read(along, 2 * PART_BYTES)
    with file.open("r+b") as opened:
        opened.seek(2 * PART_BYTES + 5)
        opened.write(b"damage")
    with pytest.raises(PartsDamaged) as damaged:
        prove_and_place(file.parent.parent, file, plan, await read(along))
    assert damaged.value.numbers == (3,)


async def test_what_was_read_long_ago_is_read_again(along: ReadAlong, clock: ManualClock, content: bytes) -> None:
    tell(along, plan_of(content), (1, 2), clock)
    await until_read(along, 2 * PART_BYTES)
    clock.advance(601)
    assert await along.take(UPLOAD) is None


async def test_a_disk_that_cannot_be_read_leaves_the_answer_to_the_end(
    along: ReadAlong, clock: ManualClock, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int, buffers: list[bytearray], offset: int) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", broken)
    tell(along, plan_of(content), (1, 2), clock)
    assert await along.take(UPLOAD) is None


async def test_small_parts_and_parts_that_begin_anywhere_are_left_to_the_end(
    along: ReadAlong, clock: ManualClock, content: bytes
) -> None:
    for part_bytes in (64 * 1024, PART_BYTES + 1):
        parts = [content[at : at + part_bytes] for at in range(0, len(content), part_bytes)]
        digests = tuple(map(digest_of_bytes, parts))
        plan = UploadPlan(UPLOAD, digest_of_bytes(content), len(content), part_bytes, digests)
        tell(along, plan, (1, 2), clock)
        assert await along.take(UPLOAD) is None


async def test_no_more_uploads_than_a_few_are_remembered(along: ReadAlong, clock: ManualClock, content: bytes) -> None:
    plan = plan_of(content)
    for number in range(100):
        along.part_finished(f"up-{number}", plan.part(2), clock.now())
    assert len(along._under_way) <= 17
