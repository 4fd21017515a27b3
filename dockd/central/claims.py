"""From a dock's claim to the signed receipt.

A claim is asked **by digest first**: what the store holds is receipted at once, whoever sent it. Else
one upload per digest is shared by everybody who claims the same bytes. A receipt is signed only inside
`store.placed`, that is, after the whole object was read back from its final place.

What was deleted by policy is taken again when a dock still has it: a receipt is never given for what the store does not
hold, and policy deletes it again when it is due (docs/decisions/0017).

The truth is in the database and the store, so any number of processes may do this; the table of running
completions here only spares one process from proving the same object twice.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.claim_checks import (
    check_parts,
    claim_differs,
    is_deleted,
    is_receipt,
    no_upload,
    object_of,
    plan_of,
    receipt_of,
    refusal_of,
    time_after,
)
from dockd.central.database import Database, insert_new
from dockd.central.identity import Identity
from dockd.central.receipt_rows import receipt_row, receipts_of
from dockd.central.refusals import BUSY, DIGEST_DIFFERS
from dockd.central.retention.disposal_rows import (
    DisposalState,
    disposal_states,
    note_taken_again,
)
from dockd.central.shared_commits import SharedCommits
from dockd.central.stores import ObjectStore, StoredObject, UploadPlan
from dockd.central.tables import receipts, sources, uploads
from dockd.clock import Clock
from dockd.model.recording import Receipt
from dockd.web.problems import Refusal
from dockd.wire.messages import Claim, ClaimAnswer, Upload

_log = structlog.get_logger(__name__)

_COMPLETE_PATIENCE_SECONDS = 600.0
_GIVEN_UP_AT_ONCE = 100
_SPACING_SECONDS = 0.1


_ASKED = uploads.c.digest.in_(bindparam("digests", expanding=True))
_SHARED_UPLOADS = select(uploads).where(_ASKED).order_by(uploads.c.digest).with_for_update()
_TOUCHED = update(uploads).where(_ASKED).values(touched_at=bindparam("now"))
_ONE_UPLOAD: Select[Any] = (
    select(*uploads.c, receipts.c.receipt)
    .select_from(uploads.outerjoin(receipts, receipts.c.digest == uploads.c.digest))
    .where(uploads.c.upload == bindparam("upload"))
)
"""In one statement: whoever completes it at this moment has written both or none."""
_NAMED = uploads.c.upload.in_(bindparam("names", expanding=True))
_DONE_ONES = select(uploads.c.upload).where(_NAMED).order_by(uploads.c.digest).with_for_update()
_MARKED_DONE = update(uploads).where(_NAMED).values(is_done=True)

_UploadRow = Row[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class _Registered:
    """A claim that is written down: the receipt of its digest, if there is one, and the upload that all share."""

    receipt: Receipt | None
    upload: _UploadRow | None
    is_gone: bool
    """Policy deleted the object of that receipt."""


@dataclass(frozen=True, slots=True)
class _Proof:
    """An object that was proved, and the receipt that is signed for it; `missing` as `Claims._accept` has it."""

    plan: UploadPlan
    signed: Receipt
    missing: Receipt | None
    is_gone: bool


class Claims:
    """Answers claims, lists uploads, completes them."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        identity: Identity,
        clock: Clock,
        *,
        address_lifetime: timedelta,
    ) -> None:
        self._database = database
        self._store = store
        self._identity = identity
        self._clock = clock
        self._address_lifetime = address_lifetime
        self._completing: dict[str, asyncio.Task[Receipt]] = {}
        self._claims: SharedCommits[Claim, _Registered] = SharedCommits(
            self._register, key=lambda one: one.digest, at_once=1, spacing_seconds=_SPACING_SECONDS
        )
        self._proofs: SharedCommits[_Proof, Receipt] = SharedCommits(
            self._sign_for, key=lambda one: one.plan.digest, at_once=1, spacing_seconds=_SPACING_SECONDS
        )

    async def close(self) -> None:
        """Stop completions that run; they are taken up again when asked for."""
        running = list(self._completing.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._claims.close()
        await self._proofs.close()

    async def claim(self, claim: Claim, origin: str) -> ClaimAnswer:
        """Answer with a receipt, or with the upload that everybody claiming these bytes shares.

        `origin` is how the dock reaches the centre; part addresses begin with it. Raises Refusal:
        `parts-differ`, `claim-differs`, 503, 507.
        """
        check_parts(claim)
        registered = await self._claims.add(claim)
        receipt, row = registered.receipt, registered.upload
        if row is None:
            raise Refusal(BUSY, "The upload was given up at this moment; claim again.", retry_after_seconds=1)
        if receipt is not None and not registered.is_gone and await self._is_still_held(receipt):
            return ClaimAnswer(receipt=receipt)
        plan = plan_of(row)
        if (plan.size_bytes, plan.part_size_bytes, plan.part_digests) != (
            claim.size_bytes,
            claim.part_size_bytes,
            claim.part_digests,
        ):
            raise claim_differs()
        return ClaimAnswer(upload=await self._offer(plan, origin))

    async def upload(self, upload: str, origin: str) -> Upload:
        """What is missing, with fresh addresses. Raises NotFound, Refusal (503, 507)."""
        async with self._database.writing() as connection:
            row = await self._touched_upload(connection, uploads.c.upload == upload)
        if row is None:
            raise no_upload()
        if not row.is_done:
            return await self._offer(plan_of(row), origin)
        plan = plan_of(row)
        return Upload(
            upload=plan.upload,
            digest=plan.digest,
            size_bytes=plan.size_bytes,
            finished_parts=tuple(plan.part_numbers),
            parts=(),
        )

    async def complete(self, upload: str) -> Receipt:
        """Return the receipt once the whole object is proved; asking twice gives the same receipt.

        The proof goes on when the caller leaves. Raises NotFound; Refusal: `parts-missing`,
        `digest-differs`, `part-damaged`, `busy` and the store's own.
        """
        task = self._completing.get(upload)
        if task is None:
            task = asyncio.create_task(self._complete(upload), name=f"complete {upload}")
            self._completing[upload] = task
            task.add_done_callback(lambda done: self._completed(upload, done))
        await asyncio.wait({task}, timeout=_COMPLETE_PATIENCE_SECONDS)
        if not task.done():
            raise Refusal(BUSY, "The recording is still being proved; ask again.", retry_after_seconds=10)
        return task.result()

    async def give_up_abandoned(self, older_than: timedelta) -> int:
        """Throw away unfinished uploads that nobody has asked for in so long; return how many.

        Other processes may do the same at the same time: each row goes to one of them, a few in a
        transaction, and an upload that is touched at this very moment stays.
        """
        limit = self._clock.now() - older_than
        is_abandoned = and_(uploads.c.is_done.is_(False), uploads.c.touched_at < limit)
        few = select(uploads.c.upload).where(is_abandoned).limit(_GIVEN_UP_AT_ONCE).with_for_update(skip_locked=True)
        count = 0
        while True:
            async with self._database.writing() as connection:
                names = (await connection.execute(few)).scalars().all()
                mine = delete(uploads).where(uploads.c.upload.in_(names), is_abandoned).returning(*uploads.c)
                rows = (await connection.execute(mine)).all()
            for row in rows:
                await self._store.discard(plan_of(row))
                _log.info("upload_given_up", upload=row.upload, digest=row.digest)
            count += len(rows)
            if len(rows) < _GIVEN_UP_AT_ONCE:
                return count

    # --- inside -------------------------------------------------------------------------------

    async def _register(self, claims: Sequence[Claim]) -> list[_Registered | Refusal]:
        """Write down who claims what, and that there is an upload for it; all of one group in one transaction."""
        async with self._database.writing() as connection:
            # Locked: nobody decides to delete these objects before the new sources can be seen.
            held = await receipts_of(connection, [one.digest for one in claims], is_locking=True)
            gone = await disposal_states(connection, held.values())
            refused = {one.digest: why for one in claims if (why := refusal_of(one, held, gone)) is not None}
            # In one order everywhere, so that no transaction waits for one that waits for it.
            agreed = sorted((one for one in claims if one.digest not in refused), key=lambda one: one.digest)
            await insert_new(connection, sources, map(self._source_row, agreed))
            await insert_new(connection, uploads, map(self._upload_row, agreed))
            asked = {"digests": [one.digest for one in agreed]}
            rows = {row.digest: row for row in await connection.execute(_SHARED_UPLOADS, asked)}
            await connection.execute(_TOUCHED, asked | {"now": self._clock.now()})
        return [
            refused.get(one.digest)
            or _Registered(held.get(one.digest), rows.get(one.digest), gone.get(one.digest) is DisposalState.DONE)
            for one in claims
        ]

    async def _offer(self, plan: UploadPlan, origin: str) -> Upload:
        finished = await self._store.begin(plan)
        expires_at = self._clock.now() + self._address_lifetime
        return Upload(
            upload=plan.upload,
            digest=plan.digest,
            size_bytes=plan.size_bytes,
            finished_parts=tuple(sorted(finished)),
            parts=tuple(
                self._store.part_address(plan, number, origin, expires_at)
                for number in plan.part_numbers
                if number not in finished
            ),
        )

    async def _complete(self, upload: str) -> Receipt:
        async with self._database.looking() as connection:
            row = (await connection.execute(_ONE_UPLOAD, {"upload": upload})).one_or_none()
            before = None if row is None or row.receipt is None else Receipt.model_validate_json(row.receipt)
            is_gone = await is_deleted(connection, before)
        if row is None:
            raise no_upload()
        is_held = before is not None and not is_gone and await self._is_still_held(before)
        if before is not None and row.is_done and is_held:
            return before
        plan = plan_of(row)
        try:
            async with self._store.placed(plan) as stored:
                receipt = await self._accept(plan, stored, missing=None if is_held else before, is_gone=is_gone)
        except Refusal as refusal:
            if refusal.kind is DIGEST_DIFFERS:
                await self._forget(plan)
                raise
            winner = await self._signed_meanwhile(plan, before)
            if winner is None:
                raise
            return winner
        await self._store.discard(plan)
        _log.info("recording_accepted", digest=plan.digest, size_bytes=plan.size_bytes)
        return receipt

    async def _accept(
        self, plan: UploadPlan, stored: StoredObject, *, missing: Receipt | None, is_gone: bool
    ) -> Receipt:
        """Sign for what was just proved, once for each digest; durable when this returns.

        Whoever comes second, in this process or another, answers with the row of whoever came first: the
        unique digest decides. `missing` is an older receipt whose object was found gone; it gives way to a proved
        object that has another name, and again only to the first who brings one. `is_gone`: policy deleted that object;
        its receipt stays with the record of that, and here gives way.
        """
        signed = self._identity.sign(
            Receipt(
                store=self._identity.pinned.store,
                digest=plan.digest,
                size_bytes=plan.size_bytes,
                object_key=stored.object_key,
                object_version=stored.object_version,
                accepted_at=time_after(missing, self._clock.now()),
                retain_until=stored.retain_until,
                key=self._identity.pinned.key,
                signature="",
            )
        )
        return await self._proofs.add(_Proof(plan, signed, missing, is_gone))

    async def _sign_for(self, proofs: Sequence[_Proof]) -> list[Receipt | Refusal]:
        """Keep the receipts of one group of proved objects in one transaction; what the rows then say counts."""
        ordered = sorted(proofs, key=lambda one: one.plan.digest)
        done = [one.plan.upload for one in ordered]
        async with self._database.writing() as connection:
            for one in ordered:
                is_other = one.missing is not None and object_of(one.missing) != object_of(one.signed)
                if one.missing is not None and (one.is_gone or is_other):
                    replaced = update(receipts).where(is_receipt(one.missing))
                    await connection.execute(replaced.values(receipt_row(one.signed)))
                    await note_taken_again(connection, one.plan.digest)
            await insert_new(connection, receipts, (receipt_row(one.signed) for one in ordered))
            await connection.execute(_DONE_ONES, {"names": done})
            await connection.execute(_MARKED_DONE, {"names": done})
            held = await receipts_of(connection, [one.plan.digest for one in ordered])
        return [held.get(one.plan.digest, one.signed) for one in proofs]

    async def _signed_meanwhile(self, plan: UploadPlan, before: Receipt | None) -> Receipt | None:
        """The receipt that another process has signed since `before` was read: it took the upload from under us."""
        async with self._database.reading() as connection:
            receipt = await receipt_of(connection, plan.digest)
        return receipt if receipt != before else None

    async def _is_still_held(self, receipt: Receipt) -> bool:
        """Whether what was receipted is where it was put. If not, its upload is opened again."""
        if await self._store.holds(receipt.object_key, receipt.size_bytes):
            return True
        _log.error("receipted_object_missing", digest=receipt.digest, object_key=receipt.object_key)
        still_says_so = select(receipts.c.digest).where(is_receipt(receipt)).exists()
        is_its_upload = and_(uploads.c.digest == receipt.digest, still_says_so)
        async with self._database.writing() as connection:
            await connection.execute(update(uploads).where(is_its_upload).values(is_done=False))
        return False

    async def _forget(self, plan: UploadPlan) -> None:
        """The claim contradicts itself: no upload under its terms can ever succeed."""
        async with self._database.writing() as connection:
            await connection.execute(delete(uploads).where(uploads.c.upload == plan.upload))
        await self._store.discard(plan)

    async def _touched_upload(
        self, connection: AsyncConnection, condition: ColumnElement[bool]
    ) -> Row[tuple[object, ...]] | None:
        await connection.execute(update(uploads).where(condition).values(touched_at=self._clock.now()))
        return (await connection.execute(select(uploads).where(condition))).one_or_none()

    def _completed(self, upload: str, task: asyncio.Task[Receipt]) -> None:
        self._completing.pop(upload, None)
        if not task.cancelled():
            task.exception()  # looked at here too: the caller may have left

    def _source_row(self, claim: Claim) -> dict[str, object]:
        row = claim.model_dump(exclude={"part_size_bytes", "part_digests", "recorded_at", "container"})
        return row | {
            "recorded_at": claim.recorded_at,
            "container": claim.container.value,
            "claimed_at": self._clock.now(),
        }

    def _upload_row(self, claim: Claim) -> dict[str, object]:
        return {
            "upload": f"up-{os.urandom(12).hex()}",
            "digest": claim.digest,
            "size_bytes": claim.size_bytes,
            "part_size_bytes": claim.part_size_bytes,
            "part_digests": json.dumps(claim.part_digests),
            "is_done": False,
            "touched_at": self._clock.now(),
        }
