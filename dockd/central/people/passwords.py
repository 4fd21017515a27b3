"""Passwords: argon2id in threads, so many at once and no more.

Knows hashing; knows no account. Whoever asks about a name that nobody has pays the same work: `compare` with no hash
compares with one that nothing fits.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dockd.central.people.names import LONGEST_PASSWORD, normal_password
from dockd.central.refusals import BUSY
from dockd.web.problems import Refusal

T = TypeVar("T")

_WAITING_FOR_EACH = 16
"""So many may wait for each thread; whoever comes then is told: later."""


class Passwords:
    """Hashes and compares. `hasher` says what one comparison costs; RFC 9106's second choice unless told."""

    def __init__(self, *, at_once: int, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="password")
        self._most = at_once * (1 + _WAITING_FOR_EACH)
        self._now = 0
        self._of_nobody: str | None = None
        self.compared = 0
        """How many comparisons were made: each costs the same, whoever was named."""

    async def close(self) -> None:
        """End the threads."""
        await asyncio.to_thread(self._threads.shutdown)

    async def hash(self, password: str) -> str:
        """The hash of `password`, with its own salt and cost. Raises Refusal (503) when too many wait."""
        return await self._run(lambda: self._hasher.hash(normal_password(password)))

    async def compare(self, kept: str | None, untrusted_password: str) -> bool:
        """Whether the password is the one of `kept`; with None it never is, at the same cost. Raises Refusal (503)."""
        return await self._run(lambda: self._compare(kept, untrusted_password))

    def is_outdated(self, kept: str) -> bool:
        """Whether `kept` was made at another cost than today's."""
        return self._hasher.check_needs_rehash(kept)

    def _compare(self, kept: str | None, untrusted_password: str) -> bool:
        if self._of_nobody is None:
            self._of_nobody = self._hasher.hash(secrets.token_urlsafe(32))
        # What is longer than any password is cut, so that nobody chooses how much is hashed.
        password = normal_password(untrusted_password[: LONGEST_PASSWORD + 1])
        self.compared += 1
        try:
            fits = self._hasher.verify(kept if kept is not None else self._of_nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return fits and kept is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._now >= self._most:
            raise Refusal(BUSY, "Too many people are signing in at this moment.", retry_after_seconds=5)
        self._now += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._now -= 1
