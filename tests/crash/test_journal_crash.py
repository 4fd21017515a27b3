"""A journal whose process is killed at any moment: what was acknowledged is there, and all of it agrees."""

from __future__ import annotations

import asyncio
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dockd.clock import SystemClock
from dockd.dock.journal import Journal
from dockd.errors import JournalLocked
from tests.support.journals import DOCK

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 8


async def start_appender(
    folder: Path, turn: int, *, before: Callable[[], None] | None = None
) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.journal_appender",
        str(folder),
        str(turn),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=before,
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
    return process


async def acknowledged_until_the_end(process: asyncio.subprocess.Process) -> list[tuple[int, str]]:
    assert process.stdout is not None
    text = (await process.stdout.read()).decode()
    lines = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [(int(number), digest) for number, digest in lines]


async def check(folder: Path, acknowledged: list[tuple[int, str]]) -> int:
    """Open the journal after the crash and hold it against what was acknowledged; return its head."""
    journal = await Journal.open(folder, dock=DOCK, clock=SystemClock())
    try:
        last = await journal.verify_chain()
        facts = await journal.facts_after(0, last)
        hashes = {one.number: one.hash for one in facts}
        assert len(facts) == last
        assert [one for one in acknowledged if hashes.get(one[0]) != one[1]] == []
        assert await journal.projection_differences() == ()
        return last
    finally:
        await journal.close()


async def test_killed_at_random_moments_loses_nothing_acknowledged(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    acknowledged: list[tuple[int, str]] = []
    for turn in range(ROUNDS):
        process = await start_appender(tmp_path, turn)
        reading = asyncio.create_task(acknowledged_until_the_end(process))
        await asyncio.sleep(chance.uniform(0.02, 0.6))
        process.send_signal(signal.SIGKILL)
        fresh = await reading
        assert await process.wait() == -signal.SIGKILL
        acknowledged += fresh
        assert await check(tmp_path, acknowledged) >= len(acknowledged)
    numbers = [number for number, _ in acknowledged]
    assert len(numbers) == len(set(numbers)) > ROUNDS


async def test_killed_while_it_is_made_is_made_anew(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for turn in range(4):
        folder = tmp_path / str(turn)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.journal_appender", str(folder), "0", cwd=ROOT, stdout=subprocess.PIPE
        )
        for _ in range(3000):
            if folder.exists():
                break
            await asyncio.sleep(0.002)
        await asyncio.sleep(chance.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        assert process.stdout is not None
        await process.stdout.read()
        await process.wait()
        await check(folder, [])


async def test_other_process_holds_the_lock_until_it_is_killed(tmp_path: Path) -> None:
    process = await start_appender(tmp_path, 0)
    reading = asyncio.create_task(acknowledged_until_the_end(process))
    with pytest.raises(JournalLocked, match=f"process {process.pid}"):
        await Journal.open(tmp_path, dock=DOCK, clock=SystemClock())
    process.send_signal(signal.SIGKILL)
    acknowledged = await reading
    await process.wait()
    await check(tmp_path, acknowledged)


async def test_disk_without_room_ends_the_process_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    def allow_no_large_file() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    process = await start_appender(tmp_path, 0, before=allow_no_large_file)
    acknowledged = await asyncio.wait_for(acknowledged_until_the_end(process), 120)
    assert process.stderr is not None
    trace = (await process.stderr.read()).decode()
    assert await process.wait() == 1
    assert "JournalUnwritable" in trace
    assert len(acknowledged) > 10
    assert await check(tmp_path, acknowledged) == len(acknowledged)
