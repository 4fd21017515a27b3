"""The journal itself: facts in, questions answered.

Puts together lock, file, writer and queries. Knows nothing of cameras, staging or the network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from dockd.clock import Clock
from dockd.dock.journal import integrity, projection
from dockd.dock.journal.database import Database, make_folder, prepare
from dockd.dock.journal.lock import FolderLock
from dockd.dock.journal.queries import JournalQueries
from dockd.dock.journal.writer import (
    DROP_CHECKPOINT,
    FORGET_PARTS_OF_OTHER_UPLOADS,
    NOTE_PART,
    SAVE_CHECKPOINT,
    Append,
    Note,
    Step,
    Writer,
)
from dockd.errors import JournalCorrupt
from dockd.model.facts import Fact, RecordedFact
from dockd.model.ids import Digest, DockId, RecordingId
from dockd.model.recording import CopyCheckpoint
from dockd.model.value import Value


class Changes:
    """One listener's view of a growing journal: of all facts, or of those of some kinds."""

    def __init__(self, kinds: Collection[type[Value]]) -> None:
        self._kinds = frozenset(kinds)
        self._news = asyncio.Event()

    async def wait(self) -> None:
        """Return when such a fact was appended since the last return (at first: since listening began)."""
        await self._news.wait()
        self._news.clear()

    def tell(self, kinds: Collection[type[Value]]) -> None:
        """Facts of these kinds were appended."""
        if not self._kinds or not self._kinds.isdisjoint(kinds):
            self._news.set()


