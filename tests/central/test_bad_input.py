"""Wrong requests get a clear refusal as problem+json, change nothing, and never a 500."""

from __future__ import annotations

import asyncio
import json

import pytest
from yarl import URL

from dockd.central.api.dock_calls import STATUS_LIMIT_BYTES
from dockd.central.api.recording_calls import CLAIM_LIMIT_BYTES
from dockd.central.app import ServedCentre
from tests.support.dock_voice import Chain, DockVoice

JSON = {"Content-Type": "application/json"}
CALLS = [
    ("POST", "/api/v1/recordings"),
    ("PUT", "/api/v1/docks/dock-7/facts"),
    ("PUT", "/api/v1/docks/dock-7/status"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b"\xff\xfe",
        b'{"facts": 1}',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"dock":"\\u0000"}',
        b'{"dock":"\\ud800"}',
        b'{"size_bytes": 1e400}',
        b'{"size_bytes": ' + b"9" * 100_000 + b"}",
    ],
)
async def test_body_that_is_not_what_was_agreed(dock: DockVoice, method: str, path: str, body: bytes) -> None:
    reply = await dock.ask(method, path, data=body, headers=JSON)
    assert (reply.status, reply.code) == (422, "invalid-body")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size_bytes", False),
        ("size_bytes", 4352.0),
        ("size_bytes", "4352"),
        ("size_bytes", None),
        ("digest", "AB" * 32),
        ("digest", "ab" * 32 + "\n"),
        ("dock", "../dock"),
        ("dock", "dock\0"),
        ("session", ""),
        ("camera", "CAM-1"),
        ("path", "a\0b"),
        ("path", ""),
        ("recorded_at", "2026-11-22T06:00:00Z"),
        ("recorded_at", 1764000000),
        ("officer", "PC 1234"),
        ("container", "perfect"),
        ("part_digests", {}),
        ("surprise", 1),
    ],
)
async def test_claim_with_a_wrong_field_is_refused_and_the_field_is_named(
    dock: DockVoice, field: str, value: object
) -> None:
    reply = await dock.claim(b"x", **{field: value})
    assert (reply.status, reply.code) == (422, "invalid-body")
    assert field in reply.json["detail"]


async def test_refusal_does_not_repeat_what_was_sent(dock: DockVoice) -> None:
    reply = await dock.claim(b"x", officer="secret name", camera="<script>")
    assert b"secret name" not in reply.body
    assert b"<script>" not in reply.body


async def test_status_must_be_of_the_dock_in_the_address(dock: DockVoice) -> None:
    reply = await dock.ask("PUT", "/api/v1/docks/dock-7/status", json={**_STATUS, "dock": "dock-8"})
    assert (reply.status, reply.code) == (422, "wrong-dock")


