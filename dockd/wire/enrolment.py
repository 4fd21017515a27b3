"""What dock and centre say to each other when a dock is enrolled, and the token that brings them together.

A token is text that an administrator carries from the centre to the dock by a way that both trust. It
holds a secret that is good once, and everything that the dock pins: without it a dock could not tell the
centre from somebody who stands in its place.

    dockd1.<payload: JSON in base64url>.<first 8 hexadecimal digits of the payload's SHA-256>

The last part finds a token that was not copied whole. It is no protection against a person: that is the
secret, of which the centre keeps only the hash, taken over the whole text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated

from pydantic import StringConstraints, ValidationError

from dockd.errors import BadRequest
from dockd.model.canonical import digest_of_bytes
from dockd.model.ids import Digest
from dockd.model.moment import UtcTime
from dockd.model.value import DigestText, IdText, ShortText, Value

CentreUrl = Annotated[str, StringConstraints(max_length=500, pattern=r"^https://[A-Za-z0-9.:\[\]_-]+$")]
"""An origin, and never plain HTTP: whoever reads along would have the secret."""
TokenText = Annotated[str, StringConstraints(min_length=20, max_length=4000, pattern=r"^[A-Za-z0-9._=-]+$")]
PemText = Annotated[str, StringConstraints(min_length=60, max_length=8000, pattern=r"^[A-Za-z0-9+/= \r\n-]+$")]

_PREFIX = "dockd1"
_CHECK_DIGITS = 8


class InviteToken(Value):
    """What a token says."""

    url: CentreUrl
    ca: DigestText
    """SHA-256 of the centre's CA certificate (DER)."""
    store: IdText
    key: IdText
    public_key: ShortText
    """The receipt key, as `PinnedStore` has it."""
    site: ShortText
    dock: IdText | None
    """The only dock that it may enrol; None: any dock that the centre does not know yet."""
    expires_at: UtcTime
    secret: ShortText

    @property
    def text(self) -> str:
        """The token as it is handed over."""
        payload = base64.urlsafe_b64encode(self.model_dump_json().encode("utf-8")).decode("ascii").rstrip("=")
        return f"{_PREFIX}.{payload}.{_check_digits(payload)}"


def parse_token(text: str) -> InviteToken:
    """Read a token. Raises BadRequest that says what is wrong with it, never what is in it."""
    parts = "".join(text.split()).split(".")  # mail programs break long lines
    if len(parts) != 3 or parts[0] != _PREFIX:
        raise _bad("This is not a token of `dockd central invite`, or only a part of one.")
    if _check_digits(parts[1]) != parts[2]:
        raise _bad("The token was not copied whole, or it was changed.")
    try:
        raw = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
        return InviteToken.model_validate_json(raw)
    except (binascii.Error, ValueError, ValidationError) as error:
        raise _bad("The token does not hold what a token of this version holds.") from error


def token_hash(text: str) -> Digest:
    """What the centre keeps of a token, instead of the token."""
    return digest_of_bytes("".join(text.split()).encode("utf-8"))


class AuthorityCertificate(Value):
    """The centre's CA certificate, PEM. Believed only when its SHA-256 is the pinned one."""

    certificate: PemText


class EnrolmentRequest(Value):
    """A dock asks to be enrolled. `request` is a PKCS#10 request (PEM), signed with the key that it is for."""

    token: TokenText
    dock: IdText
    request: PemText


class RenewalRequest(Value):
    """An enrolled dock asks for its next certificate."""

    request: PemText


class DockCertificate(Value):
    """A certificate that the centre gave to a dock, with what it must be pinned beside."""

    dock: IdText
    certificate: PemText
    store: IdText
    key: IdText
    public_key: ShortText


def _check_digits(payload: str) -> str:
    return hashlib.sha256(payload.encode("ascii", "replace")).hexdigest()[:_CHECK_DIGITS]


def _bad(what: str) -> BadRequest:
    return BadRequest(what, action="Copy the whole line that `dockd central invite` printed, or ask for a new token.")
