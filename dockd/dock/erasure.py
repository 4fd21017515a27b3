"""Erasing with a clearance each: intent → act → read back → done.

Makes every `Clearance` through `rules.custody.clear`, writes the intents before the first erase, and
writes a recording as ERASED only after the card itself does not list it any more. A card with thousands of
recordings is emptied in lots: memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dockd.dock.journal import Journal
from dockd.dock.stages.wipe import Room, Wiped, wipe
from dockd.driver_api import Clearance, Storage
from dockd.errors import EraseFailed, SourceChanged
from dockd.lots import in_lots
from dockd.model import facts
from dockd.model.ids import Digest, RecordingId, SessionId
from dockd.model.recording import ConfirmedSource
from dockd.rules.custody import Custody, LedgerEntry, NotCleared, clear, is_grace_over
from dockd.rules.receipts import PinnedStore, check_receipt

_RECORDINGS_PER_LOT = 500
"""Each lot opens and protects the card once more and lists it once more: few cards ever need a second one."""
_FACTS_PER_TRANSACTION = 200

ConfirmSource = Callable[[LedgerEntry], Awaitable[ConfirmedSource]]
"""Reads the card's bytes of one recording in whole again. Raises SourceChanged when they differ."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased in all, the card's own account of its room, and what was kept on purpose with the reason."""

    erased_count: int
    room: Room
    retained: dict[RecordingId, str]


@dataclass(slots=True)
class _Account:
    """What the lots come to so far."""

    erased_count: int = 0
    room: Room | None = None
    still_listed: tuple[str, ...] = ()

    def add(self, wiped: Wiped) -> None:
        self.erased_count += len(wiped.erased)
        self.room = wiped.room if self.room is None else self.room.then(wiped.room)
        self.still_listed = wiped.still_listed


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

        Raises EraseFailed, SourceChanged (other bytes lie under a cleared name; nothing of its lot was erased),
        and what the driver raises.
        """
        account = _Account()
        retained: dict[RecordingId, str] = {}
        lot: list[Clearance] = []
        async for entry in self.journal.each_entry(last_session=self.session):
            if not entry.is_on_card:
                continue
            try:
                lot.append(await self._clear(entry, now))
            except NotCleared as refusal:
                retained[entry.recording] = refusal.reason
            if len(lot) == _RECORDINGS_PER_LOT:
                account.add(await self._erase_lot(lot))
                lot = []
                if account.still_listed:
                    break
        if lot or account.room is None:
            account.add(await self._erase_lot(lot))
        return await self._close(account, retained)

    async def _close(self, account: _Account, retained: dict[RecordingId, str]) -> Erasure:
        if account.room is None:
            raise RuntimeError("the card's room was never measured")
        room = account.room
        await self.journal.append(
            facts.SpaceMeasured(
                session=self.session, before=room.before, after=room.after, erased_bytes=room.erased_bytes
            )
        )
        if account.still_listed:
            raise EraseFailed(f"The card still lists {account.still_listed[0]!r} after it was erased.")
        return Erasure(account.erased_count, room, retained)

    async def _erase_lot(self, lot: list[Clearance]) -> Wiped:
        if lot:
            await self._intend(lot)
        wiped = await wipe(self.storage, lot)
        await self._write_down(wiped)
        return wiped

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

    async def _intend(self, lot: list[Clearance]) -> None:
        for some in in_lots(lot, _FACTS_PER_TRANSACTION):
            intents = [facts.WipeIntended(session=self.session, recording=one.recording) for one in some]
            await self.journal.append(*intents)
        await self.sign_chain("before wipe")

    async def _write_down(self, wiped: Wiped) -> None:
        for some in in_lots(wiped.erased, _FACTS_PER_TRANSACTION):
            await self.journal.append(*[facts.RecordingErased(recording=one, session=self.session) for one in some])
