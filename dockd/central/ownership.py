"""What of uploads and footage is a dock's own. Reads who claimed what; must not know how a dock proved who it is."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, not_, or_, select

from dockd.central.database import Database
from dockd.central.tables import receipts, sources, uploads


class Ownership:
    """Answers from the database, so that every process of the centre says the same."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def may_go_on_with(self, upload: str, dock: str) -> bool:
        """Whether `dock` claimed what this upload is of, or there is no such upload. Raises Refusal (503).

        An upload that was given up is nobody's: its dock must be told that it is gone, and claims again.
        """
        is_it = uploads.c.upload == upload
        is_mine = and_(is_it, sources.c.digest == uploads.c.digest, sources.c.dock == dock)
        return await self._is(or_(exists().where(is_mine), not_(exists().where(is_it))))

    async def was_sent_by(self, digest: str, dock: str) -> bool:
        """Whether `dock` claimed these bytes before the store had them. Raises Refusal (503).

        A claim made later proves nothing: it takes a digest, not the footage, and must not open it to the dock.
        """
        is_mine = and_(
            sources.c.digest == digest,
            sources.c.dock == dock,
            receipts.c.digest == sources.c.digest,
            sources.c.claimed_at <= receipts.c.accepted_at,
        )
        return await self._is(exists().where(is_mine))

    async def _is(self, condition: ColumnElement[bool]) -> bool:
        async with self._database.looking() as connection:
            return bool((await connection.execute(select(condition))).scalar_one())
