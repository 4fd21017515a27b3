"""Copying one recording, and reading its copy back, with the facts that belong to each.

Between the stages, which return values, and the journal, which keeps them.
"""

from __future__ import annotations

from collections.abc import Callable

from dockd.dock.eviction import make_room
from dockd.dock.journal import Journal
from dockd.dock.services import DockServices
from dockd.dock.stages.offload import CopyOrder, copy_recording
from dockd.dock.stages.verify import read_back
from dockd.dock.transfer.part_digests import KnownParts
from dockd.dock.worker import CameraThread
from dockd.driver_api import Storage
from dockd.errors import CopyDamaged, DigestMismatch, SourceChanged
from dockd.model import facts
from dockd.model.ids import SessionId
from dockd.model.recording import CopyCheckpoint, SourceFile
from dockd.rules.custody import Custody, LedgerEntry

_MISMATCHES_BEFORE_HOLD = 2
UNSETTLED = (Custody.LISTED, Custody.STAGED, Custody.VERIFIED, Custody.STORED)
"""States of a recording for which securing waits."""


async def copy_and_record(
    services: DockServices,
    session: SessionId,
    entry: LedgerEntry,
    source: SourceFile,
    storage: Storage,
    thread: CameraThread,
    progress: Callable[[int], None],
) -> KnownParts | None:
    """Copy one recording and write it down as STAGED; return the digests of its upload parts as far as known.

    Raises SourceChanged (the old listing is closed, the next listing is a new recording), StagingFull,
    StagingSuspect, CameraGone, DriverTimeout, CardUnreadable.
    """
    journal, staging = services.journal, services.staging

    async def save_checkpoint(checkpoint: CopyCheckpoint) -> None:
        await journal.save_checkpoint(entry.recording, checkpoint)

    await make_room(journal, staging, entry.size_bytes)
    order = CopyOrder(
        recording=entry.recording,
        source=source,
        session=session,
        checkpoint=await journal.checkpoint(entry.recording),
    )
    async with staging.turn(entry.recording):
        try:
            with staging.reserve(entry.recording, entry.size_bytes):
                copied = await copy_recording(
                    order,
                    storage=storage,
                    staging=staging,
                    run_blocking=thread.run_blocking,
                    save_checkpoint=save_checkpoint,
                    progress=progress,
                    settings=services.copying,
                    clock=services.clock,
                )
        except SourceChanged as change:
            await _close_if_still_there(services, session, entry, source, storage, change)
            raise
        staged = copied.staged
        if entry.state >= Custody.VERIFIED and staged.digest != entry.digest:
            staging.discard(entry.recording)
            await _replaced(services, session, entry, "the card gave other bytes than in an earlier session")
            raise SourceChanged(f"{entry.path.text} holds other footage than when it was first copied.")
        await journal.append(facts.RecordingStaged(staged=staged))
        return copied.parts


async def verify_and_record(
    services: DockServices,
    entry: LedgerEntry,
    thread: CameraThread,
    progress: Callable[[int], None],
    mismatches: dict[str, int],
    known_parts: KnownParts | None,
) -> None:
    """Read one staged copy back and write it down as VERIFIED; `known_parts` as `copy_and_record` returned them.

    A copy that gives back other bytes is thrown away: CopyDamaged the first time (it is copied
    again), DigestMismatch when it happens to the same recording again. Raises StagingSuspect.
    """
    async with services.staging.turn(entry.recording):
        staged = entry.staged_copy()
        try:
            verified = await read_back(
                staged,
                staging=services.staging,
                run_blocking=thread.run_blocking,
                progress=progress,
                known_parts=known_parts,
            )
        except DigestMismatch as mismatch:
            mismatches[entry.recording] = mismatches.get(entry.recording, 0) + 1
            await services.journal.append(
                facts.CopyDiscarded(recording=entry.recording, code=mismatch.code, reason=mismatch.what)
            )
            services.staging.discard(entry.recording)
            if mismatches[entry.recording] >= _MISMATCHES_BEFORE_HOLD:
                raise
            raise CopyDamaged(f"The copy of {entry.path.text} was damaged on the dock's disk.") from mismatch
        await services.journal.append(facts.RecordingVerified(verified=verified))


async def discard_missing_copy(services: DockServices, entry: LedgerEntry) -> None:
    """Write down a copy that the staging disk has lost (a replaced disk), so that it is made again.

    Waits for a sending that is under way: it may end with the receipt, and then there is nothing to make again.
    """
    if not _should_be_here(entry) or await services.staging.present(entry.recording, entry.size_bytes):
        return
    async with services.staging.turn(entry.recording):
        now = await services.journal.entry(entry.recording)
        if now is not None and _should_be_here(now):
            await services.journal.append(
                facts.CopyDiscarded(
                    recording=entry.recording, code="copy-missing", reason="the staging disk does not hold it any more"
                )
            )


def _should_be_here(entry: LedgerEntry) -> bool:
    return entry.has_copy and not entry.is_settled


async def check_copies(journal: Journal, session: SessionId) -> None:
    """Raise CopyDamaged when a copy that still had to be sent was given up: only offloading makes it again."""
    lost = await journal.entries(last_session=session, states=UNSETTLED, has_copy=False, is_on_card=True, limit=1)
    if lost:
        raise CopyDamaged(f"The copy of {lost[0].path.text} was damaged on the dock's disk before it was sent.")


async def rejection_words(journal: Journal, session: SessionId) -> str:
    """Why the centre takes some recordings of a session not at all, for staff."""
    entries = await journal.entries(last_session=session, states={Custody.REJECTED})
    refused = [entry for entry in entries if not entry.is_replaced]
    return f"The centre refuses {len(refused)} recordings, the first because: {refused[0].rejection}"


async def _close_if_still_there(
    services: DockServices,
    session: SessionId,
    entry: LedgerEntry,
    source: SourceFile,
    storage: Storage,
    change: SourceChanged,
) -> None:
    """A file that changed under its name is a new recording; one that vanished stays open and is reported missing."""
    if any(listed.path == source.path for listed in (await storage.list()).footage):
        await _replaced(services, session, entry, change.what)


async def _replaced(services: DockServices, session: SessionId, entry: LedgerEntry, reason: str) -> None:
    await services.journal.append(facts.RecordingReplaced(recording=entry.recording, session=session, reason=reason))
