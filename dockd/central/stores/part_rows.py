"""Which parts the folder store holds for good: one row for each, written after the bytes are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sqlalchemy import and_, delete, select

from dockd.central.database import Database, insert_new
from dockd.central.refusals import BUSY
from dockd.central.tables import finished_parts, uploads
from dockd.clock import Clock
from dockd.web.problems import Refusal


class Standing(Enum):
    """How a part of an upload stands."""

    WANTED = "it has not arrived yet"
    FINISHED = "it is held for good, or the whole upload is done"
    GONE = "there is no such upload any more"


class PartRows:
    """Rows of finished parts."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: list[_FinishedPart] = []
        self._turn = asyncio.Lock()

    async def standing(self, upload: str, number: int) -> Standing:
        """How the part stands now. Raises Refusal (503, 507)."""
        part = and_(finished_parts.c.upload == uploads.c.upload, finished_parts.c.part_number == number)
        question = (
            select(uploads.c.is_done, finished_parts.c.part_number)
            .select_from(uploads.outerjoin(finished_parts, part))
            .where(uploads.c.upload == upload)
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(question)).one_or_none()
        if row is None:
            return Standing.GONE
        return Standing.FINISHED if row.is_done or row.part_number is not None else Standing.WANTED

    async def finished(self, upload: str) -> dict[int, datetime]:
        """The numbers of all finished parts, and since when each is. Raises Refusal (503, 507)."""
        part = finished_parts.c
        question = select(part.part_number, part.finished_at).where(part.upload == upload)
        async with self._database.reading() as connection:
            return {row.part_number: row.finished_at for row in await connection.execute(question)}

    async def finish(self, upload: str, number: int) -> datetime:
        """The part is held for good, since the time that is returned. Raises Refusal (503, 507).

        Parts that finish while another's row is being committed share the next transaction: a durable
        commit takes longer than many parts do.
        """
        finished_at = self._clock.now()
        row = {"upload": upload, "part_number": number, "finished_at": finished_at}
        mine = _FinishedPart(row)
        self._waiting.append(mine)
        try:
            async with self._turn:
                if not mine.is_settled:
                    batch, self._waiting = self._waiting, []
                    await self._write(batch)
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)  # cancelled before its turn: nobody vouches for it any more
        if mine.refusal is not None:
            raise mine.refusal
        return finished_at

    async def forget(self, upload: str, numbers: Collection[int] | None = None) -> None:
        """These parts (None: all) must be sent again. Raises Refusal (503, 507)."""
        condition = finished_parts.c.upload == upload
        if numbers is not None:
            condition = and_(condition, finished_parts.c.part_number.in_(sorted(numbers)))
        async with self._database.writing() as connection:
            await connection.execute(delete(finished_parts).where(condition))

    async def open_uploads(self) -> frozenset[str]:
        """Every upload that is not done, and forget the parts of those that are or are gone."""
        unfinished = select(uploads.c.upload).where(uploads.c.is_done.is_(False))
        async with self._database.writing() as connection:
            names = frozenset((await connection.execute(unfinished)).scalars())
            await connection.execute(delete(finished_parts).where(finished_parts.c.upload.not_in(unfinished)))
        return names

    async def _write(self, batch: list[_FinishedPart]) -> None:
        # What the others are told if this task is cancelled: whether the rows are there is not known then.
        refusal: Refusal | None = Refusal(BUSY, "The part is not recorded yet; send it again.", retry_after_seconds=1)
        try:
            async with self._database.writing() as connection:
                await insert_new(connection, finished_parts, [one.row for one in batch])
            refusal = None
        except Refusal as error:
            refusal = error
        finally:
            for one in batch:
                one.refusal, one.is_settled = refusal, True


@dataclass(slots=True, eq=False)
class _FinishedPart:
    """A row that waits to be committed, and what came of it."""

    row: dict[str, object]
    is_settled: bool = False
    refusal: Refusal | None = None
