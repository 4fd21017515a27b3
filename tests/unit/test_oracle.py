"""The judge of the durability tests must not see a loss where there is none, nor miss one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import oracle
from tests.support.oracle import Oracle


@pytest.fixture
def judge(tmp_path: Path) -> Oracle:
    """Two cameras with one recording each, in two bays."""
    bays, shelf = tmp_path / "bays", tmp_path / "shelf"
    shelf.mkdir()
    judge = Oracle([bays, shelf], tmp_path / "staging", tmp_path / "store", tmp_path / "journal.sqlite3")
    for name in ("A1", "B2"):
        (bays / name / "card").mkdir(parents=True)
        (bays / name / "card" / "1.MP4").write_bytes(name.encode())
        judge.remember(bays / name)
    return judge


def test_a_camera_that_is_moved_while_the_cards_are_read_is_seen(
    judge: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest_of, moved = oracle.sha256_of, []

    def move_the_other(path: Path) -> str:
        if not moved:
            (other,) = {"A1", "B2"} - {path.parts[-3]}
            moved.append((tmp_path / "bays" / other).rename(tmp_path / "shelf" / other))
        return digest_of(path)

    monkeypatch.setattr(oracle, "sha256_of", move_the_other)
    assert set(judge.on_cards()) == set(judge.expected)
    judge.check_erased_only_what_the_store_has()
    assert moved


def test_footage_that_is_nowhere_is_missed(judge: Oracle, tmp_path: Path) -> None:
    (tmp_path / "bays" / "A1" / "card" / "1.MP4").unlink()
    with pytest.raises(AssertionError, match=r"lost: .*A1/1\.MP4"):
        judge.check_nothing_lost()
    with pytest.raises(AssertionError, match=r"erased from the card before the store had it: .*A1/1\.MP4"):
        judge.check_erased_only_what_the_store_has()
