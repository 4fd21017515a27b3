"""A force against a real centre, `python -m bench.fleet`: dockings an hour, their cost, and that nothing is lost.

The bound is the force's own busiest hour: 20 % of all cameras dock within it, 4,400 of the reference's 22,000. Docks
say what real docks say (`bench.force`), over HTTP and TLS, to real centre processes on a real PostgreSQL, all of it on
this one machine with the load generator. In an open loop: what is due is sent, whether or not the centre keeps up. A
multiple is *sustained* when every answer had come `LATEST_SECONDS` after the last request was due and 99 % of fact
batches were answered within `PATIENCE_SECONDS`. Afterwards an oracle goes through the database.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import resource
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import structlog

from bench.force.day import Force, Mishaps, arrivals_of_a_day, even_arrivals
from bench.force.docks import Fleet
from bench.force.history import fill_history
from bench.force.oracle import Judgement, judge
from bench.force.replay import Outcome, Refused, Replay
from bench.force.site import FRONTS, Site, running_site
from bench.force.usage import Usage, usage
from bench.force.wire import Network
from bench.harness import print_table, write_results

WANTED_MULTIPLE = 10
LATEST_SECONDS = 5.0
PATIENCE_SECONDS = 2.0
_STORED_BEFORE = 20
_CALLS = ("facts", "facts again", "claim", "part", "complete", "manifest", "status", "orders")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is replayed. `stored_share` of recordings have bytes that the store holds already."""

    force: Force
    seconds: float = 60.0
    docking_seconds: float = 60.0
    is_whole_day: bool = False
    stored_share: float = 0.05
    mishaps: Mishaps = field(default_factory=Mishaps)
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """One replay at one multiple. Processor seconds by program, memory at its end."""

    multiple: float
    dockings: int
    facts: int
    outcome: Outcome
    cpu_seconds: dict[str, float]
    memory_bytes: dict[str, int]
    rows: dict[str, int]
    trouble: dict[str, object]

    @property
    def is_sustained(self) -> bool:
        """As the module says."""
        facts = self.outcome.seconds_of["facts"]
        return (
            self.outcome.unanswered == 0
            and self.outcome.drained_seconds <= LATEST_SECONDS
            and percentile(facts, 0.99) <= PATIENCE_SECONDS
        )

    @property
    def cpu_milliseconds_per_docking(self) -> float:
        """Of everything together, but the generator."""
        served = sum(seconds for name, seconds in self.cpu_seconds.items() if name != "generator")
        return served * 1000 / max(1, self.dockings)


class Session:
    """One site and its fleet, replayed at one multiple after the other; its chains go on."""

    def __init__(self, site: Site, plan: Plan, fleet: Fleet, network: Network, dice: random.Random) -> None:
        self._site = site
        self._plan = plan
        self._dice = dice
        self._network = network
        self._replay = Replay(fleet, network, plan.mishaps, dice)
        self.fleet = fleet

    @classmethod
    async def connected(cls, site: Site, plan: Plan) -> Session:
        """With every dock connected, and enrolled where docks show certificates."""
        dice = random.Random(plan.seed)
        stored = [dice.randbytes(1024) for _ in range(_STORED_BEFORE)]
        fleet = Fleet(plan.force, site.pinned, dice, already_stored=stored)
        network = Network(site.ports, await site.tls_of([dock.name for dock in fleet.docks]))
        session = cls(site, plan, fleet, network, dice)
        await session._replay.connect()
        return session

    def close(self) -> None:
        """Hang up."""
        self._replay.close()

    async def at(self, multiple: float) -> Measured:
        """Prepare and replay. Raises Refused."""
        plan, told = self._plan, self.fleet.told
        spread = arrivals_of_a_day if plan.is_whole_day else even_arrivals
        arrivals = spread(plan.force, multiple, plan.seconds, self._dice)
        before = told.dockings, told.facts
        late = self.fleet.prepare_late(
            round(len(arrivals) * plan.mishaps.late), at_seconds=plan.seconds / 4, stored_share=plan.stored_share
        )
        sayings = self.fleet.prepare(arrivals, docking_seconds=plan.docking_seconds, stored_share=plan.stored_share)
        sayings = sorted([*late, *sayings], key=lambda one: one.at_seconds)
        began = self._usage()
        outcome = await self._replay.run(sayings, plan.seconds)
        ended = self._usage()
        cpu = {name: one.cpu_seconds - began[name].cpu_seconds for name, one in ended.items()}
        trouble = self._network.trouble
        return Measured(
            multiple=multiple,
            dockings=told.dockings - before[0],
            facts=told.facts - before[1],
            outcome=outcome,
            cpu_seconds={**cpu, "generator": outcome.cpu_seconds},
            memory_bytes={name: one.memory_bytes for name, one in ended.items()},
            rows=self._rows(),
            trouble={**asdict(trouble), "doubled": outcome.doubled},
        )

    def judge(self) -> Judgement:
        """Ask the oracle."""
        return judge(self._site.postgres, self._site.database, self.fleet, self._site.pinned, self._replay.receipts)

    def _usage(self) -> dict[str, Usage]:
        return {name: usage(roots) for name, roots in self._site.roots.items()}

    def _rows(self) -> dict[str, int]:
        tables = ("facts", "sessions", "dock_recordings", "custody_lines", "sources", "receipts")
        asked = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
        (counts,) = self._site.postgres.query(f"SELECT {asked}", self._site.database)
        return dict(zip(tables, map(int, map(str, counts)), strict=True))


