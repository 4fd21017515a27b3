"""What a tile and the bar print."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest

from dockd.dock.kiosk.tiles import Count, battery_of, board_of, clock_warning, tile_of
from dockd.model.moment import ClockSync
from dockd.rules.lifecycle import State
from dockd.web.looks import state_name
from dockd.wire.status import Headline, Progress
from tests.support.kiosk_fakes import NOW, DockOnPaper, empty_bay, held_bay, ready_bay


def test_no_two_headlines_share_a_shape_or_a_tone() -> None:
    tiles = [tile_of(ready_bay("1").model_copy(update={"headline": one}), NOW) for one in Headline]
    assert len({tile.icon for tile in tiles}) == len(Headline)
    assert len({tile.tone for tile in tiles}) == len(Headline)


@pytest.mark.parametrize(
    ("percent", "level"),
    [(100, "good"), (41, "good"), (40, "medium"), (20, "medium"), (19, "low"), (0, "low"), (None, "unknown")],
)
def test_battery_levels_are_those_that_officers_know(percent: int | None, level: str) -> None:
    battery = battery_of(ready_bay("1", percent=percent))
    assert battery.level == level
    assert 0 <= battery.bar_width <= 30
    assert "charging" in battery.label


def test_every_state_is_in_words_and_an_unknown_one_is_shown() -> None:
    assert state_name("empty") == "Empty"
    assert all(state_name(state.value) != state.value for state in State)
    assert state_name("of-a-newer-version") == "of-a-newer-version"


def test_progress_says_how_far_how_fast_and_how_long() -> None:
    progress = Progress(
        done_bytes=3_000_000_000,
        total_bytes=8_000_000_000,
        done_recordings=4,
        total_recordings=12,
        rate_bytes_per_second=34_000_000,
        eta_seconds=147,
    )
    bar = tile_of(ready_bay("1").model_copy(update={"progress": progress}), NOW).bar
    assert bar is not None
    assert (bar.percent, bar.amount) == (37, "3.0 GB of 8.0 GB")
    assert (bar.rate, bar.remaining) == ("34.0 MB/s", "about 3 min left")


def test_progress_over_empty_files_counts_recordings() -> None:
    progress = Progress(done_bytes=0, total_bytes=0, done_recordings=1, total_recordings=4)
    bar = tile_of(ready_bay("1").model_copy(update={"progress": progress}), NOW).bar
    assert bar is not None
    assert bar.percent == 25
    assert bar.rate is None


def test_progress_that_overshoots_stays_within_the_bar() -> None:
    progress = Progress(done_bytes=12, total_bytes=10, done_recordings=1, total_recordings=1)
    bar = tile_of(ready_bay("1").model_copy(update={"progress": progress}), NOW).bar
    assert bar is not None
    assert (bar.done, bar.total, bar.percent) == (10, 10, 100)


def test_counts_leave_out_noughts() -> None:
    update = {"recordings_listed": 12, "recordings_safe_here": 4}
    tile = tile_of(ready_bay("1").model_copy(update=update), NOW)
    assert tile.counts == (Count("found", 12), Count("safe", 4))


def test_only_a_held_bay_can_be_released_and_only_a_promised_one_given_back() -> None:
    for headline in Headline:
        tile = tile_of(ready_bay("1").model_copy(update={"headline": headline, "officer": "7"}), NOW)
        assert tile.may_release is (headline is Headline.HELD)
        assert tile.may_cancel is (headline is Headline.TAKE)


def test_since_names_the_day_when_it_was_not_today() -> None:
    old = held_bay("1").model_copy(update={"since": NOW - timedelta(days=2)})
    assert tile_of(old, NOW, zone=UTC).since == "20 Nov 06:01"


def test_board_names_the_bays_that_need_a_person() -> None:
    fault = ready_bay("9").model_copy(update={"headline": Headline.FAULT})
    board = board_of(DockOnPaper(held_bay("3"), empty_bay("4"), fault).snapshot())
    assert board.attention == ("3", "9")
    assert (board.bays, board.occupied) == (3, 2)


def test_board_tells_the_backlog_with_its_age() -> None:
    waiting = {"waiting_recordings": 83, "waiting_bytes": 214 * 10**9, "oldest_waiting_since": NOW - timedelta(hours=5)}
    board = board_of(DockOnPaper(empty_bay("1"), **waiting).snapshot())
    assert (board.waiting_count, board.waiting_size, board.oldest_waiting) == ("83 recordings", "214 GB", "5 h ago")


def test_only_a_synchronised_clock_goes_without_a_warning() -> None:
    warnings = {sync: clock_warning(sync) for sync in ClockSync}
    assert [sync for sync, words in warnings.items() if words is None] == [ClockSync.SYNCHRONISED]
    assert warnings[ClockSync.UNKNOWN] != warnings[ClockSync.UNSYNCHRONISED]
