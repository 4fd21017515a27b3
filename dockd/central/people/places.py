"""Which docks stand at a person's site. Knows one table; what is moved counts with the next request."""

from __future__ import annotations

from sqlalchemy import select

from dockd.central.database import Database
from dockd.central.tables import site_docks


class OwnDocks:
    """Answers from the lists of places."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def at(self, site: str | None) -> frozenset[str]:
        """The docks of `site`; none where there is no site. Raises Refusal (503)."""
        if site is None:
            return frozenset()
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(site_docks.c.dock).where(site_docks.c.site == site))).all()
        return frozenset(row.dock for row in rows)
