"""From a card's listing to the ledger: what is new, what is known, what is gone.

Also repairs what a kill left between erasing a recording and writing that down: a recording whose
wipe was intended and that the card does not list any more was erased.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dockd.dock.journal import Journal
from dockd.model import facts
from dockd.model.ids import CameraId, RecordingId, SessionId
from dockd.model.recording import SourceFile
from dockd.rules.catalogue import identify_recording, recorded_at
from dockd.rules.custody import Custody, LedgerEntry
from dockd.rules.issuing import holder_at

_FACTS_PER_TRANSACTION = 200


@dataclass(frozen=True, slots=True)
class Intake:
    """What the card held when it was listed in this session."""

    sources: dict[RecordingId, SourceFile]
    missing: tuple[str, ...]
    """Path texts of recordings listed before, never copied, and not on the card any more."""


async def take_in(
    journal: Journal,
    session: SessionId,
    camera: CameraId,
    footage: tuple[SourceFile, ...],
    clock_offset: timedelta | None,
) -> Intake:
    """Write facts for every file that the card lists, and for those that it does not list any more."""
    assignments = await journal.assignments(camera)
    sources: dict[RecordingId, SourceFile] = {}
    batch: list[facts.Fact] = []
    for source in footage:
        known = await journal.latest(camera, source)
        recording, generation, is_new = identify_recording(camera, source, known)
        sources[recording] = source
        if is_new:
            at = _plausible(recorded_at(source.untrusted_recorded_at, clock_offset))
            batch.append(
                facts.RecordingListed(
                    recording=recording,
                    session=session,
                    camera=camera,
                    path=source.path.text,
                    size_bytes=source.size_bytes,
                    modified_ns=source.modified_ns,
                    generation=generation,
                    recorded_at=at,
                    officer=holder_at(assignments, camera, at),
                )
            )
        elif known is not None and known.last_session != session:
            batch.append(facts.RecordingSeen(recording=recording, session=session))
        if len(batch) >= _FACTS_PER_TRANSACTION:
            await journal.append(*batch)
            batch.clear()
    missing: list[str] = []
    async for entry in journal.each_entry(camera=camera, is_on_card=True):
        if entry.recording in sources:
            continue
        batch.append(_closing(entry, session))
        if isinstance(batch[-1], facts.RecordingReplaced) and not entry.is_safe_here and not entry.has_copy:
            missing.append(entry.path.text)
    if batch:
        await journal.append(*batch)
    return Intake(sources=sources, missing=tuple(missing))


def _closing(entry: LedgerEntry, session: SessionId) -> facts.Fact:
    """What is to be said of a recording that the card does not list any more."""
    if entry.state is Custody.ACCEPTED and entry.is_wipe_intended:
        return facts.RecordingErased(recording=entry.recording, session=session)
    return facts.RecordingReplaced(
        recording=entry.recording, session=session, reason="the camera's card does not list it any more"
    )


def _plausible(at: datetime | None) -> datetime | None:
    """A time that a fact can hold (years of four digits); a camera may claim anything."""
    return at if at is not None and at.year >= 1000 else None