class Journal(JournalQueries):
    """A dock's facts and what follows from them; the only meeting point of the dock's parts.

    Made by `open`, ended by `close`. Promises: facts are numbered without gaps and chained; a fact that
    `append` has returned survives a power cut; ledger and assignments always are what the facts say; a
    fact that contradicts them is refused and nothing of its append is written.
    """

    def __init__(self, lock: FolderLock, database: Database, dock: DockId, clock: Clock, head: tuple[int, Digest]):
        super().__init__(database)
        self._lock = lock
        self._clock = clock
        self._listeners: set[Changes] = set()
        self._writer = Writer(database, dock, head, self._tell)
        self._writer.start()

    @classmethod
    async def open(cls, folder: Path, *, dock: DockId, clock: Clock) -> Journal:
        """Lock, check, migrate and open the journal of `dock` in `folder`, or make a new one.

        The checks are bounded: SQLite's own on a file of ordinary size, the chain of the last facts on any.
        Raises JournalLocked (names the process), JournalCorrupt, JournalNewer, JournalUnwritable, and
        ConfigInvalid when the journal is another dock's.
        """
        make_folder(folder)
        lock = FolderLock(folder)
        try:
            preparing = asyncio.ensure_future(asyncio.to_thread(prepare, folder, dock))
            try:
                head = await asyncio.shield(preparing)
            except asyncio.CancelledError:
                # The thread cannot be stopped; the lock must outlive it.
                await asyncio.wait([preparing])
                raise
            database = await Database.connect(folder)
        except BaseException:
            lock.release()
            raise
        return cls(lock, database, dock, clock, head)

    async def close(self) -> None:
        """Write what was handed in, close the file and give the lock back; again is harmless."""
        try:
            await self._writer.stop()
        finally:
            await self._database.close()
            self._lock.release()

    @property
    def head(self) -> tuple[int, Digest]:
        """Number and hash of the last durable fact; (0, GENESIS) when there is none."""
        return self._writer.head

    async def append(self, *facts: Fact) -> tuple[RecordedFact, ...]:
        """Write `facts` durably, together or not at all, and return them numbered and chained.

        Appends that are under way at the same time share one transaction. A caller that is cancelled while
        waiting does not know whether its facts were written (they will be): it must look before it repeats.
        Raises LedgerBreak when one does not follow from the ledger, ValueError or TypeError for a value
        that no fact can hold; JournalUnwritable or JournalCorrupt when nothing may be written any more.
        """
        if not facts:
            return ()
        done: asyncio.Future[tuple[RecordedFact, ...]] = asyncio.get_running_loop().create_future()
        return await self._writer.submit(Append(facts, self._clock.moment(), done))

    async def save_checkpoint(self, recording: RecordingId, checkpoint: CopyCheckpoint) -> None:
        """Note durably how far the copy of `recording` is on the staging disk; replaces the one before.

        Forgotten by itself when the recording is staged, replaced, discarded or settled. Raises LedgerBreak
        when `recording` was never listed, else as `append`.
        """
        row = {
            "recording": recording,
            "offset_bytes": checkpoint.offset_bytes,
            "prefix_digest": checkpoint.prefix_digest,
            "session": checkpoint.session,
        }
        await self._note(recording, (SAVE_CHECKPOINT, row), must_be_listed=True)

    async def drop_checkpoint(self, recording: RecordingId) -> None:
        """Forget the checkpoint of `recording`, if there is one. Raises as `append`."""
        await self._note(recording, (DROP_CHECKPOINT, {"of": recording}), must_be_listed=False)

    async def note_part_finished(self, recording: RecordingId, upload: str, part_number: int) -> None:
        """Note durably that the store took a part (from 1); parts of another upload are forgotten.

        Forgotten by itself when the recording is accepted or rejected. Raises LedgerBreak when `recording`
        was never listed, else as `append`.
        """
        row = {"recording": recording, "upload": upload, "part_number": part_number}
        await self._note(
            recording,
            (FORGET_PARTS_OF_OTHER_UPLOADS, {"of": recording, "to_upload": upload}),
            (NOTE_PART, row),
            must_be_listed=True,
        )

    def changes(self, *kinds: type[Value]) -> AbstractContextManager[Changes]:
        """Listen for appended facts while the context lasts; only for those of `kinds`, if any are given.

        Listen for what matters: each look that a fact causes costs more than writing the fact.
        """
        return self._listening(kinds)

    async def verify_chain(self) -> int:
        """Check every fact from the first to the head of this moment; return how many there are.

        Appends go on meanwhile. Raises JournalCorrupt naming the first fact that does not hold.
        """
        number, head = self.head
        before: RecordedFact | None = None
        while (done := before.number if before else 0) < number:
            check = partial(
                integrity.check_facts_after, before=before, limit=min(integrity.FACTS_AT_ONCE, number - done)
            )
            checked = await self._database.run(check)
            if not checked:
                raise JournalCorrupt(f"Fact {done + 1} of {number} is missing from the journal.")
            before = checked[-1]
        if before is not None and before.hash != head:
            raise JournalCorrupt(f"Fact {number} of the journal is not the one that was written.")
        return number

    async def rebuild(self) -> None:
        """Build ledger and assignments afresh from all facts, in one transaction; appends wait.

        Raises JournalCorrupt when the facts contradict each other; then nothing was changed.
        """
        await self._database.run(_rebuild)

    async def _note(self, recording: RecordingId, *steps: Step, must_be_listed: bool) -> None:
        done: asyncio.Future[tuple[RecordedFact, ...]] = asyncio.get_running_loop().create_future()
        await self._writer.submit(Note(recording, steps, must_be_listed, done))

    @contextmanager
    def _listening(self, kinds: Collection[type[Value]]) -> Iterator[Changes]:
        listener = Changes(kinds)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def _tell(self, kinds: Collection[type[Value]]) -> None:
        for listener in self._listeners:
            listener.tell(kinds)


def _rebuild(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        projection.rebuild(connection)
        connection.exec_driver_sql("COMMIT")
    except BaseException as error:
        connection.exec_driver_sql("ROLLBACK")
        if isinstance(error, ValueError):
            raise JournalCorrupt(f"The journal's facts contradict each other: {error}.") from error
        raise
