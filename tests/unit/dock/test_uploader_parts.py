"""Our own part table against what a centre offers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.dock.recording_sender import check_upload, part_table
from dockd.errors import CentreUnavailable
from dockd.model.recording import ReadBackMethod, VerifiedRecording, part_count
from dockd.wire.messages import PartAddress, Upload
from tests.support.clock import START
from tests.support.custody import Footage, sha256


def verified(content: bytes, part_size_bytes: int) -> VerifiedRecording:
    parts = [content[at : at + part_size_bytes] for at in range(0, len(content), part_size_bytes)]
    return VerifiedRecording(
        staged=Footage(content).copy(),
        method=ReadBackMethod.O_DIRECT,
        part_size_bytes=part_size_bytes,
        part_digests=tuple(sha256(part) for part in parts),
    )


def offer(of: VerifiedRecording, *, finished: tuple[int, ...] = ()) -> Upload:
    return Upload(
        upload="up-1",
        digest=of.staged.digest,
        size_bytes=of.staged.size_bytes,
        finished_parts=finished,
        parts=tuple(
            PartAddress(
                part_number=part.number,
                offset_bytes=part.offset_bytes,
                size_bytes=part.size_bytes,
                digest=part.digest,
                url=f"/parts/{part.number}",
                headers={},
                expires_at=START + timedelta(minutes=15),
            )
            for part in part_table(of)
            if part.number not in finished
        ),
    )


@given(st.binary(max_size=300), st.integers(1, 70))
def test_parts_cover_every_byte_once_and_in_order(content: bytes, part_size_bytes: int) -> None:
    table = part_table(verified(content, part_size_bytes))
    assert len(table) == part_count(len(content), part_size_bytes)
    assert b"".join(content[one.offset_bytes : one.offset_bytes + one.size_bytes] for one in table) == content
    assert [one.number for one in table] == list(range(1, len(table) + 1))
    assert all(
        one.digest == sha256(content[one.offset_bytes : one.offset_bytes + one.size_bytes]) and one.size_bytes > 0
        for one in table
    )


def test_honest_offer_is_matched_part_by_part() -> None:
    of = verified(bytes(range(100)), 30)
    matched = check_upload(offer(of, finished=(2,)), of, part_table(of))
    assert [part.number for part, _ in matched] == [1, 3, 4]
    assert all(address.part_number == part.number for part, address in matched)


def test_finished_parts_may_be_offered_again() -> None:
    of = verified(bytes(range(100)), 30)
    again = offer(of).model_copy(update={"finished_parts": (1, 2, 3, 4)})
    assert len(check_upload(again, of, part_table(of))) == 4


@pytest.mark.parametrize(
    "lie",
    [
        {"digest": "ab" * 32},
        {"size_bytes": 99},
        {"parts": ()},
    ],
)
def test_offer_for_another_recording_or_with_gaps_is_not_used(lie: dict[str, object]) -> None:
    of = verified(bytes(range(100)), 30)
    with pytest.raises(CentreUnavailable):
        check_upload(offer(of).model_copy(update=lie), of, part_table(of))


@pytest.mark.parametrize(
    "lie",
    [{"part_number": 9}, {"part_number": 0}, {"offset_bytes": 1}, {"size_bytes": 31}, {"digest": "ab" * 32}],
)
def test_address_for_other_bytes_than_ours_is_not_used(lie: dict[str, object]) -> None:
    of = verified(bytes(range(100)), 30)
    honest = offer(of)
    parts = (honest.parts[0].model_copy(update=lie), *honest.parts[1:])
    with pytest.raises(CentreUnavailable):
        check_upload(honest.model_copy(update={"parts": parts}), of, part_table(of))
