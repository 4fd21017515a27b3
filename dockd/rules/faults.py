"""Whose fault it is: from the visits of cameras to bays to a verdict on a bay, on a camera, on a pair of both.

Knows error codes and recent visits; decides no clearance and no hold. A visit is one session seen from outside: it
went well, failed, or failed and recovered by itself. What lies neither at the bay nor at the camera (a full dock, a
centre out of reach) is no failure here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum

MOST_VISITS = 12
"""Visits that are remembered for each bay and camera."""
MOST_PAIR_VISITS = 6
FAILING_RUN = 3
"""So many failures one after the other are no accident."""
UNKNOWN_RUN = 5
"""So many when no camera told who it was: it may be one camera again and again."""
_OFTEN_OF_AT_LEAST = 6
BACK_AT_ONCE = timedelta(seconds=3)
"""A camera that is back in its bay so soon was not in anybody's hand: its connection was reset."""
_SLOW_SHARE_PERCENT = 50
_ENOUGH_BYTES = 2_000_000_000


class FaultKind(Enum):
    """What failed, in words for the table of a bay."""

    CONNECTION = "connection lost"
    CHARGE = "battery did not charge"
    CARD = "card"
    IDENTITY = "identity"


FAULT_OF_CODE = {
    "camera-gone": FaultKind.CONNECTION,
    "driver-timeout": FaultKind.CONNECTION,
    "not-charging": FaultKind.CHARGE,
    "card-unreadable": FaultKind.CARD,
    "card-write-protected": FaultKind.CARD,
    "card-damaged": FaultKind.CARD,
    "erase-failed": FaultKind.CARD,
    "space-not-freed": FaultKind.CARD,
    "unusable-identity": FaultKind.IDENTITY,
    "duplicate-identity": FaultKind.IDENTITY,
}
"""By the error's code. `camera-gone` leads to FAULTED only while the port still shows a camera: a reset."""


class Outcome(StrEnum):
    """How a visit went; the value is what tables keep."""

    GOOD = "good"
    RECOVERED = "recovered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Visit:
    """One camera in one bay. `camera` is None when it never told who it is."""

    at: datetime
    dock: str
    session: str
    bay: str
    camera: str | None
    outcome: Outcome
    code: str | None = None

    @property
    def is_bays_failure(self) -> bool:
        """A failure that may lie at the bay: an identity never does."""
        return self.outcome is Outcome.FAILED and FAULT_OF_CODE.get(self.code or "") is not FaultKind.IDENTITY


class Verdict(StrEnum):
    """What recent visits say."""

    FINE = "fine"
    OFTEN_FAILS = "often fails"
    FAILING = "failing"


def remember(recent: Iterable[Visit], visit: Visit, most: int = MOST_VISITS) -> tuple[Visit, ...]:
    """`recent` with `visit`, in place of what was known of the same session; the newest `most`, oldest first.

    Whatever the order in which docks tell, the result is the same.
    """
    kept = {(one.dock, one.session): one for one in recent}
    kept[(visit.dock, visit.session)] = visit
    return tuple(sorted(kept.values(), key=lambda one: (one.at, one.dock, one.session))[-most:])


def since_first_failure(recent: Sequence[Visit]) -> tuple[Visit, ...]:
    """Without what went well before the first failure: of cameras and pairs nothing else is kept."""
    first = next((place for place, one in enumerate(recent) if one.outcome is Outcome.FAILED), len(recent))
    return tuple(recent[first:])


def failures_in_row(recent: Sequence[Visit]) -> int:
    """How many of the newest visits failed without one between them that did not."""
    count = 0
    for visit in reversed(recent):
        if visit.outcome is not Outcome.FAILED:
            break
        count += 1
    return count


def bays_run(recent: Sequence[Visit]) -> tuple[Visit, ...]:
    """The newest visits that failed without one between them that did not, or that was not the bay's fault."""
    run: list[Visit] = []
    for visit in reversed(recent):
        if not visit.is_bays_failure:
            break
        run.append(visit)
    return tuple(reversed(run))


def judge_bay(recent: Sequence[Visit]) -> Verdict:
    """FAILING: at least two different cameras failed here one after the other, FAILING_RUN times or more."""
    run = bays_run(recent)
    different = {visit.camera for visit in run}
    if len(run) >= FAILING_RUN and len(different) > 1:
        return Verdict.FAILING
    if len(run) >= UNKNOWN_RUN and different == {None}:
        return Verdict.FAILING
    troubled = [one for one in recent if one.outcome is Outcome.RECOVERED or one.is_bays_failure]
    is_often = len(recent) >= _OFTEN_OF_AT_LEAST and len(troubled) * 2 >= len(recent)
    return Verdict.OFTEN_FAILS if is_often and len({one.camera for one in troubled}) > 1 else Verdict.FINE


def judge_camera(recent: Sequence[Visit]) -> Verdict:
    """FAILING: it failed FAILING_RUN times or more one after the other, in at least two different bays."""
    run = recent[len(recent) - failures_in_row(recent) :]
    places = {(visit.dock, visit.bay) for visit in run}
    if len(run) >= FAILING_RUN and len(places) > 1:
        return Verdict.FAILING
    troubled = [one for one in recent if one.outcome is not Outcome.GOOD]
    is_often = len(recent) >= _OFTEN_OF_AT_LEAST and len(troubled) * 2 >= len(recent)
    return Verdict.OFTEN_FAILS if is_often and len({(one.dock, one.bay) for one in troubled}) > 1 else Verdict.FINE


def fails_always_here(recent: Sequence[Visit]) -> bool:
    """Whether this camera failed every one of its last visits, FAILING_RUN or more, to this one bay."""
    return failures_in_row(recent) >= FAILING_RUN


@dataclass(frozen=True, slots=True)
class CopySpeed:
    """What one bay copied and how long that took."""

    bay: str
    copied_bytes: int
    milliseconds: int

    @property
    def bytes_per_second(self) -> int | None:
        """None where too little was copied to say."""
        if self.copied_bytes < _ENOUGH_BYTES or self.milliseconds <= 0:
            return None
        return self.copied_bytes * 1000 // self.milliseconds


def slow_bays(speeds: Iterable[CopySpeed]) -> frozenset[str]:
    """Bays that copy at less than half of what the middle bay of the same dock does; needs three bays to compare."""
    known = sorted((rate, one.bay) for one in speeds if (rate := one.bytes_per_second) is not None)
    if len(known) < FAILING_RUN:
        return frozenset()
    middle = known[len(known) // 2][0]
    return frozenset(bay for rate, bay in known if rate * 100 < middle * _SLOW_SHARE_PERCENT)
