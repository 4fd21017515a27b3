"""Debian's Chromium, driven by Playwright: opens pages, and judges what every page must be.

Knows nothing of docks and centres. A page is judged by axe, by its width, by its console, by pressing Tab, and by
a picture that a person can look at.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright

CHROMIUM = "/usr/bin/chromium"
SIZES = {"wide": (1440, 900), "phone": (390, 844)}
_PATIENCE_MILLISECONDS = 30_000
_MOST_TABS_FOR_EACH = 8
"""A date field takes a Tab for day, month, year and its button."""

_NO_CONTRAST = "equalRatio"
"""Text in the very colour of its ground is a mere doubt to axe, which takes it for hidden on purpose."""

_LEFT = "net::ERR_ABORTED"
"""A stream ends when its page is left."""

_WATCH_POLICY = """
window.__refused = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.__refused.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""

_REACHABLE = """
() => {
  const words = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
  const seen = [...document.querySelectorAll(words)].filter((one) => {
    const isShown = one.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true });
    return isShown && !one.disabled;
  });
  seen.forEach((one, place) => { one.dataset.place = place; });
  return seen.map((one) => one.outerHTML.slice(0, 120));
}
"""

_FOCUSED = """
() => {
  const one = document.activeElement;
  if (!one || one === document.body || one === document.documentElement) return null;
  const look = getComputedStyle(one);
  const box = one.getBoundingClientRect();
  const middle = [box.left + box.width / 2, box.top + box.height / 2];
  const isInWindow = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return {
    place: one.dataset.place === undefined ? -1 : Number(one.dataset.place),
    html: one.outerHTML.slice(0, 120),
    isMarked: look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 2,
    isInWindow,
    middle,
  };
}
"""

_TOO_WIDE = """
() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width && document.body.scrollWidth <= width) return [];
  const parts = [...document.querySelectorAll("body *")].filter((one) => {
    return one.getBoundingClientRect().right > width + 1 && !one.closest(".scroll");
  });
  const widest = parts.slice(-4).map((one) => one.outerHTML.slice(0, 120));
  return [`${document.documentElement.scrollWidth} of ${width}`, ...widest];
}
"""


@dataclass
class Window:
    """One page in a context of its own; what its console said."""

    page: Page
    said: list[str] = field(default_factory=list)

    @classmethod
    async def open(cls, context: BrowserContext) -> Window:
        window = cls(await context.new_page())
        page = window.page
        page.set_default_timeout(_PATIENCE_MILLISECONDS)
        await page.add_init_script(_WATCH_POLICY)
        page.on("console", lambda one: window.said.append(f"console: {one.text}") if one.type != "log" else None)
        page.on("pageerror", lambda error: window.said.append(f"script: {error}"))
        page.on("requestfailed", window._not_loaded)
        return window

    def _not_loaded(self, request: Request) -> None:
        if request.failure != _LEFT:
            self.said.append(f"not loaded: {request.url} {request.failure}")

    async def go(self, address: str, status: int = 200) -> None:
        """Open an address; fails when the server answers otherwise."""
        answer = await self.page.goto(address, wait_until="load")
        assert answer is not None
        assert answer.status == status, f"{answer.status} {await self.words()}"

    async def words(self) -> str:
        """What a person reads on the page."""
        return " ".join((await self.page.inner_text("main")).replace("\u00a0", " ").split())

    async def misbehaviour(self) -> list[str]:
        """What console, scripts, network and content security policy complained of."""
        return [*self.said, *await self.page.evaluate("() => window.__refused ?? []")]

    async def too_wide(self) -> list[str]:
        """What makes the page scroll sideways; empty when it does not."""
        found: list[str] = await self.page.evaluate(_TOO_WIDE)
        return found

    async def barriers(self, *, only_colours: bool = False) -> str:
        """What axe finds wrong, with all its rules or those that look at colours; empty when nothing."""
        options: dict[str, Any] = {"resultTypes": ["violations", "incomplete"]}
        if only_colours:
            options["runOnly"] = ["color-contrast", "link-in-text-block"]
        found = await Axe().run(self.page, options=options)
        unreadable = [
            f"as dark as what is behind it: {node['html']}"
            for doubt in found.response["incomplete"]
            for node in doubt["nodes"]
            for check in node["any"]
            if (check.get("data") or {}).get("messageKey") == _NO_CONTRAST
        ]
        report = str(found.generate_report()) if found.violations_count else ""
        return "\n".join([*unreadable, report]).strip()

    async def in_dark(self) -> None:
        """From now on the person likes it dark; colours are there at once."""
        await self.page.emulate_media(color_scheme="dark", reduced_motion="reduce")

    async def unreachable(self) -> list[str]:
        """What can be pressed and is not reached by Tab, or shows no focus when it is."""
        reachable: list[str] = await self.page.evaluate(_REACHABLE)
        missing, wrong = set(range(len(reachable))), []
        for _ in range(_MOST_TABS_FOR_EACH * len(reachable) + 1):
            await self.page.keyboard.press("Tab")
            at: dict[str, Any] | None = await self.page.evaluate(_FOCUSED)
            if at is None:
                if not missing:
                    break
                continue
            if at["place"] in missing:
                missing.remove(at["place"])
                if not at["isMarked"]:
                    wrong.append(f"no visible focus: {at['html']}")
                if not at["isInWindow"]:
                    wrong.append(f"focused out of sight: {at['html']}")
            if not missing:
                break
        return wrong + [f"not reached by Tab: {reachable[place]}" for place in sorted(missing)]

    async def picture(self, file: Path) -> None:
        """The whole page, for a person to look at."""
        await self.page.screenshot(path=file, full_page=True)


@dataclass(frozen=True)
class RealBrowser:
    """One Chromium for many contexts."""

    chromium: Browser

    @asynccontextmanager
    async def window(
        self, size: str = "wide", *, cookies: Any = None, scripts: bool = True, **options: Any
    ) -> AsyncIterator[Window]:
        """A fresh browser as far as cookies go; `cookies` are those of another (`storage_state`)."""
        width, height = SIZES[size]
        context = await self.chromium.new_context(
            viewport={"width": width, "height": height},
            storage_state=cookies,
            java_script_enabled=scripts,
            reduced_motion="reduce",
            color_scheme="light",
            locale="en-GB",
            timezone_id="Europe/London",
            **options,
        )
        try:
            yield await Window.open(context)
        finally:
            await context.close()


@asynccontextmanager
async def real_browser() -> AsyncIterator[RealBrowser]:
    """Start Chromium; nothing is downloaded, and it talks to nobody but the pages."""
    flags = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium's sandbox refuses to work for root
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield RealBrowser(chromium)
        finally:
            await chromium.close()
