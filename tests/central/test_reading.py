"""What the centre gives back: content, lists, custody, manifests, status, orders."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import insert

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.config import CentreConfig
from dockd.central.queries import RecordingFilter
from dockd.central.tables import orders
from dockd.model import facts as f
from dockd.model.camera import CameraIdentity, ClockReading
from dockd.model.recording import (
    ConfirmedSource,
    ContainerVerdict,
    ReadBackMethod,
    Receipt,
    StagedRecording,
    StoredRecording,
    VerifiedRecording,
)
from tests.support.dock_voice import Chain, DockVoice, sha256

CONTENT = bytes(range(256)) * 40


async def test_content_comes_whole_and_in_ranges(dock: DockVoice) -> None:
    await dock.send(CONTENT)
    path = f"/api/v1/recordings/{sha256(CONTENT)}/content"
    whole = await dock.ask("GET", path)
    assert (whole.status, whole.body) == (200, CONTENT)
    part = await dock.ask("GET", path, headers={"Range": "bytes=100-199"})
    assert (part.status, part.body) == (206, CONTENT[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(CONTENT)}"
    assert (await dock.ask("GET", path, headers={"Range": "bytes=-10"})).body == CONTENT[-10:]
    assert (await dock.ask("GET", path, headers={"Range": f"bytes={len(CONTENT)}-"})).status == 416


async def test_recordings_are_listed_in_pages_newest_first(dock: DockVoice) -> None:
    contents = [f"recording {number}".encode() for number in range(7)]
    for content in contents:
        await dock.send(content)
    seen: list[str] = []
    after = None
    while True:
        page = (await dock.ask("GET", "/api/v1/recordings?limit=3" + (f"&after={after}" if after else ""))).json
        seen += [one["digest"] for one in page["recordings"]]
        after = page["next_after"]
        if after is None:
            break
    assert seen == [sha256(content) for content in reversed(contents)]


async def test_recordings_are_filtered(dock: DockVoice) -> None:
    await dock.send(b"one", officer="PC1")
    await dock.send(b"two", officer="PC2", camera="simulated:B", session="s2")
    await dock.claim(b"three", officer=None, dock="dock-8")

    async def listed(query: str) -> list[str]:
        return [one["digest"] for one in (await dock.ask("GET", f"/api/v1/recordings?{query}")).json["recordings"]]

    assert await listed("officer=PC1") == [sha256(b"one")]
    assert await listed("camera=simulated:B&session=s2") == [sha256(b"two")]
    assert await listed("dock=dock-8") == [sha256(b"three")]
    assert await listed("dock=dock-8&officer=PC1") == []
    unaccepted = (await dock.ask("GET", "/api/v1/recordings?dock=dock-8")).json["recordings"][0]
    assert unaccepted["accepted_at"] is None


async def test_manifest_is_kept_once_and_for_all(folder: Path, dock: DockVoice) -> None:
    path = "/api/v1/sessions/dock-7/session-1/manifests/manifest-sha256.txt"
    content = b"abc  recording.mp4\n"

    async def put(body: bytes, **headers: str) -> Any:
        named = {"Content-Type": "text/plain", "X-Content-SHA256": sha256(body), **headers}
        return await dock.ask("PUT", path, data=body, headers=named)

    first, again = await put(content), await put(content)
    assert first.status == again.status == 200
    assert first.json == {"name": "manifest-sha256.txt", "digest": sha256(content), "size_bytes": len(content)}
    assert (folder / "sessions/dock-7/session-1/manifest-sha256.txt").read_bytes() == content
    read = await dock.ask("GET", path)
    assert read.body == content
    assert read.headers["Content-Disposition"].startswith("attachment;")
    other = await put(b"other")
    assert (other.status, other.code) == (409, "manifest-differs")
    wrong = await put(content, **{"X-Content-SHA256": "0" * 64})
    assert (wrong.status, wrong.code) == (400, "body-differs")
    missing = await dock.ask("PUT", path, data=content, headers={"Content-Type": "text/plain"})
    assert (missing.status, missing.code) == (400, "bad-request")
    assert (await dock.ask("GET", path)).body == content


@pytest.mark.parametrize("name", ["x.exe", "x.html", ".txt", "-x.txt", "a" * 101 + ".txt", "x.txt%0A", "ascmhl"])
async def test_manifest_by_another_name_is_refused(dock: DockVoice, name: str) -> None:
    reply = await dock.ask(
        "PUT",
        f"/api/v1/sessions/d/s/manifests/{name}",
        data=b"x",
        headers={"Content-Type": "text/plain", "X-Content-SHA256": sha256(b"x")},
    )
    assert (reply.status, reply.code) == (400, "bad-request")


async def test_orders_wait_for_as_long_as_asked_and_no_longer(centre: ServedCentre, dock: DockVoice) -> None:
    begin = time.monotonic()
    reply = await dock.ask("GET", "/api/v1/docks/dock-7/orders?wait=1")
    assert reply.json == {"orders": []}
    assert 0.9 < time.monotonic() - begin < 5
    row = {"dock": "dock-7", "number": 3, "kind": "HoldCamera", "body": '{"camera": "a", "until": null}'}
    async with centre.services.queries._database.writing() as connection:
        await connection.execute(insert(orders), [row | {"created_at": centre.services.clock.now()}])
    got = await dock.ask("GET", "/api/v1/docks/dock-7/orders?wait=30")
    assert got.json["orders"] == [{"number": 3, "kind": "HoldCamera", "body": {"camera": "a", "until": None}}]
    assert (await dock.ask("GET", "/api/v1/docks/dock-7/orders?after=3")).json["orders"] == []


async def test_stopping_answers_those_who_wait(config: CentreConfig, session: aiohttp.ClientSession) -> None:
    async with serving_centre(config) as served:
        dock = DockVoice(session, served.url)
        waiting = asyncio.create_task(dock.ask("GET", "/api/v1/docks/dock-7/orders?wait=60"))
        await asyncio.sleep(0.3)
        begin = time.monotonic()
    assert (await waiting).json == {"orders": []}
    assert time.monotonic() - begin < 5


async def test_store_says_who_it_is(dock: DockVoice) -> None:
    described = (await dock.ask("GET", "/api/v1/store")).json
    assert described["store"] == "store-test"
    assert described["key"].startswith("key-")
    assert described["part_size_bytes"] == 16 * 1024 * 1024


async def test_facts_become_sessions_recordings_and_custody(centre: ServedCentre, dock: DockVoice) -> None:
    receipt = Receipt.model_validate_json(_json(await dock.send(CONTENT)))
    chain = Chain()
    chain.start()
    recording = sha256(CONTENT)[:32]
    staged = StagedRecording(
        recording=recording,
        session="session-1",
        digest=receipt.digest,
        size_bytes=len(CONTENT),
        container=ContainerVerdict.TRUNCATED,
        is_read_whole=True,
    )
    verified = VerifiedRecording(
        staged=staged, method=ReadBackMethod.O_DIRECT, part_size_bytes=1000, part_digests=(receipt.digest,)
    )
    stored = StoredRecording(recording=recording, digest=receipt.digest, size_bytes=len(CONTENT), upload="u")
    confirmed = ConfirmedSource(
        recording=recording, session="session-1", digest=receipt.digest, size_bytes=len(CONTENT)
    )
    at = chain.clock.now()
    identity = CameraIdentity(camera="simulated:CAM-1", maker="M", model="Model 1")
    tally = f.Tally(count=1, size_bytes=len(CONTENT))
    for body in (
        f.CameraDocked(session="session-1", bay="bay-3", port="1-1.3"),
        f.CameraIdentified(session="session-1", bay="bay-3", driver="simulated", identity=identity),
        f.ClockMeasured(
            session="session-1",
            camera="simulated:CAM-1",
            reading=ClockReading(camera_at=at, host_at=at, offset_milliseconds=-1500, uncertainty_milliseconds=500),
        ),
        f.RecordingListed(
            recording=recording,
            session="session-1",
            camera="simulated:CAM-1",
            path="DCIM/100MEDIA/A0001.MP4",
            size_bytes=len(CONTENT),
            modified_ns=None,
            generation=0,
            recorded_at=at,
            officer="PC1234",
        ),
        f.RecordingStaged(staged=staged),
        f.RecordingVerified(verified=verified),
        f.RecordingStored(stored=stored),
        f.RecordingAccepted(recording=recording, receipt=receipt),
        f.SourceConfirmed(source=confirmed),
        f.WipeIntended(session="session-1", recording=recording),
        f.RecordingErased(recording=recording, session="session-1"),
        f.SessionReconciled(
            session="session-1",
            camera="simulated:CAM-1",
            listed=tally,
            staged=tally,
            stored=tally,
            erased=tally,
            retained=f.Tally(count=0, size_bytes=0),
            differences=(),
        ),
        f.SessionMoved(session="session-1", from_state="charging", to_state="ready"),
    ):
        chain.clock.advance(1)
        chain.add(body)
    chain.sign()
    assert (await dock.put_facts(chain.facts)).status == 200

    detail = (await dock.ask("GET", f"/api/v1/recordings/{receipt.digest}")).json
    kinds = [line["kind"] for line in detail["custody"]]
    assert kinds == [
        "RecordingListed",
        "RecordingStaged",
        "RecordingVerified",
        "RecordingStored",
        "RecordingAccepted",
        "SourceConfirmed",
        "WipeIntended",
        "RecordingErased",
    ]
    assert "cut short" in detail["custody"][1]["words"]
    assert receipt.digest in detail["custody"][1]["words"]

    queries = centre.services.queries
    session = await queries.session("dock-7", "session-1")
    assert (session.overview.state, session.overview.bay, session.overview.model) == ("ready", "bay-3", "Model 1")
    assert session.overview.clock_offset_milliseconds == -1500
    assert session.overview.reconciliation is not None
    assert session.overview.reconciliation.listed == tally
    assert (session.overview.recordings, session.overview.accepted, session.overview.erased) == (1, 1, 1)
    assert session.recordings[0].state == "ERASED"
    reported, lines = await queries.reported("dock-7", recording)
    assert reported.digest == receipt.digest
    assert len(lines) == len(kinds)
    totals = await queries.totals()
    assert (totals.docks, totals.sessions, totals.recordings, totals.waiting) == (1, 1, 1, 0)
    assert totals.size_bytes == len(CONTENT)
    chain.add(f.CameraUndocked(session="session-1", bay="bay-3", camera="simulated:CAM-1"))
    await dock.put_facts(chain.facts[-1:])
    overview = (await queries.sessions(dock="dock-7", camera="simulated:CAM-1"))[0]
    assert overview.state == "gone"
    assert overview.ended_at is not None
    assert await queries.sessions(dock="dock-8") == ()
    assert (await queries.dock("dock-7")).public_key == chain.public_key
    assert (await queries.recordings(RecordingFilter(camera="simulated:CAM-1"))).recordings[0].officer == "PC1234"


async def test_last_status_of_a_dock_is_kept(centre: ServedCentre, dock: DockVoice) -> None:
    status = {
        "dock": "dock-7",
        "site": "Station",
        "version": "0.1.0",
        "at": "2026-11-22T06:00:00.000000Z",
        "clock_sync": "synchronised",
        "bays": [],
        "ready_count": 0,
        "staging_free_bytes": 1,
        "staging_total_bytes": 2,
        "is_centre_reachable": True,
        "centre_words": "fine",
        "waiting_recordings": 0,
        "waiting_bytes": 0,
        "oldest_waiting_since": None,
        "facts": 0,
        "facts_at_centre": 0,
    }
    for words in ("fine", "better"):
        reply = await dock.ask("PUT", "/api/v1/docks/dock-7/status", json={**status, "centre_words": words})
        assert (reply.status, reply.body) == (204, b"")
    kept = await centre.services.queries.dock("dock-7")
    assert kept.status is not None
    assert kept.status.centre_words == "better"
    assert kept.facts == 0
    listed = (await dock.ask("GET", "/api/v1/docks")).json["docks"]
    assert listed[0]["dock"] == "dock-7"
    assert listed[0]["last_heard_at"] is not None


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
