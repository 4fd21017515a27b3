"""Whether an invitation agrees with the force's own list of sites, where there is one. Changes nothing."""

from __future__ import annotations

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.tables import site_docks, sites
from dockd.errors import BadRequest


async def check_site(connection: AsyncConnection, site: str, dock: str | None) -> None:
    """Raise BadRequest for a site that the list does not know, or where it says that `dock` stands elsewhere.

    `site` may be a site's id or its name. A centre without a list takes any words.
    """
    if (await connection.execute(select(sites.c.site).limit(1))).first() is None:
        return
    is_it = or_(sites.c.site == site, sites.c.name == site)
    known = set((await connection.execute(select(sites.c.site).where(is_it))).scalars())
    if not known:
        raise BadRequest(
            f"No site of the list is called {site!r}.",
            action="Give a site's id or name as in the list of sites, or import the list again with this site in it.",
        )
    if dock is None:
        return
    where = (await connection.execute(select(site_docks.c.site).where(site_docks.c.dock == dock))).scalar_one_or_none()
    if where is not None and where not in known:
        raise BadRequest(
            f"The list of sites says that dock {dock} stands at {where}, not at {site}.",
            action="Name that site, or correct the list and import it first.",
        )
