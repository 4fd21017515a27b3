"""Upload to the embedded store on loopback, against a plain aiohttp PUT of the same bytes.

Both sides run in processes of their own: the sender here, the receiver in a child, as in the field. Both send
a file that is not in the page cache: a staged copy was written and read back past it. The
plain side streams the file in 1 MiB pieces to a handler that writes it to a file and fsyncs it: no digests,
no parts, no receipt. Ours claims, sends parts (hashed as they are read), lets the store prove the whole by
reading it back from its disk, and waits for the checked receipt.

    python -m bench.upload [--mebibytes 512] [--rounds 5] [--folder DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aiohttp import web

from bench.harness import (
    MIB,
    Run,
    in_pairs,
    make_cold,
    make_random_file,
    measured_here,
    median_ratio,
    medians,
    print_table,
    write_results,
)
from dockd.central.app import serving_centre
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.model.recording import PART_SIZE_BYTES
from dockd.rules.custody import Custody
from dockd.rules.receipts import PinnedStore
from tests.support.upload_site import open_site

WANTED_RATIO = 0.5


@contextmanager
def served(target: Callable[..., None], *arguments: str) -> Iterator[Any]:
    """Run a server in a child; yields what it says first. It ends when the block is left."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=target, args=(theirs, *arguments), daemon=True)
    child.start()
    theirs.close()  # so that a child that fails is the end of the pipe, and not a silence
    try:
        yield ours.recv()
    finally:
        with suppress(BrokenPipeError):
            ours.send("end")
        child.join(20)


async def until_told(pipe: Connection) -> None:
    await asyncio.to_thread(pipe.recv)


def plain_server(pipe: Connection, folder: str) -> None:
    """Takes any PUT, writes it to a file, fsyncs it."""

    async def take(request: web.Request) -> web.Response:
        path = Path(folder) / "plain"
        with path.open("wb") as file:
            async for piece in request.content.iter_chunked(MIB):
                file.write(piece)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        path.unlink()
        return web.Response(status=204)

    async def serve() -> None:
        app = web.Application(client_max_size=0)
        app.router.add_put("/", take)
        runner = web.AppRunner(app, access_log=None, read_bufsize=MIB)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(f"http://127.0.0.1:{runner.addresses[0][1]}/")
        await until_told(pipe)
        await runner.cleanup()

    asyncio.run(serve())


def centre_server(pipe: Connection, folder: str) -> None:
    """The embedded centre."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())

    async def serve() -> None:
        pinned = await initialise_centre(Path(folder))
        async with serving_centre(CentreConfig(folder=folder, port=0, free_space_floor_bytes=0)) as centre:
            pipe.send((centre.url, pinned.model_dump()))
            await until_told(pipe)

    asyncio.run(serve())


async def put_plain(url: str, path: Path) -> Run:
    """One request with the whole file."""

    async def pieces() -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, MIB):
                yield piece

    runs: list[Run] = []
    async with aiohttp.ClientSession() as session:
        with measured_here(runs.append):
            headers = {"Content-Length": str(path.stat().st_size)}
            async with session.put(url, data=pieces(), headers=headers) as response:
                response.raise_for_status()
    return runs[0]


async def upload_ours(url: str, pinned: PinnedStore, path: Path, folder: Path) -> Run:
    """From the start of the uploader to ACCEPTED in the ledger."""
    runs: list[Run] = []
    async with open_site(folder, url, pinned) as site:
        recording = await site.stage(path.read_bytes(), part_bytes=PART_SIZE_BYTES)
        os.sync()  # a staged copy is durable long before it is sent
        make_cold(*(one for one in (folder / "staging").rglob("*") if one.is_file()))
        with measured_here(runs.append):
            async with site.uploading():
                await site.reaches(recording, Custody.ACCEPTED, seconds=600)
    return runs[0]


def plain(source: Path, folder: Path) -> Run:
    """One plain PUT to a server of its own."""
    with served(plain_server, str(folder)) as url:
        make_cold(source)
        return asyncio.run(put_plain(str(url), source))


def ours(source: Path, folder: Path) -> Run:
    """One upload to a fresh centre."""
    work = Path(tempfile.mkdtemp(dir=folder))
    try:
        with served(centre_server, str(work / "centre")) as (url, pinned):
            return asyncio.run(upload_ours(url, PinnedStore.model_validate(pinned), source, work / "dock"))
    finally:
        shutil.rmtree(work)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write bench/results/upload.json."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.upload", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--mebibytes", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure; needs 3 times the size")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="dockd-bench-", dir=given.folder) as name:
        folder, source = Path(name), Path(name) / "source"
        make_random_file(source, given.mebibytes * MIB)
        pairs = in_pairs(partial(ours, source, folder), {"plain": partial(plain, source, folder)}, given.rounds)[
            "plain"
        ]
    rows = []
    for contender, made in (("plain", pairs.theirs), ("ours", pairs.ours)):
        wall, cpu = medians(made)
        rows.append([contender, f"{wall:.2f}", f"{given.mebibytes / wall:.0f}", f"{cpu:.2f}"])
    print_table("Upload on loopback (medians)", ["", "wall s", "MiB/s", "sender's cpu s"], rows)
    ratio = median_ratio(pairs.theirs, pairs.ours)
    print(f"  ours has {ratio:.2f} of the rate of the plain PUT (wanted: at least {WANTED_RATIO})")
    results = {
        "size_bytes": given.mebibytes * MIB,
        "pairs": pairs,
        "median_ratio_of_rates": ratio,
        "wanted_ratio_of_rates": WANTED_RATIO,
    }
    print(f"  written to {write_results('upload', results)}")


if __name__ == "__main__":
    main()
