"""Memory of the dock's daemon with eight bays at work: few large files, larger files, many small ones.

Runs the real centre and the real dock as processes of their own over folder bays and reads the
daemon's peak resident size (VmHWM) when every camera is READY. Two questions: is it below the bound,
and does it grow with file size or count?
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.harness import print_table, write_results
from dockd.cli.demo_site import DemoPlan, DemoProcesses, DemoSite, free_port
from dockd.cli.dock_client import open_dock
from drivers.simulated import CameraDescription, make_camera_folder

BOUND_MEGABYTES = 150
BAYS = 8
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Load:
    """What lies on each card."""

    name: str
    files: int
    size_bytes: int
    cameras: int = BAYS


LOADS = (
    Load("8 x 1 file of 64 MiB", 1, 64 * MEBIBYTE),
    Load("8 x 1 file of 512 MiB", 1, 512 * MEBIBYTE),
    Load("8 x 20 files of 16 KiB", 20, 16 * 1024),
    Load("8 x 500 files of 16 KiB", 500, 16 * 1024),
    Load("1 x 10,000 files of 4 KiB", 10_000, 4 * 1024, cameras=1),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Largest resident size before the first camera and until the last one was READY, and how long that took."""

    load: str
    idle_megabytes: float
    peak_megabytes: float
    seconds: float


def _fill(card: Path, load: Load) -> None:
    folder = card / "DCIM"
    folder.mkdir()
    for number in range(load.files):
        with (folder / f"{number:05}.MP4").open("wb") as file:
            for start in range(0, load.size_bytes, MEBIBYTE):
                file.write(os.urandom(min(MEBIBYTE, load.size_bytes - start)))


def peak_megabytes(process_id: int) -> float:
    """The largest resident size so far, as the kernel counts it (proc(5), VmHWM)."""
    text = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    if found is None:
        raise RuntimeError("the kernel does not tell VmHWM")
    return int(found.group(1)) * 1024 / 1e6


async def _measure(folder: Path, load: Load) -> Measured:
    plan = DemoPlan(cameras=load.cameras, clips=0, seed=0, dock_port=free_port(0), centre_port=free_port(0))
    site = DemoSite(folder, plan)
    await site.build_empty()
    for index in range(load.cameras):
        description = CameraDescription(serial=site.serial(index), card_size_bytes=64_000_000_000)
        _fill(make_camera_folder(site.shelf / site.serial(index), description), load)
    processes = DemoProcesses(site)
    try:
        await processes.start()
        idle = peak_megabytes(processes.process_ids["dock"])
        began = time.monotonic()
        for index in range(load.cameras):
            (site.shelf / site.serial(index)).rename(site.bay(index) / site.serial(index))
        async with open_dock(site.dock_url) as dock:
            while (await dock.status()).ready_count < load.cameras:
                processes.check()
                await asyncio.sleep(0.5)
        return Measured(
            load=load.name,
            idle_megabytes=round(idle, 1),
            peak_megabytes=round(peak_megabytes(processes.process_ids["dock"]), 1),
            seconds=round(time.monotonic() - began, 1),
        )
    finally:
        await processes.stop()


def main() -> None:
    """Measure every load, print a table, write JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.daemon", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=None, help="Where the data is made (needs about 14 GB).")
    parser.add_argument("--only", type=int, nargs="+", default=None, help="Numbers of the loads, from 1.")
    arguments = parser.parse_args()
    rows = []
    for load in [load for number, load in enumerate(LOADS, 1) if arguments.only is None or number in arguments.only]:
        folder = Path(tempfile.mkdtemp(prefix="dockd-bench-", dir=arguments.folder))
        try:
            rows.append(asyncio.run(_measure(folder, load)))
        finally:
            shutil.rmtree(folder)
    print_table(
        f"Memory of the dock's daemon (bound: {BOUND_MEGABYTES} MB)",
        ["load", "idle MB", "peak MB", "seconds to READY"],
        [[row.load, str(row.idle_megabytes), str(row.peak_megabytes), str(row.seconds)] for row in rows],
    )
    write_results("daemon", {"bound_megabytes": BOUND_MEGABYTES, "rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
