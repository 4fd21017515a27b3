"""The local API: the same picture and actions for programs."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.test_utils import TestClient

from dockd.wire.problems import Problem
from dockd.wire.status import DockStatus, Headline
from tests.support.kiosk_fakes import DockOnPaper, empty_bay


async def test_status_is_the_dock(client: TestClient, dock: DockOnPaper) -> None:
    response = await client.get("/api/v1/status")
    assert response.headers["Cache-Control"] == "no-store"
    assert DockStatus.model_validate_json(await response.read()) == dock.snapshot()


async def test_events_tell_a_change(client: TestClient, dock: DockOnPaper) -> None:
    async def told(response) -> DockStatus:
        async with asyncio.timeout(5):
            while True:
                block = (await response.content.readuntil(b"\n\n")).decode()
                if block.startswith("event: status\ndata: "):
                    return DockStatus.model_validate_json(block.partition("data: ")[2])

    async with client.get("/api/v1/status/events") as response:
        assert await told(response) == dock.snapshot()
        dock.put(empty_bay("1"))
        assert (await told(response)).bays[0].headline is Headline.EMPTY


async def test_issue_answers_with_the_bay(client: TestClient, dock: DockOnPaper) -> None:
    response = await client.post("/api/v1/issue", json={"officer": "mx4521"})
    answer = await response.json()
    assert answer["headline"] == "Take the camera from bay 2"
    assert (answer["bay"], answer["officer"], answer["battery_percent"]) == ("2", "MX4521", 97)
    assert dock.bay("2").headline is Headline.TAKE


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"officer": 7}, 422),
        ({"officer": "x" * 201}, 422),
        ({"officer": "7", "bay": "1"}, 422),
        ([], 422),
        ({"officer": "a b"}, 400),
        ({"officer": "x" * 9000}, 413),
    ],
)
async def test_wrong_bodies_are_problems(client: TestClient, dock: DockOnPaper, body: object, status: int) -> None:
    response = await client.post("/api/v1/issue", json=body)
    assert response.status == status
    assert Problem.model_validate_json(await response.read()).status == status
    assert all(bay.officer is None for bay in dock.snapshot().bays)


async def test_form_of_another_site_cannot_pose_as_json(client: TestClient) -> None:
    response = await client.post("/api/v1/issue", data=b'{"officer": "1"}', headers={"Content-Type": "text/plain"})
    assert response.status == 415


async def test_refusals_carry_their_code(client: TestClient, dock: DockOnPaper) -> None:
    await client.post("/api/v1/issue", json={"officer": "1"})
    again = await client.post("/api/v1/issue", json={"officer": "1"})
    assert (again.status, (await again.json())["code"]) == (409, "already-holding")
    unknown = await client.post("/api/v1/bays/99/release")
    assert (unknown.status, (await unknown.json())["code"]) == (404, "not-found")
    ready = await client.post("/api/v1/bays/1/release")
    assert (ready.status, (await ready.json())["code"]) == (400, "bad-request")


async def test_release_and_cancel(client: TestClient, dock: DockOnPaper) -> None:
    assert (await client.post("/api/v1/bays/3/release")).status == 204
    assert dock.bay("3").headline is Headline.LEAVE_IN_BAY
    await client.post("/api/v1/issue", json={"officer": "1"})
    assert (await client.post("/api/v1/bays/2/cancel")).status == 204
    assert dock.bay("2").headline is Headline.READY
