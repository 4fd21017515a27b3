"""A bucket in memory: what `dockd.central.stores.s3.bucket.Bucket` offers, without a server.

It joins parts, keeps versions where it has a lock, and when told so damages or loses the next object that is joined,
forgets a retention, forbids deleting, is away, or deletes and is away before it has answered. Parts are put by the
test itself (`put_part`), as a store takes them from a dock.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dockd.central.refusals import STORE_SUSPECT
from dockd.central.stores import KeptByStore
from dockd.central.stores.s3.bucket import Found, HeldPart, OpenMultipart, Retention
from dockd.central.stores.s3.config import StoreConfig
from dockd.central.stores.s3.failures import AlreadyThere, NotThere
from dockd.clock import Clock
from dockd.model.ids import Digest
from dockd.rules.retention import DisposalPermit
from dockd.web.problems import Refusal


@dataclass
class KeptObject:
    """One version."""

    content: bytes
    version: str | None
    retention: Retention | None


@dataclass
class _Multipart:
    key: str
    initiated_at: datetime
    retention: Retention | None
    parts: dict[int, bytes] = field(default_factory=dict)


class MemoryBucket:
    """The server's side and the client's in one; give the same one to every store that shares the bucket."""

    def __init__(self, clock: Clock, *, has_lock: bool = False, **settings: object) -> None:
        given = {"kind": "s3", "endpoint": "http://127.0.0.1:9", "bucket": "footage", "credentials_file": "/none"}
        self.config = StoreConfig.model_validate(given | settings)
        self.place = self.config.place
        self.objects: dict[str, KeptObject] = {}
        self.multiparts: dict[str, _Multipart] = {}
        self.forgets_retention = False
        self.damages_next = False
        self.loses_next = False
        self.forbids_deleting = False
        self.is_away = False
        self.loses_answers = False
        self.asked_to_delete: list[str] = []
        self._clock = clock
        self._has_lock = has_lock
        self._numbers = itertools.count(1)

    def put_part(self, key: str, number: int, content: bytes) -> None:
        """A dock's PUT, to whichever upload of `key` is open."""
        multipart = next(one for one in self.multiparts.values() if one.key == key)
        multipart.parts[number] = content

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def head(self, key: str, version: str | None = None) -> Found:
        self._check_here()
        kept = self._kept(key)
        if version not in (None, kept.version):
            raise NotThere(key)
        retention = kept.retention
        return Found(
            size_bytes=len(kept.content),
            version=kept.version,
            lock_mode=retention.mode if retention else None,
            retain_until=retention.until if retention else None,
        )

    async def get(self, key: str, version: str | None = None, *, byte_range: str | None = None) -> Mapping[str, Any]:
        return {"Body": self._kept(key).content}

    async def chunks(self, told: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        yield told["Body"]

    async def put(
        self, key: str, content: bytes, *, retention: Retention | None = None, is_new: bool = False
    ) -> str | None:
        if is_new and key in self.objects:
            raise AlreadyThere(key)
        return self._keep(key, content, retention)

    async def begin(self, key: str, retention: Retention | None = None) -> str:
        name = f"multipart-{next(self._numbers)}"
        self.multiparts[name] = _Multipart(key, self._clock.now(), retention)
        return name

    async def parts(self, key: str, multipart: str) -> dict[int, HeldPart]:
        return {
            number: HeldPart(number, len(content), f"etag-{number}", _digest(content))
            for number, content in self._upload(multipart).parts.items()
        }

    async def complete(self, key: str, multipart: str, parts: Sequence[HeldPart]) -> None:
        upload = self._upload(multipart)
        del self.multiparts[multipart]
        content = b"".join(upload.parts[one.number] for one in parts)
        if self.damages_next:
            content = bytes([content[0] ^ 1]) + content[1:]
        if not self.loses_next:
            self._keep(key, content, upload.retention)
        self.damages_next = self.loses_next = False

    async def abort(self, key: str, multipart: str) -> None:
        self.multiparts.pop(multipart, None)

    async def open_multiparts(self) -> list[OpenMultipart]:
        return [OpenMultipart(one.key, name, one.initiated_at) for name, one in self.multiparts.items()]

    async def has_lock(self) -> bool:
        return self._has_lock

    async def keeps_versions(self) -> bool:
        self._check_here()
        return self._has_lock

    async def dispose(self, permit: DisposalPermit) -> None:
        self._check_here()
        self.asked_to_delete.append(permit.object_key)
        kept = self._kept(permit.object_key)
        is_locked = kept.retention is not None and kept.retention.until > self._clock.now()
        if self.forbids_deleting or is_locked:
            raise KeptByStore("The object store does not delete it (HTTP 403, AccessDenied).")
        if kept.version == permit.object_version:
            del self.objects[permit.object_key]
        if self.loses_answers:
            self.is_away = True
            raise _away()

    def part_address(
        self, key: str, multipart: str, number: int, headers: Mapping[str, str], *, now: datetime, seconds: int
    ) -> str:
        return f"{self.place.endpoint}/{key}?partNumber={number}&uploadId={multipart}"

    def _keep(self, key: str, content: bytes, retention: Retention | None) -> str | None:
        version = f"version-{next(self._numbers)}" if self._has_lock else None
        self.objects[key] = KeptObject(content, version, None if self.forgets_retention else retention)
        return version

    def _kept(self, key: str) -> KeptObject:
        if key not in self.objects:
            raise NotThere(key)
        return self.objects[key]

    def _check_here(self) -> None:
        if self.is_away:
            raise _away()

    def _upload(self, multipart: str) -> _Multipart:
        if multipart not in self.multiparts:
            raise NotThere(multipart)
        return self.multiparts[multipart]


def _away() -> Refusal:
    return Refusal(STORE_SUSPECT, "The object store does not answer in time.", retry_after_seconds=10)


def _digest(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).hexdigest())
