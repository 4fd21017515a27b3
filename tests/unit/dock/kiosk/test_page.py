"""The page as a browser without scripts has it, and as an attacker would like it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from dockd.dock.kiosk.notices import Notice, Notices
from dockd.dock.kiosk.page import refusal
from dockd.errors import DockdError, NotCharging
from dockd.model.moment import ClockSync
from dockd.wire.status import BayStatus, Headline, Progress
from tests.support.html_check import read_html
from tests.support.kiosk_fakes import NOW, DockOnPaper, empty_bay, held_bay, ready_bay

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}'"


async def page(client: TestClient, path: str = "/", status: int = 200) -> str:
    response = await client.get(path)
    assert response.status == status
    assert response.content_type == "text/html"
    return await response.text()


def text_of(html: str) -> str:
    return read_html(html).words


# --- the picture --------------------------------------------------------------------------------


async def test_page_says_what_each_bay_says(client: TestClient, dock: DockOnPaper) -> None:
    html = await page(client)
    reader = read_html(html)
    assert reader.mistakes == []
    for bay in dock.snapshot().bays:
        assert f"bay-{bay.bay}" in reader.ids
    words = text_of(html)
    assert "The card is write-protected." in words
    assert "Charing Cross" in words


@pytest.mark.parametrize("headline", Headline)
async def test_every_kind_of_tile_is_sound_html(client: TestClient, dock: DockOnPaper, headline: Headline) -> None:
    progress = Progress(
        done_bytes=1, total_bytes=3, done_recordings=0, total_recordings=2, rate_bytes_per_second=5, eta_seconds=9
    )
    update = {
        "headline": headline,
        "progress": progress,
        "officer": "MX4521",
        "code": "some-code",
        "retry_at": NOW,
        "blockers": ("the camera's clock is not set",),
        "recordings_listed": 2,
        "recordings_retained": 1,
        "battery_percent": 12,
    }
    dock.put(ready_bay("1").model_copy(update=update))
    html = await page(client)
    assert read_html(html).mistakes == []
    assert headline.value in text_of(html)


@pytest.mark.parametrize("count", [0, 1, 8, 12, 24, 40])
async def test_any_number_of_bays(client: TestClient, dock: DockOnPaper, count: int) -> None:
    dock._bays = {}
    for place in range(count):
        dock.put(empty_bay(str(place + 1)))
    reader = read_html(await page(client))
    assert reader.mistakes == []
    assert reader.tags["article"] == count


async def test_page_reads_without_scripts(client: TestClient) -> None:
    html = await page(client)
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in html
    assert 'href="/issue"' in html


async def test_bad_clock_and_unreachable_centre_are_said(client: TestClient, dock: DockOnPaper) -> None:
    dock.change(clock_sync=ClockSync.UNSYNCHRONISED, is_centre_reachable=False, centre_words="No answer for 12 min.")
    words = text_of(await page(client))
    assert "clock is not synchronised" in words
    assert "Out of reach No answer for 12 min." in words


FIELDS: list[dict[str, Any]] = [
    {"words": EVIL},
    {"model": EVIL},
    {"code": EVIL},
    {"state": EVIL},
    {"port": EVIL},
    {"blockers": (EVIL,)},
]


@pytest.mark.parametrize("update", FIELDS)
@pytest.mark.parametrize("headline", [Headline.HELD, Headline.TAKE, Headline.LEAVE_IN_BAY])
async def test_nothing_from_a_camera_becomes_markup(
    client: TestClient, dock: DockOnPaper, update: dict[str, Any], headline: Headline
) -> None:
    dock.put(BayStatus.model_validate(dict(ready_bay("1")) | update | {"headline": headline, "officer": "7"}))
    for path in ("/", "/bays/1/release", "/bays/1/cancel"):
        response = await client.get(path)
        html = await response.text()
        assert "<script>alert" not in html
        assert "<img" not in html
        assert read_html(html).mistakes == []


@pytest.mark.parametrize("field", ["site", "version", "centre_words"])
async def test_nothing_of_the_dock_becomes_markup(client: TestClient, dock: DockOnPaper, field: str) -> None:
    dock.change(**{field: EVIL})
    html = await page(client)
    assert "<script>alert" not in html
    assert read_html(html).mistakes == []


async def test_officer_number_that_is_markup_is_refused_as_text(client: TestClient) -> None:
    response = await client.post("/issue", data={"officer": EVIL})
    html = await response.text()
    assert "is not an officer number" in text_of(html)
    assert "<script>alert" not in html


# --- forms --------------------------------------------------------------------------------------


async def test_issuing_by_form_leads_back_with_the_bay(client: TestClient, dock: DockOnPaper) -> None:
    response = await client.post("/issue", data={"officer": " mx4521 "}, allow_redirects=False)
    assert response.status == 303
    html = await page(client, response.headers["Location"])
    assert "Take the camera from bay 2" in text_of(html)
    assert dock.bay("2").officer == "MX4521"
    assert read_html(html).mistakes == []


async def test_message_is_not_in_the_address_and_cannot_be_forged(client: TestClient) -> None:
    response = await client.post("/issue", data={"officer": "1"}, allow_redirects=False)
    assert "bay" not in response.headers["Location"]
    assert "bay 9" not in await page(client, "/?notice=Take+the+camera+from+bay+9")


async def test_refusal_is_told_in_words(client: TestClient, dock: DockOnPaper) -> None:
    await client.post("/issue", data={"officer": "MX4521"})
    words = text_of(await (await client.post("/issue", data={"officer": "MX4521"})).text())
    assert "Not done Officer MX4521 already holds a camera. Dock the other camera first" in words


async def test_nothing_ready_is_told_in_words(client: TestClient, dock: DockOnPaper) -> None:
    for name in ("1", "2", "5"):
        dock.put(empty_bay(name))
    words = text_of(await (await client.post("/issue", data={"officer": "1"})).text())
    assert "No camera in this dock is ready." in words


async def test_failure_of_the_camera_while_issuing_is_told_in_words(
    client: TestClient, dock: DockOnPaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_officer: str) -> None:
        raise NotCharging("The camera stopped answering.")

    monkeypatch.setattr(dock, "issue", fails)
    words = text_of(await (await client.post("/issue", data={"officer": "1"})).text())
    assert "Not done The camera stopped answering." in words


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"officer=", "application/x-www-form-urlencoded"),
        (b"officer=%ff%fe", "application/x-www-form-urlencoded"),
        (b"officer=" + b"x" * 10_000, "application/x-www-form-urlencoded"),
        (b'{"officer": "1"}', "application/json"),
        (b"--x--", "multipart/form-data; boundary=x"),
        (b"officer=1", "text/plain"),
    ],
)
async def test_odd_forms_are_refused_in_words(client: TestClient, dock: DockOnPaper, body: bytes, kind: str) -> None:
    response = await client.post("/issue", data=body, headers={"Content-Type": kind})
    assert response.status == 200
    assert "Not done" in text_of(await response.text())
    assert all(bay.officer is None for bay in dock.snapshot().bays)


async def test_form_stands_still_on_a_page_of_its_own(client: TestClient) -> None:
    html = await page(client, "/issue")
    assert "refresh" not in html
    assert read_html(html).mistakes == []
    assert "3 cameras are ready at Charing Cross" in text_of(html)


async def test_release_is_asked_first_and_then_done(client: TestClient, dock: DockOnPaper) -> None:
    html = await page(client, "/bays/3/release")
    assert read_html(html).mistakes == []
    assert "The card is write-protected." in text_of(html)
    assert dock.bay("3").headline is Headline.HELD
    response = await client.post("/bays/3/release")
    assert "Bay 3 goes on" in text_of(await response.text())
    assert dock.bay("3").headline is Headline.LEAVE_IN_BAY


async def test_promise_is_given_back_after_a_question(client: TestClient, dock: DockOnPaper) -> None:
    await client.post("/issue", data={"officer": "MX4521"})
    assert "officer MX4521" in text_of(await page(client, "/bays/2/cancel"))
    await client.post("/bays/2/cancel")
    assert dock.bay("2").officer is None


@pytest.mark.parametrize("path", ["/bays/1/release", "/bays/3/cancel"])
async def test_question_that_is_out_of_date_leads_back(client: TestClient, path: str) -> None:
    assert "The bay has changed in the meantime" in text_of(await page(client, path))


@pytest.mark.parametrize("path", ["/bays/99/release", "/bays/..%2f/release", "/bays/a%20b/cancel", "/nothing"])
async def test_what_is_not_there_is_a_page_that_says_so(client: TestClient, path: str) -> None:
    html = await page(client, path, 404)
    assert read_html(html).mistakes == []
    assert "Not found" in text_of(html)


@pytest.mark.parametrize("path", ["/issue", "/bays/3/release", "/api/v1/issue", "/api/v1/bays/3/release"])
@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_another_site_cannot_change_anything(
    client: TestClient, dock: DockOnPaper, path: str, headers: dict[str, str]
) -> None:
    before = dock.snapshot()
    response = await client.post(path, data={"officer": "1"}, headers=headers)
    assert response.status == 403
    assert dock.snapshot() == before


async def test_rebound_name_is_refused(client: TestClient) -> None:
    response = await client.get("/", headers={"Host": "evil.example"})
    assert response.status == 421
    assert "Charing" not in await response.text()


async def test_a_bug_is_a_page_without_its_inside(
    client: TestClient, dock: DockOnPaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks() -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(dock, "snapshot", breaks)
    html = await page(client, "/", 500)
    assert "secret" not in html
    assert read_html(html).mistakes == []


# --- live ---------------------------------------------------------------------------------------


async def next_event(response: Any) -> tuple[str, dict[str, Any] | None]:
    async with asyncio.timeout(5):
        while True:
            block = (await response.content.readuntil(b"\n\n")).decode()
            if block.startswith("event: "):
                name, _, data = block.removeprefix("event: ").partition("\ndata: ")
                return name, json.loads(data) if data.strip() else None


async def test_a_change_reaches_an_open_page_as_the_same_html(client: TestClient, dock: DockOnPaper) -> None:
    async with client.get("/live") as response:
        name, hello = await next_event(response)
        assert name == "hello"
        assert hello is not None
        assert hello["ids"] == ["board", "bay-1", "bay-2", "bay-3", "bay-4", "bay-5"]
        first = [await next_event(response) for _ in hello["ids"]]
        assert {name for name, _ in first} == {"fragment"}
        assert (await next_event(response))[0] == "beat"
        dock.put(held_bay("4", words="This camera is not known."))
        name, part = await next_event(response)
        while name == "beat" or (part and part["id"] == "board"):
            name, part = await next_event(response)
        assert part is not None
        assert (part["id"], part["headline"], part["tone"]) == ("bay-4", "HELD", "held")
        assert part["spoken"] == "Bay 4: Held. This camera is not known."
    assert part["html"] in await page(client)


async def test_progress_ticks_are_not_announced(client: TestClient, dock: DockOnPaper) -> None:
    async with client.get("/live") as response:
        for _ in range(8):
            await next_event(response)
        tick = Progress(done_bytes=1, total_bytes=2, done_recordings=0, total_recordings=1)
        dock.put(ready_bay("1", percent=85).model_copy(update={"progress": tick}))
        name, part = await next_event(response)
        while name == "beat":
            name, part = await next_event(response)
        assert part is not None
        assert (part["id"], part["headline"]) == ("bay-1", "READY")


async def test_page_that_is_closed_leaves_nothing_behind(client: TestClient, dock: DockOnPaper) -> None:
    async with client.get("/live") as response:
        await next_event(response)
        assert dock.watchers == 1
    async with asyncio.timeout(5):
        while dock.watchers:
            await asyncio.sleep(0.01)


# --- notices ------------------------------------------------------------------------------------


def test_notices_are_forgotten_after_a_minute_and_never_too_many() -> None:
    now = [0.0]
    notices = Notices(monotonic=lambda: now[0])
    first = notices.keep(Notice("a", "b", True))
    assert notices.read(first) == notices.read(first) == Notice("a", "b", True)
    for _ in range(64):
        last = notices.keep(Notice("c", "d", True))
    assert notices.read(first) is None
    now[0] = 61.0
    assert notices.read(last) is None
    assert notices.read(None) is None


def test_refusal_without_footage_words_is_short() -> None:
    error: DockdError = NotCharging("It does not charge.")
    assert refusal(error).words == f"It does not charge. {error.action}"
