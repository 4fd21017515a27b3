"""The fleet page of a whole force, as a browser gets it: 22,000 cameras and a year of projected history.

A real centre on loopback, on SQLite and, where Debian's PostgreSQL is installed, on that; the time is that of the whole
answer, over one kept connection. The wanted median is 100 ms.

    python -m bench.fleet_page [--requests 60]
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from bench.harness import print_table, processor_seconds, write_results
from dockd.central.app import serving_centre
from dockd.central.config import CentreConfig
from dockd.central.database import Database, sqlite_url
from dockd.central.opening import initialise_centre
from dockd.clock import SystemClock
from tests.support.fleet_seed import Force, seed_force
from tests.support.postgres import postgres_server

WANTED_MEDIAN_SECONDS = 0.1
PAGES = ("/fleet", "/fleet/sites?unit=Borough+05", "/docks/dock-0001", "/fleet/search?q=BWC0123", "/alerts")


async def measure(folder: Path, database_url: str | None, requests: int) -> dict[str, dict[str, float]]:
    """Seconds for each page: median, the 95th percentile, and processor time of one request."""
    await initialise_centre(folder, database_url=database_url)
    database = Database(database_url or sqlite_url(folder / "centre.sqlite"))
    await database.open()
    try:
        await seed_force(database, SystemClock().now(), Force())
    finally:
        await database.close()
    config = CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0, database_url=database_url)
    found = {}
    async with serving_centre(config) as served, aiohttp.ClientSession() as session:
        for page in PAGES:
            await _get(session, served.url + page)  # the first compiles templates and warms the page cache
            cpu = processor_seconds(resource.RUSAGE_SELF)
            taken = [await _get(session, served.url + page) for _ in range(requests)]
            cpu = (processor_seconds(resource.RUSAGE_SELF) - cpu) / requests
            found[page] = {
                "median_seconds": statistics.median(taken),
                "p95_seconds": sorted(taken)[int(len(taken) * 0.95) - 1],
                "cpu_seconds": cpu,
            }
    return found


async def _get(session: aiohttp.ClientSession, url: str) -> float:
    began = time.perf_counter()
    async with session.get(url) as response:
        await response.read()
        if response.status != 200:
            raise RuntimeError(f"{url} answered {response.status}")
    return time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=60)
    requests = parser.parse_args(arguments).requests
    results: dict[str, object] = {"force": repr(Force()), "requests": requests}
    rows = []
    with tempfile.TemporaryDirectory() as folder, postgres_server() as server:
        for name, url in (("sqlite", None), ("postgresql", server.address(server.new_database()))):
            found = asyncio.run(measure(Path(folder) / name, url, requests))
            results[name] = found
            rows += [
                [name, page, *(f"{one[key] * 1000:.1f}" for key in ("median_seconds", "p95_seconds", "cpu_seconds"))]
                for page, one in found.items()
            ]
    print_table("Pages of the fleet, ms", ["database", "page", "median", "95 %", "processor"], rows)
    path = write_results("fleet_page", results)
    print(f"Wanted: /fleet within {WANTED_MEDIAN_SECONDS * 1000:.0f} ms at the median. Written to {path}.")


if __name__ == "__main__":
    main()
