"""From what queries answer to what is printed: which dock comes first, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dockd.central.projections import RecordingRow
from dockd.central.queries import DockOverview, SessionDetail
from dockd.web.looks import NEEDS_PERSON
from dockd.web.text import age_in_words, count_in_words, size_in_words
from dockd.wire.status import BayStatus

SILENT_AFTER = timedelta(minutes=5)
"""A dock reports every few seconds; after this long something is wrong with it or the way to it."""

SHOWN_RECORDINGS = 1_000
"""Rows of one session's table; the search shows the rest."""


@dataclass(frozen=True, slots=True)
class DockCard:
    """A dock as the centre shows it. `problems` in words, the worst first; empty when all is well."""

    dock: str
    site: str
    version: str
    heard: str
    is_silent: bool
    bays: tuple[BayStatus, ...]
    ready: int
    problems: tuple[str, ...]
    waiting: str | None
    facts: int


def dock_card(dock: DockOverview, now: datetime) -> DockCard:
    """Choose the words of one dock."""
    status = dock.status
    bays = status.bays if status else ()
    is_silent = dock.last_heard_at is None or now - dock.last_heard_at > SILENT_AFTER
    heard = age_in_words(dock.last_heard_at, now) if dock.last_heard_at else "never"
    waiting = None
    if status and status.waiting_recordings:
        count = count_in_words(status.waiting_recordings, "recording", "recordings")
        age = f", oldest {age_in_words(status.oldest_waiting_since, now)}" if status.oldest_waiting_since else ""
        waiting = f"{count}, {size_in_words(status.waiting_bytes)}{age}"
    return DockCard(
        dock=dock.dock,
        site=status.site if status else dock.dock,
        version=status.version if status else "not known",
        heard=heard,
        is_silent=is_silent,
        bays=bays,
        ready=status.ready_count if status else 0,
        problems=_problems(dock, is_silent=is_silent, heard=heard),
        waiting=waiting,
        facts=dock.facts,
    )


def _problems(dock: DockOverview, *, is_silent: bool, heard: str) -> tuple[str, ...]:
    found = []
    if is_silent:
        found.append("Never heard" if dock.last_heard_at is None else f"Last heard {heard}; what it shows is old")
    if dock.status is None:
        return tuple(found)
    names = [bay.bay for bay in dock.status.bays if bay.headline in NEEDS_PERSON]
    if names:
        found.append(f"{count_in_words(len(names), 'bay needs', 'bays need')} a person: {', '.join(names)}")
    if dock.status.staging_free_bytes * 10 < dock.status.staging_total_bytes:
        found.append(f"Its disk is nearly full: {size_in_words(dock.status.staging_free_bytes)} free")
    if dock.status.clock_sync.value == "unsynchronised":
        found.append("Its clock is not synchronised")
    return tuple(found)


def sort_docks(docks: Iterable[DockCard]) -> tuple[DockCard, ...]:
    """Those with problems first, then by site and name."""
    return tuple(sorted(docks, key=lambda dock: (not dock.problems, dock.site.casefold(), dock.dock)))


def recordings_of_session(detail: SessionDetail) -> tuple[RecordingRow, ...]:
    """The rows that are shown, in the order of the card."""
    return detail.recordings[:SHOWN_RECORDINGS]
