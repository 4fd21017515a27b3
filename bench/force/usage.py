"""Processor time and memory of whole programs with all of their processes, as the kernel counts them (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds so far, and memory now: proportional set size, so that shared pages count once."""

    cpu_seconds: float
    memory_bytes: int


def usage(roots: Iterable[int]) -> Usage:
    """Of these processes and everything below them; ended children count where their parent waited for them."""
    stats = _stats()
    wanted = set(roots)
    grew = True
    while grew:
        more = {pid for pid, (parent, _) in stats.items() if parent in wanted} - wanted
        wanted |= more
        grew = bool(more)
    present = wanted & stats.keys()
    return Usage(sum(stats[pid][1] for pid in present), sum(map(_memory_bytes, present)))


def _stats() -> dict[int, tuple[int, float]]:
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # The command in parentheses may hold anything; what follows the last one is numbers.
            fields = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        # After the command: state ppid … utime(12) stime cutime cstime, counted from 1 at the state.
        found[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15])) / _TICKS
    return found


def _memory_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
