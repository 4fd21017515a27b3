"""The signature of an ID token: which key, which algorithm, and nothing that the token itself may choose.

Only algorithms with a public key are ever allowed (`OidcConfig.algorithms`), so neither `none` nor an HMAC with the
public key for a secret can pass, whatever the token's header says; and the key's own type must fit the algorithm.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from dockd.central.people.oidc.claims import refused

_LARGEST_TOKEN = 64 * 1024
_SMALLEST_RSA_BITS = 2048
_KINDS: dict[str, tuple[str, type[RSAKey] | type[ECKey] | type[OKPKey]]] = {
    "RS": ("RSA", RSAKey),
    "PS": ("RSA", RSAKey),
    "ES": ("EC", ECKey),
    "Ed": ("OKP", OKPKey),
}

Jwk = Mapping[str, Any]


class UnknownKey(Exception):
    """None of the keys at hand made this signature; the provider may have changed its keys meanwhile."""


def verified_claims(untrusted_token: str, keys: Sequence[Jwk], allowed: Sequence[str]) -> Mapping[str, Any]:
    """The claims of a token that one of `keys` has signed. Raises UnknownKey, Refusal (401 `provider-refused`)."""
    header = _header(untrusted_token)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in allowed:
        raise refused("The identity provider's answer is signed in a way that is not believed here.")
    for key in _candidates(keys, header.get("kid"), algorithm):
        try:
            claims = jwt.decode(untrusted_token, key, algorithms=[algorithm]).claims
        except (JoseError, ValueError):
            continue
        if isinstance(claims, dict):
            return claims
    raise UnknownKey


def _header(untrusted_token: str) -> Mapping[str, Any]:
    head, _, rest = untrusted_token.partition(".")
    if len(untrusted_token) > _LARGEST_TOKEN or rest.count(".") != 1:
        raise refused("The identity provider's answer holds no signed token.")
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise refused("The identity provider's answer holds no signed token.") from None
    if not isinstance(header, dict):
        raise refused("The identity provider's answer holds no signed token.")
    return header


def _candidates(keys: Sequence[Jwk], kid: object, algorithm: str) -> list[RSAKey | ECKey | OKPKey]:
    kty, kind = _KINDS[algorithm[:2]]
    found = []
    for one in keys:
        is_meant = kid is None or one.get("kid") == kid
        if one.get("kty") != kty or not is_meant or one.get("use", "sig") != "sig":
            continue
        if one.get("alg", algorithm) != algorithm:
            continue
        try:
            key = kind.import_key({name: value for name, value in one.items() if name != "d"})
        except (JoseError, ValueError, TypeError, KeyError):
            continue  # a key of a kind or curve that is not known here is not one of those that count
        if isinstance(key, RSAKey) and key.public_key.key_size < _SMALLEST_RSA_BITS:
            continue
        found.append(key)
    return found
