"""A process that has every import done and forks on request: what `python -m MODULE …` runs, started in no time.

`python -m tests.support.nursery`, one JSON object on each line. Asked `{"module": …, "arguments": […],
"log": …}`, it answers `{"started": PID}`, and `{"ended": PID, "status": N}` when that process is gone (as
`subprocess` counts: negative for a signal). A child is a process of its own, in a session of its own; what it runs
is what the interpreter would run, only the second and a half of importing is saved, of which a test with two
hundred daemons has no two hundred to spare. When its standard input ends, it kills every child that is left.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import sys
import traceback
from contextlib import suppress
from typing import Any

_PRELOADED = (
    "dockd.cli.run",
    "dockd.cli.central_serve",
    "drivers.simulated",
    "drivers.massstorage",
    "migrations.runner",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "tests.support.crashing_dock",
)


def _become(request: dict[str, Any]) -> int:
    """In the child: run the module as `python -m` would; return the exit status."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, descriptor)
    os.closerange(3, 64)
    sys.argv = [request["module"], *request["arguments"]]
    # The module itself must be run afresh, as __main__; what it imports is there already.
    sys.modules.pop(request["module"] if request["module"].startswith("tests.") else "dockd.__main__", None)
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 # what the interpreter does with the last of all errors
        traceback.print_exc()
        return 1
    return 0


def _fork(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = _become(request)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)
    return pid


def _tell(words: dict[str, int]) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def _reap(children: set[int]) -> None:
    for pid in tuple(children):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            children.discard(pid)
            _tell({"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _serve() -> None:
    children: set[int] = set()
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    unread = b""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
        _reap(children)
        if 0 in ready:
            chunk = os.read(0, 65_536)
            if not chunk:
                break
            *lines, unread = (unread + chunk).split(b"\n")
            for line in lines:
                pid = _fork(json.loads(line))
                children.add(pid)
                _tell({"started": pid})
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # else every child's first collection would copy all these pages
    _tell({"started": os.getpid()})
    _serve()
