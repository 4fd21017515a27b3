"""How an export lies on a disk, and the small forms in it that public tools read.

```
README.txt  export.json  manifest-sha256.txt           the last lists every other file
footage/<dock>/<session>/<files>                       footage, byte for byte
footage/<dock>/<session>/manifest-sha256.txt, ascmhl/  that folder's own manifests
receipts/<dock>/<recording>.json .signed .signature    receipt, the bytes under its signature, 64 bytes
docks/<dock>/facts.jsonl                               the dock's facts, one canonical line each
docks/<dock>/key-<n>/public-key.pem                    the keys that the dock announced
docks/<dock>/key-<n>/<fact>.signed .signature          the last checkpoint made with it
store/<store>/public-key.pem                           the key of the receipts
```
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import BinaryIO, cast

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dockd.errors import BadRequest, ProofFailed
from dockd.model.canonical import Json, canonical_json, digest_of_bytes
from dockd.model.facts import RecordedFact
from dockd.model.ids import DockId, RecordingId, SessionId
from dockd.model.moment import UtcTime
from dockd.model.value import DigestText, IdText, LongText, ShortText, Value

EXPORT_NAME = "export.json"
README_NAME = "README.txt"
FACTS_NAME = "facts.jsonl"
PUBLIC_KEY_NAME = "public-key.pem"


class ExportedRecording(Value):
    """One file of footage in the export."""

    dock: IdText
    session: IdText
    recording: IdText
    name: ShortText
    digest: DigestText
    size_bytes: int


class MissingRecording(Value):
    """A recording that was asked for and is not in the export, and why."""

    dock: IdText
    session: IdText
    recording: IdText
    reason: LongText


class ExportIndex(Value):
    """`export.json`: what was asked for and what is here. A convenience: the proof is in the other files."""

    version: int = 1
    asked_for: ShortText
    exported_at: UtcTime
    tool: ShortText
    store: IdText
    key: IdText
    docks: tuple[IdText, ...]
    whole_sessions: tuple[ShortText, ...]
    """`<dock>/<session>` of which every recording was asked for."""
    recordings: tuple[ExportedRecording, ...]
    missing: tuple[MissingRecording, ...]
    notes: tuple[LongText, ...] = ()


def footage_folder(dock: str, session: str) -> str:
    """The folder of one session's footage."""
    return f"footage/{dock}/{session}"


def receipt_path(dock: DockId | str, recording: RecordingId | str, suffix: str) -> str:
    """A receipt's `json`, `signed` or `signature`."""
    return f"receipts/{dock}/{recording}.{suffix}"


def facts_path(dock: str) -> str:
    """A dock's chain."""
    return f"docks/{dock}/{FACTS_NAME}"


def dock_key_folder(dock: str, key_index: int) -> str:
    """The folder of the key that a dock announced as its `key_index`-th, from 0."""
    return f"docks/{dock}/key-{key_index + 1}"


def store_key_path(store: str) -> str:
    """The key of the receipts."""
    return f"store/{store}/{PUBLIC_KEY_NAME}"


def session_name(dock: str, session: SessionId | str) -> str:
    """How a session is named over all docks."""
    return f"{dock}/{session}"


def fact_line(recorded: RecordedFact) -> bytes:
    """One line of `facts.jsonl`: canonical JSON with its hash.

    Without `,"hash":"<64 digits>"` and the line feed it is the very text whose SHA-256 the hash is.
    """
    return canonical_json(cast(Json, recorded.model_dump(mode="json"))) + b"\n"


def public_pem(public_key: str) -> bytes:
    """An Ed25519 key (base64 of 32 bytes) as `openssl` reads it. Raises BadRequest."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    except (binascii.Error, ValueError):
        raise BadRequest("A public key is not 32 bytes in base64.") from None
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def read_public_pem(pem: bytes) -> str:
    """The reverse. Raises ProofFailed when it is not an Ed25519 public key."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ProofFailed("A key file is not an Ed25519 public key in PEM form.")
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode("ascii")


def key_fingerprint(public_key: str) -> str:
    """SHA-256 of the key's DER form, as `openssl pkey -pubin -outform DER | sha256sum` prints it."""
    try:
        key = serialization.load_pem_public_key(public_pem(public_key))
    except BadRequest:
        return "unreadable"
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return digest_of_bytes(der)


def signature_bytes(signature: str) -> bytes:
    """A signature's base64 as `openssl` reads it; as much as can be read of a damaged one."""
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return signature.encode("utf-8", "replace")


def base64_text(signature: bytes) -> str:
    """The reverse: 64 bytes as facts and receipts carry them."""
    return base64.b64encode(signature).decode("ascii")


class ExportFolder:
    """Writes an export's files durably; never over an existing one."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.digests: dict[str, str] = {}
        """SHA-256 by relative path, of everything written so far."""

    @classmethod
    def create(cls, root: Path) -> ExportFolder:
        """Begin an export in `root`, which must not exist or be empty. Raises BadRequest."""
        try:
            root.mkdir(parents=True, exist_ok=True)
            is_empty = next(root.iterdir(), None) is None
        except OSError as error:
            raise BadRequest(f"{root} cannot be used for an export: {error.strerror}.") from error
        if not is_empty:
            raise BadRequest(f"{root} is not empty; an export never writes over or beside other files.")
        return cls(root)

    def path(self, relative: str) -> Path:
        """Where `relative` lies; its folder exists afterwards."""
        path = self._root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, relative: str, content: bytes) -> None:
        """Write one small file. Lets OSError through."""
        with self.path(relative).open("xb") as file:
            file.write(content)
            settle(file)
        self.digests[relative] = digest_of_bytes(content)


def settle(file: BinaryIO) -> None:
    """Make what was written to `file` durable."""
    file.flush()
    os.fsync(file.fileno())
