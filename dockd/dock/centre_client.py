"""The dock's calls to its centre, one method for each line of the table in `wire/messages.py`.

Speaks `dockd.wire` and returns parsed values; what the centre says of a recording is believed only after
`rules.receipts.check_receipt`, which is not done here. Errors: `CentreUnavailable` means later,
`CentreRefused` means that the centre understood and will not.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TypeVar
from urllib.parse import quote

import aiohttp
from pydantic import ValidationError

from dockd.clock import Clock
from dockd.dock.centre_answers import Answer
from dockd.dock.centre_wire import LARGE_ANSWER_BYTES, CentreWire, Reachability
from dockd.errors import CentreUnavailable
from dockd.model.canonical import digest_of_bytes
from dockd.model.facts import RecordedFact
from dockd.model.ids import Digest, DockId
from dockd.model.recording import Receipt
from dockd.model.value import Value
from dockd.wire.enrolment import DockCertificate, RenewalRequest
from dockd.wire.messages import (
    Claim,
    ClaimAnswer,
    FactBatch,
    FactsTaken,
    Orders,
    StoreDescription,
    StoredManifest,
    Upload,
)
from dockd.wire.status import DockStatus

M = TypeVar("M", bound=Value)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # token, RFC 9110 §5.6.2
_TRANSPORT_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect"})
"""Headers of a part that are the transport's own: never taken from an answer."""


class CentreClient:
    """One dock's view of its centre."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        dock: DockId,
        clock: Clock,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._wire = CentreWire(session, url, clock, tls=tls)
        self._dock = dock
        self._dock_path = f"/api/v1/docks/{_segment(dock)}"

    @property
    def reachability(self) -> Reachability:
        """Whether the centre answers."""
        return self._wire.reachability

    async def describe(self) -> StoreDescription:
        """Who answers there. Raises CentreUnavailable."""
        return await self._wire.ask("GET", "/api/v1/store", StoreDescription)

    async def renew_certificate(self, request_pem: str) -> DockCertificate:
        """The next certificate over the key in this PKCS#10 request. Raises CentreUnavailable, CentreRefused."""
        return await self._wire.ask(
            "POST", f"{self._dock_path}/certificate", DockCertificate, body=RenewalRequest(request=request_pem)
        )

    async def facts_head(self) -> FactsTaken:
        """The last fact of this dock that the centre durably holds. Raises CentreUnavailable, CentreRefused."""
        return await self._wire.ask("GET", f"{self._dock_path}/facts/head", FactsTaken)

    async def put_facts(self, facts: tuple[RecordedFact, ...]) -> FactsTaken:
        """Hand over consecutive facts; the same facts twice do no harm.

        Raises CentreUnavailable, and CentreRefused (`gap`, `fork`, `rewrite`, …).
        """
        return await self._wire.ask("PUT", f"{self._dock_path}/facts", FactsTaken, body=FactBatch(facts=facts))

    async def put_status(self, status: DockStatus) -> None:
        """Heartbeat. Raises CentreUnavailable, CentreRefused."""
        body = status.model_dump_json().encode("utf-8")
        await self._wire.send("PUT", f"{self._dock_path}/status", body, {"Content-Type": "application/json"})

    async def orders(self, after: int, wait_seconds: int) -> Orders:
        """Orders numbered above `after`; the centre may hold the question for `wait_seconds`. Raises as above."""
        return await self._wire.ask(
            "GET",
            f"{self._dock_path}/orders",
            Orders,
            query={"after": str(after), "wait": str(wait_seconds)},
            seconds=wait_seconds + 30.0,
        )

    async def claim(self, claim: Claim) -> ClaimAnswer:
        """Tell the centre of verified bytes. Raises CentreUnavailable, CentreRefused."""
        answer = await self._wire.ask(
            "POST", "/api/v1/recordings", ClaimAnswer, body=claim, limit_bytes=LARGE_ANSWER_BYTES
        )
        if (answer.receipt is None) == (answer.upload is None):
            raise CentreUnavailable("The centre answered a claim with neither a receipt nor an upload.")
        return answer

    async def upload(self, upload: str) -> Upload:
        """What is missing of an upload, with fresh addresses. Raises CentreUnavailable, CentreRefused (404: gone)."""
        return await self._wire.ask(
            "GET", f"/api/v1/uploads/{_segment(upload)}", Upload, limit_bytes=LARGE_ANSWER_BYTES
        )

    async def complete(self, upload: str) -> Receipt:
        """All parts are there: ask for the receipt. The centre may read the whole object first.

        Raises CentreUnavailable, CentreRefused (`parts-missing`, `digest-differs`, …).
        """
        return await self._wire.ask("POST", f"/api/v1/uploads/{_segment(upload)}/complete", Receipt, seconds=900.0)

    async def put_part(
        self, url: str, headers: Mapping[str, str], size_bytes: int, chunks: AsyncIterator[bytes]
    ) -> Answer:
        """Send one part's bytes, once, with an explicit length. Raises CentreUnavailable for a broken connection."""
        if not all(_HEADER_NAME.fullmatch(name) for name in headers):
            raise CentreUnavailable("The centre gives a header for a part that HTTP does not allow.")
        sent = {name: value for name, value in headers.items() if name.lower() not in _TRANSPORT_HEADERS}
        sent["Content-Length"] = str(size_bytes)
        sent.setdefault("Content-Type", "application/octet-stream")
        return await self._wire.put_stream(url, sent, chunks, seconds=120.0)

    async def put_manifest(self, session: str, name: str, content: bytes) -> StoredManifest:
        """Store a session's manifest beside its footage; the same bytes twice do no harm.

        Raises CentreUnavailable (also when the centre repeats another digest), CentreRefused.
        """
        digest = digest_of_bytes(content)
        path = f"/api/v1/sessions/{_segment(self._dock)}/{_segment(session)}/manifests/{_segment(name)}"
        headers = {"Content-Type": "application/octet-stream", "X-Content-SHA256": digest}
        try:
            stored = StoredManifest.model_validate_json(await self._wire.send("PUT", path, content, headers))
        except ValidationError as error:
            raise CentreUnavailable("The centre's answer to a manifest is not in the agreed form.") from error
        if (stored.digest, stored.size_bytes, stored.name) != (digest, len(content), name):
            raise CentreUnavailable("The centre says that it stored another manifest than was sent.")
        return stored

    def content(self, digest: Digest) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The store's own copy of a recording, in pieces. Raises CentreUnavailable, CentreRefused on entering."""
        return self._wire.stream(f"/api/v1/recordings/{_segment(digest)}/content")


def _segment(text: str) -> str:
    return quote(text, safe="")
