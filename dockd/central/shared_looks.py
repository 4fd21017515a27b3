"""Questions that arrive while one is being asked share the next one.

A look into the database costs the same for one key as for fifty. A quiet centre asks each question at once; a busy one
asks many together. A look begins after every question that it answers had arrived, so an answer is never older than its
question. Knows keys and answers; must not know what they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from dockd.central.refusals import BUSY
from dockd.web.problems import Refusal

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")

_MOST = 200


class SharedLooks(Generic[Key, Answer]):
    """Asks `look`, one at a time, about the keys that wait, at most `most` together.

    `look` returns the answers that there are; whoever asked about another key is told None. A Refusal or an error of
    the database that it raises is raised to all who waited for it.
    """

    def __init__(self, look: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Answer]]], *, most: int = _MOST) -> None:
        self._look = look
        self._most = most
        self._waiting: dict[Key, asyncio.Future[Answer | None]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def ask(self, key: Key) -> Answer | None:
        """The answer about `key`, as it is now or later. Raises Refusal, SQLAlchemyError."""
        outcome = self._waiting.get(key)
        if outcome is None:
            outcome = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_for_all(), name="shared look")
        return await asyncio.shield(outcome)

    async def _look_for_all(self) -> None:
        outcomes: dict[Key, asyncio.Future[Answer | None]] = {}
        try:
            while self._waiting:
                asked = list(self._waiting)[: self._most]
                outcomes = {key: self._waiting.pop(key) for key in asked}
                await self._settle(outcomes)
        finally:
            self._looking = None
            for outcome in (*outcomes.values(), *self._waiting.values()):  # whatever happened: nobody waits for ever
                if not outcome.done():
                    _fail(outcome, Refusal(BUSY, "This could not be looked up; ask again.", retry_after_seconds=1))
            self._waiting.clear()

    async def _settle(self, outcomes: Mapping[Key, asyncio.Future[Answer | None]]) -> None:
        try:
            answers = await self._look(list(outcomes))
        except (Refusal, SQLAlchemyError) as error:
            for outcome in outcomes.values():
                _fail(outcome, error)
        else:
            for key, outcome in outcomes.items():
                outcome.set_result(answers.get(key))


def _fail(outcome: asyncio.Future[Answer | None], error: Exception) -> None:
    outcome.set_exception(error)
    outcome.exception()  # looked at here too: the caller may have left
