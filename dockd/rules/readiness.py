"""The one gate before a camera may be issued, as a list of blockers in words."""

from __future__ import annotations

from dataclasses import dataclass

from dockd.model.camera import BatteryReading, SpaceReading


@dataclass(frozen=True, slots=True)
class ReadinessPolicy:
    """Thresholds, in percent of the battery and of the card."""

    minimum_battery_percent: int
    minimum_free_percent: int


@dataclass(frozen=True, slots=True)
class Condition:
    """What is known about a docked camera at the end of preparing. None means not known."""

    unsafe_recordings: int
    """Recordings on the card that are neither erased nor retained on purpose."""
    space: SpaceReading | None
    battery: BatteryReading
    is_clock_set: bool | None
    """None where the camera has no clock that can be set: that does not block."""
    is_unassigned: bool | None
    """None where the camera holds no assignment: that does not block."""
    fault: str | None = None
    hold: str | None = None


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason why the camera may not be issued: a stable code and words for staff."""

    code: str
    words: str


def blockers(condition: Condition, policy: ReadinessPolicy) -> tuple[Blocker, ...]:
    """Everything that stands between this camera and READY; empty means it may be issued."""
    found: list[Blocker] = []
    if condition.hold:
        found.append(Blocker("hold", condition.hold))
    if condition.fault:
        found.append(Blocker("fault", condition.fault))
    if condition.unsafe_recordings:
        found.append(Blocker("card", f"{condition.unsafe_recordings} recordings on the card are not yet safe"))
    if condition.space is None or condition.space.total_bytes < 1:
        found.append(Blocker("space", "free space on the card is not known"))
    elif condition.space.free_bytes * 100 < (condition.space.total_bytes * policy.minimum_free_percent):
        free = condition.space.free_bytes * 100 // max(1, condition.space.total_bytes)
        found.append(Blocker("space", f"only {free} % of the card is free, {policy.minimum_free_percent} % needed"))
    if condition.is_clock_set is False:
        found.append(Blocker("clock", "the camera's clock is not set"))
    if condition.is_unassigned is False:
        found.append(Blocker("assignment", "the camera still carries its last officer's number"))
    percent = condition.battery.percent
    if percent is None:
        if condition.battery.is_charging is False:
            found.append(Blocker("battery", "the battery level is not known and it is not charging"))
    elif percent < policy.minimum_battery_percent:
        found.append(
            Blocker(
                "battery",
                f"battery at {percent} %, {policy.minimum_battery_percent} % needed",
            )
        )
    return tuple(found)
