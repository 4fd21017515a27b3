"""A long list a few at a time: for statements and transactions that must stay bounded. Knows nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def in_lots(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive pieces of `items`, each of `size` but for the last; none of an empty list."""
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
