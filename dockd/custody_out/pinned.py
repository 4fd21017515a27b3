"""Keys that whoever checks knows from elsewhere: what all trust in an export hangs on."""

from __future__ import annotations

from dataclasses import dataclass

from dockd.custody_out import bundle
from dockd.custody_out.claims import Claim, claim


@dataclass(frozen=True, slots=True)
class PinnedKeys:
    """Keys known from elsewhere (base64, Ed25519); None: not known."""

    store: str | None = None
    docks: frozenset[str] | None = None


def store_key_claim(store: str, store_key: str, pinned: PinnedKeys) -> Claim:
    """Which key the store's signatures are checked with, and whether it is the one that was given."""
    fingerprint = bundle.key_fingerprint(store_key)
    words = f"The receipts' key of store {store} has the fingerprint {fingerprint}."
    if pinned.store is None:
        return claim(words, [], "compare it with the one that the force published")
    faults = [] if pinned.store == store_key else ["it is not the key that was given"]
    return claim(words, faults, "compared with the key that was given")
