"""The faulty centre is as real as it says: its lies are lies, and its truth is the production code's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from dockd.errors import BadReceipt
from dockd.model.ids import Digest
from dockd.model.recording import Receipt
from dockd.rules.receipts import check_receipt
from tests.support import faulty_centre as faults
from tests.support.dock_voice import DockVoice, sha256
from tests.support.faulty_centre import FaultyCentre, faulty_centre

CONTENT = b"footage" * 500


@pytest_asyncio.fixture
async def faulty(tmp_path: Path) -> AsyncIterator[FaultyCentre]:
    async with faulty_centre(tmp_path / "centre") as centre:
        yield centre


@pytest.fixture
def voice(faulty: FaultyCentre, session: aiohttp.ClientSession) -> DockVoice:
    return DockVoice(session, faulty.url)


def trusted(faulty: FaultyCentre, body: bytes) -> None:
    receipt = Receipt.model_validate_json(body)
    check_receipt(receipt, faulty.pinned, digest=Digest(sha256(CONTENT)), size_bytes=len(CONTENT))


async def ready_to_complete(voice: DockVoice) -> str:
    upload = (await voice.claim(CONTENT)).json["upload"]
    for part in upload["parts"]:
        assert (await voice.put_part(part, CONTENT)).status == 204
    return str(upload["upload"])


async def test_without_a_plan_it_is_an_ordinary_centre(faulty: FaultyCentre, voice: DockVoice) -> None:
    trusted(faulty, json.dumps(await voice.send(CONTENT)).encode())
    assert faulty.calls == ["claim_recording", *["put_part"] * 4, "complete_upload"]


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (faults.wrong_store_id(), "from store"),
        (faults.wrong_key(), "signed with key"),
        (faults.forged_signature(), "does not verify"),
        (faults.wrong_digest(), "for digest"),
        (faults.wrong_size(), "bytes"),
    ],
)
async def test_lying_receipts_are_lies_in_one_thing_only(
    faulty: FaultyCentre, voice: DockVoice, lie: faults.Behaviour, words: str
) -> None:
    upload = await ready_to_complete(voice)
    faulty.plan("complete_upload", lie)
    with pytest.raises(BadReceipt, match=words):
        trusted(faulty, (await voice.complete(upload)).body)
    trusted(faulty, (await voice.complete(upload)).body)


async def test_lie_in_a_claims_answer_and_stale_receipt(faulty: FaultyCentre, voice: DockVoice) -> None:
    stale = Receipt.model_validate_json(json.dumps(await voice.send(b"another recording")))
    await voice.send(CONTENT)
    faulty.plan("claim_recording", faults.stale_receipt(stale))
    with pytest.raises(BadReceipt):
        trusted(faulty, json.dumps((await voice.claim(CONTENT)).json["receipt"]).encode())
    faulty.plan("get_store", faults.wrong_store_id())
    described = (await voice.ask("GET", "/api/v1/store")).json
    assert described["store"] != faulty.pinned.store
    assert described["public_key"] == faulty.pinned.public_key


async def test_lost_answer_happened_all_the_same(faulty: FaultyCentre, voice: DockVoice) -> None:
    upload = await ready_to_complete(voice)
    faulty.plan("complete_upload", faults.lost_answer())
    with pytest.raises(aiohttp.ClientError):
        await voice.complete(upload)
    assert (await voice.claim(CONTENT)).json["receipt"] is not None


async def test_dropped_connection_did_nothing(faulty: FaultyCentre, voice: DockVoice) -> None:
    upload = (await voice.claim(CONTENT)).json["upload"]
    # Twice: aiohttp's client sends a PUT again by itself when a kept connection breaks.
    faulty.plan("put_part", faults.dropped(after_bytes=100), times=2)
    with pytest.raises(aiohttp.ClientError):
        await voice.put_part(upload["parts"][0], CONTENT)
    assert (await voice.ask("GET", f"/api/v1/uploads/{upload['upload']}")).json["finished_parts"] == []


async def test_faults_come_as_planned_and_then_end(faulty: FaultyCentre, voice: DockVoice) -> None:
    faulty.plan("get_store", faults.busy(retry_after_seconds=9), times=2, after=1)
    faulty.plan("get_store", faults.full())
    faulty.plan("get_store", faults.not_the_centre(502))
    answers = [await voice.ask("GET", "/api/v1/store") for _ in range(6)]
    assert [answer.status for answer in answers] == [200, 503, 503, 507, 502, 200]
    assert answers[1].headers["Retry-After"] == "9"
    assert faulty.count("get_store") == 6
    faulty.plan("get_store", faults.garbled(), times=None)
    assert "planet" in (await voice.ask("GET", "/api/v1/store")).body.decode()
    faulty.behave()
    assert (await voice.ask("GET", "/api/v1/store")).json["store"] == faulty.pinned.store
    with pytest.raises(ValueError, match="none of"):
        faulty.plan("no_such_call", faults.busy())
