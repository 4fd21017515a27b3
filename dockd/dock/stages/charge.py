"""Watch a battery until it is full enough, or say why it will not be."""

from __future__ import annotations

from dataclasses import dataclass

from dockd.errors import NotCharging
from dockd.model.camera import BatteryReading


@dataclass(slots=True)
class ChargeWatch:
    """Judges successive readings of one docked battery. Times are monotonic seconds of one clock.

    `patience_seconds` is how long a battery below the threshold may stay without rising.
    """

    minimum_percent: int
    patience_seconds: float
    _best_percent: int | None = None
    _risen_at_monotonic: float | None = None

    def judge(self, reading: BatteryReading, at_monotonic: float) -> bool:
        """Return whether the battery is full enough. Raises NotCharging when patience is over.

        A battery that cannot be read never blocks by itself; readiness decides about it.
        """
        if reading.percent is None or reading.percent >= self.minimum_percent:
            return True
        if self._best_percent is None or reading.percent > self._best_percent or self._risen_at_monotonic is None:
            self._best_percent = reading.percent
            self._risen_at_monotonic = at_monotonic
        waited = at_monotonic - self._risen_at_monotonic
        if waited > self.patience_seconds:
            stated = "says that it is not charging" if reading.is_charging is False else "does not rise"
            raise NotCharging(
                f"The battery is at {reading.percent} % and {stated}; it has not risen for {int(waited)} seconds."
            )
        return False
