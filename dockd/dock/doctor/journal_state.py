"""Checks of the journal, read-only: in use by a running dockd, sound, of this dock, of this version, not lost.

A journal in use is left alone. Who holds it is read from /proc/locks, not tried: a trial of the lock could meet a
daemon that is just starting and make it give up.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from dockd.dock.disk import Disk
from dockd.dock.doctor.check import Check
from dockd.dock.doctor.finding import Finding, note, ok, problem, warning
from dockd.dock.doctor.host import Examination, Host
from dockd.dock.doctor.mounts import nearest_folder
from dockd.dock.journal import integrity
from dockd.dock.journal.database import DATABASE_NAME
from dockd.dock.journal.failures import DATABASE_ERRORS, journal_error
from dockd.dock.journal.lock import LOCK_NAME
from dockd.dock.staged_files import StagedFiles
from dockd.errors import ConfigInvalid, JournalCorrupt
from dockd.model.facts import RecordedFact
from dockd.model.ids import DockId
from migrations import standing

_LEAST_FREE_BYTES = 256 * 1024 * 1024
_CLOCK_TOLERANCE = timedelta(seconds=2)
_BUSY_SECONDS = 2.0

JOURNAL_SOUND = ok("journal-sound", "The journal can be opened, its last facts are chained, and no dockd runs.")
JOURNAL_IN_USE = ok("journal-in-use", "A running dockd has the journal open; that is fine, and it is left alone.")
JOURNAL_ABSENT = note(
    "journal-absent",
    "There is no journal; the dock makes one at its first start.",
    "None at a first start.",
    "At a first start nothing. Else check whether the disk of the state folder is mounted.",
)
JOURNAL_LOST = problem(
    "journal-lost",
    "Copies lie in the staging folder, and there is no journal that knows them.",
    "Footage that the centre may not have lies there, and a dock without its journal does not send it.",
    "Do not start the dock and remove nothing. Restore the state folder from its copy, or mount its disk.",
)
JOURNAL_CUT_OFF = note(
    "journal-cut-off",
    "The last write of the journal was cut off (a rollback file lies beside it).",
    "None: the next start undoes the unfinished write and goes on. Do not remove the rollback file.",
    "Start the dock, then run the doctor again.",
)
JOURNAL_OLDER = note(
    "journal-older",
    "The journal is of an older version; the next start brings it up to date.",
    "None; retention, holds and policies are not changed by that.",
    "Nothing. Keep a copy of the state folder if you may want to go back to the older version.",
)
JOURNAL_NEWER = problem(
    "journal-newer",
    "The journal was written by a newer dockd.",
    "The dock does not start; nothing is changed.",
    "Install the newer dockd again.",
)
JOURNAL_DAMAGED = problem(
    "journal-damaged",
    "The journal's file or its chain of facts is damaged.",
    "Nothing is erased without a sound journal; cameras keep their footage.",
    "Keep the state folder as it is and restore the journal from its copy.",
)
JOURNAL_OF_ANOTHER = problem(
    "journal-of-another-dock",
    "The journal is that of a dock with another id.",
    "The dock does not start; nothing is changed.",
    "Set [dock] id as it was. A dock's id is never changed; a new dock gets a new state folder.",
)
CLOCK_BEHIND_JOURNAL = warning(
    "clock-behind-journal",
    "The journal's last fact is later than this host's clock says it is now.",
    "The times recorded with footage are wrong, either those before or those from now on.",
    "Compare the clock with another source (`date --utc`) and mend the time service before the dock goes on.",
)
STATE_SPACE_ENOUGH = ok("state-space-enough", "There is room for the journal.")
STATE_SPACE_SHORT = problem(
    "state-space-short",
    "Less than 256 MiB are free for the journal.",
    "When a fact cannot be written the dock stops; nothing is erased, and cameras keep their footage.",
    "Free space on the disk of the state folder.",
)


def lock_holder(host: Host, folder: Path) -> int | None:
    """The process that has the journal in `folder` open, by the kernel's own list; None when none has.

    Format of /proc/locks: proc(5). Raises OSError; LookupError when the kernel does not tell its locks.
    """
    path = folder / LOCK_NAME
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    locks = host.read("proc/locks")
    if locks is None:
        raise LookupError("the kernel does not tell who holds locks")
    written = path.read_text(encoding="ascii", errors="replace").strip()
    for line in locks.splitlines():
        fields = line.split()
        if "FLOCK" not in fields or "->" in fields or len(fields) < 6:
            continue
        pid, (major, minor, inode) = fields[4], fields[5].split(":")
        is_same_device = (int(major, 16), int(minor, 16)) == _device(status.st_dev)
        # Layered file systems show another device there than stat(2) does; then the process id decides.
        if int(inode) == status.st_ino and (is_same_device or pid == written):
            return int(pid)
    return None


def check_journal(examination: Examination) -> Iterator[Finding]:
    """In use, absent, cut off, or opened read-only and looked into."""
    settings = examination.settings
    folder = Path(settings.dock.state_folder) / "journal"
    holder = lock_holder(examination.host, folder)
    if holder is not None:
        yield JOURNAL_IN_USE.found(f"dockd runs as process {holder} and has {folder} open.")
        return
    path = folder / DATABASE_NAME
    if nearest_folder(path) != path:
        copies = _copies_in(Path(settings.staging.folder))
        if copies:
            yield JOURNAL_LOST.found(f"{copies} copies lie in {settings.staging.folder}; {path} is not there.")
        else:
            yield JOURNAL_ABSENT.found(f"{path} is not there.")
        return
    rollback = path.with_name(f"{path.name}-journal")
    if nearest_folder(rollback) == rollback and rollback.stat().st_size > 0:
        yield JOURNAL_CUT_OFF.found(f"{rollback} is there.")
        return
    yield from _look_into(examination, path)


def check_state_space(examination: Examination) -> Iterator[Finding]:
    """Free space where the journal grows."""
    folder = Path(examination.settings.dock.state_folder)
    reading = examination.host.statvfs(nearest_folder(folder))
    free_bytes = reading.f_bavail * reading.f_frsize
    kind = STATE_SPACE_SHORT if free_bytes < _LEAST_FREE_BYTES else STATE_SPACE_ENOUGH
    yield kind.found(f"{folder}: {free_bytes // 1024**2} MiB are free.")


def _look_into(examination: Examination, path: Path) -> Iterator[Finding]:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_BUSY_SECONDS)

    path.open("rb").close()  # SQLite would only say that it is "unable to open" what may not be read
    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield from _judge(examination, path, connection)
    except JournalCorrupt as error:
        yield JOURNAL_DAMAGED.found(error.what)
    except ConfigInvalid as error:
        yield JOURNAL_OF_ANOTHER.found(error.what)
    except DATABASE_ERRORS as error:
        ours = journal_error(error)
        if not isinstance(ours, JournalCorrupt):
            raise
        yield JOURNAL_DAMAGED.found(ours.what)
    finally:
        engine.dispose()


def _judge(examination: Examination, path: Path, connection: Connection) -> Iterator[Finding]:
    integrity.check_structure(connection, path)
    revision = standing.current(connection)
    if revision is None:
        raise JournalCorrupt(f"The file {path} holds no facts; it is not a journal or has lost its content.")
    if revision not in standing.revisions("dock"):
        yield JOURNAL_NEWER.found(f"It has schema {revision}, which this dockd does not know.")
        return
    if revision != standing.head("dock"):
        yield JOURNAL_OLDER.found(f"It has schema {revision}.")
        return
    number, _head = integrity.check_tail(connection, DockId(examination.settings.dock.id))
    yield JOURNAL_SOUND.found(f"{number} facts; the last {min(number, integrity.TAIL_FACTS)} were checked.")
    last = integrity.last_fact(connection)
    now = examination.host.clock.now()
    if last is not None and last.moment.at > now + _CLOCK_TOLERANCE:
        yield CLOCK_BEHIND_JOURNAL.found(_behind(last, now.isoformat(timespec="seconds")))


def _behind(last: RecordedFact, now: str) -> str:
    return f"Fact {last.number} is of {last.moment.at.isoformat(timespec='seconds')}; this host says it is {now}."


def _copies_in(staging: Path) -> int:
    try:
        return len(StagedFiles(staging, Disk()).finished())
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _device(number: int) -> tuple[int, int]:
    return os.major(number), os.minor(number)


CHECKS = (
    Check(
        "journal",
        "Is the journal sound, or in use by a running dockd?",
        check_journal,
        (
            JOURNAL_SOUND,
            JOURNAL_IN_USE,
            JOURNAL_ABSENT,
            JOURNAL_LOST,
            JOURNAL_CUT_OFF,
            JOURNAL_OLDER,
            JOURNAL_NEWER,
            JOURNAL_DAMAGED,
            JOURNAL_OF_ANOTHER,
            CLOCK_BEHIND_JOURNAL,
        ),
        "The dock checks its journal itself at every start, and does not start without a sound one.",
        "Run the doctor as root.",
    ),
    Check(
        "state-space",
        "Is there room for the journal?",
        check_state_space,
        (STATE_SPACE_ENOUGH, STATE_SPACE_SHORT),
        "Without room for the journal the dock stops.",
        "Run `df -h` on the state folder.",
    ),
)
