"""What a claim is checked against, and what the rows of claims, uploads and receipts mean. Signs and stores nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Row, and_
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.receipt_rows import receipts_of
from dockd.central.refusals import BUSY, CLAIM_DIFFERS, PARTS_DIFFER
from dockd.central.retention.disposal_rows import DisposalState, disposal_state
from dockd.central.stores import UploadPlan
from dockd.central.tables import receipts
from dockd.errors import NotFound
from dockd.model.ids import Digest
from dockd.model.recording import Receipt, part_count
from dockd.web.problems import Refusal
from dockd.wire.messages import MAXIMUM_PARTS, Claim

LARGEST_PART_BYTES = 64 * 1024 * 1024
_EMPTY = hashlib.sha256().hexdigest()


def check_parts(claim: Claim) -> None:
    """Raise Refusal (422) when the list of parts cannot be of such a recording."""
    if not 1 <= claim.part_size_bytes <= LARGEST_PART_BYTES:
        raise Refusal(PARTS_DIFFER, f"A part has 1 to {LARGEST_PART_BYTES} bytes.")
    if not 0 <= claim.size_bytes <= MAXIMUM_PARTS * claim.part_size_bytes:
        raise Refusal(PARTS_DIFFER, f"A recording has 0 to {MAXIMUM_PARTS} parts.")
    if len(claim.part_digests) != part_count(claim.size_bytes, claim.part_size_bytes):
        raise Refusal(PARTS_DIFFER, "The number of part digests does not fit the size.")
    single = claim.part_digests[0] if claim.part_digests else _EMPTY
    if len(claim.part_digests) <= 1 and single != claim.digest:
        raise Refusal(PARTS_DIFFER, "The only part has another digest than the whole.")


async def receipt_of(connection: AsyncConnection, digest: str) -> Receipt | None:
    """The receipt of one recording, if there is one."""
    return (await receipts_of(connection, [digest])).get(digest)


def refusal_of(claim: Claim, held: Mapping[str, Receipt], gone: Mapping[str, DisposalState]) -> Refusal | None:
    """Why this claim cannot be written down now."""
    receipt = held.get(claim.digest)
    if gone.get(claim.digest) is DisposalState.INTENDED:
        return being_deleted()
    return claim_differs() if receipt is not None and receipt.size_bytes != claim.size_bytes else None


def being_deleted() -> Refusal:
    """Nobody gets a receipt for an object that may be gone at this moment."""
    return Refusal(BUSY, "Policy is about to delete this recording here; ask again.", retry_after_seconds=60)


async def is_deleted(connection: AsyncConnection, receipt: Receipt | None) -> bool:
    """Whether policy deleted its object. Raises Refusal (503) while that is being done."""
    state = None if receipt is None else await disposal_state(connection, receipt)
    if state is DisposalState.INTENDED:
        raise being_deleted()
    return state is DisposalState.DONE


def object_of(receipt: Receipt) -> tuple[str, str | None]:
    """The object that a receipt is for: key and version."""
    return receipt.object_key, receipt.object_version


def time_after(missing: Receipt | None, now: datetime) -> datetime:
    """Later than what gives way, whatever the clock says: digest and time of acceptance name one receipt."""
    return now if missing is None else max(now, missing.accepted_at + timedelta(microseconds=1))


def is_receipt(receipt: Receipt) -> ColumnElement[bool]:
    """The row of this receipt, and not of one that took its place."""
    return and_(
        receipts.c.digest == receipt.digest,
        receipts.c.accepted_at == receipt.accepted_at,
        receipts.c.object_key == receipt.object_key,
        receipts.c.object_version.is_not_distinct_from(receipt.object_version),
    )


def plan_of(row: Row[tuple[object, ...]]) -> UploadPlan:
    """The upload that a row of `uploads` is of."""
    return UploadPlan(
        upload=row.upload,
        digest=Digest(row.digest),
        size_bytes=row.size_bytes,
        part_size_bytes=row.part_size_bytes,
        part_digests=tuple(map(Digest, json.loads(row.part_digests))),
    )


def claim_differs() -> Refusal:
    """Two claims of one digest contradict each other."""
    return Refusal(CLAIM_DIFFERS, "These bytes are known here with another size or other parts.")


def no_upload() -> NotFound:
    """It was given up, or never was."""
    return NotFound("There is no such upload.", action="Claim the recording again.")
