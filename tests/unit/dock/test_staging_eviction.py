"""Eviction: only what the centre has accepted, the oldest first, the fact before the file."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dockd.dock.eviction import make_room, sweep_leftovers
from dockd.dock.journal import Journal
from dockd.dock.staging import Staging, StagingConfig
from dockd.errors import StagingSuspect
from dockd.model import facts
from dockd.model.ids import CardPath, RecordingId
from dockd.model.recording import CopyCheckpoint
from tests.support.clock import ManualClock
from tests.support.custody import SESSION, Footage, sha256
from tests.support.full_disk import FailingDisk, Room
from tests.support.journals import DOCK, SIGNER, whole_way

SIZE_BYTES = 64 * 1024
TOTAL_BYTES = 20 * SIZE_BYTES


@pytest.fixture
async def journal(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path / "journal", dock=DOCK, clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
async def staging(tmp_path: Path) -> Staging:
    folder = tmp_path / "staging"
    made = Staging(
        StagingConfig(folder=str(folder), floor_bytes=0), disk=FailingDisk(), statvfs=Room(folder, TOTAL_BYTES)
    )
    await made.open()
    return made


def recording(number: int) -> Footage:
    return Footage(content=number.to_bytes(4) * (SIZE_BYTES // 4), path=CardPath((f"{number}.MP4".encode(),)))


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with path.open("rb") as file:
        os.fsync(file.fileno())


async def bring(journal: Journal, staging: Staging, one: Footage, steps: int) -> RecordingId:
    """Lay a copy down and tell the first `steps` facts of its way."""
    put(staging.partial_path(one.recording), one.content)
    staging.publish(one.recording)
    await journal.append(*whole_way(one, SIGNER)[:steps])
    return one.recording


async def test_only_accepted_copies_go_and_the_oldest_first(journal: Journal, staging: Staging) -> None:
    verified = await bring(journal, staging, recording(1), 3)
    erased = await bring(journal, staging, recording(2), 7)
    stored = await bring(journal, staging, recording(3), 4)
    accepted = await bring(journal, staging, recording(4), 5)
    newest = await bring(journal, staging, recording(5), 5)
    evicted_bytes = await make_room(journal, staging, 17 * SIZE_BYTES)
    assert evicted_bytes == 2 * SIZE_BYTES
    assert set(staging.copies()) == {verified, stored, newest}
    for one, has_copy in ((erased, False), (accepted, False), (newest, True)):
        entry = await journal.entry(one)
        assert entry is not None
        assert entry.has_copy is has_copy
    assert await make_room(journal, staging, TOTAL_BYTES) == SIZE_BYTES
    assert set(staging.copies()) == {verified, stored}
    assert await make_room(journal, staging, TOTAL_BYTES) == 0


async def test_rejected_copy_is_never_evicted(journal: Journal, staging: Staging) -> None:
    one = recording(1)
    await bring(journal, staging, one, 3)
    await journal.append(facts.RecordingRejected(recording=one.recording, code="too-large", reason="no"))
    assert await make_room(journal, staging, TOTAL_BYTES) == 0
    assert staging.copies() == (one.recording,)


async def test_nothing_is_evicted_while_there_is_room(journal: Journal, staging: Staging) -> None:
    await bring(journal, staging, recording(1), 5)
    before = journal.head
    assert await make_room(journal, staging, 19 * SIZE_BYTES) == 0
    assert journal.head == before


async def test_reservations_of_other_bays_are_respected(journal: Journal, staging: Staging) -> None:
    await bring(journal, staging, recording(1), 5)
    with staging.reserve(RecordingId("f" * 32), 10 * SIZE_BYTES):
        assert await make_room(journal, staging, 9 * SIZE_BYTES) == 0
        assert await make_room(journal, staging, 10 * SIZE_BYTES) == SIZE_BYTES


async def test_many_small_copies_make_room_together(journal: Journal, staging: Staging) -> None:
    for number in range(18):
        await bring(journal, staging, recording(number), 5)
    assert await make_room(journal, staging, TOTAL_BYTES) == 18 * SIZE_BYTES
    assert staging.copies() == ()


async def test_fact_is_written_before_the_file_goes(journal: Journal, staging: Staging) -> None:
    one = recording(1)
    await bring(journal, staging, one, 5)
    assert isinstance(staging.disk, FailingDisk)
    staging.disk.failing = {"sync_folder"}
    with pytest.raises(StagingSuspect):
        await make_room(journal, staging, TOTAL_BYTES)
    entry = await journal.entry(one.recording)
    assert entry is not None
    assert not entry.has_copy
    assert staging.suspect_reason is not None


async def test_sweep_removes_only_what_the_ledger_knows_to_be_unneeded(journal: Journal, staging: Staging) -> None:
    kept = await bring(journal, staging, recording(1), 3)
    cut_before_the_row = await bring(journal, staging, recording(2), 1)
    evicted = recording(3)
    await bring(journal, staging, evicted, 5)
    await journal.append(facts.StagingEvicted(recording=evicted.recording))
    unknown = await bring(journal, staging, recording(4), 0)
    growing, abandoned, foreign = recording(5), recording(6), recording(7)
    for one in (growing, abandoned, foreign):
        put(staging.partial_path(one.recording), b"half")
    await journal.append(growing.listed(), abandoned.listed())
    await journal.save_checkpoint(growing.recording, CopyCheckpoint(4, sha256(b"half"), SESSION))
    assert await sweep_leftovers(journal, staging) == 3
    assert set(staging.copies()) == {kept, unknown}
    assert cut_before_the_row not in staging.copies()
    assert set(staging.partial_copies()) == {growing.recording, foreign.recording}
    assert await sweep_leftovers(journal, staging) == 0
