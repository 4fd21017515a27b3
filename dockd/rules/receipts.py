"""Which receipts may be believed.

The order of trust, all of it here:
1. the dock pins one store id and one public key at enrolment;
2. the receipt names that store and that key;
3. the Ed25519 signature over the canonical JSON of its other fields verifies with the pinned key;
4. digest and size equal what the dock verified on its staging disk.

It does not ask whether the store is honest: the centre signs only after reading its final store back.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dockd.errors import BadReceipt
from dockd.model.canonical import Json, canonical_json
from dockd.model.ids import Digest
from dockd.model.recording import Receipt
from dockd.model.value import IdText, ShortText, Value

_MADE_HERE = object()


class PinnedStore(Value):
    """What the dock knows of its centre since enrolment. `public_key` is base64 of 32 bytes."""

    store: IdText
    key: IdText
    public_key: ShortText


@dataclass(frozen=True, slots=True)
class TrustedReceipt:
    """A receipt that passed `check_receipt`; cannot be made elsewhere."""

    receipt: Receipt
    _token: object

    def __post_init__(self) -> None:
        if self._token is not _MADE_HERE:
            raise TypeError("only check_receipt() makes a TrustedReceipt")


def receipt_bytes(receipt: Receipt) -> bytes:
    """The bytes under the signature."""
    return canonical_json(cast(Json, receipt.signed_bytes_fields()))


def check_receipt(receipt: Receipt, pinned: PinnedStore, *, digest: Digest, size_bytes: int) -> TrustedReceipt:
    """Return the receipt as trusted. Raises BadReceipt with the first thing that does not agree."""
    if receipt.store != pinned.store:
        raise BadReceipt(f"The receipt is from store {receipt.store!r}, not from {pinned.store!r}.")
    if receipt.key != pinned.key:
        raise BadReceipt(f"The receipt is signed with key {receipt.key!r}, not with {pinned.key!r}.")
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(pinned.public_key, validate=True))
        key.verify(base64.b64decode(receipt.signature, validate=True), receipt_bytes(receipt))
    except (InvalidSignature, binascii.Error, ValueError):
        raise BadReceipt("The receipt's signature does not verify with the pinned key.") from None
    if receipt.digest != digest:
        raise BadReceipt(f"The receipt is for digest {receipt.digest}, not for {digest}.")
    if receipt.size_bytes != size_bytes:
        raise BadReceipt(f"The receipt is for {receipt.size_bytes} bytes, not for {size_bytes} bytes.")
    return TrustedReceipt(receipt, _MADE_HERE)
