"""Tries a real object store with small lies, to learn what it refuses. Leaves nothing behind but the report.

The lies travel as a dock's parts do: over signed addresses, by plain HTTP. An answer that neither takes nor
refuses (503, no answer) proves nothing about the store; the whole run is then given up and tried again.
Knows the bucket and HTTP; keeps no rows (`canary`).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import aiohttp
import structlog
from yarl import URL

from dockd.central.canary import CanaryRecords, CanaryReport, Check, Finding
from dockd.central.refusals import STORE_SUSPECT
from dockd.central.stores import PlannedPart
from dockd.central.stores.s3.bucket import Bucket, part_headers
from dockd.central.stores.s3.documents import read_document
from dockd.central.stores.s3.failures import AlreadyThere, NotThere
from dockd.clock import Clock
from dockd.model.canonical import digest_of_bytes
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)

_BODY_BYTES = 64 * 1024
_LIFETIME_SECONDS = 300
_AGAIN_AFTER_FAILURE_SECONDS = 60.0
_LAST_PART = 10_000
_BOUND = "x-amz-content-sha256"
_CHECKSUM = "x-amz-checksum-sha256"
_OURS = frozenset({"Content-Length"})
"""The transport sends it by itself."""


class Canary:
    """Tries `bucket` and keeps what it found."""

    def __init__(self, bucket: Bucket, records: CanaryRecords, clock: Clock) -> None:
        self._bucket = bucket
        self._records = records
        self._clock = clock

    async def run(self) -> None:
        """At once, then every `canary_hours`; sooner when the store could not be tried. Until cancelled."""
        while True:
            seconds = self._bucket.config.canary_hours * 3600.0
            try:
                await self.check()
            except Refusal as refusal:
                _log.error("store_canary_failed", reason=refusal.what)
                seconds = _AGAIN_AFTER_FAILURE_SECONDS
            await self._clock.sleep(seconds)

    async def check(self) -> CanaryReport:
        """Try everything once, keep and log the report. Raises Refusal where the store cannot be tried now."""
        before = await self._records.latest()
        findings = await self._findings()
        report = CanaryReport(self._clock.now(), findings).compared_with(before)
        await self._records.keep(report)
        bad = [check.name for check, one in findings.items() if not one.is_good]
        _log.info("store_canary", bucket=self._bucket.place.bucket, is_trusted=report.is_trusted, not_done=bad)
        if report.worse:
            _log.critical("object_store_worse_than_before", no_longer=[check.value for check in report.worse])
        return report

    async def _findings(self) -> dict[Check, Finding]:
        timeout = aiohttp.ClientTimeout(total=self._bucket.config.timeout_seconds)
        findings: dict[Check, Finding] = {}
        async with aiohttp.ClientSession(timeout=timeout) as http:
            async with self._attempt() as (key, multipart):
                right = _PartTrials(self._bucket, http, self._clock, key, multipart)
                findings[Check.GOOD_PART] = await right.right_part()
                findings[Check.OVERWRITING] = await self._overwriting(key)
            async with self._attempt() as (key, multipart):
                findings |= await _PartTrials(self._bucket, http, self._clock, key, multipart).run()
        findings[Check.VERSIONS] = Finding(await self._bucket.keeps_versions(), "as the bucket tells")
        findings[Check.OBJECT_LOCK] = Finding(await self._bucket.has_lock(), "as the bucket tells")
        return findings

    @asynccontextmanager
    async def _attempt(self) -> AsyncIterator[tuple[str, str]]:
        key = f"canary/{os.urandom(8).hex()}"
        multipart = await self._bucket.begin(key)
        try:
            yield key, multipart
        finally:
            with suppress(Refusal):
                await self._clean(key, multipart)

    async def _clean(self, key: str, multipart: str) -> None:
        try:
            version = (await self._bucket.head(key)).version
        except NotThere:
            await self._bucket.abort(key, multipart)
        else:
            await self._bucket.delete(key, version)

    async def _overwriting(self, key: str) -> Finding:
        own = f"{key}-once"
        versions = [await self._bucket.put(own, b"first")]
        try:
            versions.append(await self._bucket.put(own, b"second", is_new=True))
        except AlreadyThere as refused:
            return Finding(True, str(refused))
        except Refusal as refusal:  # it may not know the header: it does not overwrite then either
            kept = await read_document(self._bucket, own)
            return Finding(False, f"{refusal.what} It holds {'the first' if kept == b'first' else 'another'} content.")
        finally:
            for version in versions:
                await self._bucket.delete(own, version)
        return Finding(False, "overwritten")


class _PartTrials:
    """Parts of one multipart upload: a right one, or lies."""

    def __init__(self, bucket: Bucket, http: aiohttp.ClientSession, clock: Clock, key: str, multipart: str) -> None:
        self._bucket = bucket
        self._http = http
        self._clock = clock
        self._key = key
        self._multipart = multipart
        self._number = 0
        self._right = os.urandom(_BODY_BYTES)
        self._wrong = bytes([self._right[0] ^ 1]) + self._right[1:]

    async def run(self) -> dict[Check, Finding]:
        trials: dict[Check, Callable[[], Awaitable[Finding]]] = {
            Check.WRONG_SHA256_BOUND: lambda: self._lie(self._headers(), self._wrong),
            Check.WRONG_SHA256_HEADER: lambda: self._lie(_without(self._headers(), _BOUND), self._wrong),
            Check.WRONG_SHA256_IN_LATER_PART: lambda: self._lie(
                _without(self._headers(), _BOUND), self._wrong, number=_LAST_PART
            ),
            Check.WRONG_MD5: self._wrong_md5,
            Check.TRUNCATED_BODY: self._truncated,
            Check.WRONG_LENGTH: lambda: self._lie(_without(self._headers(), _BOUND, _CHECKSUM), self._right[:-1]),
            Check.EXPIRED_ADDRESS: lambda: self._lie(
                self._headers(), self._right, now=self._clock.now() - timedelta(hours=1), seconds=1
            ),
            Check.TAMPERED_HEADER: lambda: self._lie(
                _without(self._headers(), _BOUND), self._wrong, sent={_CHECKSUM: _base64(_sha256(self._wrong))}
            ),
            Check.LEFT_OUT_HEADER: lambda: self._lie(
                _without(self._headers(), _BOUND), self._wrong, left_out=_CHECKSUM
            ),
        }
        return {check: await trial() for check, trial in trials.items()}

    async def right_part(self) -> Finding:
        """Raises Refusal when a right part is not taken: nothing that was refused before proves anything then."""
        status = await self._put(self._headers(), self._right)
        if status != 200:
            words = f"The object store does not take a right part (HTTP {status}); IT must look at clocks and rights."
            raise Refusal(STORE_SUSPECT, words, retry_after_seconds=60)
        held = await self._bucket.parts(self._key, self._multipart)
        if 1 not in held:
            words = "The object store acknowledges a part and does not list it; IT must look at it."
            raise Refusal(STORE_SUSPECT, words, retry_after_seconds=60)
        await self._bucket.complete(self._key, self._multipart, [held[1]])
        back = await read_document(self._bucket, self._key)
        return Finding(back == self._right, "the same bytes" if back == self._right else "other bytes")

    async def _lie(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        number: int | None = None,
        now: datetime | None = None,
        seconds: int = _LIFETIME_SECONDS,
        sent: Mapping[str, str] | None = None,
        left_out: str = "",
    ) -> Finding:
        """PUT `body` to an address signed for `headers`, sending `sent` instead of what was signed."""
        number = number or self._next_number()
        status = await self._put(headers, body, number, now, seconds, sent or {}, left_out)
        if status >= 500 or status in (408, 429):
            raise Refusal(STORE_SUSPECT, f"The object store could not be tried (HTTP {status}).")
        if status < 300:
            return Finding(False, f"HTTP {status}")
        held = await self._bucket.parts(self._key, self._multipart)
        return Finding(number not in held, f"HTTP {status}" + (", yet it is listed" if number in held else ""))

    async def _put(
        self,
        headers: Mapping[str, str],
        body: bytes,
        number: int = 1,
        now: datetime | None = None,
        seconds: int = _LIFETIME_SECONDS,
        sent: Mapping[str, str] | None = None,
        left_out: str = "",
    ) -> int:
        url = self._address(headers, number, now, seconds)
        given = {name: one for name, one in headers.items() if name not in _OURS | {left_out}} | dict(sent or {})
        try:
            async with self._http.put(URL(url, encoded=True), data=body, headers=given, ssl=self._tls()) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            words = f"The object store could not be tried ({type(error).__name__})."
            raise Refusal(STORE_SUSPECT, words, retry_after_seconds=60) from error

    async def _wrong_md5(self) -> Finding:
        """With the SHA-256 of the very body, so that nothing but the MD5 is wrong."""
        headers = _headers(self._wrong) | {"Content-MD5": _base64(hashlib.md5(self._right).digest())}  # noqa: S324 - as S3 has it
        return await self._lie(headers, self._wrong)

    async def _truncated(self) -> Finding:
        """Announce all, send half, close."""
        headers = self._headers()
        number = self._next_number()
        url = URL(self._address(headers, number, None, _LIFETIME_SECONDS), encoded=True)
        lines = "".join(f"{name}: {one}\r\n" for name, one in headers.items())
        head = f"PUT {url.raw_path_qs} HTTP/1.1\r\nHost: {url.authority}\r\n{lines}\r\n".encode("ascii")
        tls = self._tls() if url.scheme == "https" else None
        try:
            async with asyncio.timeout(self._bucket.config.timeout_seconds):
                reader, writer = await asyncio.open_connection(url.host, url.port, ssl=tls)
                try:
                    writer.write(head + self._right[: _BODY_BYTES // 2])
                    await writer.drain()
                    writer.write_eof() if writer.can_write_eof() else writer.close()
                    said = (await reader.read(200)).split(b"\r\n")[0].decode("ascii", "replace")
                finally:  # also when the centre ends meanwhile
                    writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            said = type(error).__name__
        held = await self._bucket.parts(self._key, self._multipart)
        return Finding(number not in held, said or "it ended the connection")

    def _next_number(self) -> int:
        """Each lie is about a part of its own: one that was taken must not be mistaken for the next."""
        self._number += 1
        return self._number

    def _headers(self) -> dict[str, str]:
        return _headers(self._right)

    def _address(self, headers: Mapping[str, str], number: int, now: datetime | None, seconds: int) -> str:
        return self._bucket.part_address(
            self._key, self._multipart, number, headers, now=now or self._clock.now(), seconds=seconds
        )

    def _tls(self) -> ssl.SSLContext | bool:
        ca_file = self._bucket.config.ca_file
        return ssl.create_default_context(cafile=ca_file) if ca_file else True


def _headers(body: bytes) -> dict[str, str]:
    return part_headers(PlannedPart(1, 0, len(body), digest_of_bytes(body)))


def _without(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    left = {name: one for name, one in headers.items() if name not in names}
    if _CHECKSUM in names:
        left.pop("x-amz-sdk-checksum-algorithm", None)
    return left


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
