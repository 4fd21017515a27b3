"""A process that appends facts as fast as it can and tells which of them were acknowledged, until it is killed.

`python -m tests.support.journal_appender FOLDER ROUND`; prints `ready`, then `NUMBER HASH` per fact.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from dockd.clock import SystemClock
from dockd.dock.journal import Journal
from dockd.model.ids import CameraId, SessionId
from dockd.model.recording import CopyCheckpoint
from tests.support.journals import DOCK, footage, whole_way


async def _append_for_ever(journal: Journal, camera: CameraId) -> None:
    for number in itertools.count():
        one = footage(number, camera=camera)
        way = list(whole_way(one))
        # Sometimes one by one, sometimes together: both must be whole or absent after a kill.
        groups = [way[:1], way[1:4], way[4:]] if number % 2 else [[fact] for fact in way]
        for group in groups:
            acknowledged = await journal.append(*group)
            text = "".join(f"{fact.number} {fact.hash}\n" for fact in acknowledged)
            # One write(2), so that a kill cannot leave half of a line that looks like a whole one.
            os.write(1, text.encode())
            await journal.save_checkpoint(one.recording, CopyCheckpoint(number, one.digest, SessionId("s")))


async def _run(folder: Path, turn: str) -> None:
    journal = await Journal.open(folder, dock=DOCK, clock=SystemClock())
    os.write(1, b"ready\n")
    async with asyncio.TaskGroup() as group:
        for bay in range(4):
            group.create_task(_append_for_ever(journal, CameraId(f"simulated:{turn}-{bay}")))


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), sys.argv[2]))
