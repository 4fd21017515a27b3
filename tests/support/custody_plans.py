"""Random days at several docks, planned first and then told as facts, and what an auditor must find in them.

The expectation is worked out from the plan, by other rules in other words than production has: nothing here reads a
fact back. Recordings may go wrong in every way, also in ways that must be impossible.
"""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.central.identity import Identity
from dockd.model import facts as f
from dockd.model.camera import CameraIdentity, ClockReading
from dockd.model.facts import Fact, RecordedFact, Tally, link
from dockd.model.ids import GENESIS
from dockd.model.moment import ClockSync, Moment
from dockd.model.recording import (
    ByteRange,
    ContainerVerdict,
    ReadBackMethod,
    Receipt,
    StagedRecording,
    StoredRecording,
    VerifiedRecording,
)
from tests.support.clock import START
from tests.support.dock_voice import sha256

CAMERAS = ("simulated:A", "simulated:B", "simulated:C")
OFFICERS = ("PC1", "PC2", None)
LISTED, STAGED, VERIFIED, STORED, ACCEPTED, ERASED = range(1, 7)


@dataclass
class PlannedRecording:
    """What becomes of one recording at one dock."""

    dock: str
    recording: str
    camera: str
    session: str
    officer: str | None
    recorded_at: datetime | None
    depth: int
    content: bytes
    is_unreadable: bool = False
    is_rejected: bool = False
    is_replaced: bool = False
    is_rogue: bool = False
    is_unsynchronised: bool = False
    is_copied_twice: bool = False

    @property
    def path(self) -> str:
        return f"DCIM/{self.recording[-6:]}.MP4"

    def differences(self, others: list[PlannedRecording]) -> set[str]:
        """What an auditor must find; `others` are the same recording at other docks."""
        found: set[str] = set()
        if self.is_rogue:
            found |= {"erased-unaccepted", "broken-order"}
        if self.is_rejected:
            found.add("rejected")
        if self.is_replaced and self.depth < ACCEPTED:
            found.add("replaced")
        if self.is_unreadable and self.depth >= STAGED:
            found.add("unreadable")
        if self.officer is None:
            found.add("no-holder")
        if self.recorded_at is None:
            found.add("no-time")
        if self.is_unsynchronised:
            found.add("host-clock")
        was_stored = any(one.depth >= ACCEPTED for one in others)
        was_erased = any(one.depth == ERASED for one in others)
        if self.depth < ACCEPTED and not (self.is_rogue or self.is_rejected or was_stored):
            found.add("never-stored")
        if self.depth == ACCEPTED and not (self.is_replaced or was_erased):
            found.add("not-erased")
        return found


@dataclass
class PlannedSession:
    """What becomes of one session."""

    dock: str
    session: str
    bay: str
    camera: str | None
    has_clock: bool
    books: str
    is_ended: bool
    is_duplicate: bool
    is_unsynchronised: bool
    is_succeeded: bool = False

    def differences(self) -> set[str]:
        found: set[str] = set()
        if self.is_duplicate:
            found.add("duplicate-identity")
        if self.is_unsynchronised:
            found.add("host-clock")
        if self.camera is not None and self.books in ("named", "counted"):
            found.add("counts-differ")
        if self.is_ended or self.is_succeeded:
            if self.camera is None:
                found.add("not-identified")
            elif self.books == "none":
                found.add("not-reconciled")
            if self.camera is not None and not self.has_clock:
                found.add("camera-clock")
        return found


@dataclass
class ToldDock:
    """A dock that writes what is planned for it."""

    dock: str
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    facts: list[RecordedFact] = field(default_factory=list)
    at: datetime = START

    def add(self, *bodies: Fact, sync: ClockSync = ClockSync.SYNCHRONISED) -> None:
        for body in bodies:
            self.at += timedelta(seconds=1)
            moment = Moment(at=self.at, monotonic_milliseconds=1, boot_id="boot", clock_sync=sync)
            previous = self.facts[-1].hash if self.facts else GENESIS
            self.facts.append(link(self.dock, len(self.facts) + 1, previous, moment, body))

    def start(self) -> None:
        raw = self.private.public_key().public_bytes_raw()
        self.add(f.DockStarted(version="0.1.0", public_key=base64.b64encode(raw).decode()))

    def sign(self) -> None:
        head = self.facts[-1].hash
        signature = base64.b64encode(self.private.sign(head.encode())).decode()
        self.add(f.ChainSigned(through=len(self.facts), head=head, signature=signature, why="session end"))


