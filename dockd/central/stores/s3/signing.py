"""Signed addresses for S3: AWS Signature Version 4 in the query, made by ourselves so that time is passed in.

Source: AWS, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)". Whoever has such an
address may send exactly these headers to exactly this place until it expires. Every header given here is
in the signature, so that neither a digest nor a length can be exchanged on the way. Pure: knows no network, no
file and no store.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

UNSIGNED_BODY = "UNSIGNED-PAYLOAD"
LONGEST_SECONDS = 7 * 24 * 3600
"""S3 takes no address that is to be good for longer."""
_ALGORITHM = "AWS4-HMAC-SHA256"
_SAFE_IN_PATH = "/-_.~"
_SAFE_IN_QUERY = "-_.~"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signs. Never logged: the secret is left out of the representation."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests go. `endpoint` without path; `path_style` puts the bucket into the path, else into the name."""

    endpoint: str
    region: str
    bucket: str
    path_style: bool

    def address(self, key: str) -> tuple[str, str]:
        """Scheme and host, and the encoded path of an object."""
        parts = urlsplit(self.endpoint)
        path = quote(key, safe=_SAFE_IN_PATH)
        if self.path_style:
            return f"{parts.scheme}://{parts.netloc}", f"/{self.bucket}/{path}"
        return f"{parts.scheme}://{self.bucket}.{parts.netloc}", f"/{path}"


def presigned(
    credentials: Credentials,
    place: Place,
    method: str,
    key: str,
    *,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    now: datetime,
    lifetime_seconds: int,
) -> str:
    """The address that allows `method` on `key` with exactly these `headers`, from `now` for so long.

    `now` is aware; `lifetime_seconds` is 1 to LONGEST_SECONDS. `host` is signed by itself.
    """
    if not 1 <= lifetime_seconds <= LONGEST_SECONDS:
        raise ValueError(f"an address is good for 1 to {LONGEST_SECONDS} seconds, not {lifetime_seconds}")
    origin, path = place.address(key)
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{place.region}/s3/aws4_request"
    signed_headers = {"host": urlsplit(origin).netloc} | {name.lower(): one.strip() for name, one in headers.items()}
    names = ";".join(sorted(signed_headers))
    body = signed_headers.get("x-amz-content-sha256", UNSIGNED_BODY)
    asked = _query(
        dict(query)
        | {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{credentials.access_key}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(lifetime_seconds),
            "X-Amz-SignedHeaders": names,
        }
    )
    header_lines = "".join(f"{name}:{signed_headers[name]}\n" for name in sorted(signed_headers))
    canonical = "\n".join((method, path, asked, header_lines, names, body))
    to_sign = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    signature = hmac.new(_key(credentials, stamp[:8], place.region), to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{origin}{path}?{asked}&X-Amz-Signature={signature}"


def _query(query: Mapping[str, str]) -> str:
    pairs = sorted((quote(name, safe=_SAFE_IN_QUERY), quote(one, safe=_SAFE_IN_QUERY)) for name, one in query.items())
    return "&".join(f"{name}={one}" for name, one in pairs)


def _key(credentials: Credentials, day: str, region: str) -> bytes:
    key = f"AWS4{credentials.secret_key}".encode()
    for word in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return key
