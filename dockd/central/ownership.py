"""What of uploads and footage is a dock's own. Reads who claimed what; must not know how a dock proved who it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, and_, bindparam, exists, select

from dockd.central.database import Database
from dockd.central.shared_looks import SharedLooks
from dockd.central.tables import receipts, sources, uploads

_Upload = tuple[str, str]
"""An upload, and the dock that wants to go on with it."""

_CLAIMANTS: Select[Any] = (
    select(uploads.c.upload, sources.c.dock)
    .distinct()
    .select_from(
        uploads.outerjoin(
            sources,
            and_(sources.c.digest == uploads.c.digest, sources.c.dock.in_(bindparam("docks", expanding=True))),
        )
    )
    .where(uploads.c.upload.in_(bindparam("names", expanding=True)))
)
_SENT_BY: Select[Any] = select(
    exists().where(
        sources.c.digest == bindparam("its_digest"),
        sources.c.dock == bindparam("its_dock"),
        receipts.c.digest == sources.c.digest,
        sources.c.claimed_at <= receipts.c.accepted_at,
    )
)


class Ownership:
    """Answers from the database, so that every process of the centre says the same."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._uploads: SharedLooks[_Upload, bool] = SharedLooks(self._which_are_open)

    async def may_go_on_with(self, upload: str, dock: str) -> bool:
        """Whether `dock` claimed what this upload is of, or there is no such upload. Raises Refusal (503).

        An upload that was given up is nobody's: its dock must be told that it is gone, and claims again.
        """
        return bool(await self._uploads.ask((upload, dock)))

    async def was_sent_by(self, digest: str, dock: str) -> bool:
        """Whether `dock` claimed these bytes before the store had them. Raises Refusal (503).

        A claim made later proves nothing: it takes a digest, not the footage, and must not open it to the dock.
        """
        async with self._database.looking() as connection:
            asked = {"its_digest": digest, "its_dock": dock}
            return bool((await connection.execute(_SENT_BY, asked)).scalar_one())

    async def _which_are_open(self, asked: Sequence[_Upload]) -> Mapping[_Upload, bool]:
        """Of each upload and dock, whether that dock claimed it or nobody has it any more."""
        given = {"names": sorted({upload for upload, _ in asked}), "docks": sorted({dock for _, dock in asked})}
        async with self._database.looking() as connection:
            rows = (await connection.execute(_CLAIMANTS, given)).all()
        claimed = {(row.upload, row.dock) for row in rows}
        known = {row.upload for row in rows}
        return {one: one in claimed or one[0] not in known for one in asked}
