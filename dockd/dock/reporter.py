"""Tells the centre the dock's facts, in order and at least once, and how the dock is now.

Begins where the centre's record of this dock ends. When the two records disagree (the dock was restored
from an old image, or somebody changed one of them) it stops handing over facts and says so: neither
record is changed to fit the other. Until that is mended no card is erased and no camera becomes ready (`check_agrees`):
what such a dock does would stand in no record that anybody believes. Heartbeats go on. Nothing here waits for the
centre: the journal keeps everything until it has been taken.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Protocol

import structlog

from dockd.clock import Clock
from dockd.dock.sections import ReporterConfig
from dockd.dock.uploader import Changes
from dockd.errors import CentreRefused, CentreUnavailable, RecordsDiffer
from dockd.model.facts import RecordedFact
from dockd.model.ids import GENESIS, Digest
from dockd.wire.messages import MAXIMUM_FACTS_PER_BATCH, FactsTaken
from dockd.wire.status import DockStatus

_log = structlog.get_logger(__name__)

_DICE = random.SystemRandom()
BATCH_BYTES = 512 * 1024
_CHAIN_DIFFERS = frozenset({"gap", "fork", "rewrite"})
_KEY_DIFFERS = frozenset({"other-key", "bad-signature"})
"""The centre holds the dock to the signing key that it announced first; a restored or copied dock may have another."""


class ReportedJournal(Protocol):
    """What reporting needs of the journal."""

    @property
    def head(self) -> tuple[int, Digest]:
        """Number and hash of the last fact."""

    async def facts_after(self, number: int, limit: int) -> tuple[RecordedFact, ...]:
        """Facts numbered above `number`, in order."""

    def changes(self) -> AbstractContextManager[Changes]:
        """Watch for appended facts."""


class ReportedCentre(Protocol):
    """What reporting needs of the centre."""

    async def facts_head(self) -> FactsTaken:
        """Where its record of this dock ends."""

    async def put_facts(self, facts: tuple[RecordedFact, ...]) -> FactsTaken:
        """Hand over consecutive facts."""

    async def put_status(self, status: DockStatus) -> None:
        """Heartbeat."""


class Reporter:
    """Runs in the root task group; `run` never returns."""

    def __init__(
        self,
        journal: ReportedJournal,
        client: ReportedCentre,
        *,
        clock: Clock,
        config: ReporterConfig,
        status: Callable[[], Awaitable[DockStatus]],
        jitter: Callable[[], float] = _DICE.random,
    ) -> None:
        self._journal = journal
        self._client = client
        self._clock = clock
        self._config = config
        self._status = status
        self._jitter = jitter
        self._words: str | None = None
        self._contradiction: str | None = None
        self._facts_at_centre = 0

    @property
    def facts_at_centre(self) -> int:
        """How many of this dock's facts the centre durably holds, as far as is known."""
        return self._facts_at_centre

    @property
    def stopped_words(self) -> str | None:
        """Why facts are no longer handed over, in words for staff; None while they are."""
        return self._words

    def check_agrees(self) -> None:
        """Raise RecordsDiffer while the centre's record of this dock, or of its key, is known to be another one."""
        if self._contradiction is not None:
            raise RecordsDiffer(self._contradiction)

    async def run(self) -> None:
        """Report for ever. Ends only by cancellation, or with an error that must end the program."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._report(), name="reporter: facts")
            tasks.create_task(self._beat(), name="reporter: heartbeat")

    async def _beat(self) -> None:
        while True:
            try:
                await self._client.put_status(await self._status())
            except (CentreUnavailable, CentreRefused) as error:
                _log.debug("heartbeat_not_taken", why=error.what)
            await self._clock.sleep(self._config.heartbeat_seconds)

    async def _report(self) -> None:
        failures = 0
        with self._journal.changes() as changes:
            while True:
                try:
                    await self._agree_on_start()
                    while True:
                        await self._hand_over()
                        self._agreed()
                        failures = 0
                        if await self._is_changed(changes):
                            await self._clock.sleep(self._config.gather_seconds)
                        else:
                            await self._agree_on_start()  # a centre restored from a backup has forgotten some
                except RecordsDiffer as difference:
                    self._stop(difference.what)
                    await self._clock.sleep(self._config.recheck_seconds)
                except CentreRefused as refused:
                    failures += 1
                    if refused.refusal not in _CHAIN_DIFFERS:  # those are looked into at once, above
                        self._refused(refused)
                    await self._clock.sleep(self._pause_seconds(failures, None))
                except CentreUnavailable as error:
                    failures += 1
                    await self._clock.sleep(self._pause_seconds(failures, error.retry_after_seconds))

    async def _is_changed(self, changes: Changes) -> bool:
        """Wait for a new fact; False when there was none for `recheck_seconds`."""
        news = asyncio.ensure_future(changes.wait())
        due = asyncio.ensure_future(self._clock.sleep(self._config.recheck_seconds))
        try:
            await asyncio.wait({news, due}, return_when=asyncio.FIRST_COMPLETED)
            return news.done()
        finally:
            for one in (news, due):
                one.cancel()
            await asyncio.gather(news, due, return_exceptions=True)

    async def _agree_on_start(self) -> None:
        """Find where the centre's record ends, and that it is a beginning of ours. Raises RecordsDiffer."""
        taken = await self._client.facts_head()
        number, _ = self._journal.head
        if taken.number > number:
            raise RecordsDiffer(
                f"The centre holds {taken.number} facts of this dock, the dock only {number}: "
                "the dock was restored from an old copy."
            )
        if await self._hash_of(taken.number) != taken.head:
            raise RecordsDiffer(
                f"Fact {taken.number} of this dock is another one at the centre: the dock was restored from an old "
                "copy, or two computers work under its name."
            )
        self._facts_at_centre = taken.number

    async def _hand_over(self) -> None:
        """Send everything that the centre does not have."""
        while batch := within_bytes(await self._journal.facts_after(self._facts_at_centre, MAXIMUM_FACTS_PER_BATCH)):
            taken = await self._client.put_facts(batch)
            last = batch[-1]
            if taken.number < last.number or (taken.number == last.number and taken.head != last.hash):
                raise CentreUnavailable("The centre did not confirm the facts that it was sent.")
            self._facts_at_centre = last.number

    async def _hash_of(self, number: int) -> str:
        if number <= 0:
            return GENESIS
        found = await self._journal.facts_after(number - 1, 1)
        return found[0].hash if found else ""

    def _pause_seconds(self, failures: int, asked_seconds: float | None) -> float:
        full = min(2.0 ** min(failures, 12), self._config.longest_retry_seconds)
        return max(full * (0.5 + self._jitter() / 2), asked_seconds or 0.0)

    def _agreed(self) -> None:
        if self._words is not None:
            _log.info("facts_agree_again", number=self._facts_at_centre)
        self._words = self._contradiction = None

    def _stop(self, difference: str) -> None:
        words = (
            f"{difference} No more facts are handed over, and nothing is erased, until IT has decided which record is "
            "right. Footage is still copied, verified and sent."
        )
        if words != self._words:
            _log.error("facts_differ", words=words)
        self._words, self._contradiction = words, difference

    def _refused(self, refused: CentreRefused) -> None:
        if refused.refusal in _KEY_DIFFERS:
            self._stop(refused.what)
            return
        words = f"The centre does not take this dock's facts: {refused.what} They are kept here. Tell IT."
        if words != self._words:
            _log.warning("facts_refused", why=refused.what)
        self._words = words


def within_bytes(facts: tuple[RecordedFact, ...], limit_bytes: int = BATCH_BYTES) -> tuple[RecordedFact, ...]:
    """The first of `facts` whose JSON stays within `limit_bytes`; at least one, if there is one."""
    size_bytes = 0
    for count, fact in enumerate(facts):
        size_bytes += len(fact.model_dump_json())
        if size_bytes > limit_bytes and count:
            return facts[:count]
    return facts
