"""Every call of the centre's API, once. The server registers this list and OpenAPI describes it."""

from __future__ import annotations

import json

from aiohttp import web

from dockd import __version__
from dockd.central import refusals
from dockd.central.api import dock_calls, recording_calls, rollout_calls
from dockd.central.api.access import admit
from dockd.central.api.answers import raw_json_answer
from dockd.central.api.custody_routes import CUSTODY_ROUTES
from dockd.central.api.enrolment_routes import ENROLMENT_ROUTES
from dockd.central.api.fleet_routes import FLEET_ROUTES
from dockd.central.api.openapi import describe
from dockd.central.api.retention_routes import RETENTION_ROUTES
from dockd.central.api.route import (
    CAMERA,
    DIGEST,
    DOCK,
    LARGEST_NUMBER,
    OFFICER,
    SESSION,
    UPLOAD,
    Access,
    Answer,
    BytesBody,
    IntegerValue,
    JsonBody,
    TextValue,
    api_route,
)
from dockd.central.claim_checks import LARGEST_PART_BYTES
from dockd.central.manifests import LARGEST_MANIFEST_BYTES, NAME_PATTERN
from dockd.central.stores.part_intake import PART_CONTENT_TYPE
from dockd.model.recording import Receipt
from dockd.web.problems import (
    NO_SUCH_THING,
    TOO_SLOW,
)
from dockd.wire.messages import (
    MAXIMUM_PARTS,
    Claim,
    ClaimAnswer,
    DockList,
    FactBatch,
    FactsTaken,
    Orders,
    RecordingDetail,
    RecordingList,
    StoreDescription,
    StoredManifest,
    Upload,
)
from dockd.wire.rollout import Rollout, UnitSites
from dockd.wire.status import DockStatus
from dockd.wire.store_checks import StoreChecks

_MANIFEST_NAME = TextValue(NAME_PATTERN, "the manifest's name", "manifest-sha256.txt")
_OCTETS = "application/octet-stream"


async def get_openapi(request: web.Request) -> web.StreamResponse:  # noqa: ARG001 - every call takes its request
    """This description, OpenAPI 3.1."""
    return raw_json_answer(_DOCUMENT)


_DOCK_ROUTES = (
    api_route(
        "PUT",
        "/docks/{dock}/facts",
        dock_calls.put_facts,
        (Answer(200, "held durably up to `number`", FactsTaken),),
        values={"dock": DOCK},
        body=JsonBody(FactBatch, dock_calls.FACTS_LIMIT_BYTES),
        problems=(
            refusals.GAP,
            refusals.FORK,
            refusals.REWRITE,
            refusals.OTHER_KEY,
            refusals.BAD_SIGNATURE,
            refusals.BAD_HASH,
            refusals.WRONG_DOCK,
        ),
        access=Access.OWN_DOCK,
    ),
    api_route(
        "GET",
        "/docks/{dock}/facts/head",
        dock_calls.get_head,
        (Answer(200, "number 0 when the dock was never heard of", FactsTaken),),
        values={"dock": DOCK},
        access=Access.OWN_DOCK,
    ),
    api_route(
        "GET",
        "/docks/{dock}/facts",
        dock_calls.get_facts,
        (Answer(200, "consecutive facts; none at the end", FactBatch),),
        values={"dock": DOCK},
        query={"after": dock_calls.AFTER, "limit": dock_calls.LIMIT},
        access=Access.OWN_DOCK,
    ),
    api_route(
        "PUT",
        "/docks/{dock}/status",
        dock_calls.put_status,
        (Answer(204, "kept"),),
        values={"dock": DOCK},
        body=JsonBody(DockStatus, dock_calls.STATUS_LIMIT_BYTES),
        problems=(refusals.WRONG_DOCK,),
        access=Access.OWN_DOCK,
    ),
    api_route(
        "GET",
        "/docks/{dock}/orders",
        dock_calls.get_orders,
        (Answer(200, "orders above `after`; none when the wait is over", Orders),),
        values={"dock": DOCK},
        query={"after": dock_calls.AFTER, "wait": dock_calls.WAIT},
        access=Access.OWN_DOCK,
    ),
    api_route("GET", "/docks", dock_calls.list_docks, (Answer(200, "by name", DockList),), access=Access.PEOPLE),
)

