"""One recording on its way to the store: claim, parts, completion, receipt.

Resumable at any byte: what the store lists as finished *and* the journal remembers having sent is not
sent again. Every step ends in a fact or in an exception that says what to do next:

| end | meaning |
|---|---|
| returns | `RecordingAccepted` or `RecordingRejected` is written |
| `CentreUnavailable` | later; nothing is lost and finished parts stay finished |
| `BadReceipt` | the centre's word proves nothing: nothing is cleared, ask again later |
| `StagedCopyDamaged` | the staging disk gave other bytes than were verified; nothing more is sent |

What an `Upload` says is checked against our own part table before a byte is sent: the addresses must be
for exactly our parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dockd.dock.centre_answers import is_final
from dockd.dock.part_sender import Part, PartNotTaken, PartSender, StagedCopyDamaged
from dockd.errors import CentreRefused, CentreUnavailable
from dockd.model.facts import Fact, RecordedFact, RecordingAccepted, RecordingRejected, RecordingStored
from dockd.model.ids import Digest, DockId, RecordingId
from dockd.model.recording import Receipt, StoredRecording, VerifiedRecording
from dockd.rules.custody import Custody, LedgerEntry
from dockd.rules.receipts import PinnedStore, check_receipt
from dockd.wire.messages import Claim, ClaimAnswer, PartAddress, Upload

_IDLE_ROUNDS = 4
"""How often one attempt asks afresh what is missing without any part getting through, before it is left for later."""

_AFTER_WRONG_WHOLE_SECONDS = 3600.0
"""Sending everything again costs the site its line; a store that does this needs a person first."""


class SenderJournal(Protocol):
    """What sending needs of the journal."""

    async def append(self, *facts: Fact) -> tuple[RecordedFact, ...]:
        """Make facts durable."""

    async def note_part_finished(self, recording: RecordingId, upload: str, part_number: int) -> None:
        """Remember that the store acknowledged a part."""

    async def finished_parts(self, recording: RecordingId) -> tuple[str, frozenset[int]] | None:
        """The upload and its parts that were acknowledged."""


class SenderCentre(Protocol):
    """What sending needs of the centre."""

    async def claim(self, claim: Claim) -> ClaimAnswer:
        """Tell of verified bytes."""

    async def upload(self, upload: str) -> Upload:
        """What is missing."""

    async def complete(self, upload: str) -> Receipt:
        """Ask for the receipt."""


@dataclass(slots=True)
class Transfer:
    """A recording that is being sent, for the page."""

    entry: LedgerEntry
    done_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RecordingSender:
    """Sends recordings of one dock; `part_slots` bounds the parts under way over all recordings."""

    dock: DockId
    journal: SenderJournal
    centre: SenderCentre
    parts: PartSender
    part_slots: asyncio.Semaphore
    parallel_parts: int
    pinned: PinnedStore
    path_of: Callable[[RecordingId], Path]

    async def send(self, transfer: Transfer) -> None:
        """Bring one verified recording to its receipt. Raises as the table above says."""
        verified = transfer.entry.verified
        if verified is None:
            raise ValueError(f"{transfer.entry.recording} was never verified")
        try:
            await self._bring(transfer, verified)
        except CentreRefused as refused:
            if not is_final(refused):
                raise CentreUnavailable(refused.what) from refused
            await self.journal.append(
                RecordingRejected(
                    recording=transfer.entry.recording, code=refused.refusal or "refused", reason=refused.what
                )
            )

    async def _bring(self, transfer: Transfer, verified: VerifiedRecording) -> None:
        claim = self.claim_of(transfer.entry, verified)
        answer = await self.centre.claim(claim)
        idle_rounds, is_second_time = 0, False
        while idle_rounds < _IDLE_ROUNDS:
            if answer.receipt is not None:
                await self._accept(transfer.entry, answer.receipt)
                return
            if answer.upload is None:
                raise CentreUnavailable("The centre answered a claim with neither a receipt nor an upload.")
            upload = answer.upload
            todo = check_upload(upload, verified, part_table(verified))
            has_all, sent_count = await self._send_missing(transfer, upload, todo)
            idle_rounds = idle_rounds + 1 if sent_count == 0 else 0
            if not has_all:
                answer = await self._asked_again(upload, claim)
                continue
            await self._note_stored(transfer.entry, verified, upload.upload)
            try:
                receipt = await self.centre.complete(upload.upload)
            except CentreRefused as refused:
                if is_final(refused):
                    raise
                if refused.refusal == "digest-differs":
                    if is_second_time:
                        raise CentreUnavailable(
                            "The store put the parts together to other bytes, twice.",
                            retry_after_seconds=_AFTER_WRONG_WHOLE_SECONDS,
                        ) from refused
                    is_second_time = True
                    await self._prove_copy(transfer.entry, verified)
                    answer = await self.centre.claim(claim)
                else:
                    answer = await self._asked_again(upload, claim)
                continue
            await self._accept(transfer.entry, receipt)
            return
        raise CentreUnavailable("The store does not keep what it is sent; it is tried again later.")

    def claim_of(self, entry: LedgerEntry, verified: VerifiedRecording) -> Claim:
        """What the centre is told of a recording before any byte is sent."""
        return Claim(
            dock=self.dock,
            recording=entry.recording,
            camera=entry.camera,
            session=verified.staged.session,
            digest=verified.staged.digest,
            size_bytes=verified.staged.size_bytes,
            part_size_bytes=verified.part_size_bytes,
            part_digests=verified.part_digests,
            path=entry.path.text,
            recorded_at=entry.recorded_at,
            officer=entry.officer,
            container=verified.staged.container,
        )

    async def _asked_again(self, upload: Upload, claim: Claim) -> ClaimAnswer:
        """The upload's present state; a new claim when the centre has forgotten the upload."""
        try:
            return ClaimAnswer(upload=await self.centre.upload(upload.upload))
        except CentreRefused as refused:
            if refused.status not in (404, 410):
                raise
            return await self.centre.claim(claim)

    async def _send_missing(
        self, transfer: Transfer, upload: Upload, todo: tuple[tuple[Part, PartAddress], ...]
    ) -> tuple[bool, int]:
        """Send what is missing; return whether the store has all of it now, and how many parts were sent.

        The first part that does not arrive stops the handing out of further ones; those under way end.
        """
        noted = await self.journal.finished_parts(transfer.entry.recording)
        sent_before = noted[1] if noted is not None and noted[0] == upload.upload else frozenset()
        settled = sent_before & set(upload.finished_parts)
        missing = [(part, address) for part, address in todo if part.number not in settled]
        transfer.done_bytes = transfer.entry.size_bytes - sum(part.size_bytes for part, _ in missing)
        path = self.path_of(transfer.entry.recording)
        queue = iter(missing)
        faults: list[PartNotTaken | CentreUnavailable | StagedCopyDamaged] = []
        sent: list[int] = []

        async def work() -> None:
            while not faults:
                async with self.part_slots:
                    part, address = next(queue, (None, None))
                    if part is None or address is None or faults:
                        return
                    try:
                        await self.parts.send(path, part, address.url, address.headers)
                    except (PartNotTaken, CentreUnavailable, StagedCopyDamaged) as fault:
                        faults.append(fault)
                        return
                await self.journal.note_part_finished(transfer.entry.recording, upload.upload, part.number)
                transfer.done_bytes += part.size_bytes
                sent.append(part.number)

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(2 * self.parallel_parts, len(missing))):
                workers.create_task(work())
        for kind in (StagedCopyDamaged, CentreUnavailable):
            for fault in faults:
                if isinstance(fault, kind):
                    raise fault
        return not faults, len(sent)

    async def _prove_copy(self, entry: LedgerEntry, verified: VerifiedRecording) -> None:
        """The whole came out wrong: first see whether it left us right. Raises StagedCopyDamaged."""
        for part in part_table(verified):
            await self.parts.prove(self.path_of(entry.recording), part)

    async def _note_stored(self, entry: LedgerEntry, verified: VerifiedRecording, upload: str) -> None:
        if entry.state is not Custody.VERIFIED:
            return
        stored = StoredRecording(
            recording=entry.recording,
            digest=verified.staged.digest,
            size_bytes=verified.staged.size_bytes,
            upload=upload,
        )
        await self.journal.append(RecordingStored(stored=stored))

    async def _accept(self, entry: LedgerEntry, untrusted_receipt: Receipt) -> None:
        if entry.digest is None:
            raise ValueError(f"{entry.recording} has no digest")
        trusted = check_receipt(untrusted_receipt, self.pinned, digest=entry.digest, size_bytes=entry.size_bytes)
        await self.journal.append(RecordingAccepted(recording=entry.recording, receipt=trusted.receipt))


