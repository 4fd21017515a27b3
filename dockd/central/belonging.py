"""A database belongs to one centre's keys: whoever opens it with others is refused, and no row is written.

Why: a centre that is started with another centre's database, or with an empty one after a slip in the
configuration, would refuse every dock's facts as a gap and sign receipts that contradict its own books.
"""

from __future__ import annotations

from sqlalchemy import select

from dockd.central.database import Database, insert_new
from dockd.central.tables import centre
from dockd.clock import Clock
from dockd.errors import CentreUnusable
from dockd.rules.receipts import PinnedStore

_ONLY = 1


async def claim_database(database: Database, pinned: PinnedStore, clock: Clock) -> None:
    """Make an empty database this centre's, or see that it is. Raises CentreUnusable, Refusal (503, 507)."""
    row = {"place": _ONLY, "store": pinned.store, "key": pinned.key, "opened_at": clock.now()}
    async with database.writing() as connection:
        await insert_new(connection, centre, [row])
        held = (await connection.execute(select(centre))).one()
    if (held.store, held.key) != (pinned.store, pinned.key):
        raise CentreUnusable(
            f"The database belongs to the centre {held.store} with the key {held.key}, "
            f"and this folder holds the keys of {pinned.store} with {pinned.key}.",
            action="Correct the folder or the database in the configuration; never share a database between two.",
        )


async def check_is_of_a_centre(database: Database) -> None:
    """Raise CentreUnusable where no centre has ever opened this database: nobody asks anything of it."""
    async with database.reading() as connection:
        if (await connection.execute(select(centre.c.store))).first() is None:
            raise CentreUnusable(
                "No centre has opened this database yet.",
                action="Use the same [central] section as the centre, and start the centre first.",
            )
