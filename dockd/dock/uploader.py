"""Brings every verified recording to its receipt, for ever, several at once.

Woken by the journal and by time. One recording's trouble never holds up the others: each one waits for
its own next try. When nothing gets through any more, new tries pause for all, and then one at a time
asks whether the centre is back. A centre that is not the one this dock was enrolled with gets no footage.

Knows no HTTP (`centre_client`) and no order of precedence (`rules.upload_order`). Nothing here erases
anything; a staged copy that proved damaged is given up, because the camera still has the original.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from dockd.clock import Clock
from dockd.dock.centre_wire import Reachability
from dockd.dock.pace import RateMeter, pace_for
from dockd.dock.part_sender import PartSender, PartTaker, StagedCopyDamaged
from dockd.dock.recording_sender import RecordingSender, SenderCentre, SenderJournal, Transfer
from dockd.dock.sections import UploaderConfig
from dockd.errors import BadReceipt, CentreRefused, CentreUnavailable
from dockd.model.facts import CameraIdentified, CopyDiscarded, RecordingVerified
from dockd.model.ids import CameraId, DockId, RecordingId
from dockd.model.value import Value
from dockd.rules.custody import Custody, LedgerEntry
from dockd.rules.receipts import PinnedStore
from dockd.rules.upload_order import Waiting, upload_order
from dockd.wire.messages import StoreDescription

_log = structlog.get_logger(__name__)

_DICE = random.SystemRandom()
_WAITING = (Custody.VERIFIED, Custody.STORED)
_RELIST_SECONDS = 2.0
_FIRST_RETRY_SECONDS = 1.0
_BAD_RECEIPT_RETRY_SECONDS = 60.0


class Changes(Protocol):
    """Tells of appended facts."""

    async def wait(self) -> None:
        """Return when anything was appended since the last wait."""


class UploadJournal(SenderJournal, Protocol):
    """What the uploader needs of the journal."""

    async def entry(self, recording: RecordingId) -> LedgerEntry | None:
        """One recording's ledger entry."""

    async def waiting(self) -> tuple[Waiting, ...]:
        """Every recording that has a verified copy here and no receipt yet."""

    def changes(self, *kinds: type[Value]) -> AbstractContextManager[Changes]:
        """Watch for appended facts of these kinds."""


class StagedCopies(Protocol):
    """What the uploader needs of the staging disk."""

    def turn(self, recording: RecordingId) -> AbstractAsyncContextManager[None]:
        """While it lasts nobody else makes the copy or gives it up."""

    def final_path(self, recording: RecordingId) -> Path:
        """Where a verified copy lies."""

    def discard(self, recording: RecordingId) -> None:
        """Unlink it. Blocking, short."""

    def mark_suspect(self, reason: str) -> None:
        """The disk failed to read."""


class UploadCentre(SenderCentre, PartTaker, Protocol):
    """What the uploader needs of the centre."""

    @property
    def reachability(self) -> Reachability:
        """Whether it answers."""

    async def describe(self) -> StoreDescription:
        """Who answers there."""


@dataclass(frozen=True, slots=True)
class ActiveTransfer:
    """One recording under way."""

    recording: RecordingId
    camera: CameraId
    size_bytes: int
    done_bytes: int


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """For the page and for `dockd status`. `words` is for staff."""

    is_reachable: bool
    words: str
    transfers: tuple[ActiveTransfer, ...]
    rate_bytes_per_second: int


@dataclass(slots=True)
class _Try:
    """When a recording may be tried again, and what it had reached."""

    failures: int = 0
    not_before_monotonic: float = 0.0
    best_done_bytes: int = 0


