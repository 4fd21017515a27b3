"""How every bay is now, for page, tool and heartbeat. Kept in memory, told by the sessions; not evidence.

Knows what staff see; decides nothing. Words are made in `rules/headline.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from dockd.clock import Clock
from dockd.errors import DockdError
from dockd.model.camera import BatteryReading, CameraIdentity, Port
from dockd.model.ids import BayId, OfficerNumber, SessionId
from dockd.rules.custody import Custody, LedgerEntry
from dockd.rules.headline import EMPTY_BAY, SessionView, Trouble, headline
from dockd.rules.lifecycle import State
from dockd.wire.status import BayStatus, Progress

_BATTERY_STEPS = (20, 41)
"""Below 20 % red, 20 to 40 % amber, 41 % and more green: the display thresholds of the field."""
_RATE_WINDOW_SECONDS = 1.0


@dataclass(slots=True)
class CardTally:
    """How many recordings of a card have come how far."""

    listed: int = 0
    safe_here: int = 0
    accepted: int = 0
    erased: int = 0

    def add(self, entry: LedgerEntry) -> None:
        """Count one."""
        self.listed += 1
        self.safe_here += entry.is_safe_here
        self.accepted += entry.state in (Custody.ACCEPTED, Custody.ERASED)
        self.erased += entry.state is Custody.ERASED


class BayBoard:
    """What one session shows. Changed only by its session, on the event loop; `advance` from any thread."""

    def __init__(self, board: DockBoard, bay: BayId, port: Port, session: SessionId) -> None:
        self._board = board
        self._bay = bay
        self._port = port
        self.session = session
        self.state = State.ARRIVED
        self.since: datetime = board.clock.now()
        self.battery = BatteryReading(percent=None, is_charging=None)
        self.promised: OfficerNumber | None = None
        self._identity: CameraIdentity | None = None
        self._trouble: Trouble | None = None
        self._retry_at: datetime | None = None
        self._blockers: tuple[str, ...] = ()
        self._is_listed = False
        self._counts: dict[str, int] = {}
        self._meter = ProgressMeter(board.clock)

    # --- told by the session --------------------------------------------------------------------

    def enter(self, state: State, error: DockdError | None = None, retry_at: datetime | None = None) -> None:
        """The life-cycle moved, because of `error` if there was one; both are shown from the same moment."""
        self.state = state
        self.since = self._board.clock.now()
        self._explain(error, retry_at)
        self._blockers = ()
        if state not in (State.OFFLOADING, State.VERIFYING, State.SECURING):
            self._meter.stop()
        self._board.notify()

    def identified(self, identity: CameraIdentity, battery: BatteryReading) -> None:
        """The camera told who it is."""
        self._identity = identity
        self.battery = battery
        self._board.notify()

    def held_for(self, error: DockdError) -> None:
        """A bay that is HELD already has a new reason."""
        self._explain(error, None)
        self._board.notify()

    def begin(self, total_bytes: int, total_recordings: int) -> None:
        """A stage with progress begins."""
        self._meter.start(total_bytes, total_recordings)
        self._board.notify()

    def advance(self, size_bytes: int) -> None:
        """`size_bytes` more are done. Cheap, thread-safe, called for every buffer."""
        self._meter.add(size_bytes)

    def one_done(self) -> None:
        """One more recording is done."""
        self._meter.done_recordings += 1
        self._board.notify()

    def listed(self, tally: CardTally) -> None:
        """The card was listed, or copies were verified: show the new count."""
        self._is_listed = True
        self._counts = {
            "listed": tally.listed,
            "safe_here": tally.safe_here,
            "accepted": tally.accepted,
            "erased": tally.erased,
        }
        self._board.notify()

    def secured(self, tally: Mapping[Custody, tuple[int, int]]) -> None:
        """While securing: `tally` is (recordings, bytes) by ledger state."""
        accepted = [tally.get(state, (0, 0)) for state in (Custody.ACCEPTED, Custody.ERASED)]
        done = sum(size for _, size in accepted)
        if not self._meter.is_running:
            self._meter.start(sum(size for _, size in tally.values()), sum(count for count, _ in tally.values()))
        self._counts["accepted"] = sum(count for count, _ in accepted)
        self._meter.set_done(done, self._counts["accepted"])
        self._board.notify()

    def wiped(self, erased: int, retained: int) -> None:
        """The card was wiped."""
        self._counts["erased"] = self._counts.get("erased", 0) + erased
        self._counts["retained"] = retained
        self._board.notify()

    def blocked(self, words: tuple[str, ...]) -> None:
        """What stands between the camera and READY."""
        self._blockers = words
        self._board.notify()

    def battery_crossed(self, reading: BatteryReading) -> bool:
        """Take a new reading; returns whether it is worth a fact (a display threshold, or charging changed)."""
        before, self.battery = self.battery, reading
        if reading != before:
            self._board.notify()
        return _step(before) != _step(reading) or before.is_charging != reading.is_charging

    def promise(self, officer: OfficerNumber | None) -> None:
        """The camera is promised to `officer`, or (None) to nobody any more."""
        self.promised = officer
        self._board.notify()

    def _explain(self, error: DockdError | None, retry_at: datetime | None) -> None:
        self._trouble = (
            Trouble(code=error.code, what=error.what, footage=error.footage, action=error.action) if error else None
        )
        self._retry_at = retry_at

    # --- shown ----------------------------------------------------------------------------------

    def status(self) -> BayStatus:
        """The tile."""
        listed = self._counts.get("listed", 0)
        safe_here = self._counts.get("safe_here", 0)
        view = SessionView(
            state=self.state,
            is_all_safe_here=self._is_listed and listed == safe_here,
            recordings_listed=listed,
            recordings_safe_here=safe_here,
            recordings_accepted=self._counts.get("accepted", 0),
            recordings_erased=self._counts.get("erased", 0),
            recordings_retained=self._counts.get("retained", 0),
            blockers=self._blockers,
            promised_officer=self.promised,
            trouble=self._trouble,
            retry_at=self._retry_at,
            is_centre_reachable=self._board.is_centre_reachable,
        )
        shout, words = headline(view)
        return BayStatus(
            bay=self._bay,
            port=self._port.path,
            state=self.state.value,
            headline=shout,
            words=words,
            since=self.since,
            session=self.session,
            camera=self._identity.camera if self._identity else None,
            model=self._identity.model if self._identity else None,
            battery_percent=self.battery.percent,
            is_charging=self.battery.is_charging,
            progress=self._meter.progress(),
            recordings_listed=listed,
            recordings_safe_here=safe_here,
            recordings_accepted=view.recordings_accepted,
            recordings_erased=view.recordings_erased,
            recordings_retained=view.recordings_retained,
            officer=self.promised,
            code=self._trouble.code if self._trouble else None,
            retry_at=self._retry_at,
            blockers=self._blockers,
        )


class ProgressMeter:
    """Bytes done, rate over about the last seconds, and what is left."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.is_running = False
        self.done_recordings = 0
        self._done_bytes = 0
        self._total_bytes = 0
        self._total_recordings = 0
        self._mark: tuple[float, int] = (0.0, 0)
        self._rate: float | None = None

    def start(self, total_bytes: int, total_recordings: int) -> None:
        """Begin at zero."""
        self.is_running = True
        self.done_recordings = 0
        self._done_bytes = 0
        self._total_bytes = total_bytes
        self._total_recordings = total_recordings
        self._mark = (self._clock.monotonic(), 0)
        self._rate = None

    def stop(self) -> None:
        """Show no progress."""
        self.is_running = False

    def add(self, size_bytes: int) -> None:
        """More is done. An addition that races is shown wrong for a moment and harms nothing."""
        self._done_bytes += size_bytes

    def set_done(self, size_bytes: int, recordings: int) -> None:
        """So much is done in all."""
        self._done_bytes = size_bytes
        self.done_recordings = recordings

    def progress(self) -> Progress | None:
        """For the tile; None when nothing is measured."""
        if not self.is_running:
            return None
        self._measure_rate()
        done = min(self._done_bytes, self._total_bytes)
        rate = int(self._rate) if self._rate else None
        return Progress(
            done_bytes=done,
            total_bytes=self._total_bytes,
            done_recordings=min(self.done_recordings, self._total_recordings),
            total_recordings=self._total_recordings,
            rate_bytes_per_second=rate,
            eta_seconds=(self._total_bytes - done) // rate if rate else None,
        )

    def _measure_rate(self) -> None:
        now = self._clock.monotonic()
        at, done = self._mark
        if now - at < _RATE_WINDOW_SECONDS:
            return
        latest = (self._done_bytes - done) / (now - at)
        self._rate = latest if self._rate is None else 0.7 * self._rate + 0.3 * latest
        self._mark = (now, self._done_bytes)


