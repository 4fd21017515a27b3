"""What people decide: how long a category is kept, and what a recording is. Every decision is a row and a fact.

Rows are only added; the last one counts. Must not know holds or stores.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database, insert_or_replace
from dockd.central.retention.gate import pass_gate
from dockd.central.retention.tables import classifications, policies, subjects
from dockd.central.tables import sources
from dockd.clock import Clock
from dockd.errors import BadRequest, NotFound
from dockd.model.canonical import Json
from dockd.rules.retention import (
    ALWAYS_KEPT,
    DEFAULT_DAYS,
    EVIDENCE,
    LONGEST_DAYS,
    ROUTINE,
    UNCLASSIFIED,
    Policy,
    earliest_count_from,
)

CATEGORY_PATTERN = r"^[a-z][a-z0-9-]{0,39}$"
LONGEST_REASON = 1000
MOST_AT_ONCE = 500
_FIRST = ((UNCLASSIFIED, None), (EVIDENCE, None), (ROUTINE, DEFAULT_DAYS))
_FIRST_REASON = "what every centre starts with; nothing is deleted until somebody turns it on"


@dataclass(frozen=True, slots=True)
class PolicyLine:
    """One row of the history. `days` None: until somebody decides otherwise."""

    number: int
    category: str
    days: int | None
    set_at: datetime
    set_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class ClassificationLine:
    """One row of the history."""

    number: int
    digest: str
    category: str
    decided_at: datetime
    decided_by: str
    reason: str


class Decisions:
    """Policies and classifications. Every method raises Refusal (503, 507)."""

    def __init__(self, database: Database, clock: Clock, facts: CentreFacts) -> None:
        self._database = database
        self._clock = clock
        self._facts = facts

    async def begin(self) -> None:
        """Give a centre that never had any policy the first ones. Where there is one, nothing is changed, ever."""
        async with self._database.reading() as connection:
            if (await connection.execute(select(policies.c.number).limit(1))).first() is not None:
                return
        async with self._database.writing() as connection:
            await pass_gate(connection)
            if (await connection.execute(select(policies.c.number).limit(1))).first() is not None:
                return
            for category, days in _FIRST:
                await self._set(connection, category, days, "dockd", _FIRST_REASON)

    async def set_policy(self, category: str, days: int | None, *, by: str, reason: str) -> None:
        """From now on `category` is kept `days` days from recording; None: until somebody decides otherwise.

        Raises BadRequest: for a number of days for what is always kept, or one that is not 1 to LONGEST_DAYS.
        """
        if not re.fullmatch(CATEGORY_PATTERN, category):
            raise BadRequest("A category is named with small letters, digits and hyphens, 40 at most.")
        if days is not None and category in ALWAYS_KEPT:
            raise BadRequest(f"{category} is kept until a person decides, one recording at a time; no days end it.")
        if days is not None and not 1 <= days <= LONGEST_DAYS:
            raise BadRequest(f"A recording is kept 1 to {LONGEST_DAYS} days, or until somebody decides otherwise.")
        checked = checked_reason(reason)
        async with self._database.writing() as connection:
            await pass_gate(connection)
            await self._set(connection, category, days, by, checked)

    async def classify(self, digests: Sequence[str], category: str, *, by: str, reason: str) -> None:
        """Decide what these recordings are; all of them or none.

        Raises BadRequest for a category without a policy; NotFound for a digest that no dock claimed.
        """
        checked = checked_reason(reason)
        wanted = sorted(set(digests))
        if not 1 <= len(wanted) <= MOST_AT_ONCE:
            raise BadRequest(f"One decision is about 1 to {MOST_AT_ONCE} recordings.")
        now = self._clock.now()
        async with self._database.writing() as connection:
            await pass_gate(connection)
            if category not in await policies_in_force(connection):
                raise BadRequest(f"There is no category {category[:40]!r}.")
            rows = await _claimed(connection, wanted)
            unknown = [digest for digest in wanted if digest not in rows]
            if unknown:
                raise NotFound(f"The centre knows no recording {unknown[0]}.")
            decided = {"category": category, "decided_at": now, "decided_by": by, "reason": checked}
            through = {digest: max(one.number for one in rows[digest]) for digest in wanted}
            await connection.execute(
                insert(classifications), [decided | {"digest": one, "through": through[one]} for one in wanted]
            )
            await insert_or_replace(
                connection,
                subjects,
                (
                    {
                        "digest": digest,
                        "category": category,
                        "counts_from": earliest_count_from((one.recorded_at, one.claimed_at) for one in rows[digest]),
                        "is_gone": False,
                    }
                    for digest in wanted
                ),
            )
            about: dict[str, Json] = {"category": category, "reason": checked, "recordings": [*wanted]}
            await self._facts.add_in(connection, kind="RecordingsClassified", actor=by, about=about)

    async def policy_history(self) -> tuple[PolicyLine, ...]:
        """Every policy that ever was, the newest first."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(policies).order_by(policies.c.number.desc()))).all()
        return tuple(PolicyLine(**row._mapping) for row in rows)

    async def history_of(self, digest: str) -> tuple[ClassificationLine, ...]:
        """What this recording was said to be, the newest first."""
        mine = classifications.c.digest == digest
        question = select(classifications).where(mine).order_by(classifications.c.number.desc()).limit(MOST_AT_ONCE)
        async with self._database.reading() as connection:
            rows = (await connection.execute(question)).all()
        return tuple(
            ClassificationLine(row.number, row.digest, row.category, row.decided_at, row.decided_by, row.reason)
            for row in rows
        )

    async def _set(self, connection: AsyncConnection, category: str, days: int | None, by: str, reason: str) -> None:
        row = {"category": category, "days": days, "set_at": self._clock.now(), "set_by": by, "reason": reason}
        await connection.execute(insert(policies).values(row))
        about: dict[str, Json] = {"category": category, "days": days, "reason": reason}
        await self._facts.add_in(connection, kind="RetentionPolicySet", actor=by, about=about)


async def policies_in_force(connection: AsyncConnection) -> dict[str, Policy]:
    """The last policy of each category, by category in the order of their names."""
    last = select(func.max(policies.c.number)).group_by(policies.c.category)
    question = select(policies).where(policies.c.number.in_(last)).order_by(policies.c.category)
    return {row.category: Policy(row.category, row.days) for row in await connection.execute(question)}


def checked_reason(text: str) -> str:
    """The reason in one line. Raises BadRequest when there is none, or too much of it."""
    words = " ".join(text.replace("\0", " ").split())
    if not 1 <= len(words) <= LONGEST_REASON:
        raise BadRequest(f"A reason is needed, of at most {LONGEST_REASON} characters.")
    return words


async def _claimed(connection: AsyncConnection, digests: Sequence[str]) -> dict[str, list[Row[Any, Any, Any, Any]]]:
    question = select(sources.c.digest, sources.c.number, sources.c.recorded_at, sources.c.claimed_at)
    found: dict[str, list[Row[Any, Any, Any, Any]]] = {}
    for row in await connection.execute(question.where(sources.c.digest.in_(digests))):
        found.setdefault(row.digest, []).append(row)
    return found
