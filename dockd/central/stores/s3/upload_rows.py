"""Which multipart upload of the store belongs to which of ours: one row for each. Knows no S3."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, delete, select

from dockd.central.database import Database, insert_new
from dockd.central.tables import multipart_uploads


@dataclass(frozen=True, slots=True)
class MultipartUpload:
    """One of them. `object_key` is of this attempt alone, so that no attempt ever overwrites another's object."""

    upload: str
    multipart: str
    object_key: str
    retain_until: datetime | None
    began_at: datetime


class MultipartRows:
    """The rows. Every method raises Refusal (503, 507)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, upload: str) -> MultipartUpload | None:
        """The one that stands now."""
        async with self._database.reading() as connection:
            found = await connection.execute(select(multipart_uploads).where(multipart_uploads.c.upload == upload))
            row = found.one_or_none()
        return None if row is None else MultipartUpload(**row._mapping)

    async def put(self, mine: MultipartUpload) -> MultipartUpload:
        """Keep `mine` unless there is one already; returns the one that stands."""
        row = {name: getattr(mine, name) for name in MultipartUpload.__dataclass_fields__}
        async with self._database.writing() as connection:
            await insert_new(connection, multipart_uploads, [row])
            question = select(multipart_uploads).where(multipart_uploads.c.upload == mine.upload)
            return MultipartUpload(**(await connection.execute(question)).one()._mapping)

    async def stands(self, one: MultipartUpload) -> bool:
        """Whether nobody has given it up or replaced it."""
        return await self.of(one.upload) == one

    async def forget(self, one: MultipartUpload) -> None:
        """It is over; another one that took its place stays."""
        is_it = and_(multipart_uploads.c.upload == one.upload, multipart_uploads.c.multipart == one.multipart)
        async with self._database.writing() as connection:
            await connection.execute(delete(multipart_uploads).where(is_it))

    async def known(self) -> frozenset[str]:
        """The store's names of all that stand."""
        async with self._database.reading() as connection:
            return frozenset((await connection.execute(select(multipart_uploads.c.multipart))).scalars())
