"""Behind a proxy with TLS: cookies for https alone, and clients told apart by what a trusted proxy says."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.config import CentreConfig
from dockd.rules.roles import Role
from tests.support.clock import ManualClock
from tests.support.sign_in import PASSWORD, add_person, sign_in_config

URL = "https://centre.example"
HEADERS = {"Host": "centre.example", "Origin": URL, "Sec-Fetch-Site": "same-origin"}


@pytest_asyncio.fixture
async def centre(config: CentreConfig, clock: ManualClock) -> AsyncIterator[ServedCentre]:
    sign_in = sign_in_config(url=URL, trusted_proxies=("127.0.0.1",))
    async with serving_centre(config, clock=clock, sign_in=sign_in) as served:
        await add_person(served.services, "ada", Role.ADMINISTRATOR)
        yield served


async def sign_in(centre: ServedCentre, password: str, forwarded: str) -> aiohttp.ClientResponse:
    """As the proxy hands it on; cookies are carried by hand, because to this client it is plain HTTP."""
    headers = {**HEADERS, "X-Forwarded-For": forwarded}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        async with session.get(f"{centre.url}/sign-in", headers=headers) as page:
            visit = page.cookies["__Host-dockd-visit"]
            token = (await page.text()).partition('name="form_token" value="')[2][:64]
        async with session.post(
            f"{centre.url}/sign-in",
            headers={**headers, "Cookie": f"__Host-dockd-visit={visit.value}"},
            data={"form_token": token, "name": "ada", "password": password},
            allow_redirects=False,
        ) as answer:
            await answer.read()
            return answer


async def test_cookies_are_for_this_host_and_https_alone(centre: ServedCentre) -> None:
    answer = await sign_in(centre, PASSWORD, "192.0.2.1")
    assert answer.status == 303
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    kept = {name: cookie for name, cookie in answer.cookies.items() if cookie.value}
    assert set(kept) == {"__Host-dockd-session", "__Host-dockd-browser"}
    for cookie in kept.values():
        assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (True, True, "/", "")
        assert cookie["samesite"] == "Lax"
    headers = {**HEADERS, "Cookie": f"dockd-session={kept['__Host-dockd-session'].value}"}
    async with aiohttp.ClientSession() as session:  # a cookie without the prefix may come from anywhere
        async with session.get(f"{centre.url}/account", headers=headers, allow_redirects=False) as page:
            assert page.status == 303


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("10.9.9.9, 192.0.2.1", "192.0.2.1"),  # what the client says itself comes first and counts for nothing
        ("", "127.0.0.1"),
        ("<script>", "127.0.0.1"),
        ("x" * 500, "127.0.0.1"),
    ],
)
async def test_an_address_is_what_the_trusted_proxy_says(centre: ServedCentre, forwarded: str, address: str) -> None:
    assert (await sign_in(centre, "wrong", forwarded)).status == 401
    (told,) = await centre.services.centre_facts.read(limit=10, kind="SignInFailed")
    assert told.about["address"] == address
