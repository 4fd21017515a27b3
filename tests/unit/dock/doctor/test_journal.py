"""Threats: a journal that is lost, another dock's, newer or damaged; and a doctor that disturbs a running dock."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from dockd.dock.disk import Disk
from dockd.dock.doctor import Host
from dockd.dock.doctor.journal_state import lock_holder
from dockd.dock.journal import DATABASE_NAME, Journal
from dockd.dock.journal.lock import LOCK_NAME, FolderLock
from dockd.dock.staged_files import StagedFiles
from dockd.model.facts import DockStarted
from dockd.model.ids import DockId, RecordingId
from tests.support.clock import START, ManualClock
from tests.support.dock_host import PUBLIC_KEY, DockHost


@pytest.fixture
async def written(host: DockHost) -> DockHost:
    """A host whose dock ran before."""
    journal = await Journal.open(host.journal, dock=DockId("dock-1"), clock=ManualClock())
    await journal.append(DockStarted(version="1", public_key=PUBLIC_KEY))
    await journal.append(DockStarted(version="1", public_key=PUBLIC_KEY))
    await journal.close()
    return host


def change(host: DockHost, *statements: str) -> None:
    with closing(sqlite3.connect(host.journal / DATABASE_NAME)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def test_a_sound_journal_is_well_and_not_a_byte_of_it_changes(written: DockHost) -> None:
    before = {path.name: path.read_bytes() for path in written.journal.iterdir()}
    found = written.only("journal")
    assert found.code == "journal-sound"
    assert found.found == "2 facts; the last 2 were checked."
    assert {path.name: path.read_bytes() for path in written.journal.iterdir()} == before


def test_no_journal_yet_is_noted_and_none_is_made(host: DockHost) -> None:
    host.journal.rmdir()
    assert host.codes("journal") == ["journal-absent"]
    assert not host.journal.exists()


def test_copies_without_a_journal_are_a_problem(host: DockHost) -> None:
    files = StagedFiles(host.staging, Disk())
    files.make_folders()
    recording = RecordingId("ab" * 32)
    files.partial_path(recording).write_bytes(b"footage")
    files.publish(recording)
    found = host.only("journal")
    assert found.code == "journal-lost"
    assert "1 copies lie in" in found.found


def test_a_journal_of_another_dock_is_a_problem(written: DockHost) -> None:
    written.write_config()
    written.config_file.write_text(written.config_file.read_text().replace('id = "dock-1"', 'id = "dock-2"'))
    found = written.only("journal")
    assert found.code == "journal-of-another-dock"
    assert "'dock-1'" in found.found


def test_a_journal_of_a_newer_dockd_is_a_problem(written: DockHost) -> None:
    change(written, "UPDATE alembic_version SET version_num = '9999'")
    assert written.codes("journal") == ["journal-newer"]


def test_a_chain_that_breaks_is_a_problem_that_names_the_fact(written: DockHost) -> None:
    change(written, "DROP TRIGGER IF EXISTS facts_are_never_changed", *_without_triggers(written))
    change(written, 'UPDATE facts SET body = replace(body, \'"version":"1"\', \'"version":"2"\') WHERE number = 2')
    found = written.only("journal")
    assert found.code == "journal-damaged"
    assert "fact 2" in found.found


def _without_triggers(host: DockHost) -> list[str]:
    with closing(sqlite3.connect(host.journal / DATABASE_NAME)) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
    return [f"DROP TRIGGER {name}" for name in names]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"this is no database, this is no database" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(b""),
    ],
    ids=["foreign", "cut", "empty"],
)
def test_a_damaged_file_is_a_problem(written: DockHost, damage: Callable[[Path], int]) -> None:
    damage(written.journal / DATABASE_NAME)
    assert written.codes("journal") == ["journal-damaged"]


def test_a_write_that_was_cut_off_is_left_to_the_next_start(written: DockHost) -> None:
    rollback = written.journal / f"{DATABASE_NAME}-journal"
    rollback.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(600))
    content = (written.journal / DATABASE_NAME).read_bytes()
    assert written.codes("journal") == ["journal-cut-off"]
    assert (written.journal / DATABASE_NAME).read_bytes() == content
    assert rollback.exists()


def test_a_clock_that_went_back_is_told_by_the_journals_last_fact(written: DockHost) -> None:
    assert isinstance(written.clock, ManualClock)
    written.clock.jump_wall_clock(-timedelta(days=3 * 365).total_seconds())
    report = written.look("journal")
    assert [one.code for one in report.findings] == ["journal-sound", "clock-behind-journal"]
    assert f"Fact 2 is of {START.isoformat(timespec='seconds')}" in report.findings[1].found


# --- a running dock -----------------------------------------------------------------------------


def test_a_running_dock_is_found_by_the_kernels_own_list_and_left_alone(written: DockHost) -> None:
    lock = FolderLock(written.journal)
    try:
        assert lock_holder(Host(), written.journal) == os.getpid()
        written.put("proc/locks", Path("/proc/locks").read_text())
        found = written.only("journal")
        assert found.code == "journal-in-use"
        assert f"process {os.getpid()} " in found.found
    finally:
        lock.release()
    assert lock_holder(Host(), written.journal) is None


def test_where_the_device_shows_differently_the_process_that_the_lock_file_names_decides(written: DockHost) -> None:
    lock = written.journal / LOCK_NAME
    inode = lock.stat().st_ino
    lock.write_text("4711\n")
    written.put("proc/locks", f"1: FLOCK  ADVISORY  WRITE 4711 00:99:{inode} 0 EOF\n")
    assert lock_holder(written.host, written.journal) == 4711
    written.put("proc/locks", f"1: FLOCK  ADVISORY  WRITE 4712 00:99:{inode} 0 EOF\n")
    assert lock_holder(written.host, written.journal) is None


def test_a_process_that_only_waits_for_the_lock_does_not_hold_it(written: DockHost) -> None:
    status = (written.journal / LOCK_NAME).stat()
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    written.put("proc/locks", f"1: -> FLOCK  ADVISORY  WRITE 4711 {device}:{status.st_ino} 0 EOF\n")
    assert lock_holder(written.host, written.journal) is None


def test_a_kernel_that_does_not_tell_its_locks_makes_it_unknown_and_not_free(written: DockHost) -> None:
    (written.root / "proc/locks").unlink()
    assert written.codes("journal") == ["journal-unknown"]
