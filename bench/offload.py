"""Offload and verify against the tools a careful person would use, given the same guarantee.

`python -m bench.offload [--size-bytes N] [--rounds N] [--folder DIR] [--only PART …]`. Every contender
reads a cold source and ends with a durable copy that was read back from the disk and compared: `cp`,
`rsync` and `rclone` are followed by a sync of the copy and a drop of its pages before their check.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench.harness import (
    GIB,
    MIB,
    Run,
    in_pairs,
    make_cold,
    make_random_file,
    measured_here,
    medians,
    print_table,
    run_reporting,
    run_shell,
    write_results,
)
from bench.plain_card import PlainCard
from dockd.clock import SystemClock
from dockd.dock.stages.offload import CopyOrder, CopySettings, copy_recording
from dockd.dock.stages.verify import read_back
from dockd.dock.staging import Staging, StagingConfig
from dockd.dock.threads import hand_over_quickly
from dockd.dock.worker import CameraThread
from dockd.model.ids import CameraId, SessionId
from dockd.model.recording import CopyCheckpoint, SourceFile, recording_id

_SYNC_AND_DROP = 'sync "$2" && dd if="$2" iflag=nocache count=0 status=none'
_CP = f'cp "$1" "$2" && {_SYNC_AND_DROP} && openssl dgst -sha256 "$2"'
_RSYNC = f'rsync -a "$1" "$2" && {_SYNC_AND_DROP} && test -z "$(rsync -acn --out-format=%n "$1" "$2")"'
_RCLONE = (
    f'rclone copyto -q "$1" "$2" && {_SYNC_AND_DROP} && '
    'rclone check -q --include "/$(basename "$1")" "$(dirname "$1")" "$(dirname "$2")"'
)
_DROP = 'dd if="$1" iflag=nocache count=0 status=none'
# Both cold, as our reading of the card and our reading of the copy are.
_TWO_PASSES = f'openssl dgst -sha256 "$1" && {_DROP} && openssl dgst -sha256 "$1"'
_BAYS = 8
_EIGHT_CP = "8 x cp + sync + openssl"
_EIGHT_DD = "8 x dd past the page cache"
# Only what the disk must do: read the card, write the copy durably, read it back. Nothing is hashed or compared.
_DD = (
    'dd if="$1" of="$2" bs=512K iflag=direct oflag=direct conv=fsync status=none && '
    'dd if="$2" of=/dev/null bs=512K iflag=direct status=none'
)
_SMALL_BYTES = 100 * 1024
_SMALL_COUNTS = (1_000, 5_000, 10_000)


# --- ours ---------------------------------------------------------------------------------------


async def _dock(card: PlainCard, files: Sequence[SourceFile], staging: Staging, bay: int) -> None:
    """What one session does with its recordings, without the journal."""
    thread = CameraThread(f"bay-{bay}")

    async def save_checkpoint(_checkpoint: CopyCheckpoint) -> None:
        """The journal's part is measured elsewhere."""

    try:
        for source in files:
            copied = await copy_recording(
                CopyOrder(recording_id(CameraId(f"plain:{bay}"), source, 0), source, SessionId("bench")),
                storage=card,
                staging=staging,
                run_blocking=thread.run_blocking,
                save_checkpoint=save_checkpoint,
                progress=lambda _count: None,
                settings=CopySettings(),
                clock=SystemClock(),
            )
            await read_back(
                copied.staged,
                staging=staging,
                run_blocking=thread.run_blocking,
                progress=lambda _count: None,
                known_parts=copied.parts,
            )
    finally:
        thread.close()


async def _dock_all(sources: Path, staging_folder: Path, bays: int) -> Run:
    card = PlainCard(sources)
    files = (await card.list()).footage
    staging = Staging(StagingConfig(folder=str(staging_folder), floor_bytes=0))
    await staging.open()
    runs: list[Run] = []
    with measured_here(runs.append):
        await asyncio.gather(*(_dock(card, files[bay::bays], staging, bay) for bay in range(bays)))
    return runs[0]


