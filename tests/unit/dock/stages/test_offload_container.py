"""The container verdict comes from the STAGED file, and never stops a copy."""

from __future__ import annotations

import struct

import pytest

from dockd.model.recording import ContainerVerdict


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


FTYP = box(b"ftyp", b"isom\0\0\2\0isomavc1")
INDEX = box(
    b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", box(b"stco", struct.pack(">III", 0, 1, 40))))))
)
WHOLE = FTYP + box(b"mdat", bytes(range(256)) * 400) + INDEX


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        (WHOLE, ContainerVerdict.COMPLETE),
        (WHOLE[:-40], ContainerVerdict.TRUNCATED),
        (WHOLE[:60_000], ContainerVerdict.TRUNCATED),
        (FTYP + bytes(60_000), ContainerVerdict.ZERO_FILLED),
        (b"a log file, not a film" * 100, ContainerVerdict.NOT_VIDEO),
    ],
)
async def test_copy_is_staged_whole_and_labelled(bench, content, verdict):
    bench.put(0)
    bench.card.content = content
    bench.listed = bench.card.listed
    staged = await bench.copy()
    assert staged.container is verdict
    assert bench.final.read_bytes() == content


async def test_footage_lost_to_a_bad_place_shows_in_the_verdict(bench):
    bench.put(0)
    bench.card.content = WHOLE
    bench.listed = bench.card.listed
    bench.card.faults.bad = ((len(WHOLE) - 10, len(WHOLE)),)
    staged = await bench.copy()
    assert staged.container is ContainerVerdict.TRUNCATED
    assert staged.unreadable
