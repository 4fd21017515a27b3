"""Questions that come while one is asked share the next; no answer is older than its question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import OperationalError

from dockd.central.refusals import BUSY, DATABASE_AWAY
from dockd.central.shared_looks import SharedLooks
from dockd.web.problems import Refusal
from tests.support.clock import settle


class Looks:
    """What was asked together, and the truth at this moment; a closed gate holds an answer up after it was read."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.truth: dict[str, int] = {"a": 1, "b": 2, "c": 3}
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails_with: Exception | None = None

    async def look(self, keys: Sequence[str]) -> dict[str, int]:
        self.groups.append(list(keys))
        read = {key: self.truth[key] for key in keys if key in self.truth}
        await self.gate.wait()
        if self.fails_with is not None:
            raise self.fails_with
        return read


async def test_a_question_by_itself_is_asked_at_once() -> None:
    looks = Looks()
    shared = SharedLooks(looks.look)
    assert await shared.ask("a") == 1
    assert await shared.ask("nobody") is None
    assert looks.groups == [["a"], ["nobody"]]


async def test_questions_that_come_meanwhile_are_asked_together() -> None:
    looks = Looks()
    shared = SharedLooks(looks.look, most=2)
    looks.gate.clear()
    asked = [asyncio.create_task(shared.ask(key)) for key in "abbca"]
    await settle()
    assert looks.groups == [["a", "b"]]
    later = asyncio.create_task(shared.ask("b"))
    await settle()
    looks.gate.set()
    assert await asyncio.gather(*asked, later) == [1, 2, 2, 3, 1, 2]
    assert looks.groups == [["a", "b"], ["c", "b"]]


async def test_an_answer_is_never_older_than_its_question() -> None:
    looks = Looks()
    shared = SharedLooks(looks.look)
    looks.gate.clear()
    before = asyncio.create_task(shared.ask("a"))
    await settle()
    looks.truth["a"] = 7  # the look that is under way has read 1 already
    after = asyncio.create_task(shared.ask("a"))
    await settle()
    looks.gate.set()
    assert (await before, await after) == (1, 7)


@pytest.mark.parametrize(
    "error", [Refusal(DATABASE_AWAY, "gone"), OperationalError("select", {}, ValueError("gone"))], ids=str
)
async def test_a_failure_concerns_those_who_waited_and_nobody_later(error: Exception) -> None:
    looks = Looks()
    shared = SharedLooks(looks.look)
    looks.fails_with = error
    told = await asyncio.gather(shared.ask("a"), shared.ask("b"), return_exceptions=True)
    assert told == [error, error]
    looks.fails_with = None
    assert await shared.ask("a") == 1


async def test_whoever_leaves_takes_no_answer_from_others() -> None:
    looks = Looks()
    shared = SharedLooks(looks.look)
    looks.gate.clear()
    leaving, staying = asyncio.create_task(shared.ask("a")), asyncio.create_task(shared.ask("a"))
    await settle()
    leaving.cancel()
    await settle()
    looks.gate.set()
    assert await staying == 1
    assert leaving.cancelled()


async def test_nobody_waits_for_ever_for_a_look_that_was_broken_off() -> None:
    looks = Looks()
    shared = SharedLooks(looks.look, most=1)
    looks.gate.clear()
    asked = [asyncio.create_task(shared.ask(key)) for key in "ab"]
    await settle()
    (looking,) = [task for task in asyncio.all_tasks() if task.get_name() == "shared look"]
    looking.cancel()
    for task in asked:
        with pytest.raises(Refusal) as refused:
            await task
        assert refused.value.kind is BUSY
    looks.gate.set()
    assert await shared.ask("a") == 1
