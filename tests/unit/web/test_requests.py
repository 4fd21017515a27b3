"""Who is let in: threats from a browser that shows another site."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from dockd.web.hosts import host_name
from dockd.web.requests import SECURITY_HEADERS, guard_requests


@pytest_asyncio.fixture
async def client() -> AsyncIterator[TestClient]:
    app = web.Application()
    guard_requests(app, allowed_hosts={"127.0.0.1", "::1", "dock-7.example"})
    changed: list[str] = []

    async def look(_request: web.Request) -> web.Response:
        return web.Response(text=",".join(changed))

    async def change(_request: web.Request) -> web.Response:
        changed.append("changed")
        return web.Response(text="changed")

    app.router.add_get("/", look)
    app.router.add_post("/", change)
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        yield client


async def test_rebound_foreign_name_is_refused(client: TestClient) -> None:
    response = await client.get("/", headers={"Host": "evil.example"})
    assert response.status == 421


@pytest.mark.parametrize(
    "host", ["", "dock-7.example.evil.example", "127.0.0.1@evil.example", "evil.example:8480", "a b", "[::1"]
)
async def test_odd_hosts_are_refused(client: TestClient, host: str) -> None:
    response = await client.get("/", headers={"Host": host})
    assert response.status in (400, 421)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8480", "dock-7.example", "DOCK-7.Example:80", "[::1]:8480", "dock-7.example."]
)
async def test_known_names_are_served(client: TestClient, host: str) -> None:
    assert (await client.get("/", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://dock-7.example:81"},
        {"Origin": "file://"},
        {"Origin": "http://[bad"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://dock-7.example"},
    ],
)
async def test_change_caused_by_another_site_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    response = await client.post("/", headers={"Host": "dock-7.example", **headers})
    assert response.status == 403
    assert await (await client.get("/")).text() == ""


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://dock-7.example"}, {"Sec-Fetch-Site": "same-origin", "Origin": "null"}]
)
async def test_our_own_forms_and_plain_programs_pass(client: TestClient, headers: dict[str, str]) -> None:
    response = await client.post("/", headers={"Host": "dock-7.example", **headers})
    assert response.status == 200


async def test_another_site_may_not_change_but_a_link_may_show(client: TestClient) -> None:
    response = await client.get("/", headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status == 200


@pytest.mark.parametrize(("path", "host"), [("/", "127.0.0.1"), ("/missing", "127.0.0.1"), ("/", "evil.example")])
async def test_every_answer_carries_the_policy(client: TestClient, path: str, host: str) -> None:
    response = await client.get(path, headers={"Host": host})
    for name, value in SECURITY_HEADERS.items():
        assert response.headers[name] == value
    policy = response.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


@given(st.text(max_size=60))
def test_reading_a_host_never_fails(host: str) -> None:
    name = host_name(host)
    assert name is None or name == name.lower()
