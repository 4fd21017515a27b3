"""The fixtures in tests/conftest.py do catch what they promise to catch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LEAKING = """
import asyncio, threading

release = threading.Event()

async def test_that_leaves_a_task():
    test_that_leaves_a_task.kept = asyncio.create_task(asyncio.sleep(100))

def test_that_leaves_a_thread():
    threading.Thread(target=release.wait, args=(10,), name="left-over").start()

async def test_that_tidies_up(clock, seed):
    release.set()
    task = asyncio.create_task(clock.sleep(5))
    await asyncio.to_thread(lambda: None)
    await clock.run_for(5)
    await task
    assert seed == 77
"""


@pytest.mark.slow
def test_a_test_that_leaves_a_task_or_a_thread_fails_and_a_tidy_one_does_not(tmp_path: Path) -> None:
    file = tmp_path / "test_leaking.py"
    file.write_text(LEAKING)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", "setup.cfg", "-p", "tests.conftest"),
            *("-o", f"cache_dir={tmp_path}/cache", str(file)),
        ],
        cwd=ROOT,
        env={**os.environ, "TEST_SEED": "77", "LEFT_THREADS_SECONDS": "0.2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "seed: TEST_SEED=77" in done.stdout
    assert "ERROR " in done.stdout
    assert "left tasks running" in done.stdout
    assert "left threads running: left-over" in done.stdout
    assert "3 passed, 2 errors" in done.stdout
