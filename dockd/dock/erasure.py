"""Erasing with a clearance each: intent → act → read back → done.

Makes every `Clearance` through `rules.custody.clear`, writes all intents before the first erase, and
writes a recording as ERASED only after the card itself does not list it any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dockd.dock.journal import Journal
from dockd.dock.stages.wipe import Wiped, wipe
from dockd.driver_api import Clearance, Storage
from dockd.errors import EraseFailed, SourceChanged
from dockd.model import facts
from dockd.model.ids import Digest, RecordingId, SessionId
from dockd.model.recording import ConfirmedSource
from dockd.rules.custody import Custody, LedgerEntry, NotCleared, clear, is_grace_over
from dockd.rules.receipts import PinnedStore, check_receipt

_FACTS_PER_TRANSACTION = 200

ConfirmSource = Callable[[LedgerEntry], Awaitable[ConfirmedSource]]
"""Reads the card's bytes of one recording in whole again. Raises SourceChanged when they differ."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What one wipe did: the card's own account, and what was kept on purpose with the reason."""

    wiped: Wiped
    retained: dict[RecordingId, str]


@dataclass(frozen=True, slots=True)
class Eraser:
    """Erases what may be erased of one card in one session."""

    journal: Journal
    storage: Storage
    session: SessionId
    pinned: PinnedStore
    grace: timedelta
    confirm: ConfirmSource
    is_read_twice: bool
    """Confirm also what was copied in one piece in this session."""
    sign_chain: Callable[[str], Awaitable[None]]

    async def erase_cleared(self, now: datetime) -> Erasure:
        """Erase every recording that this session listed and that may be erased now.

        Raises EraseFailed, SourceChanged (other bytes lie under a cleared name; nothing was erased),
        and what the driver raises.
        """
        clearances: list[Clearance] = []
        retained: dict[RecordingId, str] = {}
        async for entry in self.journal.each_entry(last_session=self.session):
            if not entry.is_on_card:
                continue
            try:
                clearances.append(await self._clear(entry, now))
            except NotCleared as refusal:
                retained[entry.recording] = refusal.reason
        if clearances:
            await self._intend(clearances)
        wiped = await wipe(self.storage, clearances)
        await self._write_down(wiped)
        if wiped.still_listed:
            raise EraseFailed(f"The card still lists {wiped.still_listed[0]!r} after it was erased.")
        return Erasure(wiped=wiped, retained=retained)

    async def _clear(self, entry: LedgerEntry, now: datetime) -> Clearance:
        if entry.state is not Custody.ACCEPTED or entry.receipt is None or entry.digest is None:
            raise NotCleared(f"It is {entry.state.name.lower()} and not yet accepted by the central store.")
        if entry.unreadable:
            raise NotCleared("The card could not be read in whole; the original is kept for a specialist.")
        if not is_grace_over(entry.receipt, now, self.grace):
            raise NotCleared("The grace period is not over.")
        receipt = check_receipt(entry.receipt, self.pinned, digest=entry.digest, size_bytes=entry.size_bytes)
        source = await self._confirmed(entry, entry.digest)
        return clear(entry, receipt, source, session=self.session, now=now, grace=self.grace)

    async def _confirmed(self, entry: LedgerEntry, digest: Digest) -> ConfirmedSource:
        if entry.is_read_whole and entry.staged_session == self.session and not self.is_read_twice:
            return ConfirmedSource(
                recording=entry.recording, session=self.session, digest=digest, size_bytes=entry.size_bytes
            )
        try:
            source = await self.confirm(entry)
        except SourceChanged as change:
            await self.journal.append(
                facts.RecordingReplaced(recording=entry.recording, session=self.session, reason=change.what)
            )
            raise
        await self.journal.append(facts.SourceConfirmed(source=source))
        return source

    async def _intend(self, clearances: list[Clearance]) -> None:
        intents = [facts.WipeIntended(session=self.session, recording=one.recording) for one in clearances]
        for start in range(0, len(intents), _FACTS_PER_TRANSACTION):
            await self.journal.append(*intents[start : start + _FACTS_PER_TRANSACTION])
        await self.sign_chain("before wipe")

    async def _write_down(self, wiped: Wiped) -> None:
        done = [facts.RecordingErased(recording=one, session=self.session) for one in wiped.erased]
        for start in range(0, len(done), _FACTS_PER_TRANSACTION):
            await self.journal.append(*done[start : start + _FACTS_PER_TRANSACTION])
        await self.journal.append(
            facts.SpaceMeasured(
                session=self.session, before=wiped.before, after=wiped.after, erased_bytes=wiped.erased_bytes
            )
        )
