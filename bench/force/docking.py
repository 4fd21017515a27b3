"""What one docking makes a dock write down and ask the centre, in the dock's own types and in its order.

Each step is one commit of the dock's journal, which its reporter hands over at once. Follows `dock/docking.py`,
`copying.py`, `erasure.py` and `manifests.py`. Knows facts and claims. Must not know chains, wires or clocks.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dockd.model import camera as c
from dockd.model import facts as f
from dockd.model.recording import (
    PART_SIZE_BYTES,
    ConfirmedSource,
    ContainerVerdict,
    ReadBackMethod,
    Receipt,
    StagedRecording,
    StoredRecording,
    VerifiedRecording,
)
from dockd.rules.lifecycle import State
from dockd.rules.receipts import PinnedStore
from dockd.wire.messages import Claim

CARD_BYTES = 64_000_000_000
_SIGNED_BEFOREHAND = base64.b64encode(bytes(64)).decode("ascii")


@dataclass(frozen=True, slots=True)
class Footage:
    """One recording: its bytes (few of them, so that the disk is not what is measured) and its claim."""

    content: bytes
    claim: Claim


@dataclass(frozen=True, slots=True)
class Manifest:
    """One of a session's two manifests."""

    session: str
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Sign:
    """A checkpoint over everything so far belongs here."""

    why: str


@dataclass(frozen=True, slots=True)
class Step:
    """`share` of the docking's length after its beginning: these facts in one commit, and what is asked then."""

    share: float
    facts: tuple[f.Fact | Sign, ...]
    ask: Footage | Manifest | None = None


