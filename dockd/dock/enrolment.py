"""How a dock gets its identity: from a token to a client certificate and a pinned centre.

In this order, so that nothing secret is told to a stranger and a kill anywhere is mended by doing it again with the
same token: a key is made and kept; the centre's CA is fetched (it is public) and compared with the SHA-256 in the
token; from then on only that CA is trusted, and the token and a request signed with the key are sent; everything is put
into place; the certificate is tried once. The key never leaves this host.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from dockd.clock import Clock
from dockd.dock.centre_tls import context_trusting, enrolled_context
from dockd.dock.centre_wire import CentreWire, open_http_session
from dockd.dock.enrolment_files import EnrolmentFolder, PinnedCentre, certificate_request
from dockd.errors import CentreRefused, CentreUnavailable, ConfigInvalid, EnrolmentRefused
from dockd.model.ids import DockId
from dockd.wire.enrolment import (
    AuthorityCertificate,
    DockCertificate,
    EnrolmentRequest,
    InviteToken,
    parse_token,
    token_hash,
)
from dockd.wire.messages import FactsTaken

_FETCH_SECONDS = 30.0
_LARGEST_AUTHORITY_BYTES = 64 * 1024


async def enrol(token_text: str, dock: DockId, folder: Path, clock: Clock) -> PinnedCentre:
    """Enrol this dock; what is pinned and the certificate are in `folder` when this returns.

    Raises BadRequest for what is no token; EnrolmentRefused with the reason; ConfigInvalid for a damaged folder.
    """
    token = parse_token(token_text)
    if token.dock not in (None, dock):
        raise EnrolmentRefused(
            f"The token is for dock {token.dock}, and this dock is {dock}.",
            action="Use it on that dock, or ask for a token for this one.",
        )
    files = EnrolmentFolder(folder)
    try:
        if _is_done(files, token_text, dock):
            await asyncio.to_thread(files.forget_enrolling_keys)
        else:
            await _come_in(files, token, "".join(token_text.split()), dock, clock)
        tls = enrolled_context(folder)
        # A new session: connections of the first were opened without the certificate.
        async with open_http_session() as http:
            await _try(http, token, dock, tls, clock)
    except OSError as error:
        raise EnrolmentRefused(
            f"{folder} cannot be written: {error.strerror or error}.",
            action="Run this as the user that runs the daemon (runuser -u dockd -- dockd enrol …).",
        ) from error
    return files.pinned()


def _is_done(files: EnrolmentFolder, token_text: str, dock: DockId) -> bool:
    """Whether this very token enrolled this very dock already."""
    try:
        pinned = files.pinned()
    except ConfigInvalid:
        return False
    return (pinned.token_hash, pinned.dock) == (token_hash(token_text), dock)


async def _come_in(files: EnrolmentFolder, token: InviteToken, token_text: str, dock: DockId, clock: Clock) -> None:
    """Everything up to the files in their place. Raises EnrolmentRefused, ConfigInvalid, OSError."""
    key = await asyncio.to_thread(files.enrolling_key, token_hash(token_text))
    async with open_http_session() as http:
        ca = await _pinned_authority(http, token)
        granted = await _ask(http, token, token_text, dock, certificate_request(key, dock), context_trusting(ca), clock)
    _check_granted(granted, token, dock, key, ca)
    pinned = PinnedCentre(
        dock=dock,
        url=token.url,
        store=token.store,
        key=token.key,
        public_key=token.public_key,
        token_hash=token_hash(token_text),
    )
    await asyncio.to_thread(files.adopt, pinned, ca, key, granted.certificate)


async def _pinned_authority(http: aiohttp.ClientSession, token: InviteToken) -> str:
    """The CA that the token names, as PEM. Nothing is believed and nothing is sent before it is found to be that."""
    url = f"{token.url}/api/v1/enrolment/authority"
    try:
        async with (
            asyncio.timeout(_FETCH_SECONDS),
            http.get(url, ssl=_unproved(), allow_redirects=False) as response,
        ):
            body = await response.content.read(_LARGEST_AUTHORITY_BYTES)
            while not response.content.at_eof() and len(body) < _LARGEST_AUTHORITY_BYTES:
                body += await response.content.read(_LARGEST_AUTHORITY_BYTES)
        pem = AuthorityCertificate.model_validate_json(body).certificate
        certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise EnrolmentRefused(
            f"The centre at {token.url} cannot be reached ({type(error).__name__}).",
            action=f"Check that this host reaches it: curl --insecure {url}. Then run the same command again.",
        ) from error
    except (ValidationError, ValueError) as error:
        raise EnrolmentRefused(
            f"What answers at {token.url} is not a dockd centre.",
            action="Ask the centre's staff whether docks_url in its configuration is its address for docks.",
        ) from error
    if certificate.fingerprint(hashes.SHA256()).hex() != token.ca:
        raise EnrolmentRefused(
            f"What answers at {token.url} has another certificate authority than the token names: it is another "
            "centre, or somebody stands between. Nothing secret was sent.",
            action="Do not go on before IT has found out which. The token is still good.",
        )
    return pem


async def _ask(
    http: aiohttp.ClientSession,
    token: InviteToken,
    token_text: str,
    dock: DockId,
    request: str,
    tls: ssl.SSLContext,
    clock: Clock,
) -> DockCertificate:
    wire = CentreWire(http, token.url, clock, tls=tls)
    asked = EnrolmentRequest(token=token_text, dock=dock, request=request)
    try:
        return await wire.ask("POST", "/api/v1/enrolment", DockCertificate, body=asked)
    except CentreRefused as refused:
        raise EnrolmentRefused(refused.what, action="Do what the centre says.") from refused
    except CentreUnavailable as error:
        raise EnrolmentRefused(error.what, action="Mend that, then run the same command again.") from error


def _check_granted(
    granted: DockCertificate, token: InviteToken, dock: DockId, key: ec.EllipticCurvePrivateKey, ca: str
) -> None:
    """Raise EnrolmentRefused unless this is a certificate of the pinned CA over our key, beside the pinned store."""
    authority = x509.load_pem_x509_certificate(ca.encode("ascii"))
    try:
        certificate = x509.load_pem_x509_certificate(granted.certificate.encode("ascii"))
        certificate.verify_directly_issued_by(authority)
        is_ours = certificate.public_key() == key.public_key()
    except (ValueError, TypeError, InvalidSignature):
        is_ours = False
    pinned = (token.store, token.key, token.public_key)
    if not is_ours or granted.dock != dock or (granted.store, granted.key, granted.public_key) != pinned:
        raise EnrolmentRefused(
            "The centre's answer does not fit the token: another key, dock or store.",
            action="Tell IT and give them this message; ask for a new token.",
        )


async def _try(
    http: aiohttp.ClientSession, token: InviteToken, dock: DockId, tls: ssl.SSLContext, clock: Clock
) -> None:
    """Ask for something that only this dock may see. Raises EnrolmentRefused."""
    try:
        await CentreWire(http, token.url, clock, tls=tls).ask("GET", f"/api/v1/docks/{dock}/facts/head", FactsTaken)
    except (CentreRefused, CentreUnavailable) as error:
        raise EnrolmentRefused(
            f"The dock is enrolled, but its first call did not succeed: {error.what}",
            action="See `dockd doctor`; the daemon tries again by itself.",
        ) from error


def _unproved() -> ssl.SSLContext:
    """TLS with whoever answers, for the one public thing that is fetched before anyone is known."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
