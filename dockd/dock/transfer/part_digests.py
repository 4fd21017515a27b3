"""SHA-256 of a recording as a whole and of each of its upload parts, in one pass over its blocks.

Used where bytes come from the camera and where they come back from the disk. Knows neither.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockd.model.ids import Digest
from dockd.model.recording import part_count

if TYPE_CHECKING:
    from hashlib import _Hash


@dataclass(frozen=True, slots=True)
class KnownParts:
    """The SHA-256 of consecutive parts of `part_size_bytes`, the last one shorter, of the bytes with SHA-256 `whole`.

    Whoever finds these bytes again by `whole` need not hash the parts again.
    """

    whole: Digest
    part_size_bytes: int
    digests: tuple[Digest, ...]


class PartDigests:
    """Each byte is hashed into the whole and into its part, but never by one thread alone.

    `whole` and `parts` are two steps of a line; both see every block, in order. The first part is a prefix of the
    whole: its digest falls out of `whole`, so a recording of one part is hashed once. With `prefix`, the
    hash of bytes that went before, parts are not known.
    """

    def __init__(self, part_size_bytes: int, *, prefix: _Hash | None = None) -> None:
        self._part_size_bytes = part_size_bytes
        self._is_from_zero = prefix is None
        self._whole = prefix or hashlib.sha256()
        self._first: Digest | None = None
        self._hashed_bytes = 0
        self._part = hashlib.sha256()
        self._later: list[Digest] = []

    def whole(self, offset: int, buffer: memoryview, length: int) -> None:
        """Hash a block into the whole."""
        left_of_first = self._part_size_bytes - offset
        if 0 < left_of_first <= length:
            self._whole.update(buffer[:left_of_first])
            self._first = Digest(self._whole.hexdigest())
            self._whole.update(buffer[left_of_first:length])
        else:
            self._whole.update(buffer[:length])
        self._hashed_bytes = offset + length

    def parts(self, offset: int, buffer: memoryview, length: int) -> None:
        """Hash a block into the second and later parts."""
        if not self._is_from_zero:
            return
        start = max(0, self._part_size_bytes - offset)
        while start < length:
            left_of_part = self._part_size_bytes - (offset + start) % self._part_size_bytes
            end = min(length, start + left_of_part)
            self._part.update(buffer[start:end])
            if end - start == left_of_part:
                self._later.append(Digest(self._part.hexdigest()))
                self._part = hashlib.sha256()
            start = end

    def prefix(self) -> _Hash:
        """The hash of everything that `whole` has seen, as it is now."""
        return self._whole.copy()

    def digest(self) -> Digest:
        """Of the whole."""
        return Digest(self._whole.hexdigest())

    def known_parts(self) -> KnownParts | None:
        """Of all parts, the last one as far as it was hashed; none for an empty recording. None with a `prefix`."""
        if not self._is_from_zero:
            return None
        count = part_count(self._hashed_bytes, self._part_size_bytes)
        parts = [self._first or self.digest(), *self._later][:count]
        if len(parts) < count:
            parts.append(Digest(self._part.hexdigest()))
        return KnownParts(self.digest(), self._part_size_bytes, tuple(parts))