def part_table(verified: VerifiedRecording) -> tuple[Part, ...]:
    """The parts of a recording as this dock verified them."""
    size_bytes, part_size_bytes = verified.staged.size_bytes, verified.part_size_bytes
    return tuple(
        Part(
            number=index + 1,
            offset_bytes=index * part_size_bytes,
            size_bytes=min(part_size_bytes, size_bytes - index * part_size_bytes),
            digest=Digest(digest),
        )
        for index, digest in enumerate(verified.part_digests)
    )


def check_upload(
    untrusted: Upload, verified: VerifiedRecording, table: Collection[Part]
) -> tuple[tuple[Part, PartAddress], ...]:
    """Match the centre's addresses with our parts.

    Raises CentreUnavailable unless the upload is for this recording, every address is for one of our
    parts, and every part is either listed as finished or has an address.
    """
    parts = {part.number: part for part in table}
    matched: dict[int, tuple[Part, PartAddress]] = {}
    is_ours = (untrusted.digest, untrusted.size_bytes) == (verified.staged.digest, verified.staged.size_bytes)
    for address in untrusted.parts:
        part = parts.get(address.part_number)
        offered = (address.offset_bytes, address.size_bytes, address.digest)
        if part is None or offered != (part.offset_bytes, part.size_bytes, part.digest):
            is_ours = False
            break
        matched[part.number] = (part, address)
    if not is_ours or parts.keys() - matched.keys() - set(untrusted.finished_parts):
        raise CentreUnavailable("The centre gives addresses that are not for the parts of this recording.")
    return tuple(matched[number] for number in sorted(matched))
