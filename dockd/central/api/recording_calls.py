"""Calls about recordings: claims, uploads, parts, content, manifests."""

from __future__ import annotations

from aiohttp import web

from dockd import __version__
from dockd.central.acting import seen_docks
from dockd.central.api.access import require_own_dock
from dockd.central.api.answers import NO_STORE, download_headers, json_answer
from dockd.central.api.route import LARGEST_NUMBER, IntegerValue, query_number
from dockd.central.manifests import LARGEST_MANIFEST_BYTES
from dockd.central.queries import RecordingFilter
from dockd.central.refusals import BODY_DIFFERS, DELETED
from dockd.central.services import SERVICES
from dockd.central.store_checks import MOST_REPORTS, store_checks
from dockd.errors import NotFound
from dockd.model.canonical import digest_of_bytes
from dockd.model.recording import PART_SIZE_BYTES
from dockd.web.problems import Refusal, read_bytes, read_model
from dockd.wire.messages import Claim, StoreDescription

CLAIM_LIMIT_BYTES = 2 * 1024 * 1024
MANIFEST_CONTENT_TYPES = ("application/octet-stream", "text/plain", "application/xml", "text/xml")
DIGEST_HEADER = "X-Content-SHA256"

BEFORE = IntegerValue(1, LARGEST_NUMBER, "`next_after` of the page before", default=LARGEST_NUMBER)
LIMIT = IntegerValue(1, 500, "how many at most", default=100)
REPORTS = IntegerValue(1, MOST_REPORTS, "how many reports at most", default=1)


async def get_store(request: web.Request) -> web.StreamResponse:
    """Who this centre is."""
    pinned = request.app[SERVICES].identity.pinned
    return json_answer(
        StoreDescription(
            store=pinned.store,
            key=pinned.key,
            public_key=pinned.public_key,
            version=__version__,
            part_size_bytes=PART_SIZE_BYTES,
        )
    )


async def get_store_checks(request: web.Request) -> web.StreamResponse:
    """What the store was found to refuse, and whether recordings are read back because of it."""
    services = request.app[SERVICES]
    before, limit = query_number(request, "after", BEFORE), query_number(request, "limit", REPORTS)
    return json_answer(await store_checks(services.bucket, services.clock.now(), before=before, limit=limit))


async def claim_recording(request: web.Request) -> web.StreamResponse:
    """A dock has verified bytes: receipt, or how to send them."""
    services = request.app[SERVICES]
    claim = await read_model(request, Claim, limit_bytes=CLAIM_LIMIT_BYTES)
    require_own_dock(request, claim.dock)
    answer = await services.claims.claim(claim, services.origin_of(request))
    return json_answer(answer, status=200 if answer.receipt else 201)


async def get_upload(request: web.Request) -> web.StreamResponse:
    """What is missing of an upload."""
    services = request.app[SERVICES]
    return json_answer(await services.claims.upload(request.match_info["upload"], services.origin_of(request)))


async def put_part(request: web.Request) -> web.StreamResponse:
    """One part's bytes."""
    await request.app[SERVICES].store.receive_part(request)
    return web.Response(status=204)


async def complete_upload(request: web.Request) -> web.StreamResponse:
    """All parts are there: prove the whole and sign."""
    return json_answer(await request.app[SERVICES].claims.complete(request.match_info["upload"]))


async def list_recordings(request: web.Request) -> web.StreamResponse:
    """Recordings that docks claimed, newest first."""
    query = request.query
    wanted = RecordingFilter(
        dock=query.get("dock"),
        camera=query.get("camera"),
        session=query.get("session"),
        officer=query.get("officer"),
        docks=seen_docks(request),
    )
    before = query_number(request, "after", BEFORE)
    return json_answer(
        await request.app[SERVICES].queries.recordings(
            wanted, before=before, limit=query_number(request, "limit", LIMIT)
        )
    )


async def get_recording(request: web.Request) -> web.StreamResponse:
    """Everything known of one digest."""
    return json_answer(await request.app[SERVICES].queries.recording(request.match_info["digest"]))


async def get_content(request: web.Request) -> web.StreamResponse:
    """The bytes of an accepted recording."""
    services = request.app[SERVICES]
    receipt = await services.queries.receipt(request.match_info["digest"])
    if receipt is None:
        raise NotFound("The store has not accepted a recording with this digest.")
    gone = await services.retention.tombstone(receipt)
    if gone is not None:
        raise Refusal(DELETED, gone.sentence)
    return await services.store.content_response(receipt.object_key, download_headers(receipt.digest))


async def put_manifest(request: web.Request) -> web.StreamResponse:
    """Keep a session's manifest."""
    match = request.match_info
    content = await read_bytes(request, limit_bytes=LARGEST_MANIFEST_BYTES, content_types=MANIFEST_CONTENT_TYPES)
    if digest_of_bytes(content) != request.headers[DIGEST_HEADER]:
        raise Refusal(BODY_DIFFERS, f"The bytes that arrived do not have the digest in {DIGEST_HEADER}.")
    services = request.app[SERVICES]
    return json_answer(await services.manifests.keep(match["dock"], match["session"], match["name"], content))


async def get_manifest(request: web.Request) -> web.StreamResponse:
    """A session's manifest."""
    match = request.match_info
    content = await request.app[SERVICES].manifests.read(match["dock"], match["session"], match["name"])
    return web.Response(body=content, headers={**NO_STORE, **download_headers(match["name"])})
