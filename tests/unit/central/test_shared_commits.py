"""Items that arrive together share a commit, and each of them hears only of what is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import DataError

from dockd.central.refusals import BUSY, GAP
from dockd.central.shared_commits import SharedCommits
from dockd.web.problems import Refusal
from tests.support.clock import settle

Item = tuple[str, int]


class Commits:
    """What was carried out together; a closed gate holds it up."""

    def __init__(self) -> None:
        self.groups: list[list[Item]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refused: dict[Item, Refusal] = {}
        self.poison: Item | None = None
        self.fails_with: Refusal | None = None

    async def carry_out(self, items: Sequence[Item]) -> list[int | Refusal]:
        self.groups.append(list(items))
        await self.gate.wait()
        if self.fails_with is not None:
            raise self.fails_with
        if self.poison in items:
            raise DataError("insert", {}, ValueError("cannot be written"))
        return [self.refused.get(item, item[1]) for item in items]


@pytest.fixture
def commits() -> Commits:
    return Commits()


def shared(commits: Commits, *, most: int = 10, at_once: int = 1) -> SharedCommits[Item, int]:
    return SharedCommits(
        commits.carry_out, key=lambda one: one[0], weight=lambda one: one[1], most=most, at_once=at_once
    )


async def test_one_alone_is_carried_out_at_once_and_by_itself(commits: Commits) -> None:
    assert await shared(commits).add(("a", 1)) == 1
    assert commits.groups == [[("a", 1)]]


async def test_what_arrives_during_a_commit_shares_the_next_one(commits: Commits) -> None:
    one = shared(commits)
    commits.gate.clear()
    adding = [asyncio.create_task(one.add((name, 1))) for name in "abcd"]
    await settle()
    commits.gate.set()
    assert await asyncio.gather(*adding) == [1, 1, 1, 1]
    assert commits.groups == [[("a", 1)], [("b", 1), ("c", 1), ("d", 1)]]


async def test_a_group_weighs_no_more_than_it_may_unless_it_is_one_item(commits: Commits) -> None:
    one = shared(commits, most=5)
    commits.gate.clear()
    adding = [asyncio.create_task(one.add(item)) for item in (("a", 1), ("b", 9), ("c", 3), ("d", 2), ("e", 1))]
    await settle()
    commits.gate.set()
    await asyncio.gather(*adding)
    assert commits.groups == [[("a", 1)], [("b", 9)], [("c", 3), ("d", 2)], [("e", 1)]]


async def test_two_with_the_same_key_are_never_under_way_together_and_keep_their_order(commits: Commits) -> None:
    one = shared(commits, at_once=3)
    commits.gate.clear()
    adding = [asyncio.create_task(one.add(item)) for item in (("a", 1), ("a", 2), ("b", 1), ("a", 3))]
    await settle()
    assert commits.groups == [[("a", 1)], [("b", 1)]]
    commits.gate.set()
    await asyncio.gather(*adding)
    assert commits.groups[2:] == [[("a", 2)], [("a", 3)]]


async def test_a_refusal_of_one_is_told_to_it_alone(commits: Commits) -> None:
    one = shared(commits)
    commits.refused["b", 1] = Refusal(GAP, "some are missing")
    commits.gate.clear()
    adding = [asyncio.create_task(one.add((name, 1))) for name in "xabc"]
    await settle()
    commits.gate.set()
    told = await asyncio.gather(*adding, return_exceptions=True)
    assert [isinstance(answer, Refusal) for answer in told] == [False, False, True, False]


async def test_a_database_that_is_away_is_told_to_all(commits: Commits) -> None:
    one = shared(commits)
    commits.fails_with = Refusal(BUSY, "later")
    told = await asyncio.gather(*(one.add((name, 1)) for name in "ab"), return_exceptions=True)
    assert told == [commits.fails_with, commits.fails_with]
    commits.fails_with = None
    assert await one.add(("a", 1)) == 1


async def test_an_item_that_cannot_be_written_harms_only_whoever_brought_it(commits: Commits) -> None:
    one = shared(commits)
    commits.poison = ("b", 1)
    commits.gate.clear()
    adding = [asyncio.create_task(one.add((name, 1))) for name in "xabc"]
    await settle()
    commits.gate.set()
    told = await asyncio.gather(*adding, return_exceptions=True)
    assert [isinstance(answer, DataError) for answer in told] == [False, False, True, False]


async def test_a_caller_who_leaves_does_not_take_his_item_back(commits: Commits) -> None:
    one = shared(commits)
    commits.gate.clear()
    adding = asyncio.create_task(one.add(("a", 1)))
    waiting = asyncio.create_task(one.add(("b", 1)))
    await settle()
    adding.cancel()
    waiting.cancel()
    await asyncio.gather(adding, waiting, return_exceptions=True)
    commits.gate.set()
    await one.close()
    assert commits.groups == [[("a", 1)], [("b", 1)]]


async def test_a_quiet_centre_does_not_wait_and_a_busy_one_gathers(commits: Commits) -> None:
    loop = asyncio.get_running_loop()
    one = SharedCommits(commits.carry_out, key=lambda item: item[0], at_once=2, spacing_seconds=0.3)
    began = loop.time()
    assert await one.add(("a", 1)) == 1
    at_once = loop.time() - began
    adding = [asyncio.create_task(one.add((name, 1))) for name in "bc"]
    await asyncio.sleep(0.05)
    adding.append(asyncio.create_task(one.add(("d", 1))))
    assert await asyncio.gather(*adding) == [1, 1, 1]
    assert at_once < loop.time() - began
    assert loop.time() - began >= 0.3
    assert commits.groups == [[("a", 1)], [("b", 1), ("c", 1), ("d", 1)]]


async def test_who_gathers_when_it_closes_is_carried_out_at_once(commits: Commits) -> None:
    one = SharedCommits(commits.carry_out, key=lambda item: item[0], spacing_seconds=3600.0)
    await one.add(("a", 1))
    waiting = asyncio.create_task(one.add(("b", 2)))
    await settle()
    assert not waiting.done()
    async with asyncio.timeout(5):
        await one.close()
    assert await waiting == 2
