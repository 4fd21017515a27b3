"""A head start in reading back is used only where it is worth as much as reading everything again."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dockd.central.stores import PlannedPart
from dockd.central.stores.early_proof import EarlyProof, EarlyProofs
from dockd.central.stores.read_back import BLOCK_BYTES
from dockd.model.ids import Digest

PART_BYTES = BLOCK_BYTES + 4096
"""Parts do not end where blocks do."""
CONTENT = os.urandom(3 * PART_BYTES + 1000)
WHOLE = hashlib.sha256(CONTENT).hexdigest()
START = datetime(2026, 3, 1, 8, tzinfo=UTC)
ROWS = {number: START + timedelta(seconds=number) for number in range(1, 5)}


def part(number: int) -> PlannedPart:
    offset = (number - 1) * PART_BYTES
    content = CONTENT[offset : offset + PART_BYTES]
    return PlannedPart(number, offset, len(content), Digest(hashlib.sha256(content).hexdigest()))


def settled(file: Path) -> os.stat_result:
    """The file's state, with its last write long enough ago to be told from a later one."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
    time.sleep(0.02)
    return file.stat()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "up-1"
    made.write_bytes(CONTENT)
    return made


@pytest.fixture
def proofs(tmp_path: Path) -> Iterator[EarlyProofs]:
    made = EarlyProofs(tmp_path)
    yield made
    made.close()


def proof_after(file: Path, *numbers: int) -> EarlyProof:
    """What there is once these parts were finished, in this order, and read back as far as they go."""
    proof, state = EarlyProof(file), settled(file)
    for number in numbers:
        proof.add(part(number), ROWS[number], state)
        proof.read_on()
    return proof


def damage(file: Path, at: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(bytes([CONTENT[at] ^ 1]))


@pytest.mark.parametrize("order", [(1, 2, 3, 4), (4, 3, 2, 1), (2, 1, 4, 3)])
def test_head_start_and_the_rest_give_the_digest_of_the_whole(file: Path, order: tuple[int, ...]) -> None:
    proof = proof_after(file, *order)
    assert proof.proved_bytes == 3 * BLOCK_BYTES
    assert proof.digest_of_whole(settled(file), ROWS) == WHOLE


def test_only_finished_parts_from_the_beginning_on_are_read(file: Path) -> None:
    assert proof_after(file, 2, 3).proved_bytes == 0
    assert proof_after(file, 1).proved_bytes == BLOCK_BYTES


def test_end_that_is_damaged_gives_another_digest(file: Path) -> None:
    damage(file, len(CONTENT) - 1)
    proof = proof_after(file, 1, 2, 3, 4)
    assert proof.digest_of_whole(settled(file), ROWS) not in (None, WHOLE)


def test_file_written_to_after_its_last_part_is_read_in_whole(file: Path) -> None:
    proof = proof_after(file, 1, 2, 3, 4)
    damage(file, 5)
    assert proof.digest_of_whole(settled(file), ROWS) is None


def test_part_sent_again_elsewhere_has_another_row_and_all_is_read(file: Path) -> None:
    proof = proof_after(file, 1, 2, 3, 4)
    again = {**ROWS, 2: ROWS[2] + timedelta(microseconds=1)}
    assert proof.digest_of_whole(file.stat(), again) is None


def test_part_without_a_row_is_not_vouched_for(file: Path) -> None:
    proof = proof_after(file, 1, 2, 3, 4)
    assert proof.digest_of_whole(file.stat(), {1: ROWS[1]}) is None


def test_other_file_of_the_same_name_and_date_is_read_in_whole(file: Path) -> None:
    proof = proof_after(file, 1, 2, 3, 4)
    dated = file.stat()
    other = file.with_name("other")
    other.write_bytes(CONTENT)
    os.utime(other, ns=(dated.st_atime_ns, dated.st_mtime_ns))
    other.replace(file)
    assert file.stat().st_mtime_ns == dated.st_mtime_ns
    assert proof.digest_of_whole(file.stat(), ROWS) is None


def test_write_too_fresh_to_be_told_from_the_next_is_no_head_start(file: Path) -> None:
    now = time.time_ns() + 1_000_000_000  # dated after the moment of looking, as the same tick would be
    os.utime(file, ns=(now, now))
    proof = EarlyProof(file)
    proof.add(part(1), ROWS[1], file.stat())
    assert proof.digest_of_whole(file.stat(), ROWS) is None


def test_read_that_failed_is_no_head_start(proofs: EarlyProofs, tmp_path: Path, file: Path) -> None:
    state = settled(file)
    file.rename(tmp_path / "away")
    proofs.part_finished("up-1", part(1), ROWS[1], state)
    proof = proofs._proofs["up-1"]
    assert proof.reading is not None
    assert isinstance(proof.reading.exception(), FileNotFoundError)
    (tmp_path / "away").rename(file)
    proofs.part_finished("up-1", part(2), ROWS[2], state)
    assert proof.digest_of_whole(file.stat(), ROWS) is None


def test_uploads_that_nothing_arrives_for_are_forgotten(proofs: EarlyProofs, file: Path) -> None:
    state = settled(file)
    for number in range(100):
        proofs.part_finished(f"up-{number}", part(2), ROWS[2], state)
    assert proofs.take("up-1") is None
    assert proofs.take("up-99") is not None
