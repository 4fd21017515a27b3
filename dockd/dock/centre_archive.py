"""The reading side of the centre's API, for exports: what a person with access may take out.

The centre's word is not trusted here: what is exported is checked against the dock's facts and the
receipts by `custody_out`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from urllib.parse import quote

import aiohttp

from dockd.clock import Clock
from dockd.dock.centre_wire import LARGE_ANSWER_BYTES, MEBIBYTE, CentreWire
from dockd.model.facts import RecordedFact
from dockd.model.ids import Digest
from dockd.wire.messages import DockList, FactBatch, RecordingDetail, RecordingList, StoreDescription

_LARGEST_MANIFEST_BYTES = 64 * MEBIBYTE


class CentreArchive:
    """A centre as a `custody_out.export.Archive`. Raises CentreUnavailable, CentreRefused."""

    def __init__(self, session: aiohttp.ClientSession, url: str, clock: Clock) -> None:
        self._wire = CentreWire(session, url, clock)

    async def describe(self) -> StoreDescription:
        """Who the store says it is."""
        return await self._wire.ask("GET", "/api/v1/store", StoreDescription)

    async def docks(self) -> DockList:
        """All docks."""
        return await self._wire.ask("GET", "/api/v1/docks", DockList, limit_bytes=LARGE_ANSWER_BYTES)

    async def recordings(self, filters: dict[str, str], after: str | None) -> RecordingList:
        """A page of recordings, newest first; `after` is the `next_after` of the page before."""
        query = filters if after is None else {**filters, "after": after}
        return await self._wire.ask(
            "GET", "/api/v1/recordings", RecordingList, query=query, limit_bytes=LARGE_ANSWER_BYTES
        )

    async def recording(self, digest: Digest) -> RecordingDetail:
        """All that is known of one digest."""
        path = f"/api/v1/recordings/{quote(digest, safe='')}"
        return await self._wire.ask("GET", path, RecordingDetail, limit_bytes=LARGE_ANSWER_BYTES)

    def content(self, digest: Digest, offset_bytes: int = 0) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The bytes of one digest from `offset_bytes` on, in pieces."""
        return self._wire.stream(f"/api/v1/recordings/{quote(digest, safe='')}/content", offset_bytes=offset_bytes)

    def custody_bundle(self, query: Mapping[str, str]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The signed custody bundle of a selection as a tar archive, in pieces."""
        return self._wire.stream("/api/v1/custody/bundle.tar", query=query)

    async def facts(self, dock: str, after: int, limit: int) -> tuple[RecordedFact, ...]:
        """A dock's facts numbered above `after`, in order."""
        path = f"/api/v1/docks/{quote(dock, safe='')}/facts"
        query = {"after": str(after), "limit": str(limit)}
        answer = await self._wire.ask("GET", path, FactBatch, query=query, limit_bytes=LARGE_ANSWER_BYTES)
        return answer.facts

    async def manifest(self, dock: str, session: str, name: str) -> bytes:
        """A stored manifest of a session."""
        path = f"/api/v1/sessions/{quote(dock, safe='')}/{quote(session, safe='')}/manifests/{quote(name, safe='')}"
        return await self._wire.fetch(path, _LARGEST_MANIFEST_BYTES)
