"""`dockd enrol` in a process that is killed: `python -m tests.support.killed_enrolment N TOKEN DOCK FOLDER`.

SIGKILL comes before the Nth step that others could see: a file that is opened for writing, renamed or removed in
FOLDER, or a connection that is begun. With fewer than N steps the enrolment is done, and the exit status is 0.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from dockd.clock import SystemClock
from dockd.dock.enrolment import enrol
from dockd.model.ids import DockId


def main() -> None:
    """Enrol, and be killed on the way."""
    nth, token, dock, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    steps = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal steps
        is_file = event in ("os.rename", "os.remove", "os.mkdir") and folder in str(arguments[0])
        writes = event == "open" and folder in str(arguments[0]) and bool(int(str(arguments[2])) & os.O_WRONLY)
        if is_file or writes or event == "socket.connect":
            steps += 1
            if steps == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    asyncio.run(enrol(token, DockId(dock), Path(folder), SystemClock()))


if __name__ == "__main__":
    main()
