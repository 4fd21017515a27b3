"""A centre at which people sign in, on both databases, with one person of each role."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.config import CentreConfig
from dockd.rules.roles import Role
from tests.support.clock import ManualClock
from tests.support.sign_in import Browser, add_person, sign_in_config

SITES = """site,name,unit,state,planned_on,live_on,closed_on,cameras_planned,docks
cam-1,Kentish Town,Camden,live,2026-09-01,2026-10-01,,400,dock-7 dock-8
bar-1,Barnet,Barnet,live,2026-09-01,2026-10-01,,400,dock-9
"""


@pytest.fixture
def config(config: CentreConfig) -> CentreConfig:
    return config.model_copy(update={"sign_in": "required"})


@pytest_asyncio.fixture
async def centre(config: CentreConfig, clock: ManualClock, tmp_path: Path) -> AsyncIterator[ServedCentre]:
    async with serving_centre(config, clock=clock, sign_in=sign_in_config()) as served:
        file = tmp_path / "sites.csv"
        file.write_text(SITES)
        await served.services.lists.bring_in("sites", file)
        await add_person(served.services, "ada", Role.ADMINISTRATOR)
        await add_person(served.services, "ian", Role.IT)
        await add_person(served.services, "aud", Role.AUDITOR)
        await add_person(served.services, "stan", Role.STATION, site="cam-1")
        yield served


@pytest_asyncio.fixture
async def open_browser(centre: ServedCentre) -> AsyncIterator[Callable[[], Browser]]:
    """Browsers, each with cookies of its own."""
    async with AsyncExitStack() as stack:
        opened: list[Browser] = []

        def one(**headers: str) -> Browser:
            opened.append(Browser(centre.url, **headers))
            return opened[-1]

        async def close() -> None:
            for each in opened:
                await each.session.close()

        stack.push_async_callback(close)
        yield one


@pytest_asyncio.fixture
async def browser(open_browser: Callable[[], Browser]) -> Browser:
    """One browser in which nobody has signed in yet."""
    return open_browser()
