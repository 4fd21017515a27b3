"""The dock's own Ed25519 key, and the checkpoints that it signs over the chain of facts.

Knows where the private key lies and that nothing but this process may read it. Decides nothing about
what is worth a checkpoint: sessions ask for one at their end and before every wipe, and `run` makes one
every hour. A checkpoint vouches for every fact up to its number: whoever changes an earlier fact must
also forge this signature.
"""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.clock import Clock
from dockd.errors import ConfigInvalid
from dockd.model.facts import ChainSigned, Fact, RecordedFact
from dockd.model.ids import Digest

KEY_FILE_NAME = "dock-key.pem"
HOURLY_SECONDS = 3600.0
_FOOTAGE = "Nothing was started; no footage was touched."


class DockKey:
    """Signs in the name of this dock (Ed25519, RFC 8032)."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @property
    def public_key(self) -> str:
        """The public key's 32 bytes in base64, as `DockStarted` carries it."""
        raw = self._private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return base64.b64encode(raw).decode("ascii")

    def sign(self, message: bytes) -> str:
        """Return the signature over `message` in base64."""
        return base64.b64encode(self._private.sign(message)).decode("ascii")


def load_or_create_key(state_folder: Path, key_file: Path | None = None) -> DockKey:
    """Return the key in `key_file`, or without one that in `state_folder` (`dock-key.pem`), made when there is none.

    PEM PKCS#8, mode 0600. An existing file is never replaced, and a named `key_file` is never made: its loss must
    be seen. Blocking and short. Raises ConfigInvalid when the file can be read by others, is not an Ed25519 key,
    or cannot be read or made.
    """
    path = key_file or state_folder / KEY_FILE_NAME
    try:
        if key_file is None and not path.exists():
            _create(path)
        return load_key(path)
    except OSError as error:
        if key_file is not None:
            action = "See that the service manager hands it over (LoadCredential), or correct key_file in [dock]."
        else:
            action = "Give the daemon's user the state folder, mode 0700, on a disk with room."
        raise ConfigInvalid(
            f"The dock's key {path} cannot be read or made: {error.strerror or error}.", footage=_FOOTAGE, action=action
        ) from error


def _create(path: Path) -> None:
    """Write a new key so that a power cut leaves either no key or a whole one."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(descriptor)
    try:
        os.link(draft, path)  # unlike rename, never over an existing key
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_key(path: Path) -> DockKey:
    """Return the key in this file. Raises ConfigInvalid when others can read it or it is no such key, OSError."""
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        # systemd may hand a credential over by an access list, whose mask then shows as the group's right.
        is_credential = path.parent == Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere"))
        if mode & (0o037 if is_credential else 0o077):
            raise ConfigInvalid(
                f"The dock's key {path} can be read by other users (mode {mode:04o}).",
                footage=_FOOTAGE,
                action=f"Find out who could have read it, then run: chmod 600 {path}",
            )
        pem = file.read(16_384)
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigInvalid(
            f"{path} is not an Ed25519 private key in PEM form.",
            footage=_FOOTAGE,
            action="Restore the key from its copy; only if there is none, move the file away and a new one is made.",
        )
    return DockKey(private)


class SignableChain(Protocol):
    """What a checkpoint needs of the journal."""

    @property
    def head(self) -> tuple[int, Digest]:
        """Number and hash of the last fact."""

    async def append(self, *facts: Fact) -> tuple[RecordedFact, ...]:
        """Make facts durable."""


class ChainSigner:
    """Writes `ChainSigned` facts: on request, and every hour when there is anything new."""

    def __init__(
        self,
        journal: SignableChain,
        key: DockKey,
        clock: Clock,
        *,
        every_seconds: float = HOURLY_SECONDS,
    ) -> None:
        self._journal = journal
        self._key = key
        self._clock = clock
        self._every_seconds = every_seconds
        self._checkpoint_number = 0

    async def sign(self, why: str) -> None:
        """Sign the chain as it stands; nothing is written when the last fact is such a checkpoint itself.

        Raises JournalUnwritable.
        """
        number, head = self._journal.head
        if number in (0, self._checkpoint_number):
            return
        fact = ChainSigned(through=number, head=head, signature=self._key.sign(head.encode("ascii")), why=why[:200])
        written = await self._journal.append(fact)
        self._checkpoint_number = written[-1].number

    async def run(self) -> None:
        """Sign every hour, for ever."""
        while True:
            await self._clock.sleep(self._every_seconds)
            await self.sign("hourly")
