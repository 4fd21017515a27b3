"""Who the centre is: its store id, the key that signs receipts, the secret that signs part addresses.

Made once by `dockd central init`, never replaced by us: a dock believes only the key it pinned, and a
receipt that cannot be checked any more clears nothing. Private things are files of mode 0600 and never
leave this module. Knows nothing of HTTP and tables.

    pinned-store.json       for docks: store id, key name, public key (`rules.receipts.PinnedStore`)
    receipt-key.pub.pem     the public key for `openssl pkeyutl -verify -rawin -pubin -inkey …`
    keys/receipt-key.pem    Ed25519, PEM PKCS#8
    keys/address-secret     32 random bytes
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from dockd.central.stores.durable import make_folders, sync_folder, write_new
from dockd.errors import CentreUnusable
from dockd.model.ids import KeyId, StoreId, parse_id
from dockd.model.recording import Receipt
from dockd.rules.receipts import PinnedStore, receipt_bytes

PINNED_FILE = "pinned-store.json"
PUBLIC_KEY_FILE = "receipt-key.pub.pem"
KEYS_FOLDER = "keys"
_PRIVATE_KEY_FILE = "receipt-key.pem"
_SECRET_FILE = "address-secret"  # noqa: S105 - a file's name
_SECRET_BYTES = 32
_SEAL = re.compile(rb"[0-9a-f]{64}  manifest-sha256\.txt\n")


@dataclass(frozen=True, slots=True)
class Identity:
    """An opened identity. `address_secret` signs part addresses."""

    pinned: PinnedStore
    address_secret: bytes
    _private: Ed25519PrivateKey

    @property
    def store(self) -> StoreId:
        """The store's id."""
        return StoreId(self.pinned.store)

    def sign_seal(self, seal: bytes) -> bytes:
        """Return the signature (64 bytes) over the seal of a custody bundle, `<SHA-256>  manifest-sha256.txt`.

        Only of that form, which no receipt has: one key signs both. Raises ValueError.
        """
        if not _SEAL.fullmatch(seal):
            raise ValueError("only the seal of a bundle is signed so")
        return self._private.sign(seal)

    def sign(self, unsigned: Receipt) -> Receipt:
        """Return the receipt with this store's signature. The caller has proved what it says."""
        if (unsigned.store, unsigned.key) != (self.pinned.store, self.pinned.key):
            raise ValueError("a receipt in another store's name is not ours to sign")
        signature = self._private.sign(receipt_bytes(unsigned))
        return unsigned.model_copy(update={"signature": base64.b64encode(signature).decode("ascii")})


def check_is_new(folder: Path, *, store: str | None = None) -> None:
    """See that an identity may be made in `folder`, which is made where it is not there, mode 0700. Blocking.

    Raises CentreUnusable when there is one already or the folder cannot be made; BadRequest when `store`
    cannot be a name.
    """
    if store is not None:
        parse_id(store, "store")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_centre = (folder / PINNED_FILE).exists()
    except OSError as error:
        raise CentreUnusable(f"{folder} cannot be set up: {error.strerror}.") from error
    if is_centre:
        raise CentreUnusable(
            f"{folder} is a centre already.",
            footage="Nothing was changed.",
            action="Use it as it is, or name another folder. Its keys are never replaced.",
        )


def create_identity(folder: Path, *, store: str | None = None) -> PinnedStore:
    """Make a new identity in `folder` (which is made too, mode 0700). Blocking.

    Raises CentreUnusable when there is one already or the folder cannot be written; BadRequest when
    `store` cannot be a name.
    """
    check_is_new(folder, store=store)
    name = store if store is not None else f"store-{os.urandom(8).hex()}"
    try:
        return _write_identity(folder, name)
    except FileExistsError as error:
        raise CentreUnusable(
            f"{folder} holds a part of a centre: {error.filename or error.filename2} is there already.",
            footage="Nothing was changed.",
            action="Keep it, and name another folder.",
        ) from error
    except OSError as error:
        raise CentreUnusable(f"{folder} cannot be set up: {error.strerror}.") from error


def load_identity(folder: Path) -> Identity:
    """Return the identity kept in `folder`. Blocking. Raises CentreUnusable."""
    private_file = folder / KEYS_FOLDER / _PRIVATE_KEY_FILE
    try:
        pinned = PinnedStore.model_validate_json((folder / PINNED_FILE).read_bytes())
        pem = read_private(private_file)
        secret = read_private(folder / KEYS_FOLDER / _SECRET_FILE)
    except FileNotFoundError as error:
        raise CentreUnusable(f"{folder} is not a centre: {error.filename} is missing.") from error
    except OSError as error:
        raise CentreUnusable(f"{error.filename} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise CentreUnusable(f"{folder / PINNED_FILE} is damaged.") from error
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise CentreUnusable(f"{private_file} is not a private key.") from error
    if not isinstance(private, Ed25519PrivateKey) or _pinned(pinned.store, private) != pinned:
        raise CentreUnusable(f"{private_file} is not the key that {PINNED_FILE} names.")
    if len(secret) != _SECRET_BYTES:
        raise CentreUnusable(f"{folder / KEYS_FOLDER / _SECRET_FILE} is damaged.")
    return Identity(pinned, secret, private)


def _write_identity(folder: Path, store: str) -> PinnedStore:
    keys = make_folders(folder, KEYS_FOLDER)
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pinned = _pinned(store, private)
    write_new(keys / _PRIVATE_KEY_FILE, pem)
    write_new(keys / _SECRET_FILE, os.urandom(_SECRET_BYTES))
    write_new(folder / PUBLIC_KEY_FILE, public_pem)
    # Last: only with this file the folder is a centre.
    write_new(folder / PINNED_FILE, pinned.model_dump_json(indent=2).encode("utf-8") + b"\n")
    for name in (PUBLIC_KEY_FILE, PINNED_FILE):
        (folder / name).chmod(0o644)
    sync_folder(folder.parent)
    return pinned


def _pinned(store: str, private: Ed25519PrivateKey) -> PinnedStore:
    raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    key = KeyId(f"key-{hashlib.sha256(raw).hexdigest()[:16]}")
    return PinnedStore(store=store, key=key, public_key=base64.b64encode(raw).decode("ascii"))


def read_private(path: Path) -> bytes:
    """Return the file's bytes. Raises CentreUnusable when others may read it, OSError."""
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise CentreUnusable(
                f"{path} can be read by other users (mode {mode:04o}).",
                action=f"Find out who could have read it, then run: chmod 600 {path}",
            )
        return file.read(16_384)
