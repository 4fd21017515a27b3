"""Names of things, each with the one check that turns text into the type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NewType
from urllib.parse import quote_from_bytes, unquote_to_bytes

from dockd.errors import BadRequest, UnusableIdentity

DockId = NewType("DockId", str)
BayId = NewType("BayId", str)
CameraId = NewType("CameraId", str)
"""`<driver>:<serial>`: what the driver says the camera is; never where it is."""
SessionId = NewType("SessionId", str)
RecordingId = NewType("RecordingId", str)
OfficerNumber = NewType("OfficerNumber", str)
StoreId = NewType("StoreId", str)
KeyId = NewType("KeyId", str)
Digest = NewType("Digest", str)
"""SHA-256 as 64 lower-case hexadecimal digits."""

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
DIGEST_PATTERN = r"^[0-9a-f]{64}$"
OFFICER_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9-]{0,15}$"
SERIAL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"

_ID = re.compile(ID_PATTERN)
_DIGEST = re.compile(DIGEST_PATTERN)
_OFFICER = re.compile(OFFICER_PATTERN)
_SERIAL = re.compile(SERIAL_PATTERN)

GENESIS = Digest("0" * 64)
"""What the first fact of a dock names as the fact before it."""


def parse_digest(text: str) -> Digest:
    """Return `text` as a digest. Raises BadRequest unless it is 64 lower-case hexadecimal digits."""
    if not _DIGEST.fullmatch(text):
        raise BadRequest(f"{text[:80]!r} is not a SHA-256 digest of 64 lower-case hexadecimal digits.")
    return Digest(text)


def parse_id(text: str, what: str) -> str:
    """Return `text` if it may name a dock, bay, store or session. Raises BadRequest."""
    if not _ID.fullmatch(text):
        raise BadRequest(
            f"{text[:80]!r} cannot be the name of a {what}: use 1 to 64 letters, digits, dots, "
            "hyphens and underscores, beginning with a letter or digit."
        )
    return text


def parse_officer_number(text: str) -> OfficerNumber:
    """Return an officer number, in capitals, without outer spaces. Raises BadRequest."""
    number = text.strip()
    if not _OFFICER.fullmatch(number):
        raise BadRequest(f"{text[:40]!r} is not an officer number: use 1 to 16 letters, digits and hyphens.")
    return OfficerNumber(number.upper())


def camera_id(driver: str, untrusted_serial: str) -> CameraId:
    """Make a camera's id from its driver's name and the serial number that the camera gave.

    Raises UnusableIdentity when the serial is empty, too long or holds other characters than
    letters, digits, dot, hyphen and underscore.
    """
    serial = untrusted_serial.strip()
    if not _SERIAL.fullmatch(serial):
        raise UnusableIdentity(f"The camera gives {untrusted_serial[:60]!r} as its serial number.")
    return CameraId(f"{driver}:{serial}")


@dataclass(frozen=True, slots=True, order=True)
class CardPath:
    """A file's place on a card: the names of its folders and its own, as the raw bytes the card gave.

    Hostile by nature and never used to build a path on our disks. `text` is reversible and printable:
    every byte outside `A-Z a-z 0-9 . _ -` and space is percent-encoded, names are joined by `/`.
    """

    names: tuple[bytes, ...]

    @property
    def text(self) -> str:
        # quote() never encodes the tilde, which FAT short names are full of.
        return "/".join(quote_from_bytes(name, safe="._- ").replace("~", "%7E") for name in self.names)

    @classmethod
    def from_text(cls, text: str) -> CardPath:
        return cls(tuple(unquote_to_bytes(name) for name in text.split("/")))

    @property
    def file_name(self) -> bytes:
        return self.names[-1]
