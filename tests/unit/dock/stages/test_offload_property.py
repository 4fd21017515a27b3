"""Whatever happens on the way: a final file has the source's bytes, or there is none."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass

from hypothesis import event, given
from hypothesis import strategies as st

from dockd.dock.stages.verify import read_back
from dockd.dock.staging import Staging
from dockd.errors import DockdError

KIB = 1024
MAX_BYTES = 96 * KIB
PART_BYTES = 10 * KIB


@dataclass(frozen=True)
class Attempt:
    """One docking: what fails in it, and what happened to the staging disk before it. Places are per mille."""

    gone_at: int | None = None
    longest_read_bytes: int | None = None
    room: int | None = None
    fail: str | None = None
    number: int = errno.EIO
    damage: str = "none"
    damage_at: int = 0
    is_reformatted: bool = False
    is_same_session: bool = False


PLACES = st.integers(0, 1000)
SELDOM = st.sampled_from([True, False, False, False])
ATTEMPTS = st.builds(
    Attempt,
    gone_at=st.integers(100, 1000),
    longest_read_bytes=st.none() | st.integers(200, 9000),
    room=st.none() | st.none() | PLACES,
    fail=st.sampled_from([None, None, None, "sync", "datasync", "write", "rename", "read"]),
    number=st.sampled_from([errno.EIO, errno.ENOSPC, errno.EROFS]),
    damage=st.sampled_from(["none", "none", "none", "flip", "zero", "cut"]),
    damage_at=PLACES,
    is_reformatted=SELDOM,
    is_same_session=SELDOM,
)


def damage(bench, attempt: Attempt) -> None:
    """What a power cut or a dying disk does to the unfinished copy between two dockings."""
    if attempt.damage == "none" or not bench.partial.exists():
        return
    content = bytearray(bench.partial.read_bytes())
    place = len(content) * attempt.damage_at // 1000
    if attempt.damage == "flip" and place < len(content):
        content[place] ^= 0x10
    elif attempt.damage == "zero":
        content[place : place + 20_000] = bytes(len(content[place : place + 20_000]))
    elif attempt.damage == "cut":
        del content[place:]
    bench.partial.write_bytes(content)


async def dock(bench, attempt: Attempt):
    damage(bench, attempt)
    faults, disk, size_bytes = bench.card.faults, bench.disk, len(bench.card.content)
    faults.gone_at = None if attempt.gone_at is None else size_bytes * attempt.gone_at // 1000
    faults.longest_read_bytes = attempt.longest_read_bytes
    disk.room_bytes = None if attempt.room is None else size_bytes * attempt.room // 1000
    disk.fail = {attempt.fail: [attempt.number, 0]} if attempt.fail else {}
    try:
        copied = await bench.copy_with_parts(part_size_bytes=PART_BYTES)
    except DockdError as error:
        event(error.code)
        return None
    event("read whole" if copied.staged.is_read_whole else "resumed")
    return copied


@given(
    size_bytes=st.integers(0, MAX_BYTES) | st.integers(MAX_BYTES // 2, MAX_BYTES),
    content_seed=st.integers(0, 2**32),
    attempts=st.lists(ATTEMPTS, max_size=5),
)
async def test_final_file_is_the_source_or_there_is_none(new_bench, size_bytes, content_seed, attempts):
    bench = new_bench()
    bench.settings = bench.settings.model_copy(update={"buffer_size_bytes": 4096})
    await bench.staging.open()
    bench.put(size_bytes, seed=content_seed)
    copied = None
    for attempt in [*attempts, Attempt()]:
        # A card can only have been reformatted while it was away: that is another session.
        if not attempt.is_same_session or attempt.is_reformatted:
            bench.redock()
        if attempt.is_reformatted:
            # Other footage of the very same name, size and time, all of it different.
            bench.card.content = bytes(byte ^ 0xFF for byte in bench.card.content)
        copied = await dock(bench, attempt)
        if copied is not None:
            break
        # The file at the final place, if a crash fell behind the rename, is vouched for by nobody.
        bench.staging = Staging(bench.config, disk=bench.disk)
        bench.disk.fail = {}
    assert copied is not None, "an attempt without a fault must succeed"
    staged, source = copied.staged, bench.card.content
    assert staged.digest == hashlib.sha256(source).hexdigest()
    assert bench.final.read_bytes() == source
    bench.disk.fail = {}
    verified = await read_back(
        staged,
        staging=bench.staging,
        run_blocking=bench.thread.run_blocking,
        progress=bench.progress,
        known_parts=copied.parts,
        part_size_bytes=PART_BYTES,
        settings=bench.settings,
    )
    assert verified.staged.digest == staged.digest
    parts = [source[start : start + PART_BYTES] for start in range(0, size_bytes, PART_BYTES)]
    assert list(verified.part_digests) == [hashlib.sha256(part).hexdigest() for part in parts]
    bench.thread.close()
    assert bench.card.opened == bench.card.closed
