"""Retention over HTTP: the calls, the pages and their forms, 410 for what was deleted, and the list as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest_asyncio

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.config import CentreConfig
from dockd.central.retention.config import RetentionConfig
from dockd.model import facts as f
from dockd.model.camera import ClockReading
from tests.support.clock import START, ManualClock
from tests.support.dock_voice import Chain, DockVoice, sha256
from tests.support.html_check import read_html

CONTENT = b"what the camera saw" * 100
DIGEST = sha256(CONTENT)
DAY = 86_400
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest_asyncio.fixture
async def centre(config: CentreConfig, clock: ManualClock) -> AsyncIterator[ServedCentre]:
    """Serving, with deleting turned on, a brake that never grips, and a night that begins later than any test."""
    on = RetentionConfig(delete=True, most_percent=100, hour_utc=23)
    async with serving_centre(config, clock=clock, retention_config=on) as served:
        yield served


@pytest_asyncio.fixture
async def stored(dock: DockVoice, clock: ManualClock) -> dict[str, Any]:
    """One recording in the store, its time proved by its dock's facts; the receipt."""
    chain = Chain(clock=clock)
    chain.start()
    reading = ClockReading(camera_at=START, host_at=START, offset_milliseconds=0, uncertainty_milliseconds=5)
    chain.add(f.CameraDocked(session="s1", bay="1", port="1-1"))
    chain.add(f.ClockMeasured(session="s1", camera="simulated:CAM-1", reading=reading))
    chain.add(
        f.RecordingListed(
            recording=DIGEST[:32],
            session="s1",
            camera="simulated:CAM-1",
            path="DCIM/100MEDIA/A0001.MP4",
            size_bytes=len(CONTENT),
            modified_ns=None,
            generation=0,
            recorded_at=START,
            officer="PC1234",
        )
    )
    assert (await dock.put_facts(chain.facts)).status == 200
    receipt: dict[str, Any] = await dock.send(CONTENT, recorded_at="2026-11-22T06:00:00.000000Z")
    return receipt


async def page(dock: DockVoice, path: str) -> str:
    reply = await dock.ask("GET", path)
    assert reply.status == 200, reply.body
    text = reply.body.decode()
    assert read_html(text).mistakes == []
    return text


async def submit(dock: DockVoice, path: str, **fields: str) -> str:
    """A form; returns where it leads."""
    reply = await dock.ask("POST", path, data=urlencode(fields), headers=FORM, allow_redirects=False)
    assert reply.status == 303, reply.body
    return reply.headers["Location"]


async def test_life_of_a_recording_from_unclassified_to_its_tombstone(
    dock: DockVoice, centre: ServedCentre, clock: ManualClock, stored: dict[str, Any]
) -> None:
    standing = (await dock.ask("GET", f"/api/v1/retention/recordings/{DIGEST}")).json
    assert (standing["standing"], standing["category"], standing["deadline_at"]) == (
        "unclassified",
        "unclassified",
        None,
    )
    body = {"recordings": [DIGEST], "category": "routine", "reason": "a traffic stop"}
    assert (await dock.ask("POST", "/api/v1/retention/classifications", json=body)).status == 204
    standing = (await dock.ask("GET", f"/api/v1/retention/recordings/{DIGEST}")).json
    assert (standing["standing"], standing["deadline_at"]) == ("not yet", "2026-12-23T06:00:00.000000Z")
    held = await dock.ask("POST", "/api/v1/retention/holds", json={"camera": "simulated:CAM-1", "reason": "case 7"})
    assert (held.status, held.json) == (201, {"hold": 1, "too_late": []})
    clock.advance(40 * DAY)
    await centre.services.retention.runs.run(actor="Ann")
    assert (await dock.ask("GET", f"/api/v1/recordings/{DIGEST}/content")).body == CONTENT
    release = "/api/v1/retention/holds/1/release"
    assert (await dock.ask("POST", release, json={"reason": "closed"})).status == 204
    assert (await dock.ask("POST", release, json={"reason": "closed"})).code == "already-released"
    tonight = (await dock.ask("GET", "/api/v1/retention/tonight")).json
    assert (tonight["due"], tonight["size_bytes"], tonight["is_turned_on"]) == (1, len(CONTENT), True)
    assert tonight["first"][0]["why"].startswith("Due since 2026-12-23 06:00 UTC: routine is kept 31 days")
    await centre.services.retention.runs.run(actor="Ann")

    gone = await dock.ask("GET", f"/api/v1/recordings/{DIGEST}/content")
    assert (gone.status, gone.code) == (410, "deleted-by-policy")
    assert "deleted by policy on 2027-01-01" in gone.json["detail"]
    assert "31 days from its recording" in gone.json["detail"]
    detail = (await dock.ask("GET", f"/api/v1/recordings/{DIGEST}")).json
    assert detail["receipt"] == stored
    assert len(detail["custody"]) == 1
    assert (await dock.ask("GET", f"/recordings/{DIGEST}/receipt.json")).json == stored
    text = await page(dock, f"/recordings/{DIGEST}")
    assert "Deleted by policy" in text
    assert "The recording itself" not in text
    assert (await centre.services.queries.totals()).recordings == 0


