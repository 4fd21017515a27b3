"""What `open` refuses: locked, damaged, foreign, newer or unwritable journals; and how it leaves the folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dockd.dock.journal import DATABASE_NAME, Journal, integrity, projection
from dockd.dock.journal.lock import LOCK_NAME
from dockd.dock.journal.rows import fact_row
from dockd.errors import ConfigInvalid, DockdError, JournalCorrupt, JournalLocked, JournalNewer, JournalUnwritable
from dockd.model import facts
from dockd.model.ids import DockId
from tests.support.clock import ManualClock
from tests.support.journals import DOCK, footage, from_outside, way_to_the_store, without_triggers

FACTS = 40


@pytest.fixture
async def written(folder: Path, clock: ManualClock) -> Path:
    """The folder of a closed journal with a few facts; returns its file."""
    journal = await Journal.open(folder, dock=DOCK, clock=clock)
    for number in range(FACTS // 5):
        await journal.append(*way_to_the_store(footage(number)))
    await journal.close()
    return folder / DATABASE_NAME


async def reopen(folder: Path, clock: ManualClock, dock: DockId = DOCK) -> tuple[int, str]:
    journal = await Journal.open(folder, dock=dock, clock=clock)
    head = journal.head
    await journal.close()
    return head


async def refusal(folder: Path, clock: ManualClock, dock: DockId = DOCK) -> DockdError:
    """What opening raises; and that the refused folder is not left locked."""
    with pytest.raises(DockdError) as first:
        await reopen(folder, clock, dock)
    with pytest.raises(type(first.value)):
        await reopen(folder, clock, dock)
    return first.value


async def test_journal_is_private_to_its_owner(written: Path, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name for path in folder.iterdir()} == {DATABASE_NAME, LOCK_NAME}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


async def test_every_connection_is_as_durable_as_promised(journal: Journal) -> None:
    wanted = {"journal_mode": "delete", "synchronous": 3, "foreign_keys": 1}
    found = await journal._database.run(
        lambda connection: {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in wanted}
    )
    assert found == wanted


async def test_journal_opens_again_where_it_ended(written: Path, folder: Path, clock: ManualClock) -> None:
    assert (await reopen(folder, clock))[0] == FACTS
    journal = await Journal.open(folder, dock=DOCK, clock=clock)
    (one,) = await journal.append(facts.DockStopped())
    assert one.number == FACTS + 1
    assert await journal.verify_chain() == FACTS + 1
    await journal.close()


async def test_second_daemon_is_refused_and_told_who_holds_it(
    journal: Journal, folder: Path, clock: ManualClock
) -> None:
    with pytest.raises(JournalLocked, match=f"process {os.getpid()}"):
        await Journal.open(folder, dock=DOCK, clock=clock)
    await journal.append(facts.DockStopped())


async def test_another_docks_journal_is_refused(written: Path, folder: Path, clock: ManualClock) -> None:
    error = await refusal(folder, clock, DockId("dock-2"))
    assert isinstance(error, ConfigInvalid)
    assert "dock-1" in error.what


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_to_nothing(path: Path) -> None:
    os.truncate(path, 0)


def break_header(path: Path) -> None:
    _overwrite(path, 0, b"not a database, but something else")


def zero_pages(path: Path) -> None:
    _overwrite(path, 4096, bytes(path.stat().st_size - 8192))


def flip_a_bit_in_a_fact(path: Path) -> None:
    content = path.read_bytes()
    at = content.index(b'"kind":"RecordingListed"')
    _overwrite(path, at + 10, bytes([content[at + 10] ^ 0x04]))


def flip_a_bit_in_a_hash(path: Path) -> None:
    with from_outside(path.parent) as connection:
        (digest,) = connection.execute("SELECT hash FROM facts WHERE number = 20").fetchone()
    content = path.read_bytes()
    at = content.index(digest.encode())
    _overwrite(path, at, bytes([content[at] ^ 0x01]))


def _overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def tampering(*statements: str) -> Callable[[Path], None]:
    def tamper(path: Path) -> None:
        with from_outside(path.parent) as connection:
            without_triggers(connection)
            for statement in statements:
                connection.execute(statement)

    return tamper


change_a_fact = tampering("UPDATE facts SET body = replace(body, 'PC1234', 'PC9999') WHERE number = 1")
file_a_fact_elsewhere = tampering("UPDATE facts SET recording = 'another' WHERE number = 20")
take_out_a_fact = tampering("DELETE FROM facts WHERE number = 20")
take_out_the_first_fact = tampering("DELETE FROM facts WHERE number = 1")
make_a_stranger_of_it = tampering("DROP TABLE facts")


@pytest.mark.parametrize(
    "damage",
    [
        cut_in_half,
        cut_to_nothing,
        break_header,
        zero_pages,
        flip_a_bit_in_a_fact,
        flip_a_bit_in_a_hash,
        change_a_fact,
        file_a_fact_elsewhere,
        take_out_a_fact,
        take_out_the_first_fact,
        make_a_stranger_of_it,
    ],
    ids=lambda damage: getattr(damage, "__name__", "tampered"),
)
async def test_damaged_journal_is_refused_and_left_as_it_is(
    written: Path, folder: Path, clock: ManualClock, damage: Callable[[Path], None]
) -> None:
    damage(written)
    before = written.read_bytes()
    error = await refusal(folder, clock)
    assert isinstance(error, JournalCorrupt)
    assert written.read_bytes() == before


async def test_damage_before_the_tail_is_found_by_verify_chain(
    written: Path, folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_a_fact(written)
    monkeypatch.setattr(integrity.check_tail, "__defaults__", (10,))
    journal = await Journal.open(folder, dock=DOCK, clock=clock)
    with pytest.raises(JournalCorrupt, match="fact 1"):
        await journal.verify_chain()
    await journal.close()


async def test_newer_journal_is_refused_and_left_as_it_is(written: Path, folder: Path, clock: ManualClock) -> None:
    with from_outside(folder) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = written.read_bytes()
    assert isinstance(await refusal(folder, clock), JournalNewer)
    assert written.read_bytes() == before


async def test_projection_of_an_older_version_is_built_afresh(written: Path, folder: Path, clock: ManualClock) -> None:
    with from_outside(folder) as connection:
        connection.execute("DELETE FROM ledger WHERE listed_number > 10")
        connection.execute("UPDATE ledger SET officer = NULL")
        connection.execute(f"UPDATE projection SET version = {projection.PROJECTION_VERSION - 1}")
    journal = await Journal.open(folder, dock=DOCK, clock=clock)
    assert await journal.projection_differences() == ()
    assert len(await journal.entries()) == FACTS // 5
    await journal.close()


async def test_facts_that_contradict_each_other_are_not_a_journal(
    written: Path, folder: Path, clock: ManualClock
) -> None:
    journal = await Journal.open(folder, dock=DOCK, clock=clock)
    last, head = journal.head
    await journal.close()
    # Well linked, so that only the ledger's own rules can tell: listed twice.
    again = facts.link(DOCK, last + 1, head, clock.moment(), footage(0).listed())
    with from_outside(folder) as connection:
        connection.execute(
            "INSERT INTO facts (number, kind, recording, session, previous, hash, body)"
            " VALUES (:number, :kind, :recording, :session, :previous, :hash, :body)",
            fact_row(again),
        )
        connection.execute("UPDATE projection SET version = 0")
    assert isinstance(await refusal(folder, clock), JournalCorrupt)


async def test_leftovers_of_a_creation_that_was_cut_short_are_no_obstacle(folder: Path, clock: ManualClock) -> None:
    folder.mkdir()
    (folder / f"{DATABASE_NAME}.new").write_bytes(b"half of a database")
    (folder / f"{DATABASE_NAME}.new-journal").write_bytes(b"and of its rollback journal")
    assert (await reopen(folder, clock))[0] == 0
    assert {path.name for path in folder.iterdir()} == {DATABASE_NAME, LOCK_NAME}


async def test_folder_that_cannot_be_made_is_unwritable(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JournalUnwritable):
        await Journal.open(tmp_path / "file" / "journal", dock=DOCK, clock=clock)


async def test_lock_file_that_is_a_link_is_not_followed(folder: Path, clock: ManualClock, tmp_path: Path) -> None:
    folder.mkdir()
    (tmp_path / "victim").write_text("precious")
    (folder / LOCK_NAME).symlink_to(tmp_path / "victim")
    with pytest.raises(JournalUnwritable):
        await Journal.open(folder, dock=DOCK, clock=clock)
    assert (tmp_path / "victim").read_text() == "precious"


async def test_folder_with_odd_characters_is_fine(tmp_path: Path, clock: ManualClock) -> None:
    odd = tmp_path / "a b%20?c=1#d"
    assert (await reopen(odd, clock))[0] == 0
    assert (odd / DATABASE_NAME).exists()
