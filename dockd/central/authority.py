"""The centre's own certificate authority: the one key that says which dock is which, and who the centre is.

Made once by `dockd central init` beside the receipt key, never replaced by us: every dock pinned its
SHA-256. Knows X.509 and TLS; must not know tables, tokens or HTTP.

    ca.pem              the CA's certificate; docks pin the SHA-256 of its DER form
    keys/ca-key.pem     its private key: ECDSA P-256, PEM PKCS#8, mode 0600

ECDSA P-256 and not Ed25519: OpenSSL takes both, but TLS stacks of proxies and inspection tools often do not.

A dock's certificate names it twice, in the common name for people and as `urn:dockd:dock:<id>` for us, and
is good for clients only; the centre's own is good for servers only. So a dock cannot pass for the centre.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dockd.central.identity import KEYS_FOLDER, PINNED_FILE, read_private
from dockd.central.refusals import BAD_KEY_REQUEST
from dockd.central.stores.durable import make_folders, write_new
from dockd.errors import CentreUnusable
from dockd.model.canonical import digest_of_bytes
from dockd.model.ids import Digest, DockId
from dockd.web.problems import Refusal

CA_FILE = "ca.pem"
_CA_KEY_FILE = "ca-key.pem"
_DOCK_URN = "urn:dockd:dock:"
_CA_LIFETIME = timedelta(days=25 * 365)
_SERVER_LIFETIME = timedelta(days=90)
_BACKDATED = timedelta(days=1)
"""A dock whose clock is behind must not take a fresh certificate for one of tomorrow."""
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, openssl/x509_vfy.h


@dataclass(frozen=True, slots=True)
class Authority:
    """An opened CA."""

    certificate: x509.Certificate
    _private: ec.EllipticCurvePrivateKey

    @property
    def fingerprint(self) -> Digest:
        """What docks pin: SHA-256 of the certificate's DER form."""
        return fingerprint_of(self.certificate)

    @property
    def pem(self) -> str:
        """The certificate in PEM form."""
        return pem_of(self.certificate)

    def issue_to_dock(
        self, dock: str, request: x509.CertificateSigningRequest, now: datetime, lifetime: timedelta
    ) -> x509.Certificate:
        """A client certificate for `dock` over the key in `request`; nothing else in the request counts."""
        public_key = request.public_key()
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            raise TypeError("only requests that parse_request returned may be signed")
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(f"{_DOCK_URN}{dock}")]
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        return self._issue(f"{dock}", names, usage, public_key, now, lifetime)

    def issue_to_server(self, names: Collection[str], now: datetime) -> bytes:
        """A fresh key and a server certificate for `names` (host names and addresses), together as PEM."""
        private = ec.generate_private_key(ec.SECP256R1())
        general = [_general_name(name) for name in sorted(names)]
        usage = ExtendedKeyUsageOID.SERVER_AUTH
        certificate = self._issue("dockd centre", general, usage, private.public_key(), now, _SERVER_LIFETIME)
        return private_pem(private) + pem_of(certificate).encode("ascii")

    def _issue(
        self,
        common_name: str,
        names: Collection[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        public_key: ec.EllipticCurvePublicKey,
        now: datetime,
        lifetime: timedelta,
    ) -> x509.Certificate:
        authority_key = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(now + lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_key), critical=False
            )
            .sign(self._private, hashes.SHA256())
        )


def create_authority(folder: Path, store: str, now: datetime) -> Authority:
    """Make the CA of the centre in `folder`. Blocking.

    Made again after a kill between its two files it goes on with the key that is there. Raises CentreUnusable
    when there is one already, or it cannot be written.
    """
    if (folder / CA_FILE).exists():
        raise CentreUnusable(
            f"{folder} has a certificate authority already.",
            footage="Nothing was changed.",
            action="Use it as it is: every dock pinned it.",
        )
    try:
        key_file = make_folders(folder, KEYS_FOLDER) / _CA_KEY_FILE
        if not key_file.exists():
            write_new(key_file, private_pem(ec.generate_private_key(ec.SECP256R1())))
        private = _load_private(key_file)
        certificate = _self_signed(private, f"dockd CA of {store}"[:64], now)
        write_new(folder / CA_FILE, pem_of(certificate).encode("ascii"))
        (folder / CA_FILE).chmod(0o644)
    except OSError as error:
        raise CentreUnusable(f"The certificate authority cannot be written to {folder}: {error.strerror}.") from error
    return Authority(certificate, private)


