"""What the centre asks of an object store, whatever it is made of: a folder (`files`) or a bucket (`s3`).

The store keeps bytes and proves them. It knows nothing of docks, cameras, receipts or HTTP routes; the
claims (`dockd.central.claims`) know nothing of files or buckets.

Promises every store makes:
- parts go straight to the addresses that `part_address` gives, each good for one part of one upload;
- `finished_parts` names only parts that survive a power cut from now on;
- `placed` yields only after the whole object was read back from where it finally lies and had the
  claimed digest, and keeps everybody else from changing the upload until the block is left;
- an object, once placed, is never overwritten;
- an object is deleted only on a `DisposalPermit`, which only the rules of retention make.

Refusals (`dockd.web.problems.Refusal`): STORE_FULL, STORE_SUSPECT, BUSY (later); PARTS_MISSING,
PART_DAMAGED, DIGEST_DIFFERS from `placed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from dockd.model.ids import Digest
from dockd.rules.retention import DisposalPermit
from dockd.wire.messages import PartAddress

if TYPE_CHECKING:
    from aiohttp import web  # what only reads a bucket's configuration loads no network


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """One part of an upload: `number` from 1, its place in the recording and its SHA-256."""

    number: int
    offset_bytes: int
    size_bytes: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """One upload: the whole's digest and size, and the digests of its parts in order."""

    upload: str
    digest: Digest
    size_bytes: int
    part_size_bytes: int
    part_digests: tuple[Digest, ...]

    def part(self, number: int) -> PlannedPart:
        """The part with this number, 1 to `len(part_digests)`."""
        offset = (number - 1) * self.part_size_bytes
        size = min(self.part_size_bytes, self.size_bytes - offset)
        return PlannedPart(number, offset, size, self.part_digests[number - 1])

    @property
    def part_numbers(self) -> range:
        """Every part's number."""
        return range(1, len(self.part_digests) + 1)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Bytes in their final place, proved. `object_version` and `retain_until` where the store has them."""

    object_key: str
    object_version: str | None = None
    retain_until: datetime | None = None


class KeptByStore(Exception):
    """The store does not delete this object, and asking again soon would not change that.

    `said` is for people. `until` is when the store's own lock ends, where it tells.
    """

    def __init__(self, said: str, *, until: datetime | None = None) -> None:
        super().__init__(said)
        self.said = said
        self.until = until


class ObjectStore(Protocol):
    """Where footage and manifests finally lie."""

    async def open(self) -> None:
        """Make ready; repairs what a kill left half done. Raises CentreUnusable."""

    async def close(self) -> None:
        """Let running work end."""

    async def begin(self, plan: UploadPlan) -> frozenset[int]:
        """Be ready to take parts, and return those that are held for good; the same plan again changes nothing."""

    def part_address(self, plan: UploadPlan, number: int, origin: str, expires_at: datetime) -> PartAddress:
        """Where to PUT one part until `expires_at`. `origin` is how the dock reaches the centre."""

    async def receive_part(self, request: web.Request) -> None:
        """Take a part where its address leads back to the centre, not to the store itself.

        Raises Refusal; NotFound where this store's addresses do not lead here.
        """

    def placed(self, plan: UploadPlan) -> AbstractAsyncContextManager[StoredObject]:
        """Join the parts, prove the whole, put it into its final place."""

    async def holds(self, object_key: str, size_bytes: int) -> bool:
        """Whether the object is there with this size; a quick look, not a proof."""

    async def discard(self, plan: UploadPlan) -> None:
        """Throw the upload's parts away."""

    async def has_object(self, object_key: str, object_version: str | None) -> bool:
        """Whether this very object is there, whatever its size."""

    def disposing(self) -> AbstractAsyncContextManager[None]:
        """Until the block is left no other process deletes what may lie under the same key again; a kill ends it too.

        Raises Refusal: BUSY when another is inside.
        """

    async def dispose(self, permit: DisposalPermit) -> None:
        """Delete the permitted object and see that it is gone.

        Call it inside `disposing`. Raises KeptByStore when it stays, or was not there; Refusal (503) when that cannot
        be told, or the permit is too old.
        """

    async def content_response(self, object_key: str, headers: Mapping[str, str]) -> web.StreamResponse:
        """An answer that sends the object, in ranges where the request asks for them. Raises NotFound."""

    async def keep_document(self, key: str, content: bytes) -> None:
        """Keep a small document durably under `key`, which is made of checked ids only.

        Raises FileExistsError when another content is there already.
        """

    async def read_document(self, key: str) -> bytes:
        """Return it. Raises NotFound."""