@dataclass
class PlannedForce:
    """Some docks with everything that is to happen at them."""

    random: random.Random
    identity: Identity
    docks: list[ToldDock] = field(default_factory=list)
    recordings: list[PlannedRecording] = field(default_factory=list)
    sessions: list[PlannedSession] = field(default_factory=list)
    holders: list[tuple[str, str, str, str, datetime, datetime | None]] = field(default_factory=list)
    """(dock, assignment, camera, officer, from, until)."""

    def plan(self, prefix: str, *, docks: int = 2, sessions: int = 4, recordings: int = 5) -> PlannedForce:
        """Plan and tell everything."""
        for number in range(docks):
            told = ToldDock(f"{prefix}-{number}")
            told.start()
            self.docks.append(told)
            for place in range(sessions):
                self._session(told, f"s{place}", recordings)
            if self.random.random() < 0.5:
                self._assignments(told)
            told.sign()
        return self

    def others(self, one: PlannedRecording) -> list[PlannedRecording]:
        """The same recording at other docks."""
        return [other for other in self.recordings if other.recording == one.recording and other.dock != one.dock]

    def expected(self) -> dict[tuple[str, str], set[str]]:
        """All differences of recordings by (dock, recording), also where there are none."""
        return {(one.dock, one.recording): one.differences(self.others(one)) for one in self.recordings}

    def _session(self, told: ToldDock, name: str, recordings: int) -> None:
        rng = self.random
        bay = rng.choice(("1", "2"))
        for before in self.sessions:
            if before.dock == told.dock and before.bay == bay and not before.is_ended:
                before.is_succeeded = True
        one = PlannedSession(
            dock=told.dock,
            session=name,
            bay=bay,
            camera=rng.choice((*CAMERAS, None)),
            has_clock=rng.random() < 0.8,
            books=rng.choice(("good", "good", "named", "counted", "none")),
            is_ended=rng.random() < 0.8,
            is_duplicate=rng.random() < 0.1,
            is_unsynchronised=rng.random() < 0.1,
        )
        self.sessions.append(one)
        sync = ClockSync.UNKNOWN if one.is_unsynchronised else ClockSync.SYNCHRONISED
        told.add(f.CameraDocked(session=name, bay=bay, port="1-1"), sync=sync)
        if one.is_duplicate:
            told.add(f.SessionMoved(session=name, from_state="identifying", to_state="held", code="duplicate-identity"))
        if one.camera is not None:
            self._identified(told, one, recordings)
        if one.is_ended:
            told.add(f.CameraUndocked(session=name, bay=bay, camera=one.camera))
        if rng.random() < 0.3:
            told.sign()

    def _identified(self, told: ToldDock, one: PlannedSession, recordings: int) -> None:
        assert one.camera is not None
        identity = CameraIdentity(camera=one.camera, maker="m", model="Sim")
        told.add(f.CameraIdentified(session=one.session, bay=one.bay, driver="simulated", identity=identity))
        if one.has_clock:
            reading = ClockReading(camera_at=START, host_at=START, offset_milliseconds=-5, uncertainty_milliseconds=1)
            told.add(f.ClockMeasured(session=one.session, camera=one.camera, reading=reading))
        plans = [self._recording(told, one) for _ in range(self.random.randrange(recordings))]
        ways = [self._way(plan) for plan in plans if plan is not None]
        while ways := [way for way in ways if way]:  # interleaved, each in its own order
            body, sync = self.random.choice(ways).pop(0)
            told.add(body, sync=sync)
        if one.books != "none":
            tally = Tally(count=3, size_bytes=30)
            less = Tally(count=2, size_bytes=20)
            told.add(
                f.SessionReconciled(
                    session=one.session,
                    camera=one.camera,
                    listed=tally,
                    staged=tally,
                    stored=tally,
                    erased=less if one.books == "counted" else tally,
                    retained=Tally(count=0, size_bytes=0),
                    differences=("a.MP4: staged",) if one.books == "named" else (),
                )
            )

    def _recording(self, told: ToldDock, session: PlannedSession) -> PlannedRecording | None:
        rng = self.random
        prefix = told.dock.rpartition("-")[0]
        name = sha256(f"{prefix} {session.camera} {rng.randrange(12)}".encode())[:32]
        if any(one.dock == told.dock and one.recording == name for one in self.recordings):
            return None
        twin = next((one for one in self.recordings if one.recording == name), None)
        kind = rng.random()
        depth = rng.randint(LISTED, ERASED)
        plan = PlannedRecording(
            dock=told.dock,
            recording=name,
            camera=session.camera or "",
            session=session.session,
            officer=twin.officer if twin else rng.choice(OFFICERS),
            recorded_at=twin.recorded_at if twin else rng.choice((START - timedelta(hours=rng.randrange(99)), None)),
            depth=depth,
            content=name.encode(),
            is_unreadable=rng.random() < 0.1,
            is_unsynchronised=rng.random() < 0.1,
            is_copied_twice=rng.random() < 0.2,
        )
        if kind < 0.1 and depth < ACCEPTED:
            plan.is_rogue = True
        elif kind < 0.2 and depth < ACCEPTED:
            plan.is_rejected = True
        elif kind < 0.3 and depth < ERASED:
            plan.is_replaced = True
        self.recordings.append(plan)
        return plan

    def _way(self, plan: PlannedRecording) -> list[tuple[Fact, ClockSync]]:
        bodies = [self._listed(plan)]
        copy = StagedRecording(
            recording=plan.recording,
            session=plan.session,
            digest=sha256(plan.content),
            size_bytes=len(plan.content),
            unreadable=(ByteRange(start_byte=0, end_byte=4),) if plan.is_unreadable else (),
            container=ContainerVerdict.COMPLETE,
            is_read_whole=True,
        )
        verified = VerifiedRecording(
            staged=copy, method=ReadBackMethod.O_DIRECT, part_size_bytes=1000, part_digests=(copy.digest,)
        )
        steps: list[list[Fact]] = [
            [f.RecordingStaged(staged=copy)],
            [f.RecordingVerified(verified=verified)],
            [
                f.RecordingStored(
                    stored=StoredRecording(
                        recording=plan.recording, digest=copy.digest, size_bytes=copy.size_bytes, upload="up-1"
                    )
                )
            ],
            [f.RecordingAccepted(recording=plan.recording, receipt=self.receipt(copy.digest, copy.size_bytes))],
            [
                f.WipeIntended(session=plan.session, recording=plan.recording),
                f.RecordingErased(recording=plan.recording, session=plan.session),
            ],
        ]
        if plan.is_copied_twice:
            discarded = f.CopyDiscarded(recording=plan.recording, code="read-back-differs", reason="Differs.")
            steps[0] = [*steps[0], discarded, *steps[0]]
        for some in steps[: plan.depth - 1]:
            bodies += some
        if plan.is_rejected:
            bodies.append(f.RecordingRejected(recording=plan.recording, code="never", reason="=HYPERLINK(1)"))
        if plan.is_replaced:
            bodies.append(f.RecordingReplaced(recording=plan.recording, session=plan.session, reason="Other bytes."))
        if plan.is_rogue:
            bodies.append(f.RecordingErased(recording=plan.recording, session=plan.session))
        first = ClockSync.UNSYNCHRONISED if plan.is_unsynchronised else ClockSync.SYNCHRONISED
        return [(body, first if not place else ClockSync.SYNCHRONISED) for place, body in enumerate(bodies)]

    def _listed(self, plan: PlannedRecording) -> Fact:
        return f.RecordingListed(
            recording=plan.recording,
            session=plan.session,
            camera=plan.camera,
            path=plan.path,
            size_bytes=len(plan.content),
            modified_ns=1,
            generation=0,
            recorded_at=plan.recorded_at,
            officer=plan.officer,
        )

    def receipt(self, digest: str, size_bytes: int) -> Receipt:
        """Signed by the centre, whether it holds the bytes or not."""
        pinned = self.identity.pinned
        return self.identity.sign(
            Receipt(
                store=pinned.store,
                digest=digest,
                size_bytes=size_bytes,
                object_key=f"objects/{digest}",
                accepted_at=START,
                key=pinned.key,
                signature="",
            )
        )

    def _assignments(self, told: ToldDock) -> None:
        for number in range(self.random.randrange(4)):
            camera, officer = self.random.choice(CAMERAS), self.random.choice(("PC1", "PC2"))
            began, name = told.at, f"a{number}"
            told.add(f.AssignmentStarted(assignment=name, camera=camera, officer=officer, started_at=began))
            until: datetime | None = None
            if self.random.random() < 0.6:
                until = told.at + timedelta(hours=1)
                told.add(f.AssignmentEnded(assignment=name, camera=camera, officer=officer, ended_at=until))
            self.holders.append((told.dock, name, camera, officer, began, until))
