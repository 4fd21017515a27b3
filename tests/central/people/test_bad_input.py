"""Hostile requests at the sign-in page and the forms: other sites, other forms, too much, too slow, not text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from dockd.central.app import ServedCentre
from dockd.rules.roles import Role
from dockd.web import forms
from tests.support.html_check import read_html
from tests.support.sign_in import PASSWORD, Browser, add_person

OpenBrowser = Callable[..., Browser]
EVIL = '"><script>alert(1)</script>'
SQL = "'; DROP TABLE people;--"
FORM_HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}


async def role_of(centre: ServedCentre, person: str) -> Role:
    assert centre.services.people is not None
    return (await centre.services.people.accounts.one(person)).role


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "null"},
        {"Sec-Fetch-Site": "", "Origin": ""},
    ],
)
async def test_another_site_changes_nothing_even_with_the_right_token(
    browser: Browser, centre: ServedCentre, headers: dict[str, str]
) -> None:
    await browser.sign_in("ada")
    status, _, _ = await browser.post("/people/ian/role", {"role": "administrator"}, on="/people/ian", headers=headers)
    assert status == 403
    assert await role_of(centre, "ian") is Role.IT


@pytest.mark.parametrize("token", ["", "x", "0" * 64, EVIL, "ä" * 64])
async def test_a_form_without_its_token_changes_nothing(browser: Browser, centre: ServedCentre, token: str) -> None:
    await browser.sign_in("ada")
    status, text, _ = await browser.send("/people/ian/role", {"form_token": token, "role": "administrator"})
    assert status == 403
    assert "nothing was changed" in text
    assert await role_of(centre, "ian") is Role.IT


async def test_a_form_of_another_session_changes_nothing(
    browser: Browser, open_browser: OpenBrowser, centre: ServedCentre
) -> None:
    other = open_browser()
    await other.sign_in("ian")
    await browser.sign_in("ada")
    token = await other.token_on("/account")
    status, _, _ = await browser.send("/people/ian/role", {"form_token": token, "role": "administrator"})
    assert status == 403
    assert await role_of(centre, "ian") is Role.IT


async def test_nobody_is_signed_in_by_another_sites_form(browser: Browser, open_browser: OpenBrowser) -> None:
    attacker = open_browser()
    token = await attacker.token_on("/sign-in")
    await browser.get("/sign-in")
    status, _, _ = await browser.send("/sign-in", {"form_token": token, "name": "ian", "password": PASSWORD})
    assert status == 403
    assert browser.cookie("dockd-session") is None


async def test_a_cookie_alone_changes_nothing_through_the_api(browser: Browser, centre: ServedCentre) -> None:
    await browser.sign_in("ada")
    async with browser.session.put(f"{centre.url}/api/v1/docks/dock-7/status", json={}) as answer:
        assert answer.status == 403


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("text/plain", b"form_token=1", 415),
        ("application/x-www-form-urlencoded", b"name=" + b"a" * 70_000, 413),
        ("application/x-www-form-urlencoded", b"\xff\xfe=\xff", 400),
        ("application/x-www-form-urlencoded; charset=utf-32-bogus", b"a=b", 415),
        ("application/x-www-form-urlencoded", b"&" * 60_000, 413),
        ("application/x-www-form-urlencoded", b"form_token=%FF%FE%00", 403),
        ("application/x-www-form-urlencoded", b"", 403),
    ],
)
async def test_what_is_no_form_is_refused_in_words(
    browser: Browser, content_type: str, body: bytes, status: int
) -> None:
    await browser.get("/sign-in")
    headers = {**FORM_HEADERS, "Content-Type": content_type}
    async with browser.session.post(f"{browser.origin}/sign-in", data=body, headers=headers) as answer:
        text = await answer.text()
        assert answer.status == status, text
        assert read_html(text).mistakes == []
        assert "Traceback" not in text


async def test_an_endless_form_is_cut_off(browser: Browser) -> None:
    async def endless():  # type: ignore[no-untyped-def] # an async generator for aiohttp
        for _ in range(400):
            yield b"a" * 65_536

    started = time.monotonic()
    await browser.get("/sign-in")
    try:
        async with browser.session.post(f"{browser.origin}/sign-in", data=endless(), headers=FORM_HEADERS) as answer:
            assert answer.status == 413
    except OSError:
        pass  # hung up on in the middle of it, which is as good
    assert time.monotonic() - started < 30


async def test_a_form_that_drips_is_given_up(
    browser: Browser, centre: ServedCentre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "_PATIENCE_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", centre.port)
    writer.write(
        b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 500\r\n\r\nname=a"
    )
    await writer.drain()
    line = await asyncio.wait_for(reader.readline(), 10)
    assert b" 408 " in line
    writer.close()
    await writer.wait_closed()
    await browser.sign_in("ada")  # nobody else waited


@pytest.mark.parametrize("name", ["ada\0", "a" * 5000, EVIL, SQL, "ada' OR '1'='1", "%00", "ÀDA", "\u202eada"])
async def test_whatever_is_typed_as_a_name_is_only_wrong(browser: Browser, centre: ServedCentre, name: str) -> None:
    text = await browser.sign_in(name, PASSWORD, status=400 if len(name) > 1000 else 401)
    assert "<script" not in text
    assert await role_of(centre, "ada") is Role.ADMINISTRATOR


@pytest.mark.parametrize(
    "cookie", ["", "x", "A" * 43, "A" * 5000, "../../etc/passwd", "%00" * 14 + "A", EVIL.replace(";", ""), "'--"]
)
async def test_whatever_comes_as_a_session_is_nobodys(browser: Browser, centre: ServedCentre, cookie: str) -> None:
    headers = {"Cookie": f"dockd-session={cookie}; dockd-browser={cookie}; dockd-visit={cookie}"}
    for path in ("/account", "/sign-in"):
        async with browser.session.get(f"{centre.url}{path}", headers=headers, allow_redirects=False) as answer:
            assert answer.status in (200, 303, 400), await answer.text()
            assert answer.status != 200 or path == "/sign-in"


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Bearer x", "Bearer dockd_" + "A" * 43, "Basic YWRhOng=", "Bearer dockd_" + EVIL]
)
async def test_whatever_comes_as_a_scripts_token_is_nobodys(browser: Browser, centre: ServedCentre, value: str) -> None:
    async with browser.session.get(f"{centre.url}/api/v1/docks", headers={"Authorization": value}) as answer:
        assert answer.status == 401


async def test_a_wrong_token_does_not_fall_back_on_the_cookie(browser: Browser, centre: ServedCentre) -> None:
    await browser.sign_in("ada")
    headers = {"Authorization": "Bearer dockd_" + "A" * 43}
    async with browser.session.get(f"{centre.url}/api/v1/docks", headers=headers) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example"])
async def test_signing_in_leads_nowhere_else(browser: Browser, target: str) -> None:
    fields = {"name": "ada", "password": PASSWORD, "next": target}
    assert (await browser.post("/sign-in", fields, on="/sign-in"))[2] == "/"
    assert await browser.led_to("/sign-in?next=//evil.example") == "/"


async def test_html_in_every_name_stays_text(browser: Browser, open_browser: OpenBrowser, centre: ServedCentre) -> None:
    await add_person(centre.services, "eve", Role.AUDITOR, full_name=f"{EVIL} {SQL}")
    eve = open_browser(**{"User-Agent": EVIL})
    await eve.sign_in("eve")
    status, text, _ = await eve.post("/account/tokens", {"purpose": f"{EVIL} {SQL}"}, on="/account")
    assert status == 200
    assert "<script" not in text
    await browser.sign_in("ada")
    for path in ("/people", "/people/eve"):
        html = await browser.get(path)
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        assert read_html(html).mistakes == []


@pytest.mark.parametrize("name", ["%00", "x%00y", "a%20b", "nobody", "%22%3E%3Cscript%3E", "a" * 300])
async def test_people_of_odd_names_are_not_there(browser: Browser, name: str) -> None:
    await browser.sign_in("ada")
    async with browser.session.get(f"{browser.origin}/people/{name}", allow_redirects=False) as answer:
        assert answer.status in (400, 404), await answer.text()


@pytest.mark.parametrize("site", ["x\0", "../x", EVIL, SQL, "nowhere", "a" * 500])
async def test_odd_sites_are_refused_in_words(browser: Browser, centre: ServedCentre, site: str) -> None:
    await browser.sign_in("ada")
    status, text, _ = await browser.post("/people/ian/role", {"role": "station", "site": site}, on="/people/ian")
    assert status == 400
    assert "<script" not in text
    assert await role_of(centre, "ian") is Role.IT


async def test_pages_of_people_are_kept_by_no_cache_and_framed_by_nobody(
    browser: Browser, centre: ServedCentre
) -> None:
    await browser.sign_in("ada")
    for path in ("/", "/account", "/people", "/people/ada", "/sign-in"):
        async with browser.session.get(f"{centre.url}{path}", allow_redirects=False) as answer:
            assert answer.headers["Cache-Control"] == "no-store", path
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