class Uploader:
    """Runs in the root task group; `run` never returns."""

    def __init__(
        self,
        journal: UploadJournal,
        staging: StagedCopies,
        client: UploadCentre,
        *,
        dock: DockId,
        pinned: PinnedStore,
        clock: Clock,
        config: UploaderConfig,
        docked: Callable[[], Collection[CameraId]] = frozenset,
        jitter: Callable[[], float] = _DICE.random,
    ) -> None:
        self._journal = journal
        self._staging = staging
        self._client = client
        self._pinned = pinned
        self._clock = clock
        self._config = config
        self._docked = docked
        self._jitter = jitter
        self._rate = RateMeter(clock)
        self._sender = RecordingSender(
            dock=dock,
            journal=journal,
            centre=client,
            parts=PartSender(client, pace_for(config.bytes_per_second, clock), clock, self._rate.count),
            part_slots=asyncio.Semaphore(config.parallel_parts),
            parallel_parts=config.parallel_parts,
            pinned=pinned,
            path_of=staging.final_path,
        )
        # Taken from the queue; None until its turn at the copy has come.
        self._active: dict[RecordingId, Transfer | None] = {}
        self._tries: dict[RecordingId, _Try] = {}
        self._queue: list[Waiting] = []
        self._listed_monotonic = float("-inf")
        self._is_stale = True
        self._wake = asyncio.Event()
        self._is_store_checked = False
        self._failures_in_a_row = 0
        self._paused_until_monotonic = 0.0
        self._warning: str | None = None

    def status(self) -> UploadStatus:
        """How sending stands now."""
        reach = self._client.reachability
        return UploadStatus(
            is_reachable=reach.is_reachable and self._warning is None,
            words=self._warning or reach.words,
            transfers=tuple(
                ActiveTransfer(one.entry.recording, one.entry.camera, one.entry.size_bytes, one.done_bytes)
                for one in self._active.values()
                if one is not None
            ),
            rate_bytes_per_second=self._rate.bytes_per_second(),
        )

    async def run(self) -> None:
        """Send for ever. Ends only by cancellation, or with an error that must end the program."""
        # What makes something due, and what changes the order; the end of each sending is seen without a fact.
        with self._journal.changes(RecordingVerified, CameraIdentified) as changes:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch(changes), name="uploader: journal")
                while True:
                    self._wake.clear()
                    pause_seconds = await self._start_what_is_due(tasks)
                    alarm = tasks.create_task(self._ring_after(pause_seconds), name="uploader: alarm")
                    await self._wake.wait()
                    alarm.cancel()

    async def _watch(self, changes: Changes) -> None:
        while True:
            await changes.wait()
            self._is_stale = True
            self._wake.set()

    async def _ring_after(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._wake.set()

    async def _start_what_is_due(self, tasks: asyncio.TaskGroup) -> float:
        """Fill the free places; return after how many seconds to look again at the latest."""
        now = self._clock.monotonic()
        if now < self._paused_until_monotonic:
            return self._paused_until_monotonic - now
        await self._relist(now)
        if not self._queue:
            return self._config.longest_retry_seconds
        if not await self._is_enrolled_store():
            return max(self._paused_until_monotonic - self._clock.monotonic(), _FIRST_RETRY_SECONDS)
        places = 1 if self._failures_in_a_row else self._config.parallel_recordings
        look_again_seconds = self._config.longest_retry_seconds
        if self._is_stale:
            look_again_seconds = max(self._listed_monotonic + _RELIST_SECONDS - now, 0.05)
        not_due: list[Waiting] = []
        taken = 0
        while len(self._active) < places and taken < len(self._queue):
            entry = self._queue[taken]
            taken += 1
            wait_seconds = self._wait_seconds(entry.recording, now)
            if wait_seconds > 0:
                not_due.append(entry)
                look_again_seconds = min(look_again_seconds, wait_seconds)
            elif entry.recording not in self._active:
                self._active[entry.recording] = None
                tasks.create_task(self._take_turn(entry.recording), name=f"upload {entry.recording}")
        self._queue = not_due + self._queue[taken:]
        return look_again_seconds

    def _wait_seconds(self, recording: RecordingId, now: float) -> float:
        one = self._tries.get(recording)
        return 0.0 if one is None else one.not_before_monotonic - now

    async def _relist(self, now: float) -> None:
        """Ask the journal what waits: when something changed, but not for every fact of a long backlog."""
        is_old = now - self._listed_monotonic >= _RELIST_SECONDS
        if not self._is_stale or (self._queue and not is_old):
            return
        self._is_stale = False
        self._listed_monotonic = now
        waiting = await self._journal.waiting()
        self._queue = list(upload_order(waiting, self._docked()))
        known = {entry.recording for entry in waiting}
        self._tries = {recording: one for recording, one in self._tries.items() if recording in known}

    async def _is_enrolled_store(self) -> bool:
        """Compare who answers with what was pinned, once after every loss of the centre."""
        if self._is_store_checked:
            return True
        try:
            found = await self._client.describe()
        except (CentreUnavailable, CentreRefused) as error:
            self._failures_in_a_row += 1
            self._pause(error)
            return False
        pinned = self._pinned
        if (found.store, found.key, found.public_key) != (pinned.store, pinned.key, pinned.public_key):
            self._warn(
                f"The centre says that it is store {found.store!r} with key {found.key!r}; this dock was enrolled "
                f"with store {pinned.store!r} and key {pinned.key!r}. No footage is sent there. Tell IT."
            )
            self._pause(None, min(_BAD_RECEIPT_RETRY_SECONDS, self._config.longest_retry_seconds))
            return False
        self._warning = None
        self._is_store_checked = True
        return True

    async def _take_turn(self, recording: RecordingId) -> None:
        """Send one recording, if the ledger still says that there is something to send."""
        try:
            async with self._staging.turn(recording):
                entry = await self._journal.entry(recording)
                if entry is not None and entry.state in _WAITING and entry.has_copy and entry.verified is not None:
                    transfer = self._active[recording] = Transfer(entry)
                    await self._carry(transfer)
        finally:
            del self._active[recording]
            self._is_stale = True
            self._wake.set()

    async def _carry(self, transfer: Transfer) -> None:
        """Send one recording and settle what its outcome means."""
        try:
            await self._sender.send(transfer)
        except CentreUnavailable as error:
            self._later(transfer, error)
        except BadReceipt as error:
            self._warn(str(error))
            one = self._try_of(transfer)
            least_seconds = min(_BAD_RECEIPT_RETRY_SECONDS, self._config.longest_retry_seconds)
            wait_seconds = max(least_seconds, self._backoff_seconds(one.failures))
            one.not_before_monotonic = self._clock.monotonic() + wait_seconds
        except StagedCopyDamaged as damage:
            await self._give_up_copy(transfer.entry, damage)
        else:
            self._failures_in_a_row = 0
            self._tries.pop(transfer.entry.recording, None)
            self._warning = None

    def _later(self, transfer: Transfer, error: CentreUnavailable) -> None:
        one = self._try_of(transfer)
        has_moved = transfer.done_bytes > one.best_done_bytes
        one.best_done_bytes = max(one.best_done_bytes, transfer.done_bytes)
        if has_moved:
            one.failures = 1
            self._failures_in_a_row = 0
        wait_seconds = max(self._backoff_seconds(one.failures), error.retry_after_seconds or 0.0)
        one.not_before_monotonic = self._clock.monotonic() + wait_seconds
        _log.info("upload_later", recording=transfer.entry.recording, why=error.what, wait_seconds=round(wait_seconds))
        self._failures_in_a_row += 1
        if self._failures_in_a_row > self._config.parallel_recordings:
            self._is_store_checked = False
            self._pause(error)

    def _try_of(self, transfer: Transfer) -> _Try:
        one = self._tries.setdefault(transfer.entry.recording, _Try())
        one.failures += 1
        return one

    def _pause(self, error: CentreUnavailable | CentreRefused | None, seconds: float = 0.0) -> None:
        """Start nothing for a while: the centre is out of reach for all."""
        if isinstance(error, CentreUnavailable):
            seconds = max(seconds, error.retry_after_seconds or 0.0)
        wait_seconds = max(seconds, self._backoff_seconds(self._failures_in_a_row))
        self._paused_until_monotonic = self._clock.monotonic() + wait_seconds

    def _backoff_seconds(self, failures: int) -> float:
        """Exponential, at most `longest_retry_seconds`, with jitter so that docks do not come in step."""
        full = min(_FIRST_RETRY_SECONDS * 2.0 ** min(failures, 12), self._config.longest_retry_seconds)
        return full * (0.5 + self._jitter() / 2)

    def _warn(self, words: str) -> None:
        if words != self._warning:
            _log.warning("upload_warning", words=words)
        self._warning = words

    async def _give_up_copy(self, entry: LedgerEntry, damage: StagedCopyDamaged) -> None:
        """Tell the ledger first, then remove the file: a leftover file is harmless, a missing one is not."""
        _log.error("staged_copy_damaged", recording=entry.recording, code=damage.code, reason=damage.reason)
        if damage.is_disk_fault:
            self._staging.mark_suspect(damage.reason)
        await self._journal.append(
            CopyDiscarded(recording=entry.recording, code=damage.code, reason=damage.reason[:4000])
        )
        try:
            await asyncio.to_thread(self._staging.discard, entry.recording)
        except OSError as error:
            self._staging.mark_suspect(f"A damaged copy could not be removed: {error.strerror}.")
