"""The rows of signed receipts: how they are read and written, and how a restored centre gets back those it lost.

A centre restored from a backup knows nothing of the receipts that it signed since. Docks do: each tells of every one
that it took, with the signature. What bears our own signature is our own word, so its row is written again, together
with where the recording came from. Whether the object is still there is asked when the recording is claimed or read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import structlog
from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.database import insert_new
from dockd.central.projections import RecordingRow
from dockd.central.tables import receipts, sources
from dockd.errors import BadReceipt
from dockd.model.facts import RecordedFact, RecordingAccepted
from dockd.model.ids import Digest
from dockd.model.recording import Receipt
from dockd.rules.receipts import PinnedStore, check_receipt

_log = structlog.get_logger(__name__)

_HELD = select(receipts.c.digest, receipts.c.receipt).where(receipts.c.digest.in_(bindparam("digests", expanding=True)))
_LOCKED = _HELD.order_by(receipts.c.digest).with_for_update(read=True)


async def receipts_of(
    connection: AsyncConnection, digests: Sequence[str], *, is_locking: bool = False
) -> dict[str, Receipt]:
    """The receipts of these recordings, as far as there are any.

    With `is_locking`, nobody decides to delete their objects before this transaction is over.
    """
    rows = await connection.execute(_LOCKED if is_locking else _HELD, {"digests": list(digests)})
    return {row.digest: Receipt.model_validate_json(row.receipt) for row in rows}


def receipt_row(receipt: Receipt) -> dict[str, object]:
    """The columns of a signed receipt."""
    row: dict[str, object] = receipt.model_dump(include={"digest", "size_bytes", "object_key", "object_version"})
    row |= {"accepted_at": receipt.accepted_at, "retain_until": receipt.retain_until}
    return row | {"receipt": receipt.model_dump_json()}


async def take_back(
    connection: AsyncConnection,
    recorded: Iterable[RecordedFact],
    recordings: Mapping[tuple[str, str], RecordingRow],
    pinned: PinnedStore,
    now: datetime,
) -> None:
    """Write the receipts that docks tell of and that are not held, if they are ours; those held stay as they are.

    `recordings` are the docks' recordings by dock and id, as they are after these facts.
    """
    shown = {
        one.fact.receipt.digest: (one.dock, one.fact) for one in recorded if isinstance(one.fact, RecordingAccepted)
    }
    if not shown:
        return
    question = select(receipts.c.digest).where(receipts.c.digest.in_(sorted(shown)))
    held = set((await connection.execute(question)).scalars())
    rows: list[dict[str, object]] = []
    places: list[dict[str, object]] = []
    for digest in sorted(shown.keys() - held):
        dock, fact = shown[digest]
        try:
            check_receipt(fact.receipt, pinned, digest=Digest(digest), size_bytes=fact.receipt.size_bytes)
        except BadReceipt as bad:
            _log.warning("receipt_is_not_ours", dock=dock, digest=digest, why=bad.what)
            continue
        _log.info("receipt_taken_back", dock=dock, digest=digest, object_key=fact.receipt.object_key)
        rows.append(receipt_row(fact.receipt))
        if (recording := recordings.get((dock, fact.recording))) is not None and recording.digest == digest:
            places.append(_source_row(recording, now))
    await insert_new(connection, receipts, rows)
    await insert_new(connection, sources, places)


def _source_row(recording: RecordingRow, now: datetime) -> dict[str, object]:
    names = ("dock", "recording", "camera", "session", "path", "size_bytes", "recorded_at", "officer", "digest")
    return {name: getattr(recording, name) for name in (*names, "container")} | {"claimed_at": now}
