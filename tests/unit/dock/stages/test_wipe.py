"""Erasing: only with clearances, judged by what the card lists afterwards and by the space it frees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from dockd.dock.stages.wipe import check_space_freed, wipe
from dockd.driver_api import Clearance, Listing
from dockd.errors import CameraGone, SpaceNotFreed
from dockd.model.camera import SpaceReading
from dockd.model.ids import CardPath
from dockd.model.recording import SourceFile
from tests.support.clearance import cleared

MEBIBYTE = 1 << 20


@dataclass
class Card:
    """A card in memory: files by path; may keep a file or its space, or be pulled out after some erasures."""

    files: dict[CardPath, int]
    total_bytes: int = 64 * MEBIBYTE
    is_open: bool = False
    keeps: set[CardPath] = field(default_factory=set)
    leaks: bool = False
    pulled_after: int | None = None
    lost_bytes: int = 0
    erased: list[CardPath] = field(default_factory=list)

    async def list(self) -> Listing:
        return Listing(tuple(SourceFile(path, size, None) for path, size in sorted(self.files.items())))

    async def measure(self) -> SpaceReading:
        return SpaceReading(
            total_bytes=self.total_bytes, free_bytes=self.total_bytes - sum(self.files.values()) - self.lost_bytes
        )

    @asynccontextmanager
    async def erasing(self) -> AsyncIterator[Card]:
        self.is_open = True
        try:
            yield self
        finally:
            self.is_open = False

    async def erase(self, clearance: Clearance) -> None:
        assert self.is_open
        if self.pulled_after is not None and len(self.erased) >= self.pulled_after:
            raise CameraGone("The cable was pulled.")
        self.erased.append(clearance.path)
        if clearance.path not in self.keeps:
            size = self.files.pop(clearance.path, 0)
            self.lost_bytes += size if self.leaks else 0


def names(*texts: str) -> list[CardPath]:
    return [CardPath((text.encode(),)) for text in texts]


async def test_only_cleared_files_are_erased() -> None:
    one, two = names("1.MP4", "2.MP4")
    card = Card({one: 5, two: 6})
    wiped = await wipe(card, [cleared(one, 5)])
    assert set(card.files) == {two}
    assert len(wiped.erased) == 1
    assert (wiped.room.erased_bytes, wiped.still_listed) == (5, ())


async def test_nothing_cleared_never_opens_the_card_for_writing() -> None:
    card = Card({names("1.MP4")[0]: 5})
    wiped = await wipe(card, [])
    assert not card.erased
    assert wiped.erased == ()


async def test_file_that_stays_listed_is_not_called_erased() -> None:
    one, two = names("1.MP4", "2.MP4")
    card = Card({one: 5, two: 6}, keeps={two})
    wiped = await wipe(card, [cleared(one, 5), cleared(two, 6)])
    assert wiped.still_listed == ("2.MP4",)
    assert len(wiped.erased) == 1
    assert wiped.room.erased_bytes == 5


async def test_file_already_absent_counts_as_gone() -> None:
    (one,) = names("1.MP4")
    assert len((await wipe(Card({}), [cleared(one, 5)])).erased) == 1


async def test_cable_pulled_in_the_middle_closes_the_card_and_says_so() -> None:
    one, two = names("1.MP4", "2.MP4")
    card = Card({one: 5, two: 6}, pulled_after=1)
    with pytest.raises(CameraGone):
        await wipe(card, [cleared(one, 5), cleared(two, 6)])
    assert not card.is_open
    assert set(card.files) == {two}


async def test_card_that_frees_no_space_is_found_out() -> None:
    (one,) = names("1.MP4")
    wiped = await wipe(Card({one: 8 * MEBIBYTE}, leaks=True), [cleared(one, 8 * MEBIBYTE)])
    with pytest.raises(SpaceNotFreed, match="only 0 bytes more"):
        check_space_freed(wiped.room)


async def test_a_little_less_than_erased_is_a_cameras_own_log() -> None:
    (one,) = names("1.MP4")
    wiped = await wipe(Card({one: 8 * MEBIBYTE}), [cleared(one, 8 * MEBIBYTE)])
    less = SpaceReading(total_bytes=wiped.room.after.total_bytes, free_bytes=wiped.room.after.free_bytes - MEBIBYTE)
    check_space_freed(replace(wiped.room, after=less))
