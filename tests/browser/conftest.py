"""One Chromium and one town for all tests of a process: they take seconds to make and are not used up."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.pages_town import Town, pages_town
from tests.support.real_browser import RealBrowser, real_browser
from tests.support.sign_in import PASSWORD

_THREADS_MAY_TAKE_SECONDS = 3.0


@pytest.fixture(autouse=True)
def _no_thread_or_mount_left() -> None:
    """The town lives on from test to test and opens connections when it needs them: `town` looks at its end."""


@pytest.fixture(autouse=True)
def _no_task_left() -> None:
    """As above."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """The centre and its docks, with a past."""
    before = set(threading.enumerate())
    async with pages_town(tmp_path_factory.mktemp("town")) as here:
        yield here
    left = [one for one in set(threading.enumerate()) - before if not one.name.startswith("asyncio_")]
    for one in left:
        one.join(_THREADS_MAY_TAKE_SECONDS)
    assert not [one for one in left if one.is_alive()], f"left threads running: {left}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[RealBrowser]:
    """Chromium."""
    async with real_browser() as one:
        yield one


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def signed_in(town: Town, browser: RealBrowser) -> Any:
    """The cookies of the administrator, who signed in through the form, on a second device too, and made a token."""
    await _cookies_after_sign_in(town, browser)
    cookies = await _cookies_after_sign_in(town, browser)
    async with browser.window(cookies=cookies) as window:
        await window.go(f"{town.centre.url}/account")
        await window.page.fill("#purpose", "the nightly export to the prosecutor's own file store")
        await window.page.click("text=Make a token")
    return cookies


async def _cookies_after_sign_in(town: Town, browser: RealBrowser) -> Any:
    async with browser.window() as window:
        await window.go(f"{town.centre.url}/sign-in")
        await window.page.fill("#name", "ada")
        await window.page.fill("#password", PASSWORD)
        await window.page.click("button[type=submit]")
        await window.page.wait_for_url(f"{town.centre.url}/")
        return await window.page.context.storage_state()
