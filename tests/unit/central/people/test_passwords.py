"""Claims about the work that comparing passwords takes: the same for everybody, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from dockd.central.people.passwords import Passwords
from dockd.web.problems import Refusal
from tests.support.sign_in import CHEAP


class Counting(PasswordHasher):
    """Counts the hashes that are made and compared, and how many at once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002 - the library's name
        self.verified.append(str(hash))
        return super().verify(hash, password)


@pytest_asyncio.fixture
async def passwords() -> AsyncIterator[Passwords]:
    one = Passwords(at_once=2, hasher=CHEAP)
    yield one
    await one.close()


async def test_the_right_password_fits_and_no_other(passwords: Passwords) -> None:
    kept = await passwords.hash("correct horse battery")
    assert kept.startswith("$argon2id$")
    assert "correct" not in kept
    assert await passwords.compare(kept, "correct horse battery")
    assert not await passwords.compare(kept, "correct horse batterz")
    assert await passwords.hash("correct horse battery") != kept


async def test_nobody_costs_as_much_as_somebody_and_never_fits() -> None:
    hasher = Counting()
    passwords = Passwords(at_once=1, hasher=hasher)
    kept = await passwords.hash("correct horse battery")
    assert not await passwords.compare(kept, "wrong")
    assert not await passwords.compare(None, "wrong")
    assert passwords.compared == 2
    known, unknown = hasher.verified
    assert extract_parameters(known) == extract_parameters(unknown)
    await passwords.close()


async def test_the_default_cost_is_argon2id_with_64_mebibytes() -> None:
    passwords = Passwords(at_once=1)
    parameters = extract_parameters(await passwords.hash("correct horse battery"))
    assert (parameters.type, parameters.memory_cost, parameters.time_cost) == (Type.ID, 65536, 3)
    await passwords.close()


async def test_a_hash_at_yesterdays_cost_is_noticed(passwords: Passwords) -> None:
    assert passwords.is_outdated(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash("x"))
    assert not passwords.is_outdated(await passwords.hash("x"))


async def test_a_damaged_hash_fits_nothing(passwords: Passwords) -> None:
    assert not await passwords.compare("$argon2id$damaged", "x")


async def test_an_endless_password_is_cut_before_it_is_hashed(passwords: Passwords) -> None:
    kept = await passwords.hash("a" * 201)
    assert await passwords.compare(kept, "a" * 10_000_000)


async def test_who_comes_when_too_many_wait_is_told_later(passwords: Passwords) -> None:
    kept = await passwords.hash("x")
    asked = await asyncio.gather(*(passwords.compare(kept, "x") for _ in range(200)), return_exceptions=True)
    refused = [one for one in asked if isinstance(one, Refusal)]
    assert refused
    assert all(one.kind.status == 503 and one.retry_after_seconds for one in refused)
    assert asked.count(True) == 34
