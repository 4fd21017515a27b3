"""A real centre is killed with SIGKILL at random moments; what it acknowledged must be there afterwards.

The oracle keeps only what was acknowledged before the kill: a chain's head, parts answered with 204,
receipts. Unacknowledged work may be there or not. The seed is printed; `TEST_SEED` repeats the choices, though
not the scheduler's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dockd.central.opening import initialise_centre
from dockd.model import facts as f
from dockd.model.ids import GENESIS, Digest
from dockd.model.recording import Receipt
from dockd.rules.receipts import PinnedStore, check_receipt
from tests.support.dock_voice import Chain, DockVoice, sha256

KILLS = 6
PART_SIZE_BYTES = 40_000
_SERVE = """
import asyncio, sys
from dockd.central.app import run_centre
from dockd.central.config import CentreConfig
asyncio.run(run_centre(CentreConfig(folder=sys.argv[1], port=int(sys.argv[2]), free_space_floor_bytes=0)))
"""


class CentreProcess:
    """The centre as its own process on one folder and port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, session: aiohttp.ClientSession) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _SERVE, str(self.folder), str(self.port), stdout=asyncio.subprocess.DEVNULL
        )
        for _ in range(300):
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(f"{self.url}/api/v1/store") as response:
                    assert response.status == 200
                    return
            assert self.process.returncode is None, "the centre did not start again"
            await asyncio.sleep(0.05)
        pytest.fail("the centre does not answer")

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(how)
            await self.process.wait()


@dataclass
class Acknowledged:
    """What the centre said that it holds."""

    facts: int = 0
    parts: dict[str, set[int]] = field(default_factory=dict)
    receipts: dict[str, Any] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)


class Workload:
    """Everything a dock does at once, remembering what was acknowledged."""

    def __init__(self, dock: DockVoice, chance: random.Random) -> None:
        self.dock = dock
        self.chance = chance
        self.chain = Chain()
        self.chain.start()
        self.contents = [chance.randbytes(chance.randrange(0, 10 * PART_SIZE_BYTES)) for _ in range(24)]
        self.held = Acknowledged()

    async def run(self) -> None:
        """Until the connection breaks, or everything is done."""
        work = [self._facts(), self._manifests(), *(self._recordings(worker) for worker in range(4))]
        await asyncio.gather(*map(self._until_broken, work))

    async def _until_broken(self, work: Any) -> None:
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            await work

    async def _facts(self) -> None:
        for _ in range(60):
            self.chain.add(f.CameraDocked(session=f"s{len(self.chain.facts)}", bay="b", port="p"))
            if self.chance.random() < 0.2:
                self.chain.sign()
            reply = await self.dock.put_facts(self.chain.facts[self.held.facts :][:200])
            assert reply.status == 200, reply.body
            self.held.facts = reply.json["number"]

    async def _manifests(self) -> None:
        for number in range(60):
            name, content = f"{number}.txt", str(number).encode() * 50
            reply = await self.dock.ask(
                "PUT",
                f"/api/v1/sessions/dock-7/s1/manifests/{name}",
                data=content,
                headers={"Content-Type": "application/octet-stream", "X-Content-SHA256": sha256(content)},
            )
            assert reply.status == 200, reply.body
            self.held.manifests[name] = content

    async def _recordings(self, worker: int) -> None:
        # Two workers share every recording, so that claims, parts and completions of one upload meet.
        for content in self.contents[worker % 2 :: 2]:
            digest = sha256(content)
            if digest not in self.held.receipts:
                self.held.receipts[digest] = await self._send(content, digest)

    async def _send(self, content: bytes, digest: str) -> Any:
        while True:
            # As of before the question: the other worker may be told of a part while the answer is on its way.
            acknowledged = set(self.held.parts.get(digest, ()))
            answer = await self.dock.claim(content, part_size_bytes=PART_SIZE_BYTES)
            assert answer.status in (200, 201), answer.body
            if answer.json["receipt"]:
                return answer.json["receipt"]
            upload = answer.json["upload"]
            assert acknowledged <= set(upload["finished_parts"])
            for part in upload["parts"]:
                reply = await self.dock.put_part(part, content)
                if reply.status == 204:
                    self.held.parts.setdefault(digest, set()).add(part["part_number"])
                else:
                    assert reply.status == 503, reply.body
            receipt = await self.dock.complete(upload["upload"])
            if receipt.status == 200:
                return receipt.json
            assert receipt.code in ("parts-missing", "busy"), receipt.body

    async def check(self, folder: Path, pinned: PinnedStore) -> None:
        """Everything acknowledged is there, and right."""
        head = await self.dock.head()
        assert head["number"] >= self.held.facts
        assert head["head"] == ([GENESIS] + [fact.hash for fact in self.chain.facts])[head["number"]]
        for digest, told in self.held.receipts.items():
            content = next(one for one in self.contents if sha256(one) == digest)
            receipt = Receipt.model_validate_json(json.dumps(told))
            check_receipt(receipt, pinned, digest=Digest(digest), size_bytes=len(content))
            assert (folder / receipt.object_key).read_bytes() == content
            assert (await self.dock.claim(content, part_size_bytes=PART_SIZE_BYTES)).json["receipt"] == told
        for name, content in self.held.manifests.items():
            reply = await self.dock.ask("GET", f"/api/v1/sessions/dock-7/s1/manifests/{name}")
            assert reply.body == content


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_when_the_centre_is_killed(
    tmp_path: Path, seed: int, session: aiohttp.ClientSession
) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    folder = tmp_path / "centre"
    pinned = await initialise_centre(folder)
    centre = CentreProcess(folder)
    workload = Workload(DockVoice(session, centre.url), chance)
    try:
        for _ in range(KILLS):
            await centre.start(session)
            await workload.check(folder, pinned)
            running = asyncio.create_task(workload.run())
            await asyncio.sleep(chance.uniform(0.02, 0.9))
            await centre.kill()
            await running
        await centre.start(session)
        await workload.run()
        await workload.check(folder, pinned)
        assert len(workload.held.receipts) == len({sha256(one) for one in workload.contents})
        left = [file for file in (folder / "uploads").iterdir() if file.stat().st_size]
        assert left == []
        await centre.kill(signal.SIGTERM)
    finally:
        await centre.kill()
