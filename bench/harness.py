"""What every measurement needs: cold files, paired runs, processor time, a table and a JSON file."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one contender. Processor time is user and system of the process and its children."""

    wall_seconds: float
    cpu_seconds: float
    peak_growth_bytes: int | None = None
    """How far the process's resident memory rose above what it was before the run; None: not measured."""


def make_random_file(path: Path, size_bytes: int) -> None:
    """Write `size_bytes` that no file system can compress, durably."""
    with path.open("wb") as file:
        for _ in range(size_bytes // MIB):
            file.write(os.urandom(MIB))
        file.write(os.urandom(size_bytes % MIB))
        file.flush()
        os.fsync(file.fileno())


def make_cold(*paths: Path) -> None:
    """Drop these files' pages from the page cache. They must have been synced."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def processor_seconds(who: int) -> float:
    """User and system time so far of RUSAGE_SELF or RUSAGE_CHILDREN."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def run_shell(script: str, *arguments: str) -> Run:
    """Run a `sh -e` script with positional parameters and measure it. Raises CalledProcessError."""
    cpu, began = processor_seconds(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(["sh", "-ec", script, "sh", *arguments], check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    return Run(wall, processor_seconds(resource.RUSAGE_CHILDREN) - cpu)


def run_reporting(command: Sequence[str]) -> Run:
    """Run a program that measures itself and prints a `Run` as JSON on its last line."""
    done = subprocess.run(list(command), check=True, capture_output=True, text=True)
    return Run(**json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def measured_here(report: Callable[[Run], None]) -> Iterator[None]:
    """Measure the block in this process: wall, processor time and rise of resident memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, began = processor_seconds(resource.RUSAGE_SELF), time.perf_counter()
    yield
    wall = time.perf_counter() - began
    cpu = processor_seconds(resource.RUSAGE_SELF) - cpu
    # ru_maxrss is in KiB on Linux, getrusage(2).
    report(Run(wall, cpu, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024))


@dataclass(frozen=True, slots=True)
class Pairs:
    """The runs of one comparison: the two of a pair follow each other directly."""

    ours: list[Run]
    theirs: list[Run]

    def ratio(self, attribute: str = "wall_seconds") -> float:
        """Median over the pairs of ours divided by theirs."""
        return median_ratio(self.ours, self.theirs, attribute)


def in_pairs(ours: Callable[[], Run], theirs: dict[str, Callable[[], Run]], rounds: int) -> dict[str, Pairs]:
    """Run ours directly beside each of theirs, every other time in the other order, so that drift hits both alike."""
    pairs = {name: Pairs([], []) for name in theirs}
    for number in range(rounds):
        for name, contender in theirs.items():
            first, second = (ours, contender) if number % 2 == 0 else (contender, ours)
            runs = first(), second()
            pairs[name].ours.append(runs[number % 2])
            pairs[name].theirs.append(runs[1 - number % 2])
    return pairs


def median_ratio(ours: Sequence[Run], theirs: Sequence[Run], attribute: str = "wall_seconds") -> float:
    """Median over the rounds of ours divided by theirs of the same round."""
    pairs = zip(ours, theirs, strict=True)
    return float(statistics.median(getattr(one, attribute) / getattr(other, attribute) for one, other in pairs))


def medians(runs: Sequence[Run]) -> tuple[float, float]:
    """Median wall and processor seconds."""
    return statistics.median(run.wall_seconds for run in runs), statistics.median(run.cpu_seconds for run in runs)


def write_results(name: str, results: dict[str, object]) -> Path:
    """Write `results` with the machine they were measured on to bench/results/<name>.json."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    whole = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **results}
    path.write_text(json.dumps(whole, indent=2, default=_plain) + "\n", encoding="utf-8")
    return path


def machine() -> dict[str, object]:
    """What a reader must know to compare figures."""
    cpu = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": cpu[0] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
    }


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a plain table."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    print(f"\n{title}")
    for row in [header, ["-" * width for width in widths], *rows]:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def _plain(value: object) -> object:
    return asdict(value) if isinstance(value, Run | Pairs) else str(value)
