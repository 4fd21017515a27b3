"""Random tokens: what a browser or script holds, and the hash by which we know it again.

A token has 256 random bits, so one round of SHA-256 is enough: nobody guesses them, and a copy of the database
holds none.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets

from dockd.model.canonical import digest_of_bytes

_TOKEN_BYTES = 32
_TOKEN = re.compile(r"^[A-Za-z0-9_-]{43}$")


def new_token() -> str:
    """43 characters that fit into a cookie and a header."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_TOKEN_BYTES)).rstrip(b"=").decode("ascii")


def new_name() -> str:
    """What a session or token is called on pages: it opens nothing."""
    return secrets.token_hex(8)


def is_token(untrusted: str) -> bool:
    """Whether it has the form of `new_token`; what has not is not looked up."""
    return _TOKEN.fullmatch(untrusted) is not None


def token_hash(token: str) -> str:
    """SHA-256, as the tables keep it."""
    return digest_of_bytes(token.encode("ascii", "replace"))


def derived(token: str, purpose: str) -> str:
    """A value that only the holder of `token` (and whoever is handed it) knows, for one purpose."""
    return hmac.new(token.encode("ascii", "replace"), purpose.encode("ascii"), hashlib.sha256).hexdigest()


def is_equal(one: str, other: str) -> bool:
    """Compare without telling by the time it takes where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