def lacks_authority(folder: Path) -> bool:
    """Whether `folder` is a centre without a CA. Blocking."""
    return (folder / PINNED_FILE).exists() and not (folder / CA_FILE).exists()


def load_authority(folder: Path) -> Authority | None:
    """Return the CA kept in `folder`; None when the centre was made without. Blocking. Raises CentreUnusable."""
    if not (folder / CA_FILE).exists():
        return None
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA_FILE).read_bytes())
        private = _load_private(folder / KEYS_FOLDER / _CA_KEY_FILE)
    except FileNotFoundError as error:
        raise CentreUnusable(
            f"The centre's certificate authority is not whole: {error.filename} is missing."
        ) from error
    except OSError as error:
        raise CentreUnusable(f"{error.filename} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CentreUnusable(f"{folder / CA_FILE} is damaged.") from error
    if certificate.public_key() != private.public_key():
        raise CentreUnusable(f"{folder / KEYS_FOLDER / _CA_KEY_FILE} is not the key of {CA_FILE}.")
    return Authority(certificate, private)


def parse_request(pem: str) -> x509.CertificateSigningRequest:
    """Return the dock's request, whose own signature proves that the dock holds the key. Raises Refusal (422)."""
    try:
        request = x509.load_pem_x509_csr(pem.encode("ascii"))
        public_key = request.public_key()
        is_signed = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refusal(BAD_KEY_REQUEST, "The certificate request cannot be read.") from error
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(public_key.curve, ec.SECP256R1):
        raise Refusal(BAD_KEY_REQUEST, "A dock's TLS key is ECDSA P-256.")
    if not is_signed:
        raise Refusal(BAD_KEY_REQUEST, "The certificate request is not signed with the key that it is for.")
    return request


def key_digest_of(certified: x509.Certificate | x509.CertificateSigningRequest) -> Digest:
    """SHA-256 of the public key (SubjectPublicKeyInfo)."""
    raw = certified.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return digest_of_bytes(raw)


def fingerprint_of(certificate: x509.Certificate) -> Digest:
    """SHA-256 of the certificate's DER form."""
    return Digest(certificate.fingerprint(hashes.SHA256()).hex())


def pem_of(certificate: x509.Certificate) -> str:
    """The certificate in PEM form."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def dock_named_by(certificate: x509.Certificate) -> DockId | None:
    """The dock that a certificate names; None when it names none, or more than one."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    found = [uri for uri in names.get_values_for_type(x509.UniformResourceIdentifier) if uri.startswith(_DOCK_URN)]
    return DockId(found[0].removeprefix(_DOCK_URN)) if len(found) == 1 else None


# --- TLS ----------------------------------------------------------------------------------------


def server_context(authority: Authority) -> ssl.SSLContext:
    """TLS 1.2 or later, as docks are served; `load_server_certificate` must follow.

    A client may come without a certificate (to be enrolled). One that shows a certificate must show one of
    our CA, good for clients. Whether it has expired or was revoked is deliberately not asked here but with every
    request: a refusal inside TLS reaches the other side as a broken connection without a reason.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)
    context.load_verify_locations(cadata=authority.pem)
    return context


def load_server_certificate(
    context: ssl.SSLContext, authority: Authority, names: Collection[str], now: datetime
) -> None:
    """Give `context` a fresh key and certificate for new connections. Neither is ever on a disk."""
    descriptor = os.memfd_create("dockd-tls", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(authority.issue_to_server(names, now))
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")


# --- inside -------------------------------------------------------------------------------------


def private_pem(private: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as PEM PKCS#8, for a file of mode 0600."""
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_private(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        private = serialization.load_pem_private_key(read_private(path), password=None)
    except (ValueError, TypeError) as error:
        raise CentreUnusable(f"{path} is not a private key.") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise CentreUnusable(f"{path} is not an ECDSA key.")
    return private


def _self_signed(private: ec.EllipticCurvePrivateKey, common_name: str, now: datetime) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(_name(common_name))
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .sign(private, hashes.SHA256())
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
