"""Making room on the staging disk: only copies that the centre has accepted go, the oldest first.

The fact is written before the file is unlinked: a leftover file is harmless and swept at the next start,
a file that the ledger believes in and that is missing is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import structlog

from dockd.dock.journal import Journal
from dockd.dock.staging import Staging
from dockd.errors import StagingSuspect
from dockd.model.facts import StagingEvicted
from dockd.rules.custody import Custody, LedgerEntry

EVICTABLE = (Custody.ACCEPTED, Custody.ERASED)
"""The centre holds these, proved by its receipt. Of a REJECTED recording this copy may be the only one."""

_AT_ONCE = 16

P = ParamSpec("P")
T = TypeVar("T")

_log = structlog.get_logger(__name__)


async def make_room(journal: Journal, staging: Staging, needed_bytes: int) -> int:
    """Evict accepted copies until `needed_bytes` may be reserved, or none is left; return the bytes evicted.

    Does not promise the room: `Staging.reserve` decides, and raises StagingFull. Raises StagingSuspect
    when a copy cannot be removed or the disk cannot be asked, and what `Journal.append` raises.
    """
    evicted_bytes = 0
    while (missing := needed_bytes - await _on_disk(staging, staging.available_bytes)) > 0:
        oldest = await journal.entries(states=EVICTABLE, has_copy=True, limit=_AT_ONCE)
        chosen = _enough(oldest, missing)
        if not chosen:
            break
        await journal.append(*(StagingEvicted(recording=entry.recording) for entry in chosen))
        for entry in chosen:
            await _on_disk(staging, staging.discard, entry.recording)
            evicted_bytes += entry.size_bytes
    if evicted_bytes:
        _log.info("staging_evicted", size_bytes=evicted_bytes)
    return evicted_bytes


async def sweep_leftovers(journal: Journal, staging: Staging) -> int:
    """Remove files of which the ledger says that they are not needed; return how many. For the start only.

    Those are finished copies whose eviction, discarding or staging was cut short, and unfinished ones that
    have no checkpoint to go on from. A file of a recording that the ledger does not know stays: the journal
    may have been restored from an older copy, and then this may be the only one. Raises as `make_room`.
    """
    removed = 0
    for recording in await _on_disk(staging, staging.copies):
        entry = await journal.entry(recording)
        if entry is None:
            _log.warning("staging_has_unknown_copy", recording=recording)
        elif not entry.has_copy:
            await _on_disk(staging, staging.discard, recording)
            removed += 1
    for recording in await _on_disk(staging, staging.partial_copies):
        if await journal.entry(recording) is not None and await journal.checkpoint(recording) is None:
            await _on_disk(staging, staging.discard_partial, recording)
            removed += 1
    if removed:
        _log.info("staging_swept", files=removed)
    return removed


def _enough(oldest: tuple[LedgerEntry, ...], missing_bytes: int) -> list[LedgerEntry]:
    chosen: list[LedgerEntry] = []
    for entry in oldest:
        if missing_bytes <= 0:
            break
        chosen.append(entry)
        missing_bytes -= entry.size_bytes
    return chosen


async def _on_disk(staging: Staging, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    try:
        return await asyncio.to_thread(work, *arguments, **named)
    except OSError as error:
        reason = f"The staging disk cannot be asked or cleared: {error.strerror or error}."
        staging.mark_suspect(reason)
        raise StagingSuspect(reason) from error