@dataclass(frozen=True, slots=True)
class Docking:
    """One camera in one bay, from arrival to issue."""

    dock: str
    session: str
    bay: str
    camera: str
    officer: str
    arrived_at: datetime
    contents: Sequence[bytes]
    """What is on the card."""

    def footage(self) -> list[Footage]:
        """The recordings with their claims."""
        return [self._footage(number, content) for number, content in enumerate(self.contents)]

    def steps(self, pinned: PinnedStore, dice: random.Random) -> Iterator[Step]:
        """Everything that is written and asked, in order."""
        recordings = self.footage()
        yield from self._arrival(recordings, dice)
        copied = 0.05
        for number, one in enumerate(recordings):
            copied = 0.05 + 0.3 * (number + 1) / len(recordings)
            yield Step(copied, (f.RecordingStaged(staged=_staged(one)),))
        yield Step(0.37, (self._moved(State.OFFLOADING, State.VERIFYING),))
        for number, one in enumerate(recordings):
            verified = VerifiedRecording(
                staged=_staged(one),
                method=ReadBackMethod.O_DIRECT,
                part_size_bytes=one.claim.part_size_bytes,
                part_digests=one.claim.part_digests,
            )
            share = 0.38 + 0.1 * (number + 1) / len(recordings)
            yield Step(share, (f.RecordingVerified(verified=verified),), ask=one)
        yield Step(0.5, (self._moved(State.VERIFYING, State.SECURING),))
        for number, one in enumerate(recordings):
            share = 0.5 + 0.2 * (number + 1) / len(recordings)
            yield Step(share, self._accepted(one, pinned))
        yield from self._leaving(recordings, dice)

    # --- the parts of it ------------------------------------------------------------------------

    def _arrival(self, recordings: Sequence[Footage], dice: random.Random) -> Iterator[Step]:
        offset = dice.randint(-90_000, 90_000)
        reading = c.ClockReading(
            camera_at=self.arrived_at + timedelta(milliseconds=offset),
            host_at=self.arrived_at,
            offset_milliseconds=offset,
            uncertainty_milliseconds=510,
        )
        docked = f.CameraDocked(session=self.session, bay=self.bay, port=f"1-1.{self.bay[4:]}")
        yield Step(0.0, (docked, self._moved(State.ARRIVED, State.UNLOCKING)))
        identity = c.CameraIdentity(camera=self.camera, maker="Example", model="BWC 3", firmware="1.4.2")
        space = c.SpaceReading(total_bytes=CARD_BYTES, free_bytes=CARD_BYTES // 2)
        battery = c.BatteryReading(percent=dice.randint(5, 60), is_charging=True)
        listed = tuple(
            f.RecordingListed(
                recording=one.claim.recording,
                session=self.session,
                camera=self.camera,
                path=one.claim.path,
                size_bytes=one.claim.size_bytes,
                modified_ns=dice.getrandbits(60),
                generation=0,
                recorded_at=one.claim.recorded_at,
                officer=self.officer,
            )
            for one in recordings
        )
        yield Step(
            0.01,
            (
                self._moved(State.UNLOCKING, State.IDENTIFYING),
                f.CameraIdentified(
                    session=self.session,
                    bay=self.bay,
                    driver="massstorage",
                    identity=identity,
                    battery=battery,
                    space=space,
                ),
                f.ClockMeasured(session=self.session, camera=self.camera, reading=reading),
                f.AssignmentEnded(
                    assignment=f"a-{self.session}",
                    camera=self.camera,
                    officer=self.officer,
                    ended_at=self.arrived_at,
                ),
            ),
        )
        yield Step(0.02, (self._moved(State.IDENTIFYING, State.OFFLOADING), *listed))

    def _leaving(self, recordings: Sequence[Footage], dice: random.Random) -> Iterator[Step]:
        names = [one.claim.recording for one in recordings]
        intents = tuple(f.WipeIntended(session=self.session, recording=name) for name in names)
        erased = tuple(f.RecordingErased(session=self.session, recording=name) for name in names)
        confirmed = tuple(
            f.SourceConfirmed(
                source=ConfirmedSource(
                    recording=one.claim.recording,
                    session=self.session,
                    digest=one.claim.digest,
                    size_bytes=one.claim.size_bytes,
                )
            )
            for one in recordings
        )
        yield Step(0.72, (self._moved(State.SECURING, State.WIPING), *confirmed))
        yield Step(0.73, (*intents, Sign("before wipe")))
        yield Step(0.74, (*erased, self._space(recordings)))
        yield Step(0.76, (self._reconciled(recordings), self._moved(State.WIPING, State.PREPARING)))
        for name in ("manifest.mhl", "manifest-sha256.txt") if recordings else ():
            content = "".join(f"{one.claim.digest}  {one.claim.path}\n" for one in recordings).encode()
            kept = f.ManifestStored(
                session=self.session, name=name, digest=hashlib.sha256(content).hexdigest(), size_bytes=len(content)
            )
            yield Step(0.78, (kept,), ask=Manifest(self.session, name, content))
        yield Step(0.8, (Sign("manifests stored"),))
        reading = c.ClockReading(
            camera_at=self.arrived_at, host_at=self.arrived_at, offset_milliseconds=0, uncertainty_milliseconds=510
        )
        yield Step(
            0.82,
            (
                f.ClockSet(session=self.session, camera=self.camera, reading=reading),
                self._moved(State.PREPARING, State.CHARGING),
            ),
        )
        for share, percent in ((0.85, 41), (0.9, 80)):
            battery = c.BatteryReading(percent=percent, is_charging=True)
            yield Step(share, (f.BatteryRead(session=self.session, camera=self.camera, battery=battery),))
        yield Step(0.93, (self._moved(State.CHARGING, State.READY),))
        yield from self._issued(dice)

    def _issued(self, dice: random.Random) -> Iterator[Step]:
        assignment, officer = f"a-{self.session}-next", f"PC{dice.randrange(1000, 99_999)}"
        intended = f.AssignmentIntended(
            assignment=assignment, session=self.session, bay=self.bay, camera=self.camera, officer=officer
        )
        written = f.AssignmentWritten(assignment=assignment, session=self.session, is_on_camera=True)
        started = f.AssignmentStarted(
            assignment=assignment,
            camera=self.camera,
            officer=officer,
            started_at=self.arrived_at + timedelta(hours=1),
        )
        undocked = f.CameraUndocked(session=self.session, bay=self.bay, camera=self.camera)
        yield Step(0.95, (intended, written))
        yield Step(1.0, (started, undocked, self._moved(State.READY, State.GONE), Sign("session end")))

    def _accepted(self, one: Footage, pinned: PinnedStore) -> tuple[f.Fact, ...]:
        """Prepared before the centre signs: the receipt inside has the form of the real one, and no signature."""
        claim = one.claim
        stored = StoredRecording(
            recording=claim.recording,
            digest=claim.digest,
            size_bytes=claim.size_bytes,
            upload=f"up-{claim.digest[:24]}",
        )
        receipt = Receipt(
            store=pinned.store,
            digest=claim.digest,
            size_bytes=claim.size_bytes,
            object_key=f"objects/{claim.digest[:2]}/{claim.digest[2:4]}/{claim.digest}",
            accepted_at=self.arrived_at,
            key=pinned.key,
            signature=_SIGNED_BEFOREHAND,
        )
        return f.RecordingStored(stored=stored), f.RecordingAccepted(recording=claim.recording, receipt=receipt)

    def _footage(self, number: int, content: bytes) -> Footage:
        digest = hashlib.sha256(content).hexdigest()
        claim = Claim(
            dock=self.dock,
            recording=hashlib.sha256(f"{self.session}/{number}".encode()).hexdigest()[:32],
            camera=self.camera,
            session=self.session,
            digest=digest,
            size_bytes=len(content),
            part_size_bytes=PART_SIZE_BYTES,
            part_digests=(digest,),
            path=f"DCIM/100MEDIA/{self.arrived_at:%Y%m%d}_{number:04}.MP4",
            recorded_at=self.arrived_at - timedelta(minutes=5 * (len(self.contents) - number)),
            officer=self.officer,
            container=ContainerVerdict.COMPLETE,
        )
        return Footage(content, claim)

    def _moved(self, before: State, after: State) -> f.SessionMoved:
        return f.SessionMoved(session=self.session, from_state=before.value, to_state=after.value)

    def _space(self, recordings: Sequence[Footage]) -> f.SpaceMeasured:
        size = sum(one.claim.size_bytes for one in recordings)
        before = c.SpaceReading(total_bytes=CARD_BYTES, free_bytes=CARD_BYTES // 2)
        after = c.SpaceReading(total_bytes=CARD_BYTES, free_bytes=CARD_BYTES // 2 + size)
        return f.SpaceMeasured(session=self.session, before=before, after=after, erased_bytes=size)

    def _reconciled(self, recordings: Sequence[Footage]) -> f.SessionReconciled:
        all_of_them = f.Tally(count=len(recordings), size_bytes=sum(one.claim.size_bytes for one in recordings))
        nothing = f.Tally(count=0, size_bytes=0)
        return f.SessionReconciled(
            session=self.session,
            camera=self.camera,
            listed=all_of_them,
            staged=all_of_them,
            stored=all_of_them,
            erased=all_of_them,
            retained=nothing,
            differences=(),
        )


def _staged(one: Footage) -> StagedRecording:
    return StagedRecording(
        recording=one.claim.recording,
        session=one.claim.session,
        digest=one.claim.digest,
        size_bytes=one.claim.size_bytes,
        container=one.claim.container,
        is_read_whole=True,
    )
