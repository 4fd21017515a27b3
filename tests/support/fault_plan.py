"""A seeded, printable plan of what goes wrong in one test: the same seed plays the same story."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drivers.simulated import Faults
from tests.support import faulty_centre as faulty
from tests.support.faulty_centre import Behaviour

CAMERA_FAULTS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "none": lambda _: {},
    "unplug": lambda dice: {"unplug_after_bytes": dice.randrange(1, 900_000)},
    "short reads": lambda _: {"short_reads": True},
    "stall": lambda dice: {"stall_at_byte": dice.randrange(1, 900_000), "stall_seconds": 2.0},
    "bit flip": lambda dice: {"bit_flip_at_byte": dice.randrange(1, 900_000)},
}
CENTRE_FAULTS: dict[str, Callable[[random.Random], Behaviour]] = {
    "503": lambda _: faulty.busy(),
    "507": lambda _: faulty.full(),
    "slow": lambda dice: faulty.slow(dice.uniform(0.1, 0.8)),
    "dropped": lambda dice: faulty.dropped(dice.randrange(0, 100_000)),
    "lost answer": lambda _: faulty.lost_answer(),
    "lost receipt, garbled": lambda _: faulty.garbled(),
    "wrong-digest receipt": lambda _: faulty.wrong_digest(),
}
CENTRE_CALLS = ("claim_recording", "put_part", "complete_upload", "put_facts")
ACTIONS = ("wait", "wait", "move", "clock jump", "restart")


@dataclass(frozen=True)
class CentreFault:
    """One planned misbehaviour of the centre."""

    call: str
    name: str
    behaviour: Behaviour
    after: int
    times: int


class FaultPlan:
    """Everything that one seed makes go wrong."""

    def __init__(self, seed: int, *, cameras: int, steps: int) -> None:
        dice = random.Random(seed)
        self.seed = seed
        names = [dice.choice(sorted(CAMERA_FAULTS)) for _ in range(cameras)]
        self.camera_fault_names = names
        self.camera_faults = [Faults(**CAMERA_FAULTS[name](dice)) for name in names]
        self.centre_faults = [
            CentreFault(
                call=dice.choice(CENTRE_CALLS),
                name=name,
                behaviour=CENTRE_FAULTS[name](dice),
                after=dice.randrange(0, 4),
                times=dice.randrange(1, 4),
            )
            for name in dice.choices(sorted(CENTRE_FAULTS), k=4)
        ]
        self.actions = [dice.choice(ACTIONS) for _ in range(steps)]
        self.pauses = [dice.uniform(0.05, 0.8) for _ in range(steps)]
        self.targets = [dice.randrange(cameras) for _ in range(steps)]
        self.jumps_seconds = [dice.choice((-7200, -3, 3, 86_400)) for _ in range(steps)]

    def __str__(self) -> str:
        centre = "; ".join(f"{one.call}: {one.name} x{one.times} after {one.after}" for one in self.centre_faults)
        return (
            f"plan {self.seed}: cameras {', '.join(self.camera_fault_names)} | centre {centre} | "
            f"steps {', '.join(self.actions)}"
        )
