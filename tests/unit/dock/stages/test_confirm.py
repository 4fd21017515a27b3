"""Before erasing, the card itself must still hold what was verified."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dockd.dock.stages.confirm import confirm_source
from dockd.errors import CameraGone, CardUnreadable, DriverTimeout, SourceChanged
from dockd.model.ids import CameraId, Digest
from dockd.rules.custody import LedgerEntry

KIB = 1024


async def confirm(bench, digest):
    entry = LedgerEntry(
        recording=bench.recording,
        camera=CameraId("fake:1"),
        path=bench.listed.path,
        size_bytes=bench.listed.size_bytes,
        modified_ns=bench.listed.modified_ns,
        generation=0,
        first_session=bench.session,
        last_session=bench.session,
        recorded_at=datetime(2026, 11, 22, tzinfo=UTC),
        officer=None,
    )
    return await confirm_source(
        replace(entry, digest=Digest(digest)),
        bench.listed,
        session=bench.session,
        storage=bench.card,
        run_blocking=bench.thread.run_blocking,
        progress=bench.progress,
        settings=bench.settings,
        clock=bench.clock,
    )


@pytest.mark.parametrize("size_bytes", [0, 1, 16 * KIB, 300 * KIB + 7])
async def test_unchanged_card_is_confirmed(bench, size_bytes):
    bench.put(size_bytes)
    staged = await bench.copy()
    source = await confirm(bench, staged.digest)
    assert (source.digest, source.size_bytes) == (staged.digest, size_bytes)
    assert (source.recording, source.session) == (bench.recording, bench.session)


@pytest.mark.parametrize("place", [0, 150 * KIB, 300 * KIB - 1])
async def test_one_other_bit_under_the_same_name_size_and_time_is_a_change(bench, place):
    content = bytearray(bench.put(300 * KIB))
    staged = await bench.copy()
    content[place] ^= 1
    bench.card.content = bytes(content)
    with pytest.raises(SourceChanged, match="other bytes"):
        await confirm(bench, staged.digest)


async def test_other_time_is_a_change(bench):
    bench.put(30 * KIB)
    staged = await bench.copy()
    bench.card.modified_ns += 1
    with pytest.raises(SourceChanged):
        await confirm(bench, staged.digest)


async def test_card_with_a_bad_place_is_never_confirmed_even_if_zeros_would_agree(bench):
    bench.put(30 * KIB)
    bench.card.faults.bad = ((8 * KIB, 9 * KIB),)
    staged = await bench.copy()
    with pytest.raises(CardUnreadable):
        await confirm(bench, staged.digest)


async def test_cancelled_while_it_clears_up_after_a_failure_it_leaves_no_thread(bench):
    bench.put(300 * KIB)
    staged = await bench.copy()
    bench.card.faults.gone_at = 200 * KIB
    with pytest.raises(asyncio.CancelledError):
        await bench.cancelled_when_it_closes_the_card(confirm(bench, staged.digest))
    assert not [one.name for one in threading.enumerate() if one.name.startswith("confirm-")]


async def test_pulled_cable_confirms_nothing(bench):
    bench.put(300 * KIB)
    staged = await bench.copy()
    bench.card.faults.gone_at = 200 * KIB
    with pytest.raises(CameraGone):
        await confirm(bench, staged.digest)


@pytest.mark.slow
async def test_camera_that_hangs_confirms_nothing(bench):
    bench.put(100 * KIB)
    staged = await bench.copy()
    bench.settings = bench.settings.model_copy(
        update={"checkpoint_interval_seconds": 0.01, "stall_timeout_seconds": 0.05}
    )
    bench.card.faults.before_read = lambda _offset: None
    bench.card.faults.hang_at = 50 * KIB
    with pytest.raises(DriverTimeout):
        await confirm(bench, staged.digest)
    bench.card.faults.released.set()
    while bench.card.closed < bench.card.opened:
        await asyncio.sleep(0.01)
