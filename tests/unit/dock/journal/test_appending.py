"""What `append` promises: durable, together or not at all, numbered, chained, never changed."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from dockd.dock.journal import Journal
from dockd.errors import JournalUnwritable
from dockd.model import facts
from dockd.model.facts import chain_break
from dockd.model.ids import GENESIS
from dockd.rules.custody import LedgerBreak
from tests.support.clock import ManualClock
from tests.support.journals import DOCK, SIGNER, footage, from_outside, numbered, whole_way

STOPPED = facts.DockStopped()


async def test_empty_journal_has_genesis_as_head(journal: Journal) -> None:
    assert journal.head == (0, GENESIS)
    assert await journal.facts_after(0, 10) == ()
    assert await journal.append() == ()
    assert await journal.verify_chain() == 0


async def test_facts_are_numbered_from_one_and_chained(journal: Journal) -> None:
    first = await journal.append(facts.DockStarted(version="1", public_key="k"), STOPPED)
    second = await journal.append(STOPPED)
    written = (*first, *second)
    assert [one.number for one in written] == [1, 2, 3]
    assert [chain_break(before, one) for before, one in zip((None, *written), written, strict=False)] == [None] * 3
    assert journal.head == (3, written[-1].hash)
    assert await journal.facts_after(0, 10) == written
    assert await journal.facts_after(1, 1) == written[1:2]


async def test_fact_carries_the_moment_of_its_append(journal: Journal, clock: ManualClock) -> None:
    clock.advance(5)
    (one,) = await journal.append(STOPPED)
    assert one.moment == clock.moment()
    assert one.dock == DOCK


async def test_hash_can_be_checked_with_sqlite_and_sha256sum_alone(journal: Journal, folder: Path) -> None:
    await journal.append(*whole_way(footage(1)))
    with from_outside(folder) as connection:
        rows = connection.execute("SELECT number, previous, hash, body FROM facts ORDER BY number").fetchall()
    before = GENESIS
    for number, (stored_number, previous, digest, body) in enumerate(rows, start=1):
        assert (stored_number, previous) == (number, before)
        assert hashlib.sha256(body.encode()).hexdigest() == digest
        before = digest
    assert len(rows) == 7


async def test_append_that_contradicts_the_ledger_writes_nothing_of_it(journal: Journal) -> None:
    one = footage(1)
    with pytest.raises(LedgerBreak):
        await journal.append(STOPPED, one.listed(), one.verified())
    assert journal.head == (0, GENESIS)
    assert await journal.entry(one.recording) is None
    await journal.append(one.listed())
    assert journal.head[0] == 1


async def test_refused_append_does_not_harm_those_in_the_same_transaction(journal: Journal) -> None:
    one, two = footage(1), footage(2)
    results = await asyncio.gather(
        journal.append(one.listed()),
        journal.append(two.staged()),
        journal.append(one.staged()),
        journal.append(one.listed()),
        journal.append(two.listed()),
        return_exceptions=True,
    )
    assert [isinstance(result, LedgerBreak) for result in results] == [False, True, False, True, False]
    assert await numbered(journal) == [(1, "RecordingListed"), (2, "RecordingStaged"), (3, "RecordingListed")]
    assert await journal.verify_chain() == 3


async def test_value_that_no_fact_can_hold_is_refused_alone(journal: Journal) -> None:
    unfit = facts.DockStarted.model_construct(kind="DockStarted", version="\ud800", public_key="k")
    results = await asyncio.gather(journal.append(unfit), journal.append(STOPPED), return_exceptions=True)
    assert isinstance(results[0], ValueError | TypeError)
    assert await numbered(journal) == [(1, "DockStopped")]


async def test_size_beyond_any_file_is_refused(journal: Journal) -> None:
    lying = footage(1).listed().model_copy(update={"size_bytes": 2**63})
    with pytest.raises(LedgerBreak):
        await journal.append(lying)
    await journal.append(STOPPED)


async def test_hostile_modification_time_beyond_64_bits_is_kept_exactly(journal: Journal) -> None:
    one = footage(1)
    far = 15_032_385_535 * 1_000_000_000
    await journal.append(one.listed().model_copy(update={"modified_ns": far}))
    entry = await journal.entry(one.recording)
    assert entry is not None
    assert entry.modified_ns == far


async def test_concurrent_appends_share_transactions(journal: Journal, folder: Path) -> None:
    counts = []

    def count_commits(_connection: object) -> None:
        counts.append(1)

    await _trace(journal, lambda sql: count_commits(sql) if sql == "COMMIT" else None)
    await asyncio.gather(*(journal.append(STOPPED) for _ in range(100)))
    await _trace(journal, None)
    assert len(await numbered(journal)) == 100
    assert 1 <= len(counts) <= 5


async def _trace(journal: Journal, told: Callable[[str], None] | None) -> None:
    def set_callback(connection: Connection) -> None:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_trace_callback(told)

    await journal._database.run(set_callback)


async def test_cancelled_append_is_written_nevertheless(journal: Journal) -> None:
    waiting = asyncio.create_task(journal.append(STOPPED))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await journal.append(facts.DockStarted(version="1", public_key="k"))
    assert await numbered(journal) == [(1, "DockStopped"), (2, "DockStarted")]


async def test_cancelled_reader_does_not_cost_the_connection(journal: Journal) -> None:
    await journal.append(*whole_way(footage(1)))
    readers = [asyncio.create_task(journal.facts_after(0, 10)) for _ in range(20)]
    await asyncio.sleep(0.001)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    await journal.append(STOPPED)
    assert await journal.verify_chain() == 8


async def test_close_writes_what_was_handed_in(folder: Path, clock: ManualClock) -> None:
    journal = await Journal.open(folder, dock=DOCK, clock=clock)
    waiting = [asyncio.create_task(journal.append(STOPPED)) for _ in range(10)]
    await asyncio.sleep(0)
    await journal.close()
    assert sorted(one.number for (one,) in await asyncio.gather(*waiting)) == list(range(1, 11))
    again = await Journal.open(folder, dock=DOCK, clock=clock)
    assert again.head[0] == 10
    await again.close()


async def test_closed_journal_takes_nothing(folder: Path, clock: ManualClock) -> None:
    journal = await Journal.open(folder, dock=DOCK, clock=clock)
    await journal.close()
    await journal.close()
    with pytest.raises(JournalUnwritable):
        await journal.append(STOPPED)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE facts SET body = '{}' WHERE number = 1",
        "DELETE FROM facts WHERE number = 2",
        "DELETE FROM facts",
        "INSERT OR REPLACE INTO facts SELECT 1, kind, recording, session, previous, hash, '{}' FROM facts LIMIT 1",
        "INSERT INTO facts SELECT 9, kind, recording, session, hash, hash, body FROM facts WHERE number = 2",
        "INSERT INTO facts SELECT 3, kind, recording, session, previous, hash, body FROM facts WHERE number = 2",
        "UPDATE OR REPLACE facts SET number = 1 WHERE number = 2",
    ],
)
async def test_database_itself_refuses_to_change_the_past(journal: Journal, folder: Path, statement: str) -> None:
    await journal.append(STOPPED, STOPPED)
    with from_outside(folder) as connection, pytest.raises(sqlite3.IntegrityError, match="refused"):
        connection.execute(statement)
    assert await journal.verify_chain() == 2


async def test_database_itself_refuses_to_move_the_ledger_back(journal: Journal, folder: Path) -> None:
    await journal.append(*whole_way(footage(1), SIGNER))
    with from_outside(folder) as connection, pytest.raises(sqlite3.IntegrityError, match="only moves forward"):
        connection.execute("UPDATE ledger SET state = 1")


async def test_listener_wakes_for_every_append_since_it_last_looked(journal: Journal) -> None:
    with journal.changes() as changes:
        waiting = asyncio.create_task(changes.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        await journal.append(STOPPED)
        await asyncio.wait_for(waiting, 5)
        await journal.append(STOPPED)
        await journal.append(STOPPED)
        await asyncio.wait_for(changes.wait(), 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(changes.wait(), 0.01)
    assert not journal._listeners


async def test_listener_for_some_kinds_sleeps_through_all_others(journal: Journal) -> None:
    with journal.changes(facts.RecordingListed, facts.RecordingSeen) as changes:
        await journal.append(STOPPED)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(changes.wait(), 0.05)
        await journal.append(STOPPED, footage(0).listed(), STOPPED)
        await asyncio.wait_for(changes.wait(), 5)


async def test_full_database_stops_the_journal_and_loses_nothing_acknowledged(journal: Journal) -> None:
    await journal.append(footage(0).listed())

    def allow_no_more_pages(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    await journal._database.run(allow_no_more_pages)
    with pytest.raises(JournalUnwritable):
        await _list_many(journal, 2000)
    acknowledged = journal.head[0]
    assert 1 <= acknowledged < 2000
    with pytest.raises(JournalUnwritable):
        await journal.append(STOPPED)
    assert len(await journal.facts_after(0, 2000)) == acknowledged
    assert await journal.verify_chain() == acknowledged
    assert await journal.projection_differences() == ()


async def _list_many(journal: Journal, count: int) -> None:
    for number in range(1, count):
        (one,) = await journal.append(footage(number).listed())
        assert one.number == journal.head[0]
