"""What would go at a given moment, and why: the rules asked for every recording that can possibly be due.

Reads only; the same answer is what a dry run prints, what the page shows and what a run begins with. Memory is a few
dozen bytes for each recording that is due; everything else comes in pages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.database import Database
from dockd.central.retention.decisions import policies_in_force
from dockd.central.retention.disposal_rows import is_disposed
from dockd.central.retention.footage import load_footage
from dockd.central.retention.holds import standing_holds
from dockd.central.retention.tables import subjects
from dockd.central.tables import receipts
from dockd.model.canonical import digest_of_json
from dockd.model.ids import Digest
from dockd.model.moment import format_utc
from dockd.rules.retention import ALWAYS_KEPT, Footage, HoldBook, Policy, Standing, Verdict, judge

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Judged:
    """A recording that may be due, with what the rules say."""

    footage: Footage
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class DueItem:
    """One receipt whose object is due."""

    digest: str
    accepted_at: datetime
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What is due at `at`, of `stored` recordings in the store, and how many are past their days and held."""

    at: datetime
    due: tuple[DueItem, ...]
    held: int
    stored: int

    @property
    def size_bytes(self) -> int:
        """Of everything that is due."""
        return sum(one.size_bytes for one in self.due)

    @property
    def list_digest(self) -> Digest:
        """SHA-256 of the exact list: what a person confirms."""
        return digest_of_json([[one.digest, format_utc(one.accepted_at)] for one in self.due])


class Surveyor:
    """Asks the rules. Every method raises Refusal (503)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def survey(self, at: datetime) -> Survey:
        """Everything that is due at `at`, as things stand now, in the order of digests."""
        due: list[DueItem] = []
        held = 0
        async for one in self.judged(at):
            if one.verdict.is_due:
                due.append(DueItem(one.footage.digest, one.footage.accepted_at, one.footage.size_bytes))
            elif one.verdict.standing is Standing.HELD and _is_past(one.verdict, at):
                held += 1
        async with self._database.reading() as connection:
            stands = select(func.count()).select_from(receipts).where(~is_disposed())
            stored = (await connection.execute(stands)).scalar_one()
        return Survey(at, tuple(sorted(due, key=lambda one: one.digest)), held, stored)

    async def judged(self, at: datetime) -> AsyncIterator[Judged]:
        """Every recording whose days may be over at `at`, whatever the verdict: also those that a hold keeps."""
        async with self._database.reading() as connection:
            policies = await policies_in_force(connection)
        for policy in policies.values():
            if policy.days is None or policy.category in ALWAYS_KEPT:
                continue
            after: tuple[datetime, str] | None = None
            while True:
                async with self._database.reading() as connection:
                    page = await _candidates(connection, policy.category, at - timedelta(days=policy.days), after)
                    found = await judge_all(connection, [digest for _, digest in page], at)
                for one in found:
                    yield one
                if len(page) < _PAGE:
                    break
                after = page[-1]

    async def verdict(self, digest: str, at: datetime) -> Judged | None:
        """What the rules say of one recording; None when the store does not hold it."""
        async with self._database.reading() as connection:
            found = await judge_all(connection, [digest], at)
        return found[0] if found else None


async def judge_all(connection: AsyncConnection, digests: list[str], at: datetime) -> list[Judged]:
    """The rules' word on each of `digests` that the store holds, in their order."""
    if not digests:
        return []
    footage = await load_footage(connection, digests)
    policies, book = await rules_in_force(connection)
    return [Judged(footage[one], judge(footage[one], policies, book, at)) for one in digests if one in footage]


async def rules_in_force(connection: AsyncConnection) -> tuple[Mapping[str, Policy], HoldBook]:
    """Policies and holds as they stand in this transaction."""
    return await policies_in_force(connection), await standing_holds(connection)


async def _candidates(
    connection: AsyncConnection, category: str, limit: datetime, after: tuple[datetime, str] | None
) -> list[tuple[datetime, str]]:
    is_one = (subjects.c.category == category, subjects.c.is_gone.is_(False), subjects.c.counts_from <= limit)
    question = select(subjects.c.counts_from, subjects.c.digest).where(*is_one)
    if after is not None:
        question = question.where(tuple_(subjects.c.counts_from, subjects.c.digest) > tuple_(*after))
    ordered = question.order_by(subjects.c.counts_from, subjects.c.digest).limit(_PAGE)
    return [(row.counts_from, row.digest) for row in (await connection.execute(ordered)).all()]


def _is_past(verdict: Verdict, at: datetime) -> bool:
    return verdict.deadline_at is not None and verdict.deadline_at <= at