_STATUS = {
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


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_wrong_content_type(dock: DockVoice, method: str, path: str, content_type: str) -> None:
    reply = await dock.ask(
        method, path, data=b"{}", headers={"Content-Type": content_type}, skip_auto_headers=["Content-Type"]
    )
    assert (reply.status, reply.code) == (415, "wrong-content-type")


@pytest.mark.parametrize(
    ("method", "path", "limit_bytes"),
    [
        ("POST", "/api/v1/recordings", CLAIM_LIMIT_BYTES),
        ("PUT", "/api/v1/docks/dock-7/status", STATUS_LIMIT_BYTES),
    ],
)
@pytest.mark.parametrize("is_announced", [True, False])
async def test_body_too_large_is_refused_before_it_is_kept(
    centre: ServedCentre, method: str, path: str, limit_bytes: int, is_announced: bool
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", centre.port)
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    if is_announced:
        writer.write(f"{head}Content-Length: {limit_bytes + 1}\r\n\r\n".encode())
    else:
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n{limit_bytes + 1:x}\r\n".encode())
        writer.write(b" " * (limit_bytes + 1))
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert b" 413 " in answer.splitlines()[0]
    assert b"application/problem+json" in answer
    writer.close()
    await writer.wait_closed()


async def test_body_that_ends_early_changes_nothing(centre: ServedCentre, dock: DockVoice) -> None:
    chain = Chain()
    chain.start()
    body = json.dumps({"facts": [chain.facts[0].model_dump(mode="json")]}).encode()
    _reader, writer = await asyncio.open_connection("127.0.0.1", centre.port)
    writer.write(
        f"PUT /api/v1/docks/dock-7/facts HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body) + 1}\r\n\r\n".encode()
        + body
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await dock.head())["number"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not-found"),
        ("GET", "/api/v1/", 404, "not-found"),
        ("GET", "/api/v2/store", 404, "not-found"),
        ("DELETE", "/api/v1/recordings", 405, "method-not-allowed"),
        ("PATCH", "/api/v1/recordings/" + "0" * 64, 405, "method-not-allowed"),
        ("DELETE", "/api/v1/recordings/" + "0" * 64 + "/content", 405, "method-not-allowed"),
        ("POST", "/api/v1/docks/dock-7/facts", 405, "method-not-allowed"),
        ("GET", "/api/v1/recordings/" + "0" * 64, 404, "not-found"),
        ("GET", "/api/v1/recordings/" + "0" * 64 + "/content", 404, "not-found"),
        ("GET", "/api/v1/recordings/" + "A" * 64, 400, "bad-request"),
        ("GET", "/api/v1/recordings/..%2F..%2Fkeys%2Freceipt-key.pem/content", 400, "bad-request"),
        ("GET", "/api/v1/uploads/up-none", 404, "not-found"),
        ("POST", "/api/v1/uploads/up-none/complete", 404, "not-found"),
        ("POST", "/api/v1/uploads/%2e%2e/complete", 400, "bad-request"),
        ("POST", "/api/v1/uploads/..%2fdatabase/complete", 400, "bad-request"),
        ("GET", "/api/v1/docks/%00/facts/head", 400, "bad-request"),
        ("GET", "/api/v1/docks/a%0Ab/facts", 400, "bad-request"),
        ("GET", "/api/v1/docks/" + "d" * 65 + "/facts", 400, "bad-request"),
        ("GET", "/api/v1/docks/d/facts?after=-1", 400, "bad-request"),
        ("GET", "/api/v1/docks/d/facts?after=9223372036854775808", 400, "bad-request"),
        ("GET", "/api/v1/docks/d/facts?limit=0", 400, "bad-request"),
        ("GET", "/api/v1/docks/d/facts?limit=501", 400, "bad-request"),
        ("GET", "/api/v1/docks/d/facts?limit=5&limit=6", 400, "bad-request"),
        ("GET", "/api/v1/docks/d/facts?limit=%D9%A5", 400, "bad-request"),
        ("GET", "/api/v1/docks/d/orders?wait=61", 400, "bad-request"),
        ("GET", "/api/v1/recordings?camera=x", 400, "bad-request"),
        ("GET", "/api/v1/recordings?officer='", 400, "bad-request"),
        ("GET", "/api/v1/recordings?offcer=PC1", 400, "bad-request"),
        ("GET", "/api/v1/sessions/d/s/manifests/..%2Fx.txt", 400, "bad-request"),
        ("GET", "/api/v1/sessions/d/s/manifests/.hidden.txt", 400, "bad-request"),
        ("GET", "/api/v1/sessions/d/s/manifests/none.txt", 404, "not-found"),
    ],
)
async def test_wrong_address_method_or_value(dock: DockVoice, method: str, path: str, status: int, code: str) -> None:
    async with dock.session.request(method, URL(dock.url + path, encoded=True)) as response:
        assert (response.status, response.content_type) == (status, "application/problem+json")
        problem = await response.json()
    assert problem["code"] == code
    assert ("Allow" in response.headers) == (status == 405)


async def test_endless_request_line_is_refused(dock: DockVoice) -> None:
    assert (await dock.ask("GET", f"/api/v1/docks?{'x' * 9_000}")).status == 400


async def test_other_host_names_and_other_sites_are_refused(dock: DockVoice) -> None:
    assert (await dock.ask("GET", "/api/v1/store", headers={"Host": "evil.example"})).status == 421
    from_a_page = {"Sec-Fetch-Site": "cross-site"}
    assert (await dock.ask("POST", "/api/v1/uploads/u/complete", headers=from_a_page)).status == 403


async def test_every_answer_carries_the_safety_headers(dock: DockVoice) -> None:
    await dock.send(b"<script>alert(1)</script>")
    listed = (await dock.ask("GET", "/api/v1/recordings")).json["recordings"][0]
    for path in ("/api/v1/store", "/api/v1/nothing", f"/api/v1/recordings/{listed['digest']}/content"):
        headers = (await dock.ask("GET", path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Disposition"].startswith("attachment;")
    assert headers["Content-Type"] == "application/octet-stream"
