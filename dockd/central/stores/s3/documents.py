"""Small immutable documents in the bucket: never overwritten, and read back before they are called kept."""

from __future__ import annotations

from contextlib import aclosing, suppress

from dockd.central.refusals import STORE_SUSPECT
from dockd.central.stores.s3.bucket import Bucket, Retention
from dockd.central.stores.s3.failures import AlreadyThere, NotThere
from dockd.central.stores.s3.retention import confirm_retention
from dockd.web.problems import Refusal


async def keep_document(bucket: Bucket, key: str, content: bytes, retention: Retention | None) -> None:
    """Keep `content` under `key`, its retention confirmed; the same again changes nothing.

    Raises FileExistsError when another content is there already; Refusal (503, 507).
    """
    try:
        if await read_document(bucket, key) != content:
            raise FileExistsError(key)
        return
    except NotThere:
        pass
    version = None
    with suppress(AlreadyThere):  # somebody else, at the same moment
        version = await bucket.put(key, content, retention=retention, is_new=True)
    try:
        if retention is not None and version is not None:
            confirm_retention(key, retention.until, await bucket.head(key, version))
        kept = await read_document(bucket, key, version)
    except NotThere:
        words = "The object store acknowledged a document and does not hold it."
        raise Refusal(STORE_SUSPECT, words, retry_after_seconds=30) from None
    if kept != content:
        raise FileExistsError(key)


async def read_document(bucket: Bucket, key: str, version: str | None = None) -> bytes:
    """Return it. Raises NotThere, Refusal (503)."""
    told = await bucket.get(key, version)
    async with aclosing(bucket.chunks(told)) as pieces:
        return b"".join([piece async for piece in pieces])
