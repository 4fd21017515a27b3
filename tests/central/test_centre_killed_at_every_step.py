"""The centre dies by SIGKILL before each single step that changes the disk or the database, one after the other.

A forked process serves a centre and is its own client; it counts every fsync, link, unlink, write and
commit, and kills itself before the n-th. What had been acknowledged is on a pipe. The parent then opens the same
folder and checks the promises, for n = 1, 2, 3 … until a run gets through.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.app import serving_centre
from dockd.central.config import CentreConfig
from dockd.central.database import Database
from dockd.central.opening import initialise_centre
from dockd.model import facts as f
from dockd.model.ids import Digest
from dockd.model.recording import Receipt
from dockd.rules.receipts import PinnedStore, check_receipt
from tests.support.dock_voice import Chain, DockVoice, sha256

CONTENT = bytes(range(256)) * 20
CHAIN = Chain()
CHAIN.start()
CHAIN.add(f.CameraDocked(session="s1", bay="b", port="p"))
MANIFEST = b"a manifest\n"
MOST_STEPS = 400


def config(folder: Path) -> CentreConfig:
    return CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0)


class Countdown:
    """Dies before the step numbered `fatal`."""

    def __init__(self, fatal: int) -> None:
        self.left = fatal

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, module: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(module, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            self.step()
            return real(*arguments, **options)

        setattr(module, name, counted)

    def around_commits(self) -> None:
        real = Database.writing
        step = self.step

        @asynccontextmanager
        async def counted(database: Database) -> AsyncIterator[AsyncConnection]:
            async with real(database) as connection:
                yield connection
                step()  # everything was said, nothing committed
            step()  # committed, nobody told

        Database.writing = counted  # type: ignore[method-assign]


async def live(folder: Path, acknowledge: Callable[[str, Any], None]) -> None:
    async with serving_centre(config(folder)) as served, aiohttp.ClientSession() as session:
        dock = DockVoice(session, served.url)
        taken = await dock.put_facts(CHAIN.facts)
        acknowledge("facts", taken.json["number"])
        upload = (await dock.claim(CONTENT, part_size_bytes=2000)).json["upload"]
        for part in upload["parts"]:
            assert (await dock.put_part(part, CONTENT)).status == 204
            acknowledge("part", part["part_number"])
        acknowledge("receipt", (await dock.complete(upload["upload"])).json)
        headers = {"Content-Type": "text/plain", "X-Content-SHA256": sha256(MANIFEST)}
        path = "/api/v1/sessions/dock-7/s1/manifests/manifest-sha256.txt"
        assert (await dock.ask("PUT", path, data=MANIFEST, headers=headers)).status == 200
        acknowledge("manifest", path)


def child(folder: Path, fatal: int, told: int) -> None:
    """Never returns."""
    countdown = Countdown(fatal)
    for name in ("fsync", "fdatasync", "link", "unlink", "pwrite", "ftruncate"):
        countdown.before(os, name)
    countdown.around_commits()

    def acknowledge(what: str, value: Any) -> None:
        os.write(told, json.dumps([what, value]).encode() + b"\n")

    status = 1
    try:
        asyncio.run(live(folder, acknowledge))
        status = 0
    finally:
        os._exit(status)


def run_until(folder: Path, fatal: int) -> tuple[bool, list[list[Any]]]:
    """Whether the run got through, and what it acknowledged."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(folder, fatal, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = [json.loads(line) for line in pipe]
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False, told
    assert os.WEXITSTATUS(status) == 0, "the run failed by itself"
    return True, told


async def check(folder: Path, told: list[list[Any]]) -> None:
    """What was acknowledged is there; the rest can be brought to its end; nothing is left over."""
    pinned = PinnedStore.model_validate_json((folder / "pinned-store.json").read_bytes())
    async with serving_centre(config(folder)) as served, aiohttp.ClientSession() as session:
        dock = DockVoice(session, served.url)
        head = await dock.head()
        for what, value in told:
            if what == "facts":
                assert head["number"] >= value
            elif what == "manifest":
                assert (await dock.ask("GET", value)).body == MANIFEST
        answer = (await dock.claim(CONTENT, part_size_bytes=2000)).json
        receipts = [value for what, value in told if what == "receipt"]
        if receipts:
            assert answer["receipt"] == receipts[0]
        if answer["upload"] is not None:
            acknowledged = {value for what, value in told if what == "part"}
            assert acknowledged <= set(answer["upload"]["finished_parts"])
        receipt = Receipt.model_validate_json(json.dumps(await dock.send(CONTENT, part_size_bytes=2000)))
        check_receipt(receipt, pinned, digest=Digest(sha256(CONTENT)), size_bytes=len(CONTENT))
        assert (folder / receipt.object_key).read_bytes() == CONTENT
        assert (await dock.put_facts(CHAIN.facts)).json == {"number": 2, "head": CHAIN.head}
        assert list((folder / "uploads").iterdir()) == []


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: a killed process leaves the page cache whole, the disk adds only time."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="dockd-test-", dir=memory) as folder:
        yield Path(folder)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_whichever_step_was_the_last(quick_folder: Path) -> None:
    fresh = quick_folder / "fresh"
    asyncio.run(initialise_centre(fresh))
    for fatal in range(1, MOST_STEPS):
        folder = quick_folder / f"centre-{fatal}"
        shutil.copytree(fresh, folder)
        is_through, told = run_until(folder, fatal)
        asyncio.run(check(folder, told))
        if is_through:
            assert {what for what, _ in told} == {"facts", "part", "receipt", "manifest"}
            print(f"killed before each of {fatal - 1} steps")
            assert fatal > 30
            return
    pytest.fail("no run ever got through")