async def test_pages_and_forms_do_the_same(
    dock: DockVoice, centre: ServedCentre, clock: ManualClock, stored: dict[str, Any]
) -> None:
    text = await page(dock, f"/recordings/{DIGEST}")
    assert "nobody has decided yet what it is" in text
    back = await submit(dock, f"/retention/recordings/{DIGEST}", category="routine", reason="<b>nothing</b>")
    assert back == f"/recordings/{DIGEST}#retention"
    text = await page(dock, f"/recordings/{DIGEST}")
    assert "&lt;b&gt;nothing&lt;/b&gt;" in text
    assert "2026-12-23 06:00:00 UTC" in text
    assert "Nothing would be deleted." in await page(dock, "/retention")
    clock.advance(40 * DAY)
    text = await page(dock, "/retention")
    assert "1 recording" in text
    assert "31 days from its recording" in text
    listed = await dock.ask("GET", "/retention/tonight.csv")
    rows = list(csv.DictReader(io.StringIO(listed.body.decode())))
    assert [row["recording"] for row in rows] == [DIGEST]
    assert listed.headers["Content-Disposition"].startswith("attachment")
    back = await submit(dock, "/retention/holds", recording=DIGEST, back="recording", reason="case 7")
    assert back == f"/recordings/{DIGEST}#retention"
    assert "Hold 1" in await page(dock, f"/recordings/{DIGEST}")
    assert "Nothing would be deleted." in await page(dock, "/retention")
    fields = {"officer": "pc1234", "from": "2026-11-01", "to": "2026-11-30"}
    assert await submit(dock, "/retention/holds", **fields, reason="case 8") == "/retention/holds"
    text = await page(dock, "/retention/holds")
    assert "officer PC1234, recorded from 2026-11-01 00:00 UTC, recorded before 2026-12-01 00:00 UTC" in text
    await submit(dock, "/retention/holds/1/release", reason="closed")
    assert "closed" in await page(dock, "/retention/holds")
    assert await submit(dock, "/retention/policies", category="routine", days="20", reason="new law")
    text = await page(dock, "/retention/policies")
    assert "kept 20 days from recording" in text
    assert "kept 31 days from recording" in text, "the history stays"
    facts = await centre.services.retention.facts.read(limit=100)
    kinds = [one.kind for one in facts if one.kind != "Looked"]  # what the pages showed is kept too
    assert kinds[3:] == ["RecordingsClassified", "HoldSet", "HoldSet", "HoldReleased", "RetentionPolicySet"]


async def test_wrong_forms_and_bodies_are_refused_in_words_and_change_nothing(
    dock: DockVoice, centre: ServedCentre, stored: dict[str, Any]
) -> None:
    before = await centre.services.retention.facts.read(limit=100)
    wrong = [
        ("/retention/holds", {"reason": "nothing named"}),
        ("/retention/holds", {"camera": "simulated:CAM-1", "reason": " "}),
        ("/retention/holds", {"camera": "not a camera", "reason": "x"}),
        ("/retention/holds", {"site": "nowhere", "reason": "x"}),
        ("/retention/holds", {"recording": "ff" * 32, "reason": "x"}),
        ("/retention/holds", {"from": "04/05/2026", "reason": "x"}),
        ("/retention/holds", {"from": "9999-12-31", "to": "9999-12-31", "reason": "x"}),
        ("/retention/holds", {"from": "2026-11-30", "to": "2026-11-01", "reason": "x"}),
        ("/retention/policies", {"category": "evidence", "days": "31", "reason": "x"}),
        ("/retention/policies", {"category": "unclassified", "days": "1", "reason": "x"}),
        ("/retention/policies", {"category": "routine", "days": "0", "reason": "x"}),
        ("/retention/policies", {"category": "routine", "days": "-1", "reason": "x"}),
        ("/retention/policies", {"category": "Routine!", "days": "9", "reason": "x"}),
        (f"/retention/recordings/{DIGEST}", {"category": "no such", "reason": "x"}),
        (f"/retention/recordings/{'ff' * 32}", {"category": "routine", "reason": "x"}),
        (f"/retention/stops/{DIGEST}", {"recordings": "1", "answer": "confirm", "reason": "x"}),
        (f"/retention/stops/{DIGEST}", {"recordings": "many", "answer": "confirm", "reason": "x"}),
        ("/retention/holds/7/release", {"reason": "x"}),
    ]
    for path, fields in wrong:
        reply = await dock.ask("POST", path, data=urlencode(fields), headers=FORM, allow_redirects=False)
        assert reply.status in (400, 404, 409), (path, fields, reply.status)
    for recordings in ([], [DIGEST] * 2):
        body = {"recordings": recordings, "category": "routine", "reason": " "}
        assert (await dock.ask("POST", "/api/v1/retention/classifications", json=body)).status == 400
    assert (await dock.ask("POST", "/retention/holds", data=b"\xff=\xff", headers=FORM)).status == 400
    assert await centre.services.retention.facts.read(limit=100) == before


async def test_stopped_run_is_asked_about_on_the_page_and_answered_there(
    config: CentreConfig, clock: ManualClock, session: aiohttp.ClientSession
) -> None:
    careful = RetentionConfig(delete=True, most_recordings=0, hour_utc=23)
    async with serving_centre(config, clock=clock, retention_config=careful) as served:
        dock = DockVoice(session, served.url)
        await dock.send(CONTENT)
        body = {"recordings": [DIGEST], "category": "routine", "reason": "nothing"}
        assert (await dock.ask("POST", "/api/v1/retention/classifications", json=body)).status == 204
        clock.advance(40 * DAY)
        retention = served.services.retention
        await retention.runs.run(actor="Ann")
        text = await page(dock, "/retention")
        assert "A person must look at this list" in text
        stop = (await dock.ask("GET", "/api/v1/retention")).json["stop"]
        path = f"/retention/stops/{stop['list_digest']}"
        assert await submit(dock, path, recordings="1", answer="confirm", reason="a backlog") == "/retention"
        assert "confirmed the list" in await page(dock, "/retention")
        again = {"recordings": 1, "is_confirmed": True, "reason": "twice"}
        path = f"/api/v1/retention/stops/{stop['list_digest']}/answer"
        assert (await dock.ask("POST", path, json=again)).code == "list-changed"
        assert (await retention.runs.run(actor="Ann")).deleted == 1
