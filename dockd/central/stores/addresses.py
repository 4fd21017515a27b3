"""Short-lived addresses for parts, as the folder store gives them.

Like a presigned URL of S3: whoever has it may send exactly these bytes to exactly this place, until it
expires. HMAC-SHA-256 (RFC 2104) over upload, part number, offset, size, digest and expiry; the secret never
leaves the centre. Knows no file and no database.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from dockd.central.refusals import BAD_ADDRESS, EXPIRED
from dockd.central.stores import PlannedPart
from dockd.model.ids import ID_PATTERN, Digest
from dockd.web.problems import Refusal

PART_PATH = "/api/v1/uploads/{upload}/parts/{number}"
_DECIMAL = re.compile(r"^(0|[1-9][0-9]{0,18})$")
_UPLOAD = re.compile(ID_PATTERN)
_HEX_64 = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class GrantedPart:
    """What a checked address allows."""

    upload: str
    part: PlannedPart


class PartAddresses:
    """Signs addresses and checks them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, upload: str, part: PlannedPart, expires_at: datetime) -> str:
        """Path and query that allow this part until `expires_at` (whole seconds)."""
        expires = int(expires_at.timestamp())
        query = {
            "offset": str(part.offset_bytes),
            "size": str(part.size_bytes),
            "digest": part.digest,
            "expires": str(expires),
            "signature": self._signature(upload, part, expires),
        }
        path = PART_PATH.format(upload=quote(upload, safe=""), number=part.number)
        return f"{path}?{urlencode(query)}"

    def check(self, upload: str, number: str, query: Mapping[str, str], now: datetime) -> GrantedPart:
        """What the address allows. Raises Refusal (403 `bad-address`, 403 `expired`)."""
        numbers = [number, query.get("offset", ""), query.get("size", ""), query.get("expires", "")]
        digest, signature = query.get("digest", ""), query.get("signature", "")
        is_well_formed = (
            _UPLOAD.fullmatch(upload)
            and all(_DECIMAL.fullmatch(text) for text in numbers)
            and _HEX_64.fullmatch(digest)
            and _HEX_64.fullmatch(signature)
        )
        if not is_well_formed:
            raise _not_ours()
        part_number, offset_bytes, size_bytes, expires = map(int, numbers)
        part = PlannedPart(part_number, offset_bytes, size_bytes, Digest(digest))
        if not hmac.compare_digest(self._signature(upload, part, expires), signature):
            raise _not_ours()
        if now.timestamp() > expires:
            raise Refusal(EXPIRED, f"This address was good until {datetime.fromtimestamp(expires, UTC):%H:%M:%S} UTC.")
        return GrantedPart(upload, part)

    def _signature(self, upload: str, part: PlannedPart, expires: int) -> str:
        # Joining is unambiguous: no checked field can hold a line feed.
        fields = ("PUT", upload, part.number, part.offset_bytes, part.size_bytes, part.digest, expires)
        message = "\n".join(str(field) for field in fields).encode("utf-8")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def _not_ours() -> Refusal:
    return Refusal(BAD_ADDRESS, "This address was not given by the centre in this form.")
