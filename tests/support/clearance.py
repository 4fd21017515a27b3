"""A real clearance for a path and a size: the whole way through the ledger and a signed receipt."""

from __future__ import annotations

from datetime import timedelta

from dockd.model.ids import CardPath
from dockd.rules.custody import Clearance, LedgerEntry, apply_fact, clear
from dockd.rules.receipts import check_receipt
from tests.support.clock import START
from tests.support.custody import Footage, Signer


def accepted_entry(footage: Footage, signer: Signer) -> LedgerEntry:
    """The ledger's entry of footage that the store has accepted."""
    entry: LedgerEntry | None = None
    for fact in (footage.listed(), footage.staged(), footage.verified(), footage.accepted(signer)):
        entry = apply_fact(entry, fact)
    assert entry is not None
    return entry


def cleared(path: CardPath, size_bytes: int) -> Clearance:
    """A clearance for a file of `size_bytes` at `path`."""
    signer = Signer()
    footage = Footage(content=bytes(size_bytes), path=path)
    entry = accepted_entry(footage, signer)
    assert entry.receipt is not None
    return clear(
        entry,
        check_receipt(entry.receipt, signer.pinned, digest=footage.digest, size_bytes=size_bytes),
        footage.confirmed(),
        session=footage.session,
        now=START,
        grace=timedelta(),
    )
