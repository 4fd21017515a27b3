"""Threats: receipts that must not be believed."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.errors import BadReceipt
from dockd.model.recording import Receipt
from dockd.rules.receipts import TrustedReceipt, check_receipt
from tests.support.custody import Signer, sha256

DIGEST = sha256(b"footage")
SIZE_BYTES = 7
SIGNER = Signer()


def refused(receipt: Receipt, *, signer: Signer = SIGNER) -> str:
    with pytest.raises(BadReceipt) as caught:
        check_receipt(receipt, signer.pinned, digest=DIGEST, size_bytes=SIZE_BYTES)
    return caught.value.what


def test_a_receipt_of_the_pinned_store_for_these_bytes_is_trusted() -> None:
    receipt = SIGNER.receipt(DIGEST, SIZE_BYTES)
    assert check_receipt(receipt, SIGNER.pinned, digest=DIGEST, size_bytes=SIZE_BYTES).receipt == receipt


def test_receipt_of_another_store_is_refused() -> None:
    other = Signer(store="store-2", private_key=SIGNER.private_key)
    assert "store-2" in refused(other.receipt(DIGEST, SIZE_BYTES))


def test_receipt_that_names_another_key_is_refused() -> None:
    other = Signer(key="key-2", private_key=SIGNER.private_key)
    assert "key-2" in refused(other.receipt(DIGEST, SIZE_BYTES))


def test_receipt_signed_with_another_key_under_the_pinned_name_is_refused() -> None:
    assert "does not verify" in refused(Signer().receipt(DIGEST, SIZE_BYTES))


def test_receipt_with_another_digest_is_refused() -> None:
    assert "digest" in refused(SIGNER.receipt(sha256(b"other"), SIZE_BYTES))


def test_receipt_with_another_size_is_refused() -> None:
    assert "bytes" in refused(SIGNER.receipt(DIGEST, SIZE_BYTES + 1))


@pytest.mark.parametrize(
    "change",
    [
        {"digest": sha256(b"other")},
        {"size_bytes": 8},
        {"object_key": "sha256/elsewhere"},
        {"object_version": "2"},
        {"version": 2},
        {"accepted_at": SIGNER.receipt(DIGEST, SIZE_BYTES).accepted_at + timedelta(microseconds=1)},
        {"retain_until": SIGNER.receipt(DIGEST, SIZE_BYTES).accepted_at},
    ],
    ids=lambda change: next(iter(change)),
)
def test_no_field_can_be_changed_after_signing(change: dict[str, object]) -> None:
    assert "does not verify" in refused(SIGNER.receipt(DIGEST, SIZE_BYTES).model_copy(update=change))


@pytest.mark.parametrize("signature", ["", "not base64!", "AAAA", base64.b64encode(bytes(64)).decode()])
def test_a_malformed_signature_is_refused(signature: str) -> None:
    assert "does not verify" in refused(SIGNER.receipt(DIGEST, SIZE_BYTES).model_copy(update={"signature": signature}))


@pytest.mark.parametrize("public_key", ["", "AAAA", "not base64!"])
def test_a_malformed_pinned_key_trusts_nothing(public_key: str) -> None:
    pinned = SIGNER.pinned.model_copy(update={"public_key": public_key})
    with pytest.raises(BadReceipt):
        check_receipt(SIGNER.receipt(DIGEST, SIZE_BYTES), pinned, digest=DIGEST, size_bytes=SIZE_BYTES)


@given(place=st.integers(min_value=0, max_value=511))
def test_no_single_bit_of_a_signature_can_be_changed(place: int) -> None:
    receipt = SIGNER.receipt(DIGEST, SIZE_BYTES)
    raw = bytearray(base64.b64decode(receipt.signature))
    raw[place // 8] ^= 1 << (place % 8)
    refused(receipt.model_copy(update={"signature": base64.b64encode(raw).decode()}))


def test_a_trusted_receipt_cannot_be_made_elsewhere() -> None:
    with pytest.raises(TypeError):
        TrustedReceipt(SIGNER.receipt(DIGEST, SIZE_BYTES), object())
