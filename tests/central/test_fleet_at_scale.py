"""22,000 cameras and a year of history: the pages ask as few questions as with one dock, and each by an index."""

from __future__ import annotations

import aiohttp
import pytest

from dockd.central.app import ServedCentre
from dockd.central.schema import METADATA
from dockd.wire.fleet import Fleet
from tests.support.clock import ManualClock
from tests.support.fleet_seed import Force, seed_force
from tests.support.questions import questions_in, statements_to

pytestmark = pytest.mark.slow

PAGES = {
    "/fleet": 10,
    "/fleet/sites?unit=Borough+05": 8,
    "/fleet/search?q=BWC0123": 14,
    "/docks/dock-0001": 16,
    "/alerts": 12,
}


async def test_pages_ask_a_bounded_number_of_questions_however_large_the_force(
    centre: ServedCentre, session: aiohttp.ClientSession, clock: ManualClock
) -> None:
    database = centre.services.lists._database
    await seed_force(
        database, clock.now(), Force(units=1, sites=2, docks=2, bays=2, cameras=4, officers=4, weeks=2, days=2, hours=3)
    )
    counts: dict[str, int] = {}

    async def count() -> None:
        for path in PAGES:

            async def get(path: str = path) -> None:
                async with session.get(f"{centre.url}{path}") as response:
                    assert response.status in (200, 404), await response.text()

            with statements_to(centre.services.lists._database) as asked:
                await get()
            # What goes on beside (alerts, lists of custody) may ask in between; it only ever adds.
            counts[path] = min(len(questions_in(asked)), counts.get(path, len(questions_in(asked))))

    for _ in range(3):
        await count()
    async with database.writing() as connection:
        for table in reversed(METADATA.sorted_tables):
            if table.name != "centre":
                await connection.execute(table.delete())
    await seed_force(database, clock.now())
    few = dict(counts)
    counts.clear()
    for _ in range(3):
        await count()
    assert counts["/fleet"] == few["/fleet"]
    assert {path: number for path, number in counts.items() if number > PAGES[path]} == {}
    async with session.get(f"{centre.url}/api/v1/fleet") as response:
        found = Fleet.model_validate_json(await response.read())
        size_bytes = len(await response.read())
    assert (len(found.units), found.total.docks, found.total.bays) == (33, 460, 460 * 24)
    assert len(found.worst_sites) == 20
    assert found.hours[0].dockings == 2 * 460
    assert size_bytes < 200_000


async def test_a_judgement_of_the_whole_force_asks_a_bounded_number_of_questions(
    centre: ServedCentre, clock: ManualClock
) -> None:
    await seed_force(centre.services.lists._database, clock.now(), Force(weeks=2, days=2, hours=3))
    with statements_to(centre.services.lists._database) as asked:
        await centre.services.fleet.evaluator.evaluate()
    assert 0 < len(questions_in(asked)) <= 20
    counts = await centre.services.fleet.desk.counts()
    assert {"camera-overdue", "dock-silent", "bay-failing", "camera-failing", "footage-waiting"} <= {*counts}