def _ours(sources: Path, staging: Path, bays: int = 1) -> Run:
    """Run in a process of its own, so that memory and processor time are ours alone."""
    try:
        command = [sys.executable, "-m", "bench.offload", "--dock", str(sources), str(staging), str(bays)]
        return run_reporting(command)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


# --- theirs -------------------------------------------------------------------------------------


def _tool(script: str, source: Path, copy: Path) -> Run:
    try:
        return run_shell(script, str(source), str(copy))
    finally:
        copy.unlink(missing_ok=True)


def _cold(source: Path, work: Callable[[], Run]) -> Callable[[], Run]:
    def run() -> Run:
        make_cold(*(source.iterdir() if source.is_dir() else [source]))
        return work()

    return run


def _parallel(tool: str, sources: Path, copies: Path) -> Run:
    copies.mkdir()
    # `wait` alone forgets how they ended.
    one_each = f'for f in "$1"/*; do sh -ec \'{tool}\' sh "$f" "$2/${{f##*/}}" & ids="$ids $!"; done'
    script = f"{one_each}; for id in $ids; do wait $id; done"
    try:
        return run_shell(script, str(sources), str(copies))
    finally:
        shutil.rmtree(copies)


# --- the measurements ---------------------------------------------------------------------------


def one_file(folder: Path, size_bytes: int, rounds: int) -> dict[str, object]:
    """One large recording: wall and processor time against cp, rsync and rclone; memory."""
    sources = folder / "card"
    sources.mkdir()
    source, copies = sources / "A.MP4", folder / "copies"
    copies.mkdir()
    make_random_file(source, size_bytes)
    contenders, skipped = {}, {}
    for name, tool, script in [
        ("cp + sync + openssl", "openssl", _CP),
        ("rsync -a + rsync -acn", "rsync", _RSYNC),
        ("rclone copy + check", "rclone", _RCLONE),
        ("two SHA-256 passes", "openssl", _TWO_PASSES),
    ]:
        if shutil.which(tool) is None:
            skipped[name] = f"{tool} is not installed"
            continue
        contenders[name] = _cold(source, partial(_tool, script, source, copies / source.name))
    pairs = in_pairs(_cold(source, lambda: _ours(sources, folder / "staging")), contenders, rounds)
    shutil.rmtree(sources)
    ratios = {name: {"wall": pair.ratio(), "cpu": pair.ratio("cpu_seconds")} for name, pair in pairs.items()}
    ours = [run for pair in pairs.values() for run in pair.ours]
    print_table(
        f"Offload and verify of {size_bytes / GIB:.2f} GiB, {rounds} pairs with each, medians",
        ["contender", "wall s", "MiB/s", "CPU s", "dockd/it wall", "dockd/it CPU"],
        [
            _row("dockd", ours, size_bytes, "", ""),
            *(
                _row(name, pair.theirs, size_bytes, f"{ratios[name]['wall']:.2f}", f"{ratios[name]['cpu']:.2f}")
                for name, pair in pairs.items()
            ),
        ],
    )
    growth = max(run.peak_growth_bytes or 0 for run in ours)
    print(f"  memory of dockd rose by {growth / MIB:.1f} MiB")
    return {"size_bytes": size_bytes, "pairs": pairs, "ratios": ratios, "peak_growth_bytes": growth, "skipped": skipped}


def _row(name: str, runs: Sequence[Run], size_bytes: int, *ratios: str) -> list[str]:
    wall, cpu = medians(runs)
    return [name, f"{wall:.2f}", f"{size_bytes / MIB / wall:.0f}", f"{cpu:.2f}", *ratios]


