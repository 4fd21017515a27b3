"""Calls by which a dock gets in: what each takes and answers."""

from __future__ import annotations

from dockd.central import refusals
from dockd.central.api import enrolment_calls
from dockd.central.api.route import DOCK, Access, Answer, JsonBody, api_route
from dockd.wire.enrolment import AuthorityCertificate, DockCertificate, EnrolmentRequest, RenewalRequest

ENROLMENT_ROUTES = (
    api_route(
        "GET",
        "/enrolment/authority",
        enrolment_calls.get_authority,
        (Answer(200, "the CA that tokens name", AuthorityCertificate),),
        problems=(refusals.NO_AUTHORITY,),
        access=Access.ANYONE,
    ),
    api_route(
        "POST",
        "/enrolment",
        enrolment_calls.enrol_dock,
        (Answer(200, "the dock's certificate; the same again for the same key", DockCertificate),),
        body=JsonBody(EnrolmentRequest, enrolment_calls.LIMIT_BYTES),
        problems=(
            refusals.TLS_REQUIRED,
            refusals.TOKEN_UNKNOWN,
            refusals.TOKEN_USED,
            refusals.TOKEN_EXPIRED,
            refusals.TOKEN_OF_OTHER_DOCK,
            refusals.DOCK_KNOWN,
            refusals.BAD_KEY_REQUEST,
            refusals.NO_AUTHORITY,
            refusals.CERTIFICATE_REVOKED,
        ),
        access=Access.ANYONE,
    ),
    api_route(
        "POST",
        "/docks/{dock}/certificate",
        enrolment_calls.renew_certificate,
        (Answer(200, "the next certificate", DockCertificate),),
        values={"dock": DOCK},
        body=JsonBody(RenewalRequest, enrolment_calls.LIMIT_BYTES),
        problems=(refusals.BAD_KEY_REQUEST, refusals.NO_AUTHORITY),
        access=Access.OWN_DOCK,
    ),
)
