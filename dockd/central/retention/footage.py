"""Everything that decides over a recording, gathered from the tables as the rules want it.

Knows tables; decides nothing. A receipt whose object was deleted by policy is not footage any more and is never
returned.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Row, and_, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.retention.disposal_rows import is_disposed
from dockd.central.retention.tables import classifications
from dockd.central.tables import custody_lines, facts, receipts, sessions, sources, uploads
from dockd.model.facts import RecordingListed
from dockd.model.ids import Digest
from dockd.model.moment import ClockSync, format_utc
from dockd.rules.retention import Classification, Footage, Source

_LISTED = RecordingListed.__name__
_SYNCHRONISED = ClockSync.SYNCHRONISED.value


async def load_footage(
    connection: AsyncConnection, digests: Collection[str], *, is_locking: bool = False
) -> dict[str, Footage]:
    """What the store holds of `digests` (a few hundred at most).

    With `is_locking` nobody is given these receipts until the transaction is over: a claim that waits then sees what
    was decided, and one that came before is among the sources.
    """
    question = select(receipts).where(receipts.c.digest.in_(digests), ~is_disposed()).order_by(receipts.c.digest)
    if is_locking:
        question = question.with_for_update(of=receipts)
    held = (await connection.execute(question)).all()
    names = [row.digest for row in held]
    of_digest = await _sources(connection, names)
    decided = await _classifications(connection, names)
    is_open = select(uploads.c.digest).where(uploads.c.digest.in_(names), uploads.c.is_done.is_(False))
    being_sent = frozenset((await connection.execute(is_open)).scalars())
    return {
        row.digest: Footage(
            digest=Digest(row.digest),
            size_bytes=row.size_bytes,
            object_key=row.object_key,
            object_version=row.object_version,
            accepted_at=row.accepted_at,
            retain_until=row.retain_until,
            sources=tuple(of_digest[row.digest]),
            classification=decided.get(row.digest),
            is_being_sent_again=row.digest in being_sent,
        )
        for row in held
    }


async def _sources(connection: AsyncConnection, digests: Sequence[str]) -> dict[str, list[Source]]:
    question = select(sources).where(sources.c.digest.in_(digests)).order_by(sources.c.number)
    rows = (await connection.execute(question)).all()
    proved = await _with_proved_time(connection, digests, rows)
    found: dict[str, list[Source]] = defaultdict(list)
    for row in rows:
        found[row.digest].append(
            Source(
                number=row.number,
                dock=row.dock,
                recording=row.recording,
                camera=row.camera,
                officer=row.officer,
                recorded_at=row.recorded_at,
                claimed_at=row.claimed_at,
                is_time_proved=row.number in proved,
            )
        )
    return found


async def _with_proved_time(
    connection: AsyncConnection, digests: Sequence[str], rows: Iterable[Row[Any]]
) -> frozenset[int]:
    """The numbers of those whose dock, its clock synchronised, measured the camera's clock when it listed them.

    The fact must also say the very time that was claimed. A fact that has not arrived yet proves nothing.
    """
    is_listing = and_(
        custody_lines.c.dock == sources.c.dock,
        custody_lines.c.recording == sources.c.recording,
        custody_lines.c.kind == _LISTED,
    )
    is_fact = and_(facts.c.dock == custody_lines.c.dock, facts.c.number == custody_lines.c.fact_number)
    listed = (
        select(sources.c.number, sources.c.dock, facts.c.body)
        .select_from(sources.join(custody_lines, is_listing).join(facts, is_fact))
        .where(sources.c.digest.in_(digests))
    )
    claimed = {row.number: row for row in rows}
    in_session: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, dock, text in (await connection.execute(listed)).all():
        body = json.loads(text)
        fact, row = body["fact"], claimed[number]
        is_same_time = row.recorded_at is not None and fact["recorded_at"] == format_utc(row.recorded_at)
        if is_same_time and fact["camera"] == row.camera and body["moment"]["clock_sync"] == _SYNCHRONISED:
            in_session[(dock, fact["session"])].append(number)
    if not in_session:
        return frozenset()
    is_one = tuple_(sessions.c.dock, sessions.c.session).in_(sorted(in_session))
    measured = select(sessions.c.dock, sessions.c.session).where(
        is_one, sessions.c.clock_offset_milliseconds.is_not(None)
    )
    return frozenset(
        number for dock, session in (await connection.execute(measured)).all() for number in in_session[(dock, session)]
    )


async def _classifications(connection: AsyncConnection, digests: Sequence[str]) -> dict[str, Classification]:
    """The classification in force of each: the last."""
    last = (
        select(func.max(classifications.c.number))
        .where(classifications.c.digest.in_(digests))
        .group_by(classifications.c.digest)
    )
    rows = await connection.execute(select(classifications).where(classifications.c.number.in_(last)))
    return {row.digest: Classification(row.category, row.through) for row in rows}