def eight_bays(folder: Path, size_bytes: int, rounds: int) -> dict[str, object]:
    """Eight cameras at once in one process against what the disk gives for it, and against eight cp pipelines."""
    sources = folder / "cards"
    sources.mkdir()
    for bay in range(_BAYS):
        make_random_file(sources / f"{bay}.MP4", size_bytes // _BAYS)
    pairs = in_pairs(
        _cold(sources, lambda: _ours(sources, folder / "staging", _BAYS)),
        {
            _EIGHT_DD: _cold(sources, lambda: _parallel(_DD, sources, folder / "copies-8")),
            _EIGHT_CP: _cold(sources, lambda: _parallel(_CP, sources, folder / "copies-8")),
        },
        rounds,
    )
    shutil.rmtree(sources)
    rate_ratios = {name: 1 / pair.ratio() for name, pair in pairs.items()}
    ours = [run for pair in pairs.values() for run in pair.ours]
    print_table(
        f"{_BAYS} bays at once, {size_bytes / GIB:.2f} GiB together, {rounds} pairs with each, medians",
        ["contender", "wall s", "MiB/s", "CPU s", "dockd's rate/its"],
        [
            _row("dockd", ours, size_bytes, ""),
            *(_row(name, pair.theirs, size_bytes, f"{rate_ratios[name]:.2f}") for name, pair in pairs.items()),
        ],
    )
    growth = max(run.peak_growth_bytes or 0 for run in ours)
    print(f"  memory of dockd rose by {growth / MIB:.1f} MiB")
    return {"size_bytes": size_bytes, "pairs": pairs, "rate_ratios": rate_ratios, "peak_growth_bytes": growth}


def small_recordings(folder: Path) -> dict[str, object]:
    """Many small recordings on one card: time per recording, and whether it stays the same."""
    sources = folder / "small"
    sources.mkdir()
    made = 0
    per_recording: dict[int, float] = {}
    rows = []
    for count in _SMALL_COUNTS:
        for number in range(made, count):
            (sources / f"{number:05}.MP4").write_bytes(number.to_bytes(4, "big") * (_SMALL_BYTES // 4))
        made = count
        run_shell('sync -f "$1"', str(sources))
        make_cold(*sources.iterdir())
        run = _ours(sources, folder / "staging")
        per_recording[count] = run.wall_seconds / count
        growth = (run.peak_growth_bytes or 0) / MIB
        rows.append([str(count), f"{run.wall_seconds:.2f}", f"{per_recording[count] * 1000:.2f}", f"{growth:.1f}"])
    shutil.rmtree(sources)
    print_table(
        f"Recordings of {_SMALL_BYTES // 1024} KiB on one card",
        ["recordings", "wall s", "ms each", "memory rose MiB"],
        rows,
    )
    first, last = per_recording[_SMALL_COUNTS[0]], per_recording[_SMALL_COUNTS[-1]]
    print(f"  one of {_SMALL_COUNTS[-1]} takes {last / first:.2f} of the time of one of {_SMALL_COUNTS[0]}")
    return {"size_bytes": _SMALL_BYTES, "seconds_per_recording": per_recording, "last_to_first": last / first}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write bench/results/offload.json."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.offload", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--size-bytes", type=int, default=4 * GIB)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure; needs 2.5 times the size")
    parser.add_argument("--only", nargs="+", choices=["one", "eight", "small"], default=["one", "eight", "small"])
    parser.add_argument("--dock", nargs=3, metavar=("SOURCES", "STAGING", "BAYS"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.dock:
        sources, staging, bays = given.dock
        hand_over_quickly()  # as `dockd run` does
        print(json.dumps(asdict(asyncio.run(_dock_all(Path(sources), Path(staging), int(bays))))))
        return
    began = time.perf_counter()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="dockd-bench-", dir=given.folder) as name:
        folder = Path(name)
        if "one" in given.only:
            results["one_file"] = one_file(folder, given.size_bytes, given.rounds)
        if "eight" in given.only:
            results["eight_bays"] = eight_bays(folder, given.size_bytes, given.rounds)
        if "small" in given.only:
            results["small_recordings"] = small_recordings(folder)
    path = write_results("offload", results)
    print(f"\nTook {time.perf_counter() - began:.0f} s; written to {path}")


if __name__ == "__main__":
    main()
