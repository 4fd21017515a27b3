"""Anything in any order: recordings come, people decide, hold and release, policies change, time passes, workers die.

A model beside it knows, from what was done alone, what must never go. After every step nothing that is held, undecided,
evidence or not yet due is missing from the store; at the end everything that is due goes.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import update

from dockd.central.database import sqlite_url
from dockd.central.retention.gate import LEASE
from dockd.central.retention.holds import HoldScope
from dockd.central.retention.tables import worker
from dockd.rules.retention import EVIDENCE, ROUTINE, UNCLASSIFIED, DisposalPermit
from dockd.web.problems import Refusal
from tests.support.clock import ManualClock
from tests.support.dock_voice import Chain
from tests.support.memory_bucket import MemoryBucket
from tests.support.retention_site import RetentionSite, open_retention_site

DAY = timedelta(days=1)
CAMERAS = ("simulated:A", "simulated:B")
OFFICERS = (None, "PC1", "PC2")
NEAR = timedelta(hours=12)


class Killed(BaseException):
    """Stands for SIGKILL."""


@dataclass
class Place:
    """One place that a recording came from, as the test brought it."""

    camera: str
    officer: str | None
    recorded_at: datetime | None
    claimed_at: datetime
    is_proved: bool
    is_decided: bool = False

    @property
    def counts_from(self) -> datetime:
        times = [self.claimed_at] if self.recorded_at is None else [self.recorded_at, self.claimed_at]
        return self.recorded_at if self.is_proved and self.recorded_at else max(times)


@dataclass
class Known:
    """One recording as the test knows it."""

    content: bytes
    places: list[Place]
    category: str = UNCLASSIFIED


class Force(RuleBasedStateMachine):
    """One centre, a folder or a bucket, two cameras, two officers."""

    recordings = Bundle("recordings")
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="retention-"))
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.stack: AsyncExitStack | None = None
        self.known: dict[str, Known] = {}
        self.scopes: dict[int, HoldScope] = {}
        self.days: dict[str, int | None] = {ROUTINE: 31, "short": 7}
        self.must_stay: set[str] = set()
        self.chains: dict[str, Chain] = {}

    def turn(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async def do() -> Any:
            return await work()

        return self.runner.run(do())

    @initialize(is_bucket=st.booleans())
    def begin(self, is_bucket: bool) -> None:
        self.bucket = MemoryBucket(self.clock) if is_bucket else None

        async def opening() -> None:
            await self._open()
            await self.site.retention.decisions.set_policy("short", 7, by="Ann", reason="short-lived")

        self.turn(opening)

    async def _open(self) -> None:
        self.stack = AsyncExitStack()
        url = sqlite_url(self.folder / "centre.sqlite")
        opened = open_retention_site(self.folder, url, self.clock, bucket=self.bucket)
        self.site: RetentionSite = await self.stack.enter_async_context(opened)
        self.site.chains = self.chains  # docks go on where they were

    # --- what can happen ----------------------------------------------------------------------

    @rule(
        target=recordings,
        camera=st.sampled_from(CAMERAS),
        officer=st.sampled_from(OFFICERS),
        age_days=st.none() | st.integers(-3, 40),
        is_proved=st.booleans(),
    )
    def bring(self, camera: str, officer: str | None, age_days: int | None, is_proved: bool) -> str:
        content = f"recording {len(self.known)}".encode()
        at = None if age_days is None else self.clock.now() - age_days * DAY
        return self._bring(content, camera, officer, at, is_proved, dock="dock-1", name=None)

    @rule(digest=recordings, camera=st.sampled_from(CAMERAS), is_same=st.booleans(), is_proved=st.booleans())
    def bring_again(self, digest: str, camera: str, is_same: bool, is_proved: bool) -> None:
        """At another dock: the same recording, or another with the same bytes."""
        one = self.known[digest]
        number = len(one.places)
        first = one.places[0]
        name = digest[:32] if is_same else f"other-{number}-{digest[:8]}"
        if is_same:
            camera = first.camera
        at = first.recorded_at if is_same else self.clock.now() - DAY
        self._bring(one.content, camera, "PC2", at, is_proved, dock=f"dock-{number + 1}", name=name)
        one.places[-1].is_decided = is_same and first.is_decided

    def _bring(
        self,
        content: bytes,
        camera: str,
        officer: str | None,
        at: datetime | None,
        is_proved: bool,
        *,
        dock: str,
        name: str | None,
    ) -> str:
        async def bringing() -> str:
            return await self.site.bring(
                *(content,),
                recorded_at=at,
                camera=camera,
                officer=officer,
                dock=dock,
                is_proved=is_proved,
                recording=name,
            )

        digest: str = self.turn(bringing)
        now = self.clock.now()
        is_sound = is_proved and at is not None and at <= now
        one = self.known.setdefault(digest, Known(content, []))
        one.places.append(Place(camera, officer, at, now, is_sound))
        return digest

    @rule(digest=recordings, category=st.sampled_from([ROUTINE, "short", EVIDENCE, UNCLASSIFIED]))
    def classify(self, digest: str, category: str) -> None:
        self.turn(lambda: self.site.retention.decisions.classify([digest], category, by="Ann", reason="looked at it"))
        self.known[digest].category = category
        for place in self.known[digest].places:
            place.is_decided = True

    @rule(category=st.sampled_from([ROUTINE, "short"]), days=st.none() | st.integers(1, 60))
    def change_policy(self, category: str, days: int | None) -> None:
        self.turn(lambda: self.site.retention.decisions.set_policy(category, days, by="Ann", reason="a new rule"))
        self.days[category] = days

    @rule(target=holds, camera=st.none() | st.sampled_from(CAMERAS), officer=st.none() | st.just("PC1"))
    def hold(self, camera: str | None, officer: str | None) -> int:
        scope = HoldScope(camera=camera, officer=officer)
        if not scope.given:
            scope = HoldScope(recorded_from=self.clock.now() - 5 * DAY)
        number: int = self.turn(lambda: self.site.retention.holds.set_hold(scope, by="Ann", reason="case")).number
        self.scopes[number] = scope
        return number

    @rule(digest=recordings, target=holds)
    def hold_one(self, digest: str) -> int:
        scope = HoldScope(digest=digest)
        number: int = self.turn(lambda: self.site.retention.holds.set_hold(scope, by="Ann", reason="case")).number
        self.scopes[number] = scope
        return number

    @rule(number=holds)
    def release(self, number: int) -> None:
        if self.scopes.pop(number, None) is not None:
            self.turn(lambda: self.site.retention.holds.release(number, by="Ann", reason="closed"))

    @rule(days=st.integers(1, 25))
    def pass_time(self, days: int) -> None:
        self._note()
        self.clock.advance(days * 86_400)

    @rule()
    def run(self) -> None:
        self._note()
        self.turn(lambda: self.site.retention.runs.run(actor="Ann"))

    @rule(is_done=st.booleans(), spared=st.integers(0, 2))
    def run_and_be_killed(self, is_done: bool, spared: int) -> None:
        """The process dies before or after the deed; another is started, and the lease of the dead runs out."""
        self._note()

        async def dying() -> None:
            store, left = self.site.store, spared

            class Dying:
                def __getattr__(self, name: str) -> Any:
                    return getattr(store, name)

                async def dispose(self, permit: DisposalPermit) -> None:
                    nonlocal left
                    left -= 1
                    if left >= 0 or is_done:
                        await store.dispose(permit)
                    if left < 0:
                        raise Killed

            disposer: Any = self.site.retention.runs._disposer
            disposer._store = Dying()
            try:
                await self.site.retention.runs.run(actor="Ann")
            except Killed:
                until = self.clock.now() + LEASE
                async with self.site.database.writing() as connection:
                    await connection.execute(update(worker).values(taken_by="dead", taken_until=until))
            assert self.stack is not None
            await self.stack.aclose()
            await self._open()

        self.turn(dying)
        self.clock.advance(LEASE.total_seconds())
        self._note()
        self.turn(self.site.retention.runs.look)

    # --- what must hold -----------------------------------------------------------------------

    def _is_held(self, digest: str) -> bool:
        for scope in self.scopes.values():
            for place in self.known[digest].places:
                is_it = scope.digest in (None, digest) and scope.camera in (None, place.camera)
                is_it = is_it and (scope.officer is None or place.officer in (None, scope.officer))
                if scope.recorded_from is not None:
                    is_it = is_it and place.counts_from + NEAR >= scope.recorded_from
                if is_it:
                    return True
        return False

    def _may_go(self, digest: str) -> bool:
        one = self.known[digest]
        days = self.days.get(one.category)
        if days is None or self._is_held(digest) or not all(place.is_decided for place in one.places):
            return False
        return all(place.counts_from + days * DAY <= self.clock.now() for place in one.places)

    def _note(self) -> None:
        self.must_stay = {digest for digest in self.known if not self._may_go(digest) and self._is_there(digest)}

    def _is_there(self, digest: str) -> bool:
        return bool(self.turn(lambda: self.site.has(digest)))

    @invariant()
    def nothing_is_gone_that_must_stay(self) -> None:
        """What could not go before a run is there after it."""
        gone = [digest for digest in self.must_stay if not self._is_there(digest)]
        assert gone == []
        self.must_stay = set()

    @invariant()
    @precondition(lambda self: self.stack is not None)
    def whoever_is_given_a_receipt_can_rely_on_it(self) -> None:
        """A receipt is never given for bytes that are not in the store."""
        for digest, one in self.known.items():
            if not self._is_there(digest):
                first = one.places[0]
                answer = self.turn(
                    lambda one=one, first=first, digest=digest: self._claimed(one.content, first.recorded_at, digest)
                )
                assert answer is None or answer.receipt is None

    async def _claimed(self, content: bytes, at: datetime | None, digest: str) -> Any:
        try:
            return await self.site.claim(content, recorded_at=at, dock="dock-1", recording=digest[:32])
        except Refusal:
            return None

    def teardown(self) -> None:
        try:
            if self.stack is not None:
                self._everything_due_goes_in_the_end()
                self.turn(self.stack.aclose)
        finally:
            self.runner.close()
            shutil.rmtree(self.folder)

    def _everything_due_goes_in_the_end(self) -> None:
        self.clock.advance(200 * 86_400)
        self.turn(lambda: self.site.retention.runs.run(actor="Ann"))
        left = [digest for digest in self.known if self._may_go(digest) and self._is_there(digest)]
        assert left == []
        stays = [digest for digest in self.known if not self._may_go(digest)]
        for digest in stays:
            state = self.turn(lambda digest=digest: self.site.state(digest))
            assert self._is_there(digest) or state == "done"


TestForce = Force.TestCase
TestForce.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestForce.pytestmark = [pytest.mark.slow]
