"""How the dock speaks TLS with its centre, and what a failure of it means in words.

Knows contexts and the errors of OpenSSL and aiohttp. Only the CA that was pinned at enrolment counts, none of the
host's: a certificate of a public CA for the centre's name is a stranger's. The centre's own context is used for
the centre and nobody else; an object store on another host never sees this dock's certificate.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp

from dockd.dock.enrolment_files import EnrolmentFolder
from dockd.errors import ConfigInvalid

_NOT_THE_CENTRE = (
    "What answers at the centre's address does not show a certificate of the centre's pinned CA; nothing was sent. "
    "Either somebody stands between this dock and the centre, or the address is another system's, or this host's clock "
    "is wrong."
)
_CLOSED = (
    "The centre closed the connection without an answer. If this happens each time, it does not know this dock's "
    "certificate at all (another centre's, or self-made): enrol the dock again."
)


def context_trusting(ca_pem: str) -> ssl.SSLContext:
    """TLS 1.2 or later, names checked, only this CA trusted, no certificate of ours. Raises ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=ca_pem)
    except ssl.SSLError as error:
        raise ValueError("this is not a CA certificate") from error
    return context


def enrolled_context(folder: Path) -> ssl.SSLContext:
    """The context of an enrolled dock, from what enrolment left in `folder`. Raises ConfigInvalid."""
    files = EnrolmentFolder(folder)
    files.certificate()
    try:
        context = context_trusting(files.ca_file.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise ConfigInvalid(
            f"{files.ca_file} cannot be used: {error}.",
            footage="Nothing was started; no footage was touched.",
            action="Ask the centre's staff for a token and run `dockd enrol TOKEN`.",
        ) from error
    reload_certificate(context, files.dock_file)
    return context


def reload_certificate(context: ssl.SSLContext, dock_file: Path) -> None:
    """Show what is in `dock_file` from now on: for new connections, those that are open go on. Raises ConfigInvalid."""
    try:
        context.load_cert_chain(dock_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigInvalid(
            f"{dock_file} holds no key with its certificate: {error}.",
            footage="Nothing was started; no footage was touched.",
            action="Ask the centre's staff for a token and run `dockd enrol TOKEN`.",
        ) from error


def tls_words(error: BaseException) -> str | None:
    """What a network error of a TLS connection means; None when it has nothing to do with certificates.

    TLS 1.3 (RFC 8446, section 4.4.2.4): a client is through with its handshake before the server has judged its
    certificate. So a refusal comes as an alert or a closed connection at the first read.
    """
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return _NOT_THE_CENTRE
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"No TLS with the centre is possible ({_reason(error)}). Is the address that of its port for docks?"
    if isinstance(error, aiohttp.ServerDisconnectedError | ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return _CLOSED
    return None


def _reason(error: aiohttp.ClientConnectorSSLError) -> str:
    inner = error.certificate_error if isinstance(error, aiohttp.ClientConnectorCertificateError) else error.os_error
    return str(getattr(inner, "reason", None) or type(inner).__name__).replace("_", " ").lower()
