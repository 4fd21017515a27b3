"""Speaks to a centre as a dock would, one call at a time and by hand, so that tests can say wrong things too."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from json import loads
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.model.facts import ChainSigned, DockStarted, Fact, RecordedFact, link
from dockd.model.ids import GENESIS
from tests.support.clock import ManualClock


def sha256(content: bytes) -> str:
    """Hexadecimal."""
    return hashlib.sha256(content).hexdigest()


class Chain:
    """A dock's facts, properly linked and signed."""

    def __init__(self, dock: str = "dock-7", *, clock: ManualClock | None = None) -> None:
        self.dock = dock
        self.clock = clock or ManualClock()
        self.private = Ed25519PrivateKey.generate()
        self.facts: list[RecordedFact] = []

    @property
    def public_key(self) -> str:
        raw = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return base64.b64encode(raw).decode("ascii")

    @property
    def head(self) -> str:
        return self.facts[-1].hash if self.facts else GENESIS

    def add(self, *bodies: Fact) -> list[RecordedFact]:
        """Append and return the new facts."""
        begin = len(self.facts)
        for body in bodies:
            self.facts.append(link(self.dock, len(self.facts) + 1, self.head, self.clock.moment(), body))
        return self.facts[begin:]

    def start(self) -> list[RecordedFact]:
        return self.add(DockStarted(version="0.1.0", public_key=self.public_key))

    def sign(self, *, head: str | None = None, through: int | None = None) -> list[RecordedFact]:
        """Append a checkpoint, by default a true one."""
        signed = head or self.head
        signature = base64.b64encode(self.private.sign(signed.encode("ascii"))).decode("ascii")
        return self.add(
            ChainSigned(through=through or len(self.facts), head=signed, signature=signature, why="session end")
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """What the centre answered."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return loads(self.body)

    @property
    def code(self) -> str:
        """Of a problem answer."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self.body
        return str(self.json["code"])


def refused(reply: Reply, code: str, *words: str) -> None:
    """Asserts a refusal with this code, whose words say all of this."""
    assert (reply.code, reply.status // 100) == (code, 4), reply.body
    for one in words:
        assert one in reply.json["detail"]


class DockVoice:
    """One dock's calls to one centre."""

    def __init__(self, session: aiohttp.ClientSession, url: str, dock: str = "dock-7") -> None:
        self.session = session
        self.url = url
        self.dock = dock

    async def ask(self, method: str, path: str, **options: Any) -> Reply:
        """Any request; `path` may be an absolute address."""
        address = path if path.startswith("http") else self.url + path
        async with self.session.request(method, address, **options) as response:
            return Reply(response.status, await response.read(), response.headers)

    async def put_facts(self, facts: list[RecordedFact], *, dock: str | None = None) -> Reply:
        batch = {"facts": [fact.model_dump(mode="json") for fact in facts]}
        return await self.ask("PUT", f"/api/v1/docks/{dock or self.dock}/facts", json=batch)

    async def head(self) -> Any:
        return (await self.ask("GET", f"/api/v1/docks/{self.dock}/facts/head")).json

    def claim_body(self, content: bytes, *, part_size_bytes: int = 1000, **changes: Any) -> dict[str, Any]:
        parts = [content[at : at + part_size_bytes] for at in range(0, len(content), part_size_bytes)]
        return {
            "dock": self.dock,
            "recording": sha256(content)[:32],
            "camera": "simulated:CAM-1",
            "session": "session-1",
            "digest": sha256(content),
            "size_bytes": len(content),
            "part_size_bytes": part_size_bytes,
            "part_digests": [sha256(part) for part in parts],
            "path": "DCIM/100MEDIA/A0001.MP4",
            "recorded_at": "2026-11-22T05:30:00.000000Z",
            "officer": "PC1234",
            "container": "complete",
            **changes,
        }

    async def claim(self, content: bytes, **changes: Any) -> Reply:
        return await self.ask("POST", "/api/v1/recordings", json=self.claim_body(content, **changes))

    async def put_part(self, part: Mapping[str, Any], content: bytes, **options: Any) -> Reply:
        """Send the part of `content` that the address is for."""
        body = content[part["offset_bytes"] : part["offset_bytes"] + part["size_bytes"]]
        return await self.ask("PUT", part["url"], **{"data": io.BytesIO(body), "headers": part["headers"], **options})

    async def complete(self, upload: str) -> Reply:
        return await self.ask("POST", f"/api/v1/uploads/{upload}/complete")

    async def send(self, content: bytes, **changes: Any) -> Any:
        """Claim, send every missing part, complete; return the receipt."""
        answer = await self.claim(content, **changes)
        assert answer.status in (200, 201), answer.body
        if answer.json["receipt"]:
            return answer.json["receipt"]
        upload = answer.json["upload"]
        for part in upload["parts"]:
            reply = await self.put_part(part, content)
            assert reply.status in (200, 204), reply.body  # a bucket says 200
        receipt = await self.complete(upload["upload"])
        assert receipt.status == 200, receipt.body
        return receipt.json