async def measure(
    site: Site, plan: Plan, multiples: Sequence[float], *, is_search: bool
) -> tuple[Measurement, Session]:
    """Replay at each multiple; with `is_search` only as long as they are sustained. The oracle judges all of it."""
    session = await Session.connected(site, plan)
    measured: list[Measured] = []
    try:
        for multiple in multiples:
            measured.append(await session.at(multiple))
            tell(measured[-1])
            if is_search and not measured[-1].is_sustained:
                break
    finally:
        session.close()
        await asyncio.sleep(0.2)
    return Measurement(tuple(measured), await asyncio.to_thread(session.judge)), session


@dataclass(frozen=True, slots=True)
class Measurement:
    """All replays on one site, and what the oracle found."""

    replays: tuple[Measured, ...]
    judgement: Judgement


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of `values` do not exceed; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def tell(one: Measured) -> None:
    """Print one replay."""
    outcome = one.outcome
    rate = one.dockings / max(outcome.replay_seconds, 1e-9)
    print_table(
        f"{one.multiple:g} times the busiest hour: {one.dockings} dockings, {one.facts} facts, "
        f"{outcome.requests} requests in {outcome.replay_seconds:.1f} s ({rate * 3600:.0f} dockings/h, "
        f"{one.facts / outcome.replay_seconds:.0f} facts/s) - {'sustained' if one.is_sustained else 'NOT sustained'}",
        ["call", "count", "p50 ms", "p95 ms", "p99 ms", "max ms"],
        [
            [kind, str(len(values)), *(f"{percentile(values, share) * 1000:.0f}" for share in (0.5, 0.95, 0.99, 1.0))]
            for kind in _CALLS
            if (values := outcome.seconds_of.get(kind, []))
        ],
    )
    cores = ", ".join(f"{name} {seconds / outcome.replay_seconds:.2f}" for name, seconds in one.cpu_seconds.items())
    memory = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in one.memory_bytes.items())
    print(f"  cores in use: {cores}; {one.cpu_milliseconds_per_docking:.0f} ms a docking without the generator")
    print(f"  memory: {memory}; rows: {one.rows}")
    print(f"  drained in {outcome.drained_seconds:.1f} s, unanswered {outcome.unanswered}; trouble: {one.trouble}")


