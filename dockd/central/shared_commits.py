"""Items that arrive while a transaction is under way share the next one.

A durable commit and its round trips cost the same for one small item as for fifty. A quiet centre writes each item by
itself and at once; a busy one writes many together, so that cost per item falls as load rises. Nobody is answered
before the transaction with his item is committed. Knows order and fate of items; must not know what they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from dockd.central.refusals import BUSY
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


class SharedCommits(Generic[Item, Result]):
    """Carries items out in groups, `at_once` groups beside each other; a group weighs at most `most`, or is one item.

    No group begins within `spacing_seconds` of the one before: a busy centre gathers so long, a quiet one never waits.

    `carry_out` commits a group and returns, for each item, its result or the refusal that concerns it alone; a
    Refusal that it raises concerns all. Two items with the same `key` are never in the same group, nor in two groups
    at the same time, and are carried out in the order in which they came.
    """

    def __init__(
        self,
        carry_out: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Refusal]]],
        *,
        key: Callable[[Item], Hashable],
        weight: Callable[[Item], int] = lambda _item: 1,
        most: int = 100,
        at_once: int = 2,
        spacing_seconds: float = 0.0,
    ) -> None:
        self._carry_out = carry_out
        self._key = key
        self._weight = weight
        self._most = most
        self._at_once = at_once
        self._spacing_seconds = spacing_seconds
        self._next_at_monotonic = 0.0
        self._pause: asyncio.TimerHandle | None = None
        self._waiting: list[_Waiting[Item, Result]] = []
        self._under_way: set[Hashable] = set()
        self._groups: set[asyncio.Task[None]] = set()

    async def add(self, item: Item) -> Result:
        """Carry `item` out; return once it is committed. Raises Refusal.

        A caller who leaves does not stop it: it is committed all the same.
        """
        mine: _Waiting[Item, Result] = _Waiting(item, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        self._begin()
        return await asyncio.shield(mine.outcome)

    async def close(self) -> None:
        """Wait for what is under way; nothing may be added any more."""
        self._spacing_seconds = self._next_at_monotonic = 0.0
        self._resume()
        while self._groups:
            await asyncio.gather(*self._groups, return_exceptions=True)

    def _resume(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._begin()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self._pause is None and len(self._groups) < self._at_once:
            if loop.time() < self._next_at_monotonic:
                self._pause = loop.call_at(self._next_at_monotonic, self._resume)
                return
            if not (group := self._next_group()):
                return
            self._next_at_monotonic = loop.time() + self._spacing_seconds
            task = asyncio.create_task(self._settle(group), name="shared commit")
            self._groups.add(task)
            task.add_done_callback(partial(self._ended, frozenset(self._key(one.item) for one in group)))

    def _next_group(self) -> list[_Waiting[Item, Result]]:
        group: list[_Waiting[Item, Result]] = []
        later: list[_Waiting[Item, Result]] = []
        passed_over: set[Hashable] = set()
        together = 0
        for one in self._waiting:
            key, weight = self._key(one.item), self._weight(one.item)
            is_too_much = bool(group) and together + weight > self._most
            if is_too_much or key in self._under_way or key in passed_over:
                passed_over.add(key)
                later.append(one)
            else:
                self._under_way.add(key)
                group.append(one)
                together += weight
        self._waiting = later
        return group

    async def _settle(self, group: list[_Waiting[Item, Result]]) -> None:
        try:
            await self._carry_out_group(group)
        finally:
            for one in group:  # whatever happened: nobody waits for ever
                if not one.outcome.done():
                    one.outcome.set_exception(
                        Refusal(BUSY, "Whether it was kept is not known; send it again.", retry_after_seconds=1)
                    )
                one.outcome.exception()  # looked at here too: the caller may have left

    async def _carry_out_group(self, group: list[_Waiting[Item, Result]]) -> None:
        try:
            outcomes = await self._carry_out([one.item for one in group])
        except Refusal as refusal:
            for one in group:
                one.outcome.set_exception(refusal)
        except SQLAlchemyError as error:
            if len(group) == 1:
                group[0].outcome.set_exception(error)
                return
            # One of them cannot be written, a bug of ours. Each by itself: only whoever brought it hears of it.
            _log.warning("shared_commit_taken_apart", items=len(group), error=type(error).__name__)
            for one in group:
                await self._carry_out_group([one])
        else:
            for one, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, Refusal):
                    one.outcome.set_exception(outcome)
                else:
                    one.outcome.set_result(outcome)

    def _ended(self, keys: frozenset[Hashable], task: asyncio.Task[None]) -> None:
        self._groups.discard(task)
        self._under_way -= keys
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            _log.error("shared_commit_failed", exc_info=error)
        self._begin()


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    """An item on its way, and what will come of it."""

    item: Item
    outcome: asyncio.Future[Result]