_UPLOAD_ROUTES = (
    api_route(
        "POST",
        "/recordings",
        recording_calls.claim_recording,
        (
            Answer(200, "the store has it: the receipt", ClaimAnswer),
            Answer(201, "the store has it not: how to send it", ClaimAnswer),
        ),
        body=JsonBody(Claim, recording_calls.CLAIM_LIMIT_BYTES),
        problems=(refusals.PARTS_DIFFER, refusals.CLAIM_DIFFERS),
        access=Access.OWN_CLAIM,
    ),
    api_route(
        "GET",
        "/uploads/{upload}",
        recording_calls.get_upload,
        (Answer(200, "what is there, and fresh addresses for what is missing", Upload),),
        values={"upload": UPLOAD},
        problems=(NO_SUCH_THING,),
        access=Access.OWN_UPLOAD,
    ),
    api_route(
        "POST",
        "/uploads/{upload}/complete",
        recording_calls.complete_upload,
        (Answer(200, "the receipt", Receipt),),
        values={"upload": UPLOAD},
        problems=(NO_SUCH_THING, refusals.PARTS_MISSING, refusals.DIGEST_DIFFERS, refusals.PART_DAMAGED),
        access=Access.OWN_UPLOAD,
    ),
    api_route(
        "PUT",
        "/uploads/{upload}/parts/{number}",
        recording_calls.put_part,
        (Answer(204, "the part is held for good"),),
        values={"upload": UPLOAD, "number": IntegerValue(1, MAXIMUM_PARTS, "the part's number, from 1")},
        query={
            "offset": IntegerValue(0, LARGEST_NUMBER, "where the part begins, bytes"),
            "size": IntegerValue(1, LARGEST_PART_BYTES, "the part's size, bytes"),
            "digest": TextValue(DIGEST.pattern, "SHA-256 of the part", "0" * 64, is_required=True),
            "expires": IntegerValue(0, LARGEST_NUMBER, "good until then, Unix time in seconds"),
            "signature": TextValue(
                DIGEST.pattern, "the centre's HMAC-SHA-256 over all of this", "0" * 64, is_required=True
            ),
        },
        body=BytesBody((PART_CONTENT_TYPE,), LARGEST_PART_BYTES),
        problems=(
            refusals.BAD_ADDRESS,
            refusals.EXPIRED,
            refusals.LENGTH_REQUIRED,
            refusals.LENGTH_DIFFERS,
            refusals.PART_DIFFERS,
            NO_SUCH_THING,
            TOO_SLOW,
        ),
        access=Access.OWN_UPLOAD,
    ),
)

_READING_ROUTES = (
    api_route(
        "GET",
        "/store",
        recording_calls.get_store,
        (Answer(200, "who the centre is", StoreDescription),),
        access=Access.ANY_DOCK,
    ),
    api_route(
        "GET",
        "/store/checks",
        recording_calls.get_store_checks,
        (Answer(200, "how the store stands; the newest report first, `next_after` goes on", StoreChecks),),
        query={"after": recording_calls.BEFORE, "limit": recording_calls.REPORTS},
        access=Access.PEOPLE,
    ),
    api_route(
        "GET",
        "/recordings",
        recording_calls.list_recordings,
        (Answer(200, "newest first; `next_after` goes on", RecordingList),),
        query={
            "dock": DOCK,
            "camera": CAMERA,
            "session": SESSION,
            "officer": OFFICER,
            "after": recording_calls.BEFORE,
            "limit": recording_calls.LIMIT,
        },
        access=Access.PEOPLE,
    ),
    api_route(
        "GET",
        "/recordings/{digest}",
        recording_calls.get_recording,
        (Answer(200, "sources, receipt, custody", RecordingDetail),),
        values={"digest": DIGEST},
        problems=(NO_SUCH_THING,),
        access=Access.PEOPLE,
    ),
    api_route(
        "GET",
        "/recordings/{digest}/content",
        recording_calls.get_content,
        (
            Answer(200, "the whole recording", content_type=_OCTETS),
            Answer(206, "the range asked for", content_type=_OCTETS),
            Answer(304, "not changed; recordings never change"),
            Answer(412, "the condition in the request's headers does not hold"),
            Answer(416, "the range lies outside"),
        ),
        values={"digest": DIGEST},
        problems=(NO_SUCH_THING, refusals.DELETED),
        access=Access.OWN_CONTENT,
    ),
    api_route(
        "PUT",
        "/sessions/{dock}/{session}/manifests/{name}",
        recording_calls.put_manifest,
        (Answer(200, "kept for good", StoredManifest),),
        values={"dock": DOCK, "session": SESSION, "name": _MANIFEST_NAME},
        headers={recording_calls.DIGEST_HEADER: TextValue(DIGEST.pattern, "SHA-256 of the body", "0" * 64)},
        body=BytesBody(recording_calls.MANIFEST_CONTENT_TYPES, LARGEST_MANIFEST_BYTES),
        problems=(refusals.BODY_DIFFERS, refusals.MANIFEST_DIFFERS),
        access=Access.OWN_DOCK,
    ),
    api_route(
        "GET",
        "/sessions/{dock}/{session}/manifests/{name}",
        recording_calls.get_manifest,
        (Answer(200, "the manifest", content_type=_OCTETS),),
        values={"dock": DOCK, "session": SESSION, "name": _MANIFEST_NAME},
        problems=(NO_SUCH_THING,),
        access=Access.OWN_DOCK,
    ),
    api_route(
        "GET", "/rollout", rollout_calls.get_rollout, (Answer(200, "the whole force", Rollout),), access=Access.PEOPLE
    ),
    api_route(
        "GET",
        "/rollout/sites",
        rollout_calls.get_unit_sites,
        (Answer(200, "by name", UnitSites),),
        query={"unit": rollout_calls.UNIT},
        problems=(NO_SUCH_THING,),
        access=Access.PEOPLE,
    ),
    api_route(
        "GET",
        "/openapi.json",
        get_openapi,
        (Answer(200, "this document", content_type="application/json"),),
        access=Access.ANYONE,
    ),
)

ROUTES = (
    *_DOCK_ROUTES,
    *_UPLOAD_ROUTES,
    *_READING_ROUTES,
    *ENROLMENT_ROUTES,
    *FLEET_ROUTES,
    *CUSTODY_ROUTES,
    *RETENTION_ROUTES,
)

_DOCUMENT = json.dumps(describe(ROUTES, title="dockd centre", version=__version__), ensure_ascii=False).encode("utf-8")


def add_api(app: web.Application) -> None:
    """Serve every call of the API, each only to those whose it is."""
    app.middlewares.append(admit(ROUTES))
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.handler)
