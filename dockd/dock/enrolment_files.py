"""What enrolment leaves on the dock: one folder that the daemon alone may write.

    centre.json         what is pinned: the centre's address, store id, receipt key (`PinnedCentre`)
    ca.pem              the centre's CA certificate
    dock.pem            the dock's TLS key and its certificate, together, mode 0600
    enrolling-*.pem     only while an enrolment is under way: the key that was made for its token, mode 0600

Key and certificate are one file because one rename changes both: after a kill they still belong together.
`centre.json` is written last; only with it is the dock enrolled. Knows files and PEM; no network, no token.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from dockd.errors import ConfigInvalid
from dockd.model.ids import Digest
from dockd.model.value import DigestText, IdText, ShortText, Value

CENTRE_FILE = "centre.json"
CA_FILE = "ca.pem"
DOCK_FILE = "dock.pem"
_ENROLLING_FILES = "enrolling-*.pem"
_FOOTAGE = "Nothing was started; no footage was touched."
_ENROL = "Ask the centre's staff for a token and run `dockd enrol TOKEN`."


class PinnedCentre(Value):
    """What the dock holds the centre to."""

    dock: IdText
    """Which dock was enrolled; another id in the configuration is a mistake."""
    url: ShortText
    store: IdText
    key: IdText
    public_key: ShortText
    token_hash: DigestText
    """Of the token that was used: shown once more, it is known to have been this dock's."""


@dataclass(frozen=True, slots=True)
class EnrolmentFolder:
    """The files of one enrolment. Blocking and short."""

    folder: Path

    @property
    def ca_file(self) -> Path:
        """The CA that the centre must show."""
        return self.folder / CA_FILE

    @property
    def dock_file(self) -> Path:
        """Key and certificate of this dock."""
        return self.folder / DOCK_FILE

    def pinned(self) -> PinnedCentre:
        """What was pinned. Raises ConfigInvalid when the dock is not enrolled, or the file is damaged."""
        path = self.folder / CENTRE_FILE
        try:
            return PinnedCentre.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise _invalid(f"This dock is not enrolled: there is no {path}.") from error
        except OSError as error:
            raise _invalid(
                f"{path} cannot be read: {error.strerror}.", "Let the user that runs dockd read the folder."
            ) from error
        except ValidationError as error:
            raise _invalid(f"{path} is damaged.") from error

    def certificate(self) -> x509.Certificate:
        """This dock's certificate. Raises ConfigInvalid, also when others can read the key beside it."""
        try:
            with self.dock_file.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                pem = file.read(65_536)
        except OSError as error:
            raise _invalid(f"{self.dock_file} cannot be read: {error.strerror}.") from error
        if mode & 0o077:
            raise _invalid(
                f"The dock's TLS key {self.dock_file} can be read by other users (mode {mode:04o}).",
                f"Find out who could have read it, then run: chmod 600 {self.dock_file}. {_ENROL}",
            )
        try:
            return x509.load_pem_x509_certificate(pem)
        except ValueError as error:
            raise _invalid(f"{self.dock_file} holds no certificate.") from error

    def enrolling_key(self, token_hash: Digest) -> ec.EllipticCurvePrivateKey:
        """The key of an enrolment with this token, kept from an earlier try or new. Raises OSError, ConfigInvalid.

        A repeated enrolment must come with the same key, or the centre takes its token for a stolen one; another
        token must come with another, or two certificates would name one key.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / _ENROLLING_FILES.replace("*", token_hash[:16])
        if not path.exists():
            self._replace(path.name, private_pem(new_key()), 0o600)
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError) as error:
            raise _invalid(f"{path} is not a private key.", "Remove it and ask for a new token.") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise _invalid(f"{path} is not an ECDSA key.", "Remove it and ask for a new token.")
        return private

    def adopt(self, pinned: PinnedCentre, ca: str, key: ec.EllipticCurvePrivateKey, certificate: str) -> None:
        """Make this the dock's identity. A kill in the middle is mended by doing it again. Raises OSError."""
        self._replace(CA_FILE, ca.encode("ascii"), 0o644)
        self.replace_certificate(key, certificate)
        self._replace(CENTRE_FILE, pinned.model_dump_json(indent=2).encode("utf-8") + b"\n", 0o644)
        self.forget_enrolling_keys()

    def forget_enrolling_keys(self) -> None:
        """Remove the keys of enrolments that are over. Raises OSError."""
        for left in self.folder.glob(_ENROLLING_FILES):
            left.unlink(missing_ok=True)

    def replace_certificate(self, key: ec.EllipticCurvePrivateKey, certificate: str) -> None:
        """The next key and certificate, both or neither, durable. Raises OSError."""
        self._replace(DOCK_FILE, private_pem(key) + certificate.encode("ascii"), 0o600)

    def _replace(self, name: str, content: bytes, mode: int) -> None:
        draft = self.folder / f".{name}.new"
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        draft.rename(self.folder / name)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh TLS key: ECDSA P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as PEM PKCS#8; only ever for a file of mode 0600."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_request(key: ec.EllipticCurvePrivateKey, dock: str) -> str:
    """A PKCS#10 request (RFC 2986), PEM, signed with the key: the proof that this dock holds it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dock)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _invalid(what: str, action: str = _ENROL) -> ConfigInvalid:
    return ConfigInvalid(what, footage=_FOOTAGE, action=action)
