"""Every page in a real browser: wide and on a phone, light and dark, by keyboard, without scripts, judged by axe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.pages_town import Town
from tests.support.real_browser import SIZES, RealBrowser
from tests.support.town_pages import CENTRE, PAGES, address

pytestmark = pytest.mark.asyncio(loop_scope="session")


def cookies_for(name: str, signed_in: Any) -> Any:
    """A dock's page knows no people; the sign-in page is for whoever has not."""
    return signed_in if name in CENTRE else None


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAGES)
async def test_page_is_fit_for_everybody(
    name: str, size: str, town: Town, browser: RealBrowser, signed_in: Any, tmp_path: Path
) -> None:
    status = 404 if name == "problem" else 200
    async with browser.window(size, cookies=cookies_for(name, signed_in)) as window:
        await window.go(address(town, name), status)
        await window.picture(tmp_path / f"{name}-{size}-light.png")
        found = {"light": await window.barriers(), "too wide": await window.too_wide()}
        await window.in_dark()
        await window.picture(tmp_path / f"{name}-{size}-dark.png")
        found |= {"dark": await window.barriers(only_colours=True), "keyboard": await window.unreachable()}
        said = await window.misbehaviour()
        if status == 404:
            said = [one for one in said if "404" not in one]  # Chromium notes the page's own status
        assert not [f"{what}: {words}" for what, words in {**found, "said": said}.items() if words], str(tmp_path)


@pytest.mark.parametrize("name", PAGES)
async def test_page_says_the_same_without_scripts(name: str, town: Town, browser: RealBrowser, signed_in: Any) -> None:
    shapes = []
    for scripts in (True, False):
        async with browser.window(cookies=cookies_for(name, signed_in), scripts=scripts) as window:
            await window.go(address(town, name), 404 if name == "problem" else 200)
            parts = ("h1", "h2", "tr", "article", "form", "main a")
            shapes.append([await window.page.locator(part).count() for part in parts])
            assert await window.page.locator("h1").first.inner_text()
            assert len(await window.words()) > 40
    assert shapes[0] == shapes[1]
