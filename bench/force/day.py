"""A force's day as numbers: how many docks, when cameras come in, what is on their cards.

Knows shares and chance. Must not know facts, wires or time of day now. What was found in public sources is said so;
the rest is assumed and written here so that it can be changed in one place.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

CAMERAS_OF_THE_REFERENCE = 22_000
"""London's Metropolitan Police."""
BAYS_PER_DOCK = 24
"""Sold as one dock host; 6 to 24 are usual."""
BUSIEST_HOUR_SHARE = 0.20
"""Of all cameras, docking within one hour."""

HOURLY_SHARES = (
    *(0.035, 0.02, 0.01, 0.005, 0.005, 0.01, 0.045, 0.20),
    *(0.05, 0.015, 0.01, 0.01, 0.015, 0.02, 0.05, 0.17),
    *(0.05, 0.015, 0.01, 0.01, 0.015, 0.03, 0.07, 0.13),
)
"""Share of the day's dockings in each hour: three shifts end at 07, 15 and 23 (assumed). Sums to 1."""

RECORDINGS_ON_CARD = ((0.10, 0, 0), (0.55, 1, 4), (0.25, 5, 8), (0.08, 9, 20), (0.02, 24, 48))
"""Chance, fewest, most: files of five minutes, from an empty card to four hours (assumed; mean about 5)."""

_Share = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Mishaps:
    """What goes wrong, as shares. Every one of them is something that a field with bad networks does daily."""

    cut: float = 0.02
    """Of fact batches and claims: the connection ends after the request and before its answer; sent again."""
    doubled: float = 0.01
    """Of fact batches: sent once more after they were taken."""
    late: float = 0.03
    """Of all dockings: told days late, by docks that had no network, in full batches as fast as they are taken."""


@dataclass(frozen=True, slots=True)
class Force:
    """How large it is."""

    cameras: int = CAMERAS_OF_THE_REFERENCE

    @property
    def docks(self) -> int:
        """Dock hosts."""
        return -(-self.cameras // BAYS_PER_DOCK)

    @property
    def busiest_hour_dockings(self) -> float:
        return self.cameras * BUSIEST_HOUR_SHARE


def even_arrivals(force: Force, multiple: float, seconds: float, dice: random.Random) -> list[float]:
    """Moments of dockings within `seconds` of the busiest hour, `multiple` times as many, as chance would have it."""
    return list(_arrivals(lambda _at: 1.0, force.busiest_hour_dockings * multiple / 3600.0, seconds, dice))


def arrivals_of_a_day(force: Force, multiple: float, seconds: float, dice: random.Random) -> list[float]:
    """A whole day's shape within `seconds`; its busiest hour has `multiple` times the force's rate."""
    highest = max(HOURLY_SHARES)

    def share(at: float) -> float:
        return HOURLY_SHARES[min(23, int(at / seconds * 24))] / highest

    return list(_arrivals(share, force.busiest_hour_dockings * multiple / 3600.0, seconds, dice))


def recordings_on_card(dice: random.Random) -> int:
    """How many recordings a camera brings."""
    draw = dice.random()
    for chance, fewest, most in RECORDINGS_ON_CARD:
        if draw < chance:
            return dice.randint(fewest, most)
        draw -= chance
    return 0


def _arrivals(share: _Share, highest_per_second: float, seconds: float, dice: random.Random) -> Iterator[float]:
    """A Poisson process whose rate changes: candidates at the highest rate, each kept with the share of its moment."""
    at = dice.expovariate(highest_per_second)
    while at < seconds:
        if dice.random() < share(at):
            yield at
        at += dice.expovariate(highest_per_second)
