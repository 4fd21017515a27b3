"""One bucket of an S3 server: the few calls that dockd makes, with our own values and errors.

Knows aiobotocore. Must not know uploads, docks or receipts. There is deliberately no PutObjectRetention and no
PutObjectLegalHold here: some stores without Object Lock answer them with 200 and overwrite the object with the
request's body. Retention is set when an upload is created, and in no other way.

Every call raises Refusal (503, 507); NotThere and AlreadyThere where it says so.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from dockd.central.refusals import STORE_SUSPECT
from dockd.central.stores import KeptByStore, PlannedPart
from dockd.central.stores.s3.config import StoreConfig
from dockd.central.stores.s3.failures import NotThere, refused_for_good, store_failures
from dockd.central.stores.s3.signing import Credentials, presigned
from dockd.model.ids import Digest
from dockd.rules.retention import DisposalPermit
from dockd.web.problems import Refusal

PART_CONTENT_TYPE = "application/octet-stream"
CANARY_PREFIX = "canary/"
_CHUNK_BYTES = 1024 * 1024
_ATTEMPTS = 2
_CONNECTIONS = 50


@dataclass(frozen=True, slots=True)
class Found:
    """An object as HEAD tells of it. `version` is None where the bucket keeps none."""

    size_bytes: int
    version: str | None
    lock_mode: str | None
    retain_until: datetime | None


@dataclass(frozen=True, slots=True)
class HeldPart:
    """A part that the store lists; `digest` where the store tells the SHA-256 it checked."""

    number: int
    size_bytes: int
    etag: str
    digest: Digest | None


@dataclass(frozen=True, slots=True)
class Retention:
    """What an upload asks of Object Lock when it is created."""

    mode: str
    until: datetime


@dataclass(frozen=True, slots=True)
class OpenMultipart:
    """A multipart upload that is neither completed nor aborted."""

    key: str
    multipart: str
    initiated_at: datetime


class Bucket:
    """The bucket of `config`; open it once per process."""

    def __init__(self, config: StoreConfig) -> None:
        self.config = config
        self.place = config.place
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._credentials: Credentials | None = None

    async def open(self) -> None:
        """Read the credentials and make ready; asks the store nothing. Raises CentreUnusable."""
        self._credentials = await asyncio.to_thread(self.config.credentials)
        settings = AioConfig(
            signature_version="s3v4",
            s3={"addressing_style": "path" if self.place.path_style else "virtual"},
            retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
            connect_timeout=min(10, self.config.timeout_seconds),
            read_timeout=self.config.timeout_seconds,
            max_pool_connections=_CONNECTIONS,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self._client = await self._stack.enter_async_context(
            AioSession().create_client(
                "s3",
                endpoint_url=self.place.endpoint,
                region_name=self.place.region,
                aws_access_key_id=self._credentials.access_key,
                aws_secret_access_key=self._credentials.secret_key,
                verify=self.config.ca_file,
                config=settings,
            )
        )

    async def close(self) -> None:
        """Close the connections; safe when never opened."""
        await self._stack.aclose()

    # --- objects ------------------------------------------------------------------------------

    async def head(self, key: str, version: str | None = None) -> Found:
        """What the store says of an object now. Raises NotThere."""
        with store_failures():
            told = await self._client.head_object(**self._object(key, version))
        return Found(
            size_bytes=_told(told, "ContentLength"),
            version=_version(told),
            lock_mode=told.get("ObjectLockMode"),
            retain_until=told.get("ObjectLockRetainUntilDate"),
        )

    async def get(self, key: str, version: str | None = None, *, byte_range: str | None = None) -> Mapping[str, Any]:
        """The store's answer to GET; its body goes to `chunks`. Raises NotThere, RangeNotThere."""
        asked = {"Range": byte_range} if byte_range is not None else {}
        with store_failures():
            told: Mapping[str, Any] = await self._client.get_object(**self._object(key, version), **asked)
        return told

    async def chunks(self, told: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """The body of what `get` told, in pieces; the connection is given back at the end."""
        with store_failures():
            async with told["Body"] as body:
                while piece := await body.read(_CHUNK_BYTES):
                    yield piece

    async def put(
        self,
        key: str,
        content: bytes,
        *,
        retention: Retention | None = None,
        is_new: bool = False,
        headers: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Put a small object and return its version. With `is_new`, raises AlreadyThere where the store checks it.

        `headers` replaces what botocore would be given besides (the canary lies with it).
        """
        checks: dict[str, Any] = {"ContentMD5": _base64(hashlib.md5(content).digest())}  # noqa: S324 - as S3 has it
        if is_new:
            checks["IfNoneMatch"] = "*"
        with store_failures():
            told = await self._client.put_object(
                **self._object(key), Body=content, **(checks | dict(headers or {})), **_lock(retention)
            )
        return _version(told)

    async def delete(self, key: str, version: str | None) -> None:
        """Remove an object of the canary's. Raises ValueError for any other: footage goes by `dispose` alone."""
        if not key.startswith(CANARY_PREFIX):
            raise ValueError(f"{key} is not the canary's")
        with store_failures():
            await self._client.delete_object(**self._object(key, version))

    async def dispose(self, permit: DisposalPermit) -> None:
        """Remove exactly the permitted version. Raises KeptByStore where the store says no."""
        try:
            with store_failures():
                await self._client.delete_object(**self._object(permit.object_key, permit.object_version))
        except Refusal as refusal:
            said = refused_for_good(refusal)
            if said is None:
                raise
            raise KeptByStore(f"The object store does not delete it ({said}).") from refusal

    # --- multipart ----------------------------------------------------------------------------

    async def begin(self, key: str, retention: Retention | None = None) -> str:
        """Create a multipart upload, under retention where given, and return the store's name for it."""
        with store_failures():
            told = await self._client.create_multipart_upload(
                **self._object(key), ChecksumAlgorithm="SHA256", ContentType=PART_CONTENT_TYPE, **_lock(retention)
            )
        return str(_told(told, "UploadId"))

    async def parts(self, key: str, multipart: str) -> dict[int, HeldPart]:
        """Every part that the store lists. Raises NotThere."""
        held: dict[int, HeldPart] = {}
        marker: dict[str, int] = {}
        while True:
            with store_failures():
                told = await self._client.list_parts(**self._object(key), UploadId=multipart, MaxParts=1000, **marker)
            for one in told.get("Parts", ()):
                number = _told(one, "PartNumber")
                digest = _digest(one.get("ChecksumSHA256"))
                held[number] = HeldPart(number, _told(one, "Size"), _told(one, "ETag"), digest)
            following = told.get("NextPartNumberMarker")
            if not told.get("IsTruncated") or not following or marker.get("PartNumberMarker") == following:
                return held
            marker = {"PartNumberMarker": following}

    async def complete(self, key: str, multipart: str, parts: Sequence[HeldPart]) -> None:
        """Join the parts. What the store answers proves nothing. Raises NotThere."""
        listed = [
            {"PartNumber": one.number, "ETag": one.etag}
            | ({"ChecksumSHA256": _base64(bytes.fromhex(one.digest))} if one.digest else {})
            for one in parts
        ]
        with store_failures():
            await self._client.complete_multipart_upload(
                **self._object(key), UploadId=multipart, MultipartUpload={"Parts": listed}
            )

    async def abort(self, key: str, multipart: str) -> None:
        """Throw an upload's parts away; one that is gone changes nothing."""
        try:
            with store_failures():
                await self._client.abort_multipart_upload(**self._object(key), UploadId=multipart)
        except NotThere:
            return

    async def open_multiparts(self) -> list[OpenMultipart]:
        """Every multipart upload of this bucket that is under way."""
        found: list[OpenMultipart] = []
        markers: dict[str, str] = {}
        while True:
            with store_failures():
                told = await self._client.list_multipart_uploads(Bucket=self.place.bucket, **markers)
            for one in told.get("Uploads", ()):
                found.append(OpenMultipart(_told(one, "Key"), _told(one, "UploadId"), _told(one, "Initiated")))
            following = {"KeyMarker": told.get("NextKeyMarker"), "UploadIdMarker": told.get("NextUploadIdMarker")}
            following = {name: one for name, one in following.items() if one}
            if not told.get("IsTruncated") or not following or following == markers:
                return found
            markers = following

    # --- the bucket itself --------------------------------------------------------------------

    async def keeps_versions(self) -> bool:
        """Whether versions are kept."""
        with store_failures():
            told = await self._client.get_bucket_versioning(Bucket=self.place.bucket)
        return bool(told.get("Status") == "Enabled")

    async def has_lock(self) -> bool:
        """Whether Object Lock is `Enabled`. A store that does not know the question has none."""
        with store_failures():
            try:
                told = await self._client.get_object_lock_configuration(Bucket=self.place.bucket)
            except ClientError as error:
                if _says_there_is_no_lock(error):
                    return False
                raise
        return bool(told.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    # --- addresses ----------------------------------------------------------------------------

    def part_address(
        self, key: str, multipart: str, number: int, headers: Mapping[str, str], *, now: datetime, seconds: int
    ) -> str:
        """The address to PUT one part with exactly these headers, from `now` for so long."""
        if self._credentials is None:
            raise RuntimeError("the bucket is not open")
        query = {"partNumber": str(number), "uploadId": multipart}
        return presigned(
            *(self._credentials, self.place, "PUT", key),
            query=query,
            headers=headers,
            now=now,
            lifetime_seconds=seconds,
        )

    def _object(self, key: str, version: str | None = None) -> dict[str, str]:
        named = {"Bucket": self.place.bucket, "Key": key}
        return named | {"VersionId": version} if version else named


def part_headers(part: PlannedPart) -> dict[str, str]:
    """The headers of one part, all of which its address signs.

    `x-amz-content-sha256` binds the body itself to the digest: a store that ignores the checksum headers may
    still compare it (Ceph does). Content-Length is among them: the dock sends it by itself.
    """
    return {
        "Content-Length": str(part.size_bytes),
        "Content-Type": PART_CONTENT_TYPE,
        "x-amz-checksum-sha256": _base64(bytes.fromhex(part.digest)),
        "x-amz-content-sha256": part.digest,
        "x-amz-sdk-checksum-algorithm": "SHA256",
    }


def _told(answer: Mapping[str, Any], name: str) -> Any:
    """What S3 promises to tell. Raises Refusal (503) where it does not: what answers is perhaps no S3 at all."""
    if name not in answer:
        words = f"The object store answers without {name}; IT must look at its address."
        raise Refusal(STORE_SUSPECT, words, retry_after_seconds=60)
    return answer[name]


def _version(answer: Mapping[str, Any]) -> str | None:
    version = answer.get("VersionId")
    return None if version in (None, "", "null") else str(version)


def _digest(text: str | None) -> Digest | None:
    """The SHA-256 in base64; None for none, and for what is something else, such as a digest of digests."""
    try:
        raw = base64.b64decode(text or "", validate=True)
    except ValueError:
        return None
    return Digest(raw.hex()) if len(raw) == hashlib.sha256().digest_size else None


def _says_there_is_no_lock(error: ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status in (400, 404, 405, 501) and error.response.get("Error", {}).get("Code") != "NoSuchBucket"


def _lock(retention: Retention | None) -> dict[str, Any]:
    if retention is None:
        return {}
    return {"ObjectLockMode": retention.mode, "ObjectLockRetainUntilDate": retention.until}


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
