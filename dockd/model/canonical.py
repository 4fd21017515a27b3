"""Canonical JSON and its SHA-256: the one form in which facts, receipts and manifests are hashed and signed.

Canonical here: keys sorted by code point, no white space, UTF-8, no floating-point numbers. It is
what `jq -cSj .` prints, so that a chain can be checked with public tools. Two things jq 1.6 does otherwise:
it rounds numbers beyond 2**53 (values that may be so large are text: `model.value.ExactInteger`), and
it writes the control character U+007F as an escape.
"""

from __future__ import annotations

import hashlib
import json
from typing import TypeAlias

from dockd.model.ids import Digest

Json: TypeAlias = str | int | bool | list["Json"] | dict[str, "Json"] | None


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_json(value: Json) -> bytes:
    """Return the canonical bytes of `value`. Raises TypeError for a float, anywhere inside."""
    _refuse_floats(value)
    return _ENCODER.encode(value).encode("utf-8")


def digest_of_json(value: Json) -> Digest:
    """SHA-256 of the canonical bytes."""
    return digest_of_bytes(canonical_json(value))


def digest_of_bytes(content: bytes) -> Digest:
    """SHA-256 of `content`."""
    return Digest(hashlib.sha256(content).hexdigest())


def _refuse_floats(value: Json) -> None:
    if isinstance(value, float):
        raise TypeError("a floating-point number has no canonical form; use an integer with its unit")
    if isinstance(value, dict):
        for inner in value.values():
            _refuse_floats(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_floats(inner)
