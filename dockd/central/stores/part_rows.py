"""Which parts the folder store holds for good: one row for each, written after the bytes are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sqlalchemy import BindParameter, and_, bindparam, delete, select

from dockd.central.database import Database, insert_new
from dockd.central.refusals import BUSY
from dockd.central.shared_commits import SharedCommits
from dockd.central.tables import finished_parts, uploads
from dockd.clock import Clock
from dockd.web.problems import Refusal

_SPACING_SECONDS = 0.1

_UPLOAD: BindParameter[str] = bindparam("its_upload")
_PART = and_(finished_parts.c.upload == uploads.c.upload, finished_parts.c.part_number == bindparam("its_number"))
_STANDING = (
    select(uploads.c.is_done, finished_parts.c.part_number)
    .select_from(uploads.outerjoin(finished_parts, _PART))
    .where(uploads.c.upload == _UPLOAD)
)
_FINISHED = select(finished_parts.c.part_number, finished_parts.c.finished_at).where(finished_parts.c.upload == _UPLOAD)


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
        self._done: SharedCommits[str, None] = SharedCommits(
            self._forget_all, key=lambda upload: upload, at_once=1, spacing_seconds=_SPACING_SECONDS
        )

    async def close(self) -> None:
        """Wait for what is being committed."""
        await self._done.close()

    async def standing(self, upload: str, number: int) -> Standing:
        """How the part stands now. Raises Refusal (503, 507)."""
        asked = {"its_upload": upload, "its_number": number}
        async with self._database.looking() as connection:
            row = (await connection.execute(_STANDING, asked)).one_or_none()
        if row is None:
            return Standing.GONE
        return Standing.FINISHED if row.is_done or row.part_number is not None else Standing.WANTED

    async def finished(self, upload: str) -> dict[int, datetime]:
        """The numbers of all finished parts, and since when each is. Raises Refusal (503, 507)."""
        async with self._database.looking() as connection:
            rows = await connection.execute(_FINISHED, {"its_upload": upload})
            return {row.part_number: row.finished_at for row in rows}

    async def finish(self, upload: str, number: int) -> datetime:
        """The part is held for good, since the time that is returned. Raises Refusal (503, 507).

        Parts that finish while another's row is being committed share the next transaction: a durable
        commit takes longer than many parts do. (Not `SharedCommits`: whoever is cancelled there before its turn
        may still be written, and a part whose sender has gone must not be.)
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
        """These parts (None: all) must be sent again, if they are wanted at all. Raises Refusal (503, 507)."""
        if numbers is None:
            await self._done.add(upload)
            return
        condition = and_(finished_parts.c.upload == upload, finished_parts.c.part_number.in_(sorted(numbers)))
        async with self._database.writing() as connection:
            await connection.execute(delete(finished_parts).where(condition))

    async def open_uploads(self) -> frozenset[str]:
        """Every upload that is not done, and forget the parts of those that are or are gone."""
        unfinished = select(uploads.c.upload).where(uploads.c.is_done.is_(False))
        async with self._database.writing() as connection:
            names = frozenset((await connection.execute(unfinished)).scalars())
            await connection.execute(delete(finished_parts).where(finished_parts.c.upload.not_in(unfinished)))
        return names

    async def _forget_all(self, names: Sequence[str]) -> list[Refusal | None]:
        async with self._database.writing() as connection:
            await connection.execute(delete(finished_parts).where(finished_parts.c.upload.in_(sorted(names))))
        return [None] * len(names)

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
