"""Says what the docks have to say at the moments when it is due, whether or not the centre keeps up (an open loop).

Every dock has three connections, as a real one has: facts, footage with heartbeats, the long poll for orders. Times are
counted from when a request was due, so that waiting in a dock's own queue counts too.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import itertools
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.force.day import Mishaps
from bench.force.docking import Footage, Manifest
from bench.force.docks import Fleet, Saying
from bench.force.handing import Handing
from bench.force.wire import Line, Network, Request, request_bytes
from dockd.dock.sections import ReporterConfig
from dockd.model.canonical import digest_of_bytes

HEARTBEAT_SECONDS = ReporterConfig().heartbeat_seconds
ORDER_WAIT_SECONDS = 50
_DRAIN_SECONDS = 120.0
_TICK_SECONDS = 0.005


class Refused(RuntimeError):
    """The centre answered what a dock's true request must never get."""


@dataclass(slots=True)
class Outcome:
    """One replay. Seconds of each call by its name, from when it was due to its answer."""

    seconds_of: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    replay_seconds: float = 0.0
    """From the first request to the last answer."""
    drained_seconds: float = 0.0
    """How long answers still came after the last request was due."""
    latest_seconds: float = 0.0
    """The most that the generator itself sent a request after it was due."""
    cpu_seconds: float = 0.0
    """Of the generator."""
    doubled: int = 0
    unanswered: int = 0

    @property
    def requests(self) -> int:
        return sum(map(len, self.seconds_of.values()))


