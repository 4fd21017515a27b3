"""The force's docks: their keys and chains, and everything that they will say, made ready before the clock runs.

Batches are linked and signed by the dock's own code. What must be found at the centre afterwards is kept beside. Knows
no wire and no centre.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.force.day import BAYS_PER_DOCK, Force, recordings_on_card
from bench.force.docking import Docking, Footage, Manifest, Sign, Step
from dockd.central.words import custody_words
from dockd.dock.keys import DockKey
from dockd.model import facts as f
from dockd.model.facts import Fact, RecordedFact, link
from dockd.model.ids import GENESIS
from dockd.model.moment import ClockSync, Moment
from dockd.rules.custody import recording_of
from dockd.rules.headline import Headline
from dockd.rules.receipts import PinnedStore
from dockd.wire.status import BayStatus, DockStatus

DAY_BEGAN_AT = datetime(2026, 11, 20, 0, 0, 0, tzinfo=UTC)
_BOOT = "00000000-0000-4000-8000-000000000001"
_CONTENT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Saying:
    """`at_seconds` after the start the dock writes facts down (the JSON of each), or asks for something."""

    at_seconds: float
    dock: int
    facts: tuple[str, ...] = ()
    ask: Footage | Manifest | None = None


@dataclass(slots=True)
class Dock:
    """One dock host. `hashes` are those of its chain, fact 1 first: what the centre must hold in the end."""

    number: int
    key: DockKey
    hashes: list[str] = field(default_factory=list)
    is_signed: bool = False

    @property
    def name(self) -> str:
        return f"dock-{self.number:05}"

    def append(self, bodies: Iterable[Fact | Sign], at: datetime) -> list[RecordedFact]:
        """Add to the chain, in one commit."""
        added = []
        for body in bodies:
            head = self.hashes[-1] if self.hashes else GENESIS
            fact = self._signed(body.why, head) if isinstance(body, Sign) else body
            milliseconds = int((at - DAY_BEGAN_AT) / timedelta(milliseconds=1))
            moment = Moment(
                at=at, monotonic_milliseconds=milliseconds, boot_id=_BOOT, clock_sync=ClockSync.SYNCHRONISED
            )
            added.append(link(self.name, len(self.hashes) + 1, head, moment, fact))
            self.hashes.append(added[-1].hash)
        return added

    def status(self) -> DockStatus:
        """A heartbeat with every bay in use."""
        bay = BayStatus(
            bay="bay-1",
            port="1-1.1",
            state="charging",
            headline=Headline.READY,
            words="Safe here and at the centre. Charging: 62 %.",
            since=DAY_BEGAN_AT,
            session=f"s-{self.number}-1",
            camera="massstorage:BWC000001",
            model="BWC 3",
            battery_percent=62,
            is_charging=True,
            recordings_listed=5,
            recordings_safe_here=5,
            recordings_accepted=5,
        )
        return DockStatus(
            dock=self.name,
            site=f"Site {self.number // 3}",
            version="0.1.0",
            at=DAY_BEGAN_AT,
            clock_sync=ClockSync.SYNCHRONISED,
            bays=tuple(bay.model_copy(update={"bay": f"bay-{n + 1}"}) for n in range(BAYS_PER_DOCK)),
            ready_count=BAYS_PER_DOCK,
            staging_free_bytes=2 * 10**12,
            staging_total_bytes=4 * 10**12,
            is_centre_reachable=True,
            centre_words="The centre answers.",
            waiting_recordings=0,
            waiting_bytes=0,
            oldest_waiting_since=None,
            facts=len(self.hashes),
            facts_at_centre=len(self.hashes),
        )

    def _signed(self, why: str, head: str) -> f.ChainSigned:
        signature = self.key.sign(head.encode("ascii"))
        return f.ChainSigned(through=len(self.hashes), head=head, signature=signature, why=why)


@dataclass(slots=True)
class Told:
    """Counts of everything that was made ready so far: what the centre's tables must hold in the end."""

    dockings: int = 0
    facts: int = 0
    recordings: int = 0
    custody_lines: int = 0
    claims: set[tuple[str, str, str]] = field(default_factory=set)
    """Digest, dock, recording."""
    manifests: int = 0

    def count(self, recorded: Sequence[RecordedFact]) -> None:
        """Count facts and what the centre makes of them."""
        self.facts += len(recorded)
        for one in recorded:
            self.dockings += isinstance(one.fact, f.CameraDocked)
            self.recordings += isinstance(one.fact, f.RecordingListed)
            self.custody_lines += recording_of(one.fact) is not None and custody_words(one.fact) is not None


