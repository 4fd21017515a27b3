"""Calls by which a dock gets in: the CA, a first certificate for a token, the next one for a present one."""

from __future__ import annotations

from aiohttp import web

from dockd.central.api.answers import json_answer
from dockd.central.refusals import TLS_REQUIRED
from dockd.central.services import SERVICES
from dockd.web.problems import Refusal, read_model
from dockd.wire.enrolment import AuthorityCertificate, EnrolmentRequest, RenewalRequest

LIMIT_BYTES = 64 * 1024


async def get_authority(request: web.Request) -> web.StreamResponse:
    """The centre's CA certificate; whoever asks compares it with what was pinned."""
    return json_answer(AuthorityCertificate(certificate=request.app[SERVICES].enrolment.authority.pem))


async def enrol_dock(request: web.Request) -> web.StreamResponse:
    """A token for a certificate."""
    asked = await read_model(request, EnrolmentRequest, limit_bytes=LIMIT_BYTES)
    if not request.secure:
        # Read first, so that a wrong body is told as one; the token is spoilt, as it was seen in the clear.
        raise Refusal(
            TLS_REQUIRED, "Docks are enrolled over TLS only. This token was sent in the clear: ask for another."
        )
    return json_answer(await request.app[SERVICES].enrolment.enrol(asked))


async def renew_certificate(request: web.Request) -> web.StreamResponse:
    """The next certificate of the dock that asks."""
    asked = await read_model(request, RenewalRequest, limit_bytes=LIMIT_BYTES)
    if not request.secure:
        raise Refusal(TLS_REQUIRED, "Certificates are renewed by a dock that shows its present one, over TLS.")
    return json_answer(await request.app[SERVICES].enrolment.renew(request.match_info["dock"], asked.request))
