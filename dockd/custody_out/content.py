"""Reading content once for both names that the world knows it by: SHA-256 and C4.

C4 (SMPTE ST 2114) is `c4` and 88 digits to the base 58 of the SHA-512, most significant first, filled
with the digit for zero. It is what an ASC MHL carries; SHA-256 is what this system proves with.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dockd.model.ids import Digest

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_C4_DIGITS = 88
_BUFFER_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """What was read."""

    digest: Digest
    c4: str
    size_bytes: int


def c4_id(sha512: bytes) -> str:
    """The C4 identification of content whose SHA-512 is `sha512` (64 bytes)."""
    number = int.from_bytes(sha512, "big")
    digits = ""
    while number:
        number, rest = divmod(number, 58)
        digits = _ALPHABET[rest] + digits
    return "c4" + digits.rjust(_C4_DIGITS, _ALPHABET[0])


def c4_of_bytes(content: bytes) -> str:
    """The C4 identification of `content`."""
    return c4_id(hashlib.sha512(content).digest())


def c4_of_folder(files: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """The directory hashes (content, structure) of a flat folder of (name, C4), as ASC MHL defines them.

    Content: C4 over the files' SHA-512 in the order of their C4 texts. Structure: the same over the C4 of
    each name followed by its file's SHA-512.
    """
    listed = tuple(files)
    structures = [c4_of_bytes(name.encode("utf-8") + _sha512_of(c4)) for name, c4 in listed]
    return _c4_of_list([c4 for _, c4 in listed]), _c4_of_list(structures)


def _c4_of_list(ids: list[str]) -> str:
    return c4_of_bytes(b"".join(_sha512_of(one) for one in sorted(ids)))


def _sha512_of(c4: str) -> bytes:
    number = 0
    for digit in c4[2:]:
        number = number * 58 + _ALPHABET.index(digit)
    return number.to_bytes(64, "big")


class ContentMeter:
    """Measures content that passes by in pieces."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._sha512 = hashlib.sha512()
        self._size_bytes = 0

    def add(self, piece: bytes | memoryview) -> None:
        """The next piece."""
        self._sha256.update(piece)
        self._sha512.update(piece)
        self._size_bytes += len(piece)

    @property
    def size_bytes(self) -> int:
        """How much has passed."""
        return self._size_bytes

    def result(self) -> Content:
        """What has passed."""
        return Content(Digest(self._sha256.hexdigest()), c4_id(self._sha512.digest()), self._size_bytes)


def measure_file(path: Path, *, keep_cached: bool = True) -> Content:
    """Read the file at `path` once, with one buffer, and return what it holds.

    Blocking; lets OSError through. `keep_cached` False gives its pages back afterwards.
    """
    meter = ContentMeter()
    buffer = bytearray(_BUFFER_BYTES)
    view = memoryview(buffer)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while count := file.readinto(buffer):
            meter.add(view[:count])
        if not keep_cached:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    return meter.result()
