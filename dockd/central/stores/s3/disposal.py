"""An object is deleted from the bucket: exactly the version that the receipt names, on a permit, and seen to be gone.

Retention and legal holds of the store itself are respected, never changed: what it does not delete is kept and told.
Deleting without a version in a bucket that keeps versions would only hide the bytes, so that is not done.
"""

from __future__ import annotations

from contextlib import suppress

from dockd.central.refusals import BUSY, STORE_SUSPECT
from dockd.central.stores import KeptByStore
from dockd.central.stores.s3.bucket import Bucket
from dockd.central.stores.s3.failures import NotThere
from dockd.clock import Clock
from dockd.rules.retention import DisposalPermit
from dockd.web.problems import Refusal

FOOTAGE_PREFIX = "objects/"


async def dispose_object(bucket: Bucket, permit: DisposalPermit, clock: Clock) -> None:
    """See `ObjectStore.dispose`."""
    if not permit.object_key.startswith(FOOTAGE_PREFIX) or permit.digest not in permit.object_key:
        raise KeptByStore("Its receipt names an object that is not of this bucket.")
    try:
        found = await bucket.head(permit.object_key, permit.object_version)
    except NotThere:
        raise KeptByStore("The bucket does not hold it, so nothing was deleted; IT must look into it.") from None
    if found.size_bytes != permit.size_bytes:
        words = f"The object has {found.size_bytes} bytes instead of {permit.size_bytes}; a specialist must look at it."
        raise KeptByStore(words)
    if found.retain_until is not None and found.retain_until > clock.now():
        words = f"The object store has it locked until {found.retain_until:%Y-%m-%d %H:%M} UTC."
        raise KeptByStore(words, until=found.retain_until)
    if permit.object_version is None and await bucket.keeps_versions():
        raise KeptByStore("The bucket keeps versions and the receipt names none: deleting would only hide the bytes.")
    if clock.now() >= permit.good_until:
        raise Refusal(BUSY, "The permit to delete came too late to be used.", retry_after_seconds=60)
    with suppress(NotThere):
        await bucket.dispose(permit)
    if await is_there(bucket, permit.object_key, permit.object_version):
        words = "The object store acknowledged that it deleted an object, and still shows it."
        raise Refusal(STORE_SUSPECT, words, retry_after_seconds=600)


async def is_there(bucket: Bucket, key: str, version: str | None) -> bool:
    """Whether HEAD shows this version. Raises Refusal (503), also where the bucket itself is not there."""
    try:
        await bucket.head(key, version)
    except NotThere:
        await bucket.keeps_versions()  # HEAD cannot tell a missing bucket from a missing object
        return False
    return True
