"""A claim: one thing that a proof has looked at, in words, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Claim:
    """`words` is a full sentence about what should be; `faults` name what is not, each on its own."""

    words: str
    faults: tuple[str, ...] = ()
    note: str = ""

    @property
    def holds(self) -> bool:
        return not self.faults


def claim(words: str, faults: Iterable[str], note: str = "") -> Claim:
    """A claim that holds when there are no `faults`."""
    return Claim(words, tuple(faults), note)


def claim_lines(claims: Iterable[Claim]) -> Iterator[str]:
    """For a person: one line for each claim, and the faults below it (at most 20, then their number)."""
    for one in claims:
        note = f" ({one.note})" if one.note else ""
        yield f"{'OK  ' if one.holds else 'FAIL'}  {one.words}{note}"
        for fault in one.faults[:_SHOWN]:
            yield f"        {fault}"
        if len(one.faults) > _SHOWN:
            yield f"        … and {len(one.faults) - _SHOWN} more"
