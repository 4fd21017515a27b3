"""Signing in with a password: the session that begins, how it ends, and what a stranger may learn (nothing)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from dockd.central.app import ServedCentre
from dockd.central.database import Database
from dockd.central.people.names import new_password
from dockd.central.people.tables import people, people_sessions
from dockd.rules.roles import Role
from tests.support.clock import ManualClock
from tests.support.html_check import read_html
from tests.support.sign_in import PASSWORD, Browser, add_person

OpenBrowser = Callable[..., Browser]


def database_of(centre: ServedCentre) -> Database:
    return centre.services.queries._database


async def facts(centre: ServedCentre, kind: str) -> list[dict[str, object]]:
    return [dict(one.about) for one in await centre.services.centre_facts.read(limit=1000, kind=kind)]


async def test_who_has_not_signed_in_is_sent_to_do_so_and_back(browser: Browser) -> None:
    wanted = "/recordings?camera=simulated:A1&from=2026-01-01"
    there = urlsplit(await browser.led_to(wanted))
    assert (there.path, parse_qs(there.query)) == ("/sign-in", {"next": [wanted]})
    await browser.get("/api/v1/docks", 401)
    status, _, to = await browser.post(
        "/sign-in", {"name": "ADA ", "password": PASSWORD, "next": "/recordings?camera=simulated:A1"}, on="/sign-in"
    )
    assert (status, to) == (303, "/recordings?camera=simulated:A1")
    assert "Ada" in await browser.get("/recordings")


async def test_the_page_for_signing_in_is_well_formed_and_needs_no_script(browser: Browser) -> None:
    html = await browser.get("/sign-in?next=%22%3E%3Cscript%3E")
    assert read_html(html).mistakes == []
    assert "<script" not in html


async def test_neither_password_nor_token_is_kept_as_it_is(browser: Browser, centre: ServedCentre) -> None:
    await browser.sign_in("ada")
    token = browser.cookie("dockd-session")
    assert token
    async with database_of(centre).reading() as connection:
        rows = [*(await connection.execute(select(people))).all(), *(await connection.execute(select(people_sessions)))]
    kept = repr(rows)
    assert PASSWORD not in kept
    assert token not in kept
    assert "$argon2id$" in kept


async def test_every_way_of_being_wrong_is_answered_alike(open_browser: OpenBrowser, centre: ServedCentre) -> None:
    assert centre.services.people is not None
    await centre.services.people.accounts.disable("ian", by="console")
    answers = set()
    for name, password in (("ada", "wrong"), ("nobody", PASSWORD), ("ian", PASSWORD), ("x y'\0", PASSWORD)):
        browser = open_browser()
        before = centre.services.people.passwords.compared
        text = await browser.sign_in(name, password, status=401)
        assert centre.services.people.passwords.compared - before == 1  # the same work, whoever is named
        token = await browser.token_on("/sign-in")
        answers.add(text.replace(token, "TOKEN"))
        assert browser.cookie("dockd-session") is None
    assert len(answers) == 1
    assert "Name and password do not fit together" in answers.pop()


async def test_failures_are_facts_that_name_only_people_who_exist(browser: Browser, centre: ServedCentre) -> None:
    await browser.sign_in("my-password-typed-here", "x", status=401)
    await browser.sign_in("ada", "wrong", status=401)
    failed = await facts(centre, "SignInFailed")
    assert [one["person"] for one in failed] == [None, "ada"]
    assert "my-password-typed-here" not in repr(await centre.services.centre_facts.read(limit=1000))


async def test_signing_in_and_out_are_facts(browser: Browser, centre: ServedCentre) -> None:
    await browser.sign_in("ada")
    await browser.post("/sign-out", {}, on="/account")
    (began,), (ended,) = await facts(centre, "SignedIn"), await facts(centre, "SignedOut")
    assert began["session"] == ended["session"]
    assert began["address"] == "127.0.0.1"


async def test_a_session_that_ended_is_over_at_the_centre_not_only_in_the_browser(
    browser: Browser, open_browser: OpenBrowser
) -> None:
    await browser.sign_in("ada")
    token = browser.cookie("dockd-session")
    assert token
    status, _, to = await browser.post("/sign-out", {}, on="/account")
    assert (status, to) == (303, "/sign-in")
    assert browser.cookie("dockd-session") is None
    copy = open_browser()
    copy.put_cookie("dockd-session", token)
    await copy.get("/account", 303)


async def test_a_session_ends_when_nothing_is_asked(browser: Browser, clock: ManualClock) -> None:
    await browser.sign_in("ada")
    for _ in range(3):
        clock.advance(29 * 60)
        await browser.get("/account")
    clock.advance(31 * 60)
    await browser.get("/account", 303)


async def test_a_session_ends_after_a_shift_however_busy(browser: Browser, clock: ManualClock) -> None:
    await browser.sign_in("ada")
    for _ in range(35):
        clock.advance(20 * 60)
        await browser.get("/account")
    clock.advance(21 * 60)
    await browser.get("/account", 303)


async def test_a_session_that_somebody_else_chose_is_not_the_one_that_begins(browser: Browser) -> None:
    chosen = "A" * 43
    browser.put_cookie("dockd-session", chosen)
    await browser.sign_in("ada")
    assert browser.cookie("dockd-session") not in (None, chosen)


async def test_signing_in_again_ends_the_session_before(browser: Browser, open_browser: OpenBrowser) -> None:
    await browser.sign_in("ada")
    first = browser.cookie("dockd-session")
    assert first
    await browser.session.get(f"{browser.origin}/account")
    token = await browser.token_on("/account")
    assert token
    browser.session.cookie_jar.clear(lambda one: one.key == "dockd-session")
    visit = await browser.token_on("/sign-in")
    browser.put_cookie("dockd-session", first)
    await browser.send("/sign-in", {"form_token": visit, "name": "ada", "password": PASSWORD})
    copy = open_browser()
    copy.put_cookie("dockd-session", first)
    await copy.get("/account", 303)


async def test_a_changed_password_ends_the_other_sessions_and_not_this_one(
    browser: Browser, open_browser: OpenBrowser, centre: ServedCentre
) -> None:
    other = open_browser()
    await other.sign_in("ada")
    await browser.sign_in("ada")
    fields = {"present": PASSWORD, "wanted": "four quiet dice roll", "again": "four quiet dice roll"}
    status, _, to = await browser.post("/account/password", fields, on="/account")
    assert (status, to) == (303, "/account?changed")
    assert "Your password was changed." in await browser.get(to)
    await other.get("/account", 303)
    await other.sign_in("ada", status=401)
    await other.sign_in("ada", "four quiet dice roll")
    assert await facts(centre, "PasswordChanged") == [{"person": "ada"}]


@pytest.mark.parametrize(
    ("present", "wanted", "again", "status"),
    [
        ("wrong", "four quiet dice roll", "four quiet dice roll", 401),
        (PASSWORD, "four quiet dice roll", "four quiet dice", 400),
        (PASSWORD, "short", "short", 400),
        (PASSWORD, PASSWORD, PASSWORD, 400),
    ],
)
async def test_a_password_is_changed_only_by_who_knows_it_and_to_a_good_one(
    browser: Browser, present: str, wanted: str, again: str, status: int
) -> None:
    await browser.sign_in("ada")
    fields = {"present": present, "wanted": wanted, "again": again}
    got, text, _ = await browser.post("/account/password", fields, on="/account")
    assert got == status
    assert "Not done" in text
    assert read_html(text).mistakes == []


async def test_one_of_the_own_sessions_is_ended_and_nobody_elses(
    browser: Browser, open_browser: OpenBrowser, centre: ServedCentre
) -> None:
    other, stranger = open_browser(**{"User-Agent": "Other/1 <b>"}), open_browser()
    for one, name in ((browser, "ada"), (other, "ada"), (stranger, "ian")):
        await one.sign_in(name)
    assert centre.services.people is not None
    (foreign,) = await centre.services.people.sessions.open_of("ian")
    status, _, _ = await browser.post(f"/account/sessions/{foreign.session}/end", {}, on="/account")
    assert status == 404
    page = await browser.get("/account")
    assert "Other/1 &lt;b&gt;" in page
    mine = [one for one in await centre.services.people.sessions.open_of("ada") if one.browser.startswith("Other")]
    status, _, _ = await browser.post(f"/account/sessions/{mine[0].session}/end", {}, on="/account")
    assert status == 303
    await other.get("/account", 303)
    await stranger.get("/account")
    assert read_html(page).mistakes == []


async def test_all_other_sessions_are_ended_at_once(browser: Browser, open_browser: OpenBrowser) -> None:
    others = [open_browser() for _ in range(3)]
    for one in (browser, *others):
        await one.sign_in("ada")
    await browser.post("/account/sessions/end-others", {}, on="/account")
    await browser.get("/account")
    for one in others:
        await one.get("/account", 303)


async def test_who_has_a_first_password_does_nothing_before_choosing_another(
    browser: Browser, centre: ServedCentre
) -> None:
    await add_person(centre.services, "new", Role.ADMINISTRATOR, must_change_password=True)
    await browser.sign_in("new")
    assert await browser.led_to("/") == "/account"
    assert "Choose a password of your own" in await browser.get("/account")
    await browser.get("/api/v1/docks", 403)
    status, _, _ = await browser.post("/account/tokens", {"purpose": "x"}, on="/account")
    assert status == 403
    wanted = new_password()
    await browser.post("/account/password", {"present": PASSWORD, "wanted": wanted, "again": wanted}, on="/account")
    await browser.get("/people")


async def test_twenty_people_sign_in_at_the_same_time(open_browser: OpenBrowser, centre: ServedCentre) -> None:
    names = [f"p{number}" for number in range(20)]
    for name in names:
        await add_person(centre.services, name, Role.IT)
    browsers = [open_browser() for _ in names]
    await asyncio.gather(*(one.sign_in(name) for one, name in zip(browsers, names, strict=True)))
    assert len({one.cookie("dockd-session") for one in browsers}) == len(names)