class Fleet:
    """All docks of a force, whose chains go on from one replay to the next."""

    def __init__(
        self, force: Force, pinned: PinnedStore, dice: random.Random, *, already_stored: Sequence[bytes] = ()
    ) -> None:
        self.force = force
        self.told = Told()
        self.docks = [Dock(number, DockKey(Ed25519PrivateKey.generate())) for number in range(force.docks)]
        self._pinned = pinned
        self._dice = dice
        self._stored = already_stored
        self._turn: list[int] = []
        self._sessions = 0
        self._silent_until: dict[int, float] = {}

    def prepare(self, arrivals: Sequence[float], *, docking_seconds: float, stored_share: float) -> list[Saying]:
        """What all docks say when cameras dock at `arrivals`, in the order of time; late docks after their backlog."""
        by_dock: dict[int, list[tuple[float, Docking]]] = {}
        for at in arrivals:
            camera = self._next_camera()
            docking = self._docking(camera, at, stored_share)
            by_dock.setdefault(camera // BAYS_PER_DOCK, []).append((at, docking))
        streams = [list(self._told_by(self.docks[number], some, docking_seconds)) for number, some in by_dock.items()]
        self._silent_until.clear()
        return sorted((one for stream in streams for one in stream), key=lambda one: one.at_seconds)

    def prepare_late(self, dockings: int, *, at_seconds: float, stored_share: float) -> list[Saying]:
        """Days of dockings of docks that had no network, handed over from `at_seconds` in full batches.

        Each of these docks has the dockings of up to three days. To be made before `prepare` of the same replay.
        """
        sayings: list[Saying] = []
        while dockings > 0:
            number = self._dice.randrange(len(self.docks))
            dock, some = self.docks[number], min(dockings, 3 * BAYS_PER_DOCK)
            dockings -= some
            self._silent_until[number] = at_seconds
            recorded: list[RecordedFact] = []
            for turn in range(some):
                docking = self._docking(number * BAYS_PER_DOCK + turn % BAYS_PER_DOCK, turn * 3600.0, stored_share)
                for step in docking.steps(self._pinned, self._dice):
                    recorded += self._append(dock, step, docking.arrived_at)
                    if step.ask is not None:
                        sayings.append(Saying(at_seconds, number, ask=step.ask))
                        self._ask(dock, step.ask)
            sayings.append(Saying(at_seconds, number, facts=_texts(recorded)))
        return sayings

    # --- inside ---------------------------------------------------------------------------------

    def _told_by(self, dock: Dock, dockings: Sequence[tuple[float, Docking]], seconds: float) -> Iterator[Saying]:
        steps = heapq.merge(
            *(
                [(at + step.share * seconds, place, step) for step in docking.steps(self._pinned, self._dice)]
                for place, (at, docking) in enumerate(dockings)
            ),
            key=lambda one: one[:2],
        )
        silent_until = self._silent_until.get(dock.number, 0.0)
        for due, _, step in steps:
            at = max(due, silent_until)
            recorded = self._append(dock, step, DAY_BEGAN_AT + timedelta(days=2, seconds=at))
            yield Saying(at, dock.number, facts=_texts(recorded))
            if step.ask is not None:
                self._ask(dock, step.ask)
                yield Saying(at, dock.number, ask=step.ask)

    def _append(self, dock: Dock, step: Step, at: datetime) -> list[RecordedFact]:
        recorded: list[RecordedFact] = []
        if not dock.hashes:
            recorded = dock.append([f.DockStarted(version="0.1.0", public_key=dock.key.public_key)], at)
        recorded += dock.append(step.facts, at)
        self.told.count(recorded)
        return recorded

    def _ask(self, dock: Dock, ask: Footage | Manifest) -> None:
        if isinstance(ask, Manifest):
            self.told.manifests += 1
        else:
            self.told.claims.add((ask.claim.digest, dock.name, ask.claim.recording))

    def _docking(self, camera: int, at: float, stored_share: float) -> Docking:
        self._sessions += 1
        dice = self._dice
        return Docking(
            dock=self.docks[camera // BAYS_PER_DOCK].name,
            session=f"s-{self._sessions:08}",
            bay=f"bay-{camera % BAYS_PER_DOCK + 1}",
            camera=f"massstorage:BWC{camera:06}",
            officer=f"PC{camera:05}",
            arrived_at=DAY_BEGAN_AT + timedelta(seconds=at),
            contents=[
                dice.choice(self._stored) if self._stored and dice.random() < stored_share else _content(dice)
                for _ in range(recordings_on_card(dice))
            ],
        )

    def _next_camera(self) -> int:
        if not self._turn:
            self._turn = list(range(self.force.cameras))
            self._dice.shuffle(self._turn)
        return self._turn.pop()


def _content(dice: random.Random) -> bytes:
    return dice.randbytes(_CONTENT_BYTES)


def _texts(recorded: Sequence[RecordedFact]) -> tuple[str, ...]:
    return tuple(one.model_dump_json() for one in recorded)