def results_of(measurement: Measurement) -> dict[str, object]:
    """As it goes to JSON: percentiles instead of every value."""
    return {
        "judgement": asdict(measurement.judgement),
        "replays": [
            {
                "multiple": one.multiple,
                "is_sustained": one.is_sustained,
                "dockings": one.dockings,
                "facts": one.facts,
                "requests": one.outcome.requests,
                "replay_seconds": one.outcome.replay_seconds,
                "drained_seconds": one.outcome.drained_seconds,
                "generator_latest_seconds": one.outcome.latest_seconds,
                "cpu_seconds": one.cpu_seconds,
                "cpu_milliseconds_per_docking": one.cpu_milliseconds_per_docking,
                "memory_bytes": one.memory_bytes,
                "rows": one.rows,
                "trouble": one.trouble,
                "milliseconds": {
                    kind: {
                        "count": len(values),
                        **{
                            f"p{share * 100:g}": percentile(values, share) * 1000 for share in (0.5, 0.9, 0.95, 0.99, 1)
                        },
                    }
                    for kind, values in one.outcome.seconds_of.items()
                },
            }
            for one in measurement.replays
        ],
    }


def run(
    plan: Plan,
    multiples: Sequence[float],
    *,
    front: str,
    folder: Path | None,
    history: int = 0,
    is_search: bool = False,
) -> Measurement:
    """Make a site, measure, judge, and take it down. `history` is for how many cameras rows are there before."""
    with running_site(folder, front=front) as site:
        if history:
            fill_history(site.postgres, site.database, history)
        measurement, _ = asyncio.run(measure(site, plan, multiples, is_search=is_search))
    judgement = measurement.judgement
    print(f"  oracle: {judgement.facts} facts of {judgement.docks} docks, {judgement.receipts} receipts: ", end="")
    print("nothing lost, nothing doubled" if not judgement.differences else f"DIFFERENCES {judgement.differences[:10]}")
    return measurement


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write bench/results/fleet.json."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cameras", type=int, default=22_000, help="of the force")
    parser.add_argument("--multiples", type=float, nargs="+", default=[1, 5, 10, 12, 14, 17, 20, 25, 30])
    parser.add_argument("--seconds", type=float, default=60.0, help="of each replay")
    parser.add_argument("--day", action="store_true", help="the shape of a whole day within --seconds, shifts and all")
    parser.add_argument("--stored-share", type=float, default=0.05, help="of recordings: the store has their bytes")
    parser.add_argument("--front", choices=FRONTS, default="docks", help="where TLS ends")
    parser.add_argument(
        "--growth",
        type=int,
        nargs="*",
        default=[1_000, 10_000, 100_000],
        help="cameras; at the highest rate that was sustained",
    )
    parser.add_argument("--history", type=int, default=None, help="cameras whose earlier docking is there; else all")
    parser.add_argument(
        "--folder", type=Path, default=Path("/dev/shm"), help="where footage is put: a force's store is on other disks"
    )
    given = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # enrolling tells of each
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # three connections for each dock, and the centres' side
    plan = Plan(Force(given.cameras), seconds=given.seconds, is_whole_day=given.day, stored_share=given.stored_share)
    history = given.cameras if given.history is None else given.history
    results: dict[str, object] = {"wanted_multiple": WANTED_MULTIPLE, "front": given.front}
    whole = run(plan, given.multiples, front=given.front, folder=given.folder, history=history, is_search=True)
    results["force"] = {"cameras": given.cameras, **results_of(whole)}
    best = max((one.multiple for one in whole.replays if one.is_sustained), default=0)
    print(f"  highest sustained multiple: {best:g} (wanted: at least {WANTED_MULTIPLE})")
    results["highest_sustained_multiple"] = best
    growth: dict[str, object] = {}
    for cameras in given.growth:
        # The same dockings an hour for each, and no more than are carried: an overloaded centre's cost tells nothing.
        multiple = (best or 1) * given.cameras / cameras
        grown = Plan(Force(cameras), seconds=given.seconds, stored_share=given.stored_share)
        one = run(grown, [multiple], front=given.front, folder=given.folder, history=cameras)
        growth[str(cameras)] = results_of(one)
    results["growth"] = growth
    print(f"  written to {write_results('fleet', results)}")


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        raise SystemExit(f"The centre refused what it must take: {refused}") from refused
