"""A dock's chain on its way into an export: written line by line, replayed, and cut where it no longer concerns it.

The cut is made right after the first signed checkpoint that covers everything of concern, so that an
export tells of other cameras no more than its proof needs; without such a checkpoint nothing is cut.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from dockd.custody_out import bundle
from dockd.custody_out.content import measure_file
from dockd.custody_out.replay import ChainReplay
from dockd.model.facts import RecordedFact
from dockd.model.ids import RecordingId, SessionId

_FACTS_AT_ONCE = 500


class ChainCopy:
    """Reads and writes one chain; `close` it in any case."""

    def __init__(self, folder: bundle.ExportFolder, dock: str) -> None:
        self.replay = ChainReplay(dock)
        self._folder = folder
        self._dock = dock
        self._path = folder.path(bundle.facts_path(dock))
        self._file = self._path.open("xb")
        self._ends: list[int] = []

    async def read_all(self, facts: Callable[[str, int, int], Awaitable[tuple[RecordedFact, ...]]]) -> None:
        """Copy every fact that the archive gives, in its order, whole or broken. Raises as the archive does."""
        after = 0
        while batch := await facts(self._dock, after, _FACTS_AT_ONCE):
            for recorded in batch:
                self.replay.add(recorded)
                self._file.write(bundle.fact_line(recorded))
                self._ends.append(self._file.tell())
            if batch[-1].number <= after:
                return
            after = batch[-1].number

    def last_relevant(self, sessions: Collection[SessionId], recordings: Collection[RecordingId]) -> int:
        """Number of the last fact about any of these."""
        of_sessions = [record.last_number for name, record in self.replay.sessions.items() if name in sessions]
        return max([*of_sessions, *(self.replay.last_number_about(name) for name in recordings)], default=0)

    def finish(self, last_relevant: int) -> None:
        """Cut the copy, and write the keys and the last checkpoint of each key beside it."""
        covering = [one.number for one in self.replay.checkpoints if one.through >= last_relevant]
        # In a broken chain a fact's number does not tell its line: everything is kept for the proof to name.
        count = len(self._ends) if self.replay.chain_problems else min(covering, default=len(self._ends))
        self._file.truncate(self._ends[count - 1])
        bundle.settle(self._file)
        self._folder.digests[bundle.facts_path(self._dock)] = measure_file(self._path).digest
        for index, (key, number) in enumerate(self.replay.keys.items()):
            if number > count:
                continue
            folder = bundle.dock_key_folder(self._dock, index)
            made = [one for one in self.replay.checkpoints if one.key == index and one.number <= count]
            self._folder.write(f"{folder}/{bundle.PUBLIC_KEY_NAME}", bundle.public_pem(key))
            if made:
                self._folder.write(f"{folder}/{made[-1].through}.signed", made[-1].head.encode("ascii"))
                self._folder.write(f"{folder}/{made[-1].through}.signature", made[-1].signature)

    def close(self) -> None:
        """Close the file; a copy that was never finished is removed."""
        self._file.close()
        if bundle.facts_path(self._dock) not in self._folder.digests:
            self._path.unlink(missing_ok=True)
