"""What people and the centre itself did, written once and chained: the centre's own part of the evidence.

Docks have chains of facts of their own (`central.chain`); this is one more, the centre's: who looked at custody, who
exported, what was deleted and by which rule. A fact says when, what kind, who, and about what; its hash is the
SHA-256 of the canonical JSON of all of that and of the hash before it, so that none can be taken out or changed
unseen. Knows the chain and its two tables; must not know what any kind of fact means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, Table, Text, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.database import Database, insert_new
from dockd.central.tables import METADATA
from dockd.clock import Clock
from dockd.columns import UtcText
from dockd.model.canonical import Json, canonical_json, digest_of_json
from dockd.model.ids import GENESIS, Digest
from dockd.model.moment import format_utc

centre_facts = Table(
    "centre_facts",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # from 1, without a gap
    Column("at", UtcText, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("about", Text, nullable=False),  # canonical JSON object
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("ix_centre_facts_kind", "kind", "number"),
)

centre_chain = Table(
    "centre_chain",
    METADATA,
    Column("place", Integer, primary_key=True, autoincrement=False),  # always 1: there is one row
    Column("number", BigInteger, nullable=False),  # of the last fact
    Column("head", Text, nullable=False),
    CheckConstraint("place = 1", name="only_one"),
)


@dataclass(frozen=True, slots=True)
class CentreFact:
    """One thing that somebody did at the centre."""

    number: int
    at: datetime
    kind: str
    actor: str
    about: Mapping[str, Json]
    previous: Digest
    hash: Digest

    @property
    def as_json(self) -> dict[str, Json]:
        """Everything but the hash: what the hash is over, as canonical JSON."""
        return {
            "about": dict(self.about),
            "actor": self.actor,
            "at": format_utc(self.at),
            "kind": self.kind,
            "number": self.number,
            "previous": self.previous,
        }

    @property
    def is_whole(self) -> bool:
        """Whether the hash is that of what the fact says."""
        return digest_of_json(self.as_json) == self.hash


class CentreFacts:
    """The chain, of which every process of this centre writes the end."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, *, kind: str, actor: str, about: Mapping[str, Json]) -> int:
        """Write one fact and return its number; it survives a power cut. Raises Refusal (503, 507).

        `about` must have a canonical form: TypeError for a floating-point number.
        """
        async with self._database.writing() as connection:
            return await self.add_in(connection, kind=kind, actor=actor, about=about)

    async def add_in(self, connection: AsyncConnection, *, kind: str, actor: str, about: Mapping[str, Json]) -> int:
        """The same within the caller's transaction: the deed and its fact are written together or not at all.

        Whoever writes a fact holds the end of the chain until that transaction is over, so write it last.
        """
        await insert_new(connection, centre_chain, [{"place": 1, "number": 0, "head": GENESIS}])
        # FOR UPDATE holds off another process on PostgreSQL; on SQLite this transaction is alone already.
        end = (await connection.execute(select(centre_chain).with_for_update())).one()
        unsigned = CentreFact(
            number=end.number + 1,
            at=self._clock.now(),
            kind=kind,
            actor=actor,
            about=about,
            previous=Digest(end.head),
            hash=GENESIS,
        )
        digest = digest_of_json(unsigned.as_json)
        await connection.execute(
            centre_facts.insert().values(
                number=unsigned.number,
                at=unsigned.at,
                kind=kind,
                actor=actor,
                about=canonical_json(dict(about)).decode(),
                previous=unsigned.previous,
                hash=digest,
            )
        )
        await connection.execute(update(centre_chain).values(number=unsigned.number, head=digest))
        return unsigned.number

    async def read(self, *, after: int = 0, limit: int, kind: str | None = None) -> tuple[CentreFact, ...]:
        """At most `limit` facts above number `after`, in order. Raises Refusal (503)."""
        question = select(centre_facts).where(centre_facts.c.number > after)
        if kind is not None:
            question = question.where(centre_facts.c.kind == kind)
        async with self._database.reading() as connection:
            rows = (await connection.execute(question.order_by(centre_facts.c.number).limit(limit))).all()
        return tuple(
            CentreFact(
                number=row.number,
                at=row.at,
                kind=row.kind,
                actor=row.actor,
                about=json.loads(row.about),
                previous=Digest(row.previous),
                hash=Digest(row.hash),
            )
            for row in rows
        )
