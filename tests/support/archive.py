"""A dock's chain and a store's contents in memory, as an export finds them: real hashes, real signatures."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.custody_out.content import c4_of_bytes
from dockd.custody_out.lines import ManifestLine, SessionHeading
from dockd.custody_out.manifest import session_manifests
from dockd.custody_out.replay import ChainReplay
from dockd.errors import CentreRefused
from dockd.model import facts
from dockd.model.camera import CameraIdentity
from dockd.model.facts import Fact, RecordedFact, link
from dockd.model.ids import GENESIS, CameraId, CardPath, Digest, SessionId
from dockd.model.recording import PART_SIZE_BYTES
from dockd.wire.messages import (
    DockList,
    DockSummary,
    RecordingDetail,
    RecordingList,
    RecordingSummary,
    StoreDescription,
)
from tests.support.clock import START, ManualClock
from tests.support.custody import CAMERA, Footage, Signer, sha256


@dataclass
class MadeChain:
    """A dock that writes facts and signs them."""

    dock: str = "dock-1"
    private_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    facts: list[RecordedFact] = field(default_factory=list)
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.start()

    @property
    def public_key(self) -> str:
        return base64.b64encode(self.private_key.public_key().public_bytes_raw()).decode()

    def start(self) -> None:
        self.add(facts.DockStarted(version="0.1.0", public_key=self.public_key))

    def add(self, *bodies: Fact) -> None:
        for body in bodies:
            self.clock.advance(1.0)
            previous = self.facts[-1].hash if self.facts else GENESIS
            self.facts.append(link(self.dock, len(self.facts) + 1, previous, self.clock.moment(), body))

    def sign(self, why: str = "session end") -> None:
        head = self.facts[-1]
        signature = base64.b64encode(self.private_key.sign(head.hash.encode())).decode()
        self.add(facts.ChainSigned(through=head.number, head=head.hash, signature=signature, why=why))


@dataclass
class MadeArchive:
    """A store with the footage of some sessions; implements `custody_out.export.Archive`."""

    chain: MadeChain = field(default_factory=MadeChain)
    signer: Signer = field(default_factory=Signer)
    contents: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    footage: list[Footage] = field(default_factory=list)

    def session(
        self,
        name: str,
        contents: Iterable[bytes],
        *,
        camera: CameraId = CAMERA,
        erase: bool = True,
        accept: bool = True,
        sign: bool = True,
    ) -> list[Footage]:
        """A camera was docked, its footage taken, accepted, erased; it left."""
        chain = self.chain
        chain.add(
            facts.CameraDocked(session=name, bay="bay-1", port="folder:bay-1"),
            facts.CameraIdentified(
                session=name,
                bay="bay-1",
                driver="simulated",
                identity=CameraIdentity(camera=camera, maker="Example", model="One"),
            ),
        )
        taken = [
            Footage(content, CardPath((b"DCIM", b"%s %04d.MP4" % (name.encode(), number))), camera, SessionId(name))
            for number, content in enumerate(contents)
        ]
        chain.add(*(one.listed() for one in taken))
        for one in taken:
            chain.add(one.staged(), one.verified())
            if accept:
                self.contents[one.digest] = one.content
                chain.add(one.stored(), one.accepted(self.signer))
            if accept and erase:
                chain.add(one.wipe_intended(), one.erased())
        nothing = facts.Tally(count=0, size_bytes=0)
        chain.add(
            facts.SessionReconciled(
                session=name,
                camera=camera,
                listed=nothing,
                staged=nothing,
                stored=nothing,
                erased=nothing,
                retained=nothing,
                differences=(),
            )
        )
        self._store_manifests(name, taken)
        chain.add(facts.CameraUndocked(session=name, bay="bay-1", camera=camera))
        if sign:
            chain.sign()
        self.footage += taken
        return taken

    def _store_manifests(self, name: str, taken: list[Footage]) -> None:
        replay = ChainReplay(self.chain.dock)
        for recorded in self.chain.facts:
            replay.add(recorded)
        lines = [ManifestLine.of(replay.entries[one.recording], c4_of_bytes(one.content)) for one in taken]
        heading = SessionHeading(self.chain.dock, name, "bay-1", START, "0.1.0")
        for file_name, content in session_manifests(heading, lines).by_name():
            self.manifests[name, file_name] = content
            self.chain.add(
                facts.ManifestStored(session=name, name=file_name, digest=sha256(content), size_bytes=len(content))
            )

    # --- Archive ----------------------------------------------------------------------------------

    async def describe(self) -> StoreDescription:
        pinned = self.signer.pinned
        return StoreDescription(
            store=pinned.store,
            key=pinned.key,
            public_key=pinned.public_key,
            version="0.1.0",
            part_size_bytes=PART_SIZE_BYTES,
        )

    async def docks(self) -> DockList:
        return DockList(docks=(DockSummary(dock=self.chain.dock, facts=len(self.chain.facts), last_heard_at=None),))

    async def recordings(self, filters: dict[str, str], after: str | None) -> RecordingList:
        found = [
            one
            for one in map(self._summary, self.footage)
            if all(getattr(one, name) == value for name, value in filters.items())
        ]
        start = int(after or 0)
        left = len(found) > start + 2
        return RecordingList(recordings=tuple(found[start : start + 2]), next_after=str(start + 2) if left else None)

    async def recording(self, digest: Digest) -> RecordingDetail:
        sources = tuple(self._summary(one) for one in self.footage if one.digest == digest)
        if not sources:
            raise CentreRefused("There is none.", status=404, refusal="not-found")
        return RecordingDetail(sources=sources, receipt=None, custody=())

    @asynccontextmanager
    async def content(self, digest: Digest) -> AsyncIterator[AsyncIterator[bytes]]:
        if digest not in self.contents:
            raise CentreRefused("There is none.", status=404, refusal="not-found")

        async def pieces() -> AsyncIterator[bytes]:
            content = self.contents[digest]
            for at in range(0, len(content), 1000):
                yield content[at : at + 1000]

        yield pieces()

    async def facts(self, dock: str, after: int, limit: int) -> tuple[RecordedFact, ...]:
        return tuple(self.chain.facts[after : after + min(limit, 7)]) if dock == self.chain.dock else ()

    async def manifest(self, dock: str, session: str, name: str) -> bytes:
        try:
            return self.manifests[session, name]
        except KeyError:
            raise CentreRefused("There is none.", status=404, refusal="not-found") from None

    def _summary(self, one: Footage) -> RecordingSummary:
        listed = one.listed()
        return RecordingSummary(
            digest=one.digest,
            size_bytes=len(one.content),
            dock=self.chain.dock,
            recording=one.recording,
            camera=one.camera,
            session=one.session,
            path=one.path.text,
            recorded_at=listed.recorded_at,
            officer=listed.officer,
            container=one.copy().container,
            accepted_at=START,
        )