class BoardChanges:
    """Wakes one waiter after a change of the board."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Something changed."""
        self._event.set()

    async def wait(self) -> None:
        """Return when anything changed since the last wait."""
        await self._event.wait()
        self._event.clear()


class DockBoard:
    """All bays of a dock."""

    def __init__(self, clock: Clock, bays: Iterable[BayId]) -> None:
        self.clock = clock
        self.is_centre_reachable = True
        self._opened_at = clock.now()
        self._empty: dict[BayId, BayStatus] = {bay: _empty_bay(bay, self._opened_at) for bay in bays}
        self._occupied: dict[BayId, BayBoard] = {}
        self._waiters: set[BoardChanges] = set()

    def occupy(self, bay: BayId, port: Port, session: SessionId) -> BayBoard:
        """A session begins in `bay`."""
        tile = BayBoard(self, bay, port, session)
        self._occupied[bay] = tile
        self.notify()
        return tile

    def vacate(self, bay: BayId, session: SessionId) -> None:
        """The session is over; a later one in the same bay is left alone."""
        tile = self._occupied.get(bay)
        if tile is not None and tile.session == session:
            del self._occupied[bay]
        self._empty[bay] = _empty_bay(bay, self.clock.now())
        self.notify()

    def know(self, bay: BayId) -> None:
        """Show `bay` although nothing was in it yet."""
        self._empty.setdefault(bay, _empty_bay(bay, self._opened_at))
        self.notify()

    def notify(self) -> None:
        """Wake everyone who watches."""
        for waiter in self._waiters:
            waiter.wake()

    @contextmanager
    def changes(self) -> Iterator[BoardChanges]:
        """Watch the board; only on the event loop."""
        waiter = BoardChanges()
        self._waiters.add(waiter)
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)

    def statuses(self) -> tuple[BayStatus, ...]:
        """Every bay, ordered by name with numbers in their natural order."""
        bays = sorted({*self._empty, *self._occupied}, key=_natural)
        return tuple(self._occupied[bay].status() if bay in self._occupied else self._empty[bay] for bay in bays)


def _empty_bay(bay: BayId, since: datetime) -> BayStatus:
    shout, words = EMPTY_BAY
    return BayStatus(bay=bay, port=None, state="empty", headline=shout, words=words, since=since)


@lru_cache(maxsize=256)  # asked for every bay of every picture
def _natural(bay: BayId) -> tuple[str, int, str]:
    digits = "".join(one for one in bay if one.isdigit())
    letters = "".join(one for one in bay if not one.isdigit())
    return letters, int(digits or 0), bay


def _step(reading: BatteryReading) -> int | None:
    return None if reading.percent is None else sum(reading.percent >= step for step in _BATTERY_STEPS)
