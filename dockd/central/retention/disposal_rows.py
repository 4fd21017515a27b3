"""What became of objects that were due: one row for each receipt, which stays for ever.

Claims and downloads ask here whether an object was deleted by policy. Knows rows; must not know rules or stores.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, bindparam, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.database import Database
from dockd.central.retention.tables import disposals, subjects
from dockd.central.tables import receipts
from dockd.model.recording import Receipt


class DisposalState(StrEnum):
    """How far a disposal is."""

    INTENDED = "intended"
    """It was decided, and the object may be gone or not: until that is known nobody gets its receipt."""
    DONE = "done"
    """The object was deleted, and the store was seen not to have it any more."""
    WITHDRAWN = "withdrawn"
    """Something came between decision and deed (a hold, a kill, a store that was away): it is still there."""
    REFUSED = "refused"
    """The store does not delete it: it is still there, and is tried again only after days."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An object that was deleted by policy: when, why, and the receipt that was given for it."""

    digest: str
    size_bytes: int
    receipt: Receipt
    words: str
    run: int
    intended_at: datetime
    deleted_at: datetime

    @property
    def sentence(self) -> str:
        """For whoever asks for its content."""
        return f"This recording was deleted by policy on {self.deleted_at:%Y-%m-%d %H:%M} UTC. {self.words}"


_STATES = select(disposals.c.digest, disposals.c.accepted_at, disposals.c.state).where(
    disposals.c.digest.in_(bindparam("digests", expanding=True))
)


def is_disposed() -> ColumnElement[bool]:
    """Of a row of `receipts`: its object was deleted by policy."""
    return exists().where(
        disposals.c.digest == receipts.c.digest,
        disposals.c.accepted_at == receipts.c.accepted_at,
        disposals.c.state == DisposalState.DONE.value,
    )


async def disposal_state(connection: AsyncConnection, receipt: Receipt) -> DisposalState | None:
    """What is being done, or was done, with the object of this receipt; None when nothing ever was."""
    return (await disposal_states(connection, [receipt])).get(receipt.digest)


async def disposal_states(connection: AsyncConnection, held: Collection[Receipt]) -> dict[str, DisposalState]:
    """The same for several receipts, by digest; those with which nothing was ever done are left out."""
    accepted_at = {one.digest: one.accepted_at for one in held}
    rows = (await connection.execute(_STATES, {"digests": sorted(accepted_at)})).all() if accepted_at else ()
    return {row.digest: DisposalState(row.state) for row in rows if row.accepted_at == accepted_at[row.digest]}


async def note_taken_again(connection: AsyncConnection, digest: str) -> None:
    """A recording that was deleted by policy has a new receipt: it may become due again."""
    await connection.execute(update(subjects).where(subjects.c.digest == digest).values(is_gone=False))


async def tombstone(database: Database, receipt: Receipt) -> Tombstone | None:
    """The end of the object of this receipt; None while it stands. Raises Refusal (503)."""
    is_it = and_(disposals.c.digest == receipt.digest, disposals.c.accepted_at == receipt.accepted_at)
    question = select(disposals).where(is_it, disposals.c.state == DisposalState.DONE.value)
    async with database.reading() as connection:
        row = (await connection.execute(question)).one_or_none()
    if row is None:
        return None
    return Tombstone(
        digest=row.digest,
        size_bytes=row.size_bytes,
        receipt=Receipt.model_validate_json(row.receipt),
        words=row.words,
        run=row.run,
        intended_at=row.intended_at,
        deleted_at=row.finished_at,
    )
