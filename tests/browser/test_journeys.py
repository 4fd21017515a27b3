"""What people do at the centre, in a real browser with sign-in required: every form is filled in and sent."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from dockd.central.people.lockout import FROM_ANYWHERE
from dockd.central.people.permits import PERMITS
from tests.support.pages_town import HERE, THERE, Town, paper_page
from tests.support.real_browser import RealBrowser, Window
from tests.support.sign_in import PASSWORD
from tests.support.tar_files import unpacked
from tests.support.town_pages import CENTRE, address

pytestmark = pytest.mark.asyncio(loop_scope="session")

NEW_PASSWORD = "an owl sat in the old oak"


class Person:
    """Somebody at a browser. `sent` are the addresses to which forms were sent, as they are registered."""

    def __init__(self, window: Window, town: Town) -> None:
        self.window = window
        self.page = window.page
        self.url = town.centre.url
        self.sent: set[str] = set()
        self.page.on("request", lambda request: self._note(request.method, request.url))

    def _note(self, method: str, url: str) -> None:
        if method == "POST":
            path = url.removeprefix(self.url).partition("?")[0]
            self.sent.add(next(one for one in POSTED if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one), path)))

    async def sign_in(self, name: str, password: str = PASSWORD) -> None:
        await self.page.goto(f"{self.url}/sign-in")
        await self.fill(name=name, password=password)
        await self.press("Sign in")

    async def look_at(self, path: str, status: int = 200) -> str:
        await self.window.go(self.url + path, status)
        return await self.window.words()

    async def fill(self, **fields: str) -> None:
        """Type into the fields of these ids (`_` for `-`), or choose."""
        for name, value in fields.items():
            field = self.page.locator(f"#{name.replace('_', '-')}" if "full_" not in name else f"#{name}")
            if await field.evaluate("(one) => one.tagName") == "SELECT":
                await field.select_option(value)
            else:
                await field.fill(value)

    async def press(self, button: str) -> str:
        """Press the button with these words; returns the words of the page that comes."""
        async with self.page.expect_navigation():
            await self.page.get_by_role("button", name=button, exact=True).first.click()
        return await self.window.words()

    async def secret(self) -> str:
        """What is shown once."""
        return await self.page.locator("code.secret").inner_text()


POSTED = sorted(
    (path for method, path in PERMITS if method == "POST" and not path.startswith("/api/")),
    key=lambda path: path.count("{"),
)


def forms_under(*beginnings: str) -> set[str]:
    """All addresses of forms that begin so."""
    return {one for one in POSTED if one.startswith(beginnings)}


# --- who may come in ----------------------------------------------------------------------------


async def test_wrong_password_is_told_in_words_and_tells_nothing_of_names(town: Town, browser: RealBrowser) -> None:
    told = []
    for name in ("ian", "nobody.of.that.name"):
        async with browser.window() as window:
            person = Person(window, town)
            await person.sign_in(name, "wrong wrong wrong")
            told.append(await window.words())
            assert await window.page.get_by_role("alert").is_visible()
            assert await window.page.input_value("#password") == ""
            assert await window.barriers() == ""
            await person.look_at("/")
            assert window.page.url.startswith(f"{town.centre.url}/sign-in")
    assert told[0] == told[1]
    assert "password" in told[0]


async def test_station_staff_see_their_own_site_and_no_other(town: Town, browser: RealBrowser) -> None:
    async with browser.window("phone") as window:
        stan = Person(window, town)
        await stan.sign_in("stan")
        words = await window.words()
        assert (HERE in words, THERE in words) == (True, False)
        links = [await one.inner_text() for one in await window.page.locator("nav a").all()]
        assert links == ["Docks", "Recordings"]
        assert "Battery" in await stan.look_at(f"/docks/{HERE}")
        for path in (f"/docks/{THERE}", "/docks/nowhere"):
            assert "No dock of this name stands at your site." in await stan.look_at(path, 403)
        assert "all sites together" in await stan.look_at("/fleet", 403) or "role" in await window.words()
        assert "dock-3" not in await stan.look_at("/recordings")
        await stan.look_at(f"/recordings/{town.recording}", 403)


async def test_auditor_is_added_chooses_a_password_holds_a_recording_and_takes_out_the_account(
    town: Town, browser: RealBrowser, tmp_path: Path
) -> None:
    async with browser.window() as window, browser.window() as other:
        ada, audrey = Person(window, town), Person(other, town)
        await ada.sign_in("ada")
        await ada.look_at("/people")
        await ada.fill(name="audrey", full_name="Audrey Ash", role="auditor")
        assert "It is shown this once" in await ada.press("Add, and show a first password")
        await audrey.sign_in("audrey", await ada.secret())
        assert "Choose a password of your own" in await other.words()
        await other.page.goto(f"{town.centre.url}/custody")
        assert other.page.url == f"{town.centre.url}/account"  # nothing else until then
        await audrey.fill(present=await ada.secret(), wanted=NEW_PASSWORD, again=NEW_PASSWORD)
        await audrey.press("Change password")
        await audrey.look_at(f"/recordings/{town.recording}")
        await audrey.fill(hold_reason="Case 99/2026")
        assert "Case 99/2026" in await audrey.press("Hold this recording")
        assert "Set by audrey" in await audrey.look_at("/retention/holds")
        assert "403" in await audrey.look_at("/people", 403)
        await audrey.look_at(f"/custody?dock={HERE}")
        bundle = await _taken_out(other, "Signed bundle", tmp_path)
        assert "CAM-1" in (await _taken_out(other, "recordings", tmp_path)).read_text()
        folder = await asyncio.to_thread(unpacked, bundle.read_bytes(), tmp_path / "bundle")
        verify = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dockd", "verify", str(folder)), stdout=asyncio.subprocess.PIPE
        )
        told, _ = await verify.communicate()
        assert verify.returncode == 0, told.decode()


async def _taken_out(window: Window, link: str, folder: Path) -> Path:
    async with window.page.expect_download() as taking:
        await window.page.get_by_role("link", name=link, exact=True).click()
    taken = await taking.value
    file = folder / taken.suggested_filename
    await taken.save_as(file)
    return file


# --- every form, pressed ------------------------------------------------------------------------


async def test_it_acknowledges_and_silences_an_alert_and_ends_the_silence(town: Town, browser: RealBrowser) -> None:
    async with browser.window() as window:
        ian = Person(window, town)
        await ian.sign_in("ian")
        await ian.look_at("/alerts")
        await window.page.locator("article h2 a").last.click()
        await window.page.wait_for_url(re.compile(r"/alerts/\d+$"))
        path = window.page.url.removeprefix(town.centre.url)
        assert "ian" in await ian.press("Acknowledge")
        await ian.look_at(path)
        await ian.fill(reason="The engineer comes on Friday")
        await ian.press("Silence")
        assert "until" in await ian.look_at(path)
        assert "The engineer comes on Friday" in await ian.look_at("/alerts")
        await window.page.get_by_role("button", name=re.compile("^End silence")).click()
        await window.page.wait_for_load_state()
        assert "Nothing is silenced." in await ian.look_at("/alerts")
        await window.page.locator("summary").click()
        await ian.fill(kind="dock-silent", reason="Moving house")
        assert "Moving house" in await ian.press("Silence")
        await window.page.get_by_role("button", name=re.compile("^End silence")).click()
        assert {one for one in ian.sent if not one.startswith("/sign")} == forms_under("/alerts", "/silences")


async def test_every_form_about_people_does_what_it_says(town: Town, browser: RealBrowser) -> None:
    async with browser.window() as window, browser.window() as other:
        ada, otto = Person(window, town), Person(other, town)
        await ada.sign_in("ada")
        await ada.look_at("/people")
        await ada.fill(name="otto", full_name="Otto Orr", role="it")
        await ada.press("Add, and show a first password")
        first = await ada.secret()
        await _guess_from_everywhere(town, "otto")
        await otto.sign_in("otto", first)
        assert "Wait" in await other.words()
        assert "guessed wrongly too often" in await ada.look_at("/people/otto")
        await ada.press("Let them try again now")
        await otto.sign_in("otto", first)
        await otto.fill(present=first, wanted=NEW_PASSWORD, again=NEW_PASSWORD)
        await otto.press("Change password")
        await otto.fill(purpose="nightly export")
        await otto.press("Make a token")
        assert "nightly export" in await ada.look_at("/people/otto")
        assert "nightly export" not in await ada.press("Revoke the token for nightly export")
        await ada.press("End all sessions")
        await other.page.goto(f"{town.centre.url}/")
        assert "/sign-in" in other.page.url
        await ada.fill(role="auditor")
        await ada.press("Change role")
        assert await window.page.input_value("#role") == "auditor"
        assert "nobody signs in as otto" in await ada.press("Disable the account")
        await otto.sign_in("otto", NEW_PASSWORD)
        assert await other.page.get_by_role("alert").is_visible()
        assert "nobody signs in as otto" not in await ada.press("Enable the account")
        await ada.press("Give another password")
        await otto.sign_in("otto", await ada.secret())
        assert "Choose a password of your own" in await other.words()
        assert {one for one in ada.sent if not one.startswith("/sign")} == forms_under("/people")


async def _guess_from_everywhere(town: Town, name: str) -> None:
    """What no single browser can do."""
    people = town.centre.services.people
    assert people is not None
    for number in range(FROM_ANYWHERE.failures):
        await people.lockout.begin(name, f"192.0.2.{number}", known_browser=None)


async def test_every_form_of_the_own_account_does_what_it_says(town: Town, browser: RealBrowser) -> None:
    async with browser.window() as window, browser.window() as second, browser.window("phone") as third:
        nora, elsewhere, phone = (Person(one, town) for one in (window, second, third))
        await nora.sign_in("nora")
        await nora.fill(present=PASSWORD, wanted=NEW_PASSWORD, again="something else here")
        assert "Not done" in await nora.press("Change password")
        await nora.fill(present=PASSWORD, wanted=NEW_PASSWORD, again=NEW_PASSWORD)
        await nora.press("Change password")
        for one in (elsewhere, phone):
            await one.sign_in("nora", NEW_PASSWORD)
        await nora.look_at("/account")
        await window.page.get_by_role("button", name=re.compile("^End the session of")).first.click()
        await window.page.wait_for_load_state()
        await nora.look_at("/account")
        await nora.press("End all others")
        for one in (elsewhere, phone):
            await one.page.goto(f"{town.centre.url}/account")
            assert "/sign-in" in one.page.url
        await nora.fill(purpose="a script")
        assert "The new token" in await nora.press("Make a token")
        await nora.press("Revoke the token for a script")
        await nora.press("Sign out")
        await window.page.goto(f"{town.centre.url}/account")
        assert "/sign-in" in window.page.url
        assert nora.sent == forms_under("/account", "/sign-")


async def test_every_form_of_retention_does_what_it_says(town: Town, browser: RealBrowser) -> None:
    async with browser.window() as window:
        ada = Person(window, town)
        await ada.sign_in("ada")
        await ada.look_at("/retention/policies")
        await ada.fill(category="training", days="90", reason="Decided in November")
        assert "training kept 90 days" in await ada.press("Set")
        await ada.look_at(f"/recordings/{town.recording}")
        await ada.fill(category="training", classify_reason="A demonstration")
        assert "training: A demonstration" in await ada.press("Classify")
        await ada.look_at("/retention/holds")
        await ada.fill(camera="simulated:CAM-2", reason="A claim came in")
        words = await ada.press("Hold")
        number = re.search(r"Hold (\d+) Held", words)
        assert number
        await ada.fill(**{f"release_{number[1]}": "The claim was withdrawn"})
        assert "The claim was withdrawn" in await ada.press(f"Release hold {number[1]}")
        assert "A person must look at this list" in await ada.look_at("/retention")
        await ada.fill(recordings="2", stop_reason="They are wanted")
        assert "declined the list" in await ada.press("No, keep them")
        assert {one for one in ada.sent if not one.startswith("/sign")} == forms_under("/retention")


async def test_every_form_that_changes_something_carries_its_token(
    town: Town, browser: RealBrowser, signed_in: Any
) -> None:
    forms = 0
    async with browser.window(cookies=signed_in) as window:
        for name in CENTRE.keys() - {"problem"}:
            await window.go(address(town, name))
            for form in await window.page.locator("form[method=post]").all():
                token = await form.locator("input[name=form_token]").get_attribute("value")
                assert re.fullmatch("[0-9a-f]{64}", token or ""), f"{name}: {await form.inner_html()}"
                forms += 1
    assert forms > len(CENTRE)  # each has the button for signing out


# --- at the dock --------------------------------------------------------------------------------


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
async def test_camera_is_issued_at_the_dock_with_the_keyboard_alone(browser: RealBrowser, scripts: bool) -> None:
    async with paper_page() as url, browser.window(scripts=scripts) as window:
        await window.go(url)
        await window.page.locator("#officer:focus").wait_for()  # by itself, as a badge reader needs
        await window.page.keyboard.type("PC7")
        await window.page.keyboard.press("Enter")
        await window.page.get_by_text("Take the camera from bay 5").wait_for()
        if not scripts:
            await window.go(url)
        await window.page.locator("#bay-5 .officer").get_by_text("PC7").wait_for()
        await window.page.locator("#bay-5-cancel").focus()
        await window.page.keyboard.press("Enter")
        await window.page.get_by_role("button", name="Do not issue it").click()
        await window.page.get_by_text("Bay 5 was given back").wait_for()
        assert await window.misbehaviour() == []