class Replay:
    """Keeps the connections of all docks, for one replay after the other."""

    def __init__(self, fleet: Fleet, network: Network, mishaps: Mishaps, dice: random.Random) -> None:
        self._fleet = fleet
        self._network = network
        self._mishaps = mishaps
        self._dice = dice
        self._loop = asyncio.get_running_loop()
        ports = itertools.cycle(network.ports)
        self._facts, self._footage, self._orders = (
            [Line(network, number, next(ports)) for number in range(len(fleet.docks))] for _ in range(3)
        )
        self._heartbeats = [
            request_bytes("PUT", f"/api/v1/docks/{dock.name}/status", dock.status().model_dump_json().encode())
            for dock in fleet.docks
        ]
        self._outcome = Outcome()
        self._is_on = False
        self._handings = [Handing() for _ in fleet.docks]
        self._looks: list[tuple[float, int]] = []
        """When which dock's facts are due, in the loop's time; a heap."""
        self.receipts: dict[str, str] = {}
        """By digest, each as the centre gave it first."""
        self.contradictions: Counter[str] = Counter()

    async def connect(self) -> None:
        """Open every connection and begin the long polls."""
        lines = [*self._facts, *self._footage, *self._orders]
        await asyncio.gather(*(line.connect() for line in lines))
        for number in range(len(self._orders)):
            self._ask_for_orders(number)

    def close(self) -> None:
        """Hang up."""
        for line in (*self._facts, *self._footage, *self._orders):
            line.close()
        for task in self._network.tasks:
            task.cancel()

    async def run(self, sayings: Sequence[Saying], seconds: float) -> Outcome:
        """Say everything, and heartbeats all the while. Raises Refused."""
        self._outcome = outcome = Outcome()
        self._is_on = True
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            cpu, began = time.process_time(), self._loop.time()
            await self._say(sayings, began, seconds)
            self._is_on = False
            due = self._loop.time()
            await self._drain(due)
            outcome.cpu_seconds = time.process_time() - cpu
            outcome.drained_seconds = self._loop.time() - due
            outcome.replay_seconds = self._loop.time() - began
        finally:
            gc.enable()
            gc.unfreeze()
        if self.contradictions:
            raise Refused("; ".join(f"{count} x {words}" for words, count in self.contradictions.most_common(5)))
        return outcome

    # --- what is due --------------------------------------------------------------------------------

    async def _say(self, sayings: Sequence[Saying], began: float, seconds: float) -> None:
        beats = [
            (HEARTBEAT_SECONDS * number / len(self._heartbeats), number) for number in range(len(self._heartbeats))
        ]
        heapq.heapify(beats)
        place, end = 0, max(seconds, sayings[-1].at_seconds if sayings else 0.0)
        while True:
            now = self._loop.time() - began
            while place < len(sayings) and sayings[place].at_seconds <= now:
                saying = sayings[place]
                self._outcome.latest_seconds = max(self._outcome.latest_seconds, now - saying.at_seconds)
                self._dispatch(saying, began + saying.at_seconds)
                place += 1
            while beats[0][0] <= now:
                at, number = beats[0]
                self._footage[number].ask(Request("status", self._heartbeats[number], began + at, self._answered))
                heapq.heapreplace(beats, (at + HEARTBEAT_SECONDS, number))
            while self._looks and self._looks[0][0] <= now + began:
                self._hand_over(heapq.heappop(self._looks)[1])
            if place == len(sayings) and now >= end and not self._looks:
                return
            await asyncio.sleep(_TICK_SECONDS)

    def _dispatch(self, saying: Saying, due_at: float) -> None:
        name = self._fleet.docks[saying.dock].name
        if saying.facts:
            look_at = self._handings[saying.dock].write(saying.facts, due_at)
            if look_at is not None:
                heapq.heappush(self._looks, (look_at, saying.dock))
        elif isinstance(saying.ask, Footage):
            self._claim(saying.dock, saying.ask, due_at)
        elif isinstance(saying.ask, Manifest):
            one = saying.ask
            path = f"/api/v1/sessions/{name}/{one.session}/manifests/{one.name}"
            digest = digest_of_bytes(one.content)
            headers = f"Content-Type: application/octet-stream\r\nX-Content-SHA256: {digest}\r\n"
            content = request_bytes("PUT", path, one.content, headers=headers)
            self._footage[saying.dock].ask(Request("manifest", content, due_at, self._answered))

    def _hand_over(self, dock: int) -> None:
        handing = self._handings[dock]
        if (due := handing.due()) is None:
            return
        due_at, facts = due

        def taken(request: Request, status: int, body: bytes) -> None:
            self._noted(request, status, body)
            if handing.taken(self._loop.time()) is not None:
                self._hand_over(dock)

        content = request_bytes("PUT", f"/api/v1/docks/{self._fleet.docks[dock].name}/facts", facts)
        is_cut = self._dice.random() < self._mishaps.cut
        self._facts[dock].ask(Request("facts", content, due_at, taken, is_cut))
        if self._dice.random() < self._mishaps.doubled:
            self._outcome.doubled += 1
            self._facts[dock].ask(Request("facts again", content, due_at, self._answered))

    def _ask_for_orders(self, number: int) -> None:
        path = f"/api/v1/docks/{self._fleet.docks[number].name}/orders?after=0&wait={ORDER_WAIT_SECONDS}"

        def answered(request: Request, status: int, body: bytes) -> None:
            self._noted(request, status, body)
            self._ask_for_orders(number)

        self._orders[number].ask(Request("orders", request_bytes("GET", path), self._loop.time(), answered))

    # --- one recording: claim, part, complete ----------------------------------------------------------

    def _claim(self, dock: int, footage: Footage, due_at: float) -> None:
        line = self._footage[dock]

        def claimed(request: Request, status: int, body: bytes) -> None:
            self._noted(request, status, body)
            answer = json.loads(body) if status in (200, 201) else {}
            if answer.get("receipt"):
                self._receipted(footage.claim.digest, answer["receipt"])
            elif answer.get("upload"):
                send(answer["upload"])

        def send(upload: dict[str, object]) -> None:
            parts = upload["parts"]
            assert isinstance(parts, list)
            name = upload["upload"]

            def sent(request: Request, status: int, body: bytes) -> None:
                self._noted(request, status, body)
                path = f"/api/v1/uploads/{name}/complete"
                line.ask(Request("complete", request_bytes("POST", path), self._loop.time(), completed))

            if not parts:
                path = f"/api/v1/uploads/{name}/complete"
                line.ask(Request("complete", request_bytes("POST", path), self._loop.time(), completed))
                return
            path = "/" + parts[0]["url"].split("/", 3)[3]
            headers = "".join(f"{key}: {value}\r\n" for key, value in parts[0]["headers"].items())
            content = request_bytes("PUT", path, footage.content, headers=headers)
            line.ask(Request("part", content, self._loop.time(), sent))

        def completed(request: Request, status: int, body: bytes) -> None:
            self._noted(request, status, body)
            if status == 200:
                self._receipted(footage.claim.digest, json.loads(body))

        body = footage.claim.model_dump_json().encode()
        is_cut = self._dice.random() < self._mishaps.cut
        line.ask(Request("claim", request_bytes("POST", "/api/v1/recordings", body), due_at, claimed, is_cut))

    def _receipted(self, digest: str, receipt: dict[str, object]) -> None:
        text = json.dumps(receipt)
        if self.receipts.setdefault(digest, text) != text:
            self.contradictions[f"two receipts for {digest}"] += 1

    # --- answers ---------------------------------------------------------------------------------------

    def _answered(self, request: Request, status: int, body: bytes) -> None:
        self._noted(request, status, body)

    def _noted(self, request: Request, status: int, body: bytes) -> None:
        if not 200 <= status < 300:
            self.contradictions[f"{request.kind}: {status} {body.decode('utf-8', 'replace')[:300]}"] += 1
        if self._is_on or request.kind != "orders":
            self._outcome.seconds_of[request.kind].append(self._loop.time() - request.due_at)

    async def _drain(self, since: float) -> None:
        lines = [*self._facts, *self._footage]
        while (waiting := sum(line.waiting for line in lines)) and self._loop.time() - since < _DRAIN_SECONDS:
            if self.contradictions:
                break
            await asyncio.sleep(0.02)
        self._outcome.unanswered = waiting
