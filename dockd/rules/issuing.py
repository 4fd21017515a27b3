"""Which camera an officer gets, and who held a camera at a given time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dockd.model.ids import BayId, CameraId, OfficerNumber


@dataclass(frozen=True, slots=True)
class Candidate:
    """A READY camera that is not promised to anyone. `battery_percent` None counts as least."""

    bay: BayId
    camera: CameraId
    battery_percent: int | None
    ready_since: datetime


def choose(candidates: Iterable[Candidate]) -> Candidate | None:
    """The best charged; of equals the one that has waited longest, then the lowest bay."""
    ranked = sorted(
        candidates,
        key=lambda one: (-(one.battery_percent or 0), one.ready_since, one.bay),
    )
    return ranked[0] if ranked else None


@dataclass(frozen=True, slots=True)
class Assignment:
    """The interval in which an officer holds a camera; `ended_at` None: until now."""

    camera: CameraId
    officer: OfficerNumber
    started_at: datetime
    ended_at: datetime | None


def holder_at(assignments: Iterable[Assignment], camera: CameraId, at: datetime | None) -> OfficerNumber | None:
    """Who held `camera` at `at`; None when nobody, when `at` is unknown, or when two records disagree.

    A conflict is never guessed away: two different officers for one moment make the answer unknown.
    """
    if at is None:
        return None
    holders = {
        one.officer
        for one in assignments
        if one.camera == camera and one.started_at <= at and (one.ended_at is None or at < one.ended_at)
    }
    return holders.pop() if len(holders) == 1 else None
