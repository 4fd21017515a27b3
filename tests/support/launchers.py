"""Starting real processes for tests, and ending each of them by its id, also when the test fails.

Knows processes, logs and exit statuses; nothing of docks and centres.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0
_LEAVE_SECONDS = 30.0


class Daemon:
    """One process. `ended` becomes its exit status, negative for a signal."""

    def __init__(self, pid: int, ended: asyncio.Future[int], log: Path) -> None:
        self.pid = pid
        self.log = log
        self._ended = ended
        self._log_begins_at = 0

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def kill(self) -> int:
        """SIGKILL, as a power cut would; returns the exit status."""
        return await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM, as systemd would; returns the exit status."""
        return await self._end(signal.SIGTERM)

    async def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for the end; returns the exit status."""
        try:
            return await asyncio.wait_for(asyncio.shield(self._ended), seconds)
        except TimeoutError:
            raise AssertionError(f"process {self.pid} did not end within {seconds:g} s\n{self.end_of_log()}") from None

    async def _end(self, how: signal.Signals) -> int:
        if self.status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, how)
        return await self.wait(_LEAVE_SECONDS)

    def told(self, event: str) -> dict[str, Any] | None:
        """The first log line of this process that tells `event`."""
        for line in self._lines():
            with suppress(ValueError):
                told = json.loads(line)
                if isinstance(told, dict) and told.get("event") == event:
                    return told
        return None

    def end_of_log(self, lines: int = 12) -> str:
        """For messages."""
        return "\n".join(self._lines()[-lines:])

    def skip_log(self, size_bytes: int) -> None:
        """What an earlier process wrote to the same file is not this one's."""
        self._log_begins_at = size_bytes

    def _lines(self) -> list[str]:
        if not self.log.exists():
            return []
        return self.log.read_bytes()[self._log_begins_at :].decode("utf-8", "replace").splitlines()


class Launcher(Protocol):
    """Starts `python -m MODULE ARGUMENTS` with its output appended to `log`."""

    async def launch(self, module: str, *arguments: str, log: Path) -> Daemon: ...


class PlainLauncher:
    """Starts a new interpreter for every process, as an administrator does."""

    def __init__(self) -> None:
        self._running: list[tuple[Daemon, asyncio.Task[int]]] = []

    async def launch(self, module: str, *arguments: str, log: Path) -> Daemon:
        begins_at = log.stat().st_size if log.exists() else 0
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, *arguments),
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        ended = asyncio.create_task(process.wait())
        daemon = Daemon(process.pid, ended, log)
        daemon.skip_log(begins_at)
        self._running.append((daemon, ended))
        return daemon

    async def close(self) -> None:
        """Kill whatever still runs."""
        for daemon, _ in self._running:
            await daemon.kill()


class Nursery:
    """Starts processes in no time; see `tests/support/nursery.py`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._started: asyncio.Queue[tuple[int, asyncio.Future[int]]] = asyncio.Queue()
        self._running: dict[int, asyncio.Future[int]] = {}
        self._asking = asyncio.Lock()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls) -> Nursery:
        """Start it; returns when it is ready."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.nursery"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        nursery = cls(process)
        await asyncio.wait_for(nursery._started.get(), PATIENCE_SECONDS)
        return nursery

    async def launch(self, module: str, *arguments: str, log: Path) -> Daemon:
        begins_at = log.stat().st_size if log.exists() else 0
        request = {"module": module, "arguments": list(arguments), "log": str(log)}
        async with self._asking:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            pid, ended = await asyncio.wait_for(self._started.get(), PATIENCE_SECONDS)
        daemon = Daemon(pid, ended, log)
        daemon.skip_log(begins_at)
        return daemon

    async def close(self) -> None:
        """End it; it kills what it started and is still there."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "started" in told:
                pid = told["started"]
                self._running[pid] = asyncio.get_running_loop().create_future()
                self._started.put_nowait((pid, self._running[pid]))
            else:
                self._running.pop(told["ended"]).set_result(told["status"])


@asynccontextmanager
async def launching(launcher: PlainLauncher | Nursery) -> AsyncIterator[Launcher]:
    """Nothing that was launched inside the block outlives it."""
    try:
        yield launcher
    finally:
        await launcher.close()
