"""The process that deletes dies by SIGKILL before each single step that changes the disk or the database.

A forked process runs retention over three recordings, of which one is held, and kills itself before the n-th step. The
parent sets a hold on a second one, opens the same folder and checks, for n = 1, 2, 3 … until a run gets through.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest

from dockd.central.database import sqlite_url
from dockd.central.retention.gate import LEASE
from dockd.central.retention.holds import HoldScope
from dockd.rules.retention import ROUTINE
from tests.central.test_centre_killed_at_every_step import Countdown, quick_folder
from tests.support.clock import START, ManualClock
from tests.support.retention_site import open_retention_site

__all__ = ["quick_folder"]

DAYS = 40
MOST_STEPS = 200
CONTENTS = (b"one", b"two", b"held")


async def prepare(folder: Path) -> list[str]:
    folder.mkdir(mode=0o700)
    async with open_retention_site(folder, sqlite_url(folder / "centre.sqlite"), ManualClock()) as site:
        digests = [await site.bring(one, recorded_at=START) for one in CONTENTS]
        await site.retention.decisions.classify(digests, ROUTINE, by="Ann", reason="nothing found")
        await site.retention.holds.set_hold(HoldScope(digest=digests[2]), by="Ann", reason="case 7")
    return digests


async def delete(folder: Path, fatal: int) -> None:
    clock = ManualClock()
    clock.advance(DAYS * 86_400)
    async with open_retention_site(folder, sqlite_url(folder / "centre.sqlite"), clock) as site:
        countdown = Countdown(fatal)
        for name in ("fsync", "unlink"):
            countdown.before(os, name)
        countdown.around_commits()
        await site.retention.runs.run(actor="Ann")


def run_until(folder: Path, fatal: int) -> bool:
    """Whether the run got through."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            asyncio.run(delete(folder, fatal))
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, "the run failed by itself"
    return True


async def check(folder: Path, digests: list[str]) -> None:
    """Whatever was done is told; whatever was not done obeys the hold that was set since; then all comes to its end."""
    clock = ManualClock()
    clock.advance(DAYS * 86_400)
    async with open_retention_site(folder, sqlite_url(folder / "centre.sqlite"), clock) as site:
        was_there = await site.has(digests[1])
        await site.retention.holds.set_hold(HoldScope(digest=digests[1]), by="Ann", reason="case 8")
        clock.advance(LEASE.total_seconds())
        await site.retention.runs.run(actor="Bob")
        assert not await site.has(digests[0])
        assert await site.has(digests[1]) is was_there, "a hold set after the kill wins"
        assert await site.has(digests[2])
        states = [await site.state(one) for one in digests]
        assert states[0] == "done"
        assert states[1] == ("done" if not was_there else states[1])
        assert "intended" not in states
        assert states[2] is None
        facts = await site.retention.facts.read(limit=1000)
        assert all(one.is_whole for one in facts)
        intended = [one.about["recordings"] for one in facts if one.kind == "DisposalIntended"]
        done = [one.about["recordings"] for one in facts if one.kind == "DisposalDone"]
        for digest in digests[:2]:
            if await site.state(digest) == "done":
                assert digest in str(intended), "nothing goes without its intent"
                assert str(done).count(digest) == 1, "what was done is told once"


@pytest.mark.slow
def test_whichever_step_was_the_last_nothing_held_goes_and_everything_is_told(quick_folder: Path) -> None:
    fresh = quick_folder / "fresh"
    digests = asyncio.run(prepare(fresh))
    for fatal in range(1, MOST_STEPS):
        folder = quick_folder / f"centre-{fatal}"
        shutil.copytree(fresh, folder)
        is_through = run_until(folder, fatal)
        asyncio.run(check(folder, digests))
        shutil.rmtree(folder)
        if is_through:
            print(f"killed before each of {fatal - 1} steps")
            assert fatal > 15
            return
    pytest.fail("no run ever got through")
