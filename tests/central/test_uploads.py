"""From claim to receipt: nothing is receipted that does not lie in its final place with the claimed digest."""

from __future__ import annotations

import asyncio
import base64
import errno
import io
import json
import os
import subprocess
from pathlib import Path

import aiohttp
import pytest

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.config import CentreConfig
from dockd.model.ids import Digest
from dockd.model.recording import Receipt
from dockd.rules.receipts import PinnedStore, check_receipt, receipt_bytes
from tests.support.clock import ManualClock
from tests.support.dock_voice import DockVoice, sha256

CONTENT = bytes(range(256)) * 17  # 4352 bytes: five parts of 1000, the last one shorter


def pinned(folder: Path) -> PinnedStore:
    return PinnedStore.model_validate_json((folder / "pinned-store.json").read_bytes())


def object_file(folder: Path, content: bytes) -> Path:
    digest = sha256(content)
    return folder / "objects" / digest[:2] / digest[2:4] / digest


def leftovers(folder: Path) -> list[str]:
    return sorted(file.name for name in ("uploads", "drafts") for file in (folder / name).iterdir())


async def test_recording_is_stored_under_its_digest_and_receipted(folder: Path, dock: DockVoice) -> None:
    receipt = Receipt.model_validate_json(json.dumps(await dock.send(CONTENT)))
    check_receipt(receipt, pinned(folder), digest=Digest(sha256(CONTENT)), size_bytes=len(CONTENT))
    assert object_file(folder, CONTENT).read_bytes() == CONTENT
    assert folder / receipt.object_key == object_file(folder, CONTENT)
    assert object_file(folder, CONTENT).stat().st_mode & 0o777 == 0o400
    assert leftovers(folder) == []


async def test_receipt_verifies_with_openssl_alone(folder: Path, dock: DockVoice, tmp_path: Path) -> None:
    receipt = Receipt.model_validate_json(json.dumps(await dock.send(CONTENT)))
    (tmp_path / "signed").write_bytes(receipt_bytes(receipt))
    (tmp_path / "signature").write_bytes(base64.b64decode(receipt.signature))
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", folder / "receipt-key.pub.pem"]
    command += ["-sigfile", tmp_path / "signature", "-in", tmp_path / "signed"]
    good = await asyncio.to_thread(subprocess.run, command, capture_output=True)
    assert good.returncode == 0, good.stderr
    (tmp_path / "signed").write_bytes(receipt_bytes(receipt) + b" ")
    bad = await asyncio.to_thread(subprocess.run, command, capture_output=True)
    assert bad.returncode != 0


async def test_what_the_store_has_is_receipted_without_upload_and_every_source_is_kept(dock: DockVoice) -> None:
    first = await dock.send(CONTENT)
    again = await dock.claim(CONTENT)
    elsewhere = await dock.claim(CONTENT, dock="dock-9", recording="r9", session="s9", path="OTHER.MP4", officer=None)
    assert again.status == elsewhere.status == 200
    assert again.json == elsewhere.json == {"receipt": first, "upload": None}
    detail = (await dock.ask("GET", f"/api/v1/recordings/{sha256(CONTENT)}")).json
    assert [source["dock"] for source in detail["sources"]] == ["dock-7", "dock-9"]
    assert detail["receipt"] == first


async def test_empty_recording_needs_no_parts(folder: Path, dock: DockVoice) -> None:
    receipt = await dock.send(b"")
    assert receipt["digest"] == sha256(b"")
    assert object_file(folder, b"").read_bytes() == b""


async def test_upload_goes_on_with_what_is_missing(dock: DockVoice) -> None:
    upload = (await dock.claim(CONTENT)).json["upload"]
    assert [part["part_number"] for part in upload["parts"]] == [1, 2, 3, 4, 5]
    for number in (0, 3):
        await dock.put_part(upload["parts"][number], CONTENT)
    listed = (await dock.ask("GET", f"/api/v1/uploads/{upload['upload']}")).json
    claimed_again = (await dock.claim(CONTENT, recording="r2")).json["upload"]
    for now in (listed, claimed_again):
        assert now["upload"] == upload["upload"]
        assert now["finished_parts"] == [1, 4]
        assert [part["part_number"] for part in now["parts"]] == [2, 3, 5]
    early = await dock.complete(upload["upload"])
    assert (early.status, early.code) == (409, "parts-missing")
    assert "2, 3, 5" in early.json["detail"]


async def test_completing_twice_gives_the_same_receipt(dock: DockVoice) -> None:
    upload = (await dock.claim(CONTENT)).json["upload"]
    for part in upload["parts"]:
        await dock.put_part(part, CONTENT)
    replies = await asyncio.gather(*(dock.complete(upload["upload"]) for _ in range(6)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    done = (await dock.ask("GET", f"/api/v1/uploads/{upload['upload']}")).json
    assert (done["finished_parts"], done["parts"]) == ([1, 2, 3, 4, 5], [])
    replayed = await dock.put_part(upload["parts"][0], CONTENT)
    assert replayed.status == 204


async def test_two_processes_complete_one_upload_with_one_receipt(
    config: CentreConfig, dock: DockVoice, session: aiohttp.ClientSession, clock: ManualClock
) -> None:
    content = os.urandom(3_000_000)
    async with serving_centre(config, clock=clock) as second:
        elsewhere = DockVoice(session, second.url)
        upload = (await dock.claim(content, part_size_bytes=1_000_000)).json["upload"]
        for part, voice in zip(upload["parts"], (dock, elsewhere, dock), strict=True):
            url = part["url"].replace(dock.url, voice.url)
            assert (await voice.put_part({**part, "url": url}, content)).status == 204
        replies = await asyncio.gather(*(one.complete(upload["upload"]) for one in (dock, elsewhere) * 2))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1


async def test_eight_docks_send_the_same_bytes_at_once(folder: Path, dock: DockVoice) -> None:
    content = os.urandom(2_500_000)

    async def one(number: int) -> object:
        changes = {"dock": f"dock-{number}", "recording": f"r{number}", "part_size_bytes": 600_000}
        return await dock.send(content, **changes)

    receipts = await asyncio.gather(*map(one, range(8)))
    assert all(receipt == receipts[0] for receipt in receipts)
    assert object_file(folder, content).read_bytes() == content
    listed = (await dock.ask("GET", "/api/v1/recordings")).json["recordings"]
    assert sorted(one["dock"] for one in listed) == [f"dock-{number}" for number in range(8)]
    assert leftovers(folder) == []


# --- claims that cannot be -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"size_bytes": 4351, "part_digests": ["00" * 32] * 4},
        {"size_bytes": -1, "part_digests": []},
        {"size_bytes": 10**30},
        {"part_size_bytes": 0},
        {"part_size_bytes": 2**40},
        {"size_bytes": 0, "part_digests": []},
        {"size_bytes": 999, "part_digests": ["00" * 32]},
        {"size_bytes": 10_001_000, "part_digests": ["00" * 32] * 10_001},
    ],
)
async def test_claim_whose_parts_do_not_fit_is_refused(dock: DockVoice, changes: dict[str, object]) -> None:
    reply = await dock.ask("POST", "/api/v1/recordings", json={**dock.claim_body(CONTENT), **changes})
    assert (reply.status, reply.code) == (422, "parts-differ")
    assert (await dock.ask("GET", "/api/v1/recordings")).json["recordings"] == []


async def test_same_digest_with_other_size_or_parts_is_refused(dock: DockVoice) -> None:
    await dock.claim(CONTENT)
    for changes in ({"part_digests": ["00" * 32] * 5}, {"size_bytes": 4353}):
        reply = await dock.claim(CONTENT, **changes)
        assert (reply.status, reply.code) == (409, "claim-differs")
    await dock.send(CONTENT)
    assert (await dock.claim(CONTENT, size_bytes=4353)).code == "claim-differs"


async def test_parts_that_together_have_another_digest_are_thrown_away_without_receipt(
    folder: Path, dock: DockVoice
) -> None:
    lie = sha256(b"something else")
    upload = (await dock.claim(CONTENT, digest=lie)).json["upload"]
    for part in upload["parts"]:
        assert (await dock.put_part(part, CONTENT)).status == 204
    refused = await dock.complete(upload["upload"])
    assert (refused.status, refused.code) == (409, "digest-differs")
    assert leftovers(folder) == []
    assert not list((folder / "objects").rglob("*"))
    assert (await dock.complete(upload["upload"])).code == "not-found"
    assert (await dock.ask("GET", f"/api/v1/recordings/{lie}")).json["receipt"] is None
    assert (await dock.ask("GET", f"/api/v1/recordings/{lie}/content")).status == 404


# --- the centre's own disk -------------------------------------------------------------------------


async def test_bytes_that_change_on_the_centres_disk_are_asked_for_again(folder: Path, dock: DockVoice) -> None:
    upload = (await dock.claim(CONTENT)).json["upload"]
    for part in upload["parts"]:
        await dock.put_part(part, CONTENT)
    with (folder / "uploads" / upload["upload"]).open("r+b") as file:
        file.seek(2500)
        file.write(b"\xff")
    refused = await dock.complete(upload["upload"])
    assert (refused.status, refused.code) == (503, "part-damaged")
    again = (await dock.ask("GET", f"/api/v1/uploads/{upload['upload']}")).json
    assert [part["part_number"] for part in again["parts"]] == [3]
    await dock.put_part(again["parts"][0], CONTENT)
    assert (await dock.complete(upload["upload"])).status == 200
    assert object_file(folder, CONTENT).read_bytes() == CONTENT


async def test_receipted_object_that_disappeared_is_taken_again_and_not_receipted_meanwhile(
    folder: Path, dock: DockVoice
) -> None:
    receipt = await dock.send(CONTENT)
    object_file(folder, CONTENT).unlink()
    answer = await dock.claim(CONTENT)
    assert answer.status == 201
    assert len(answer.json["upload"]["parts"]) == 5
    assert (await dock.complete(answer.json["upload"]["upload"])).code == "parts-missing"
    assert await dock.send(CONTENT) == receipt
    assert object_file(folder, CONTENT).read_bytes() == CONTENT


async def test_damaged_object_in_the_final_place_is_set_aside_and_replaced(folder: Path, dock: DockVoice) -> None:
    place = object_file(folder, CONTENT)
    upload = (await dock.claim(CONTENT)).json["upload"]
    for part in upload["parts"]:
        await dock.put_part(part, CONTENT)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"x" * len(CONTENT))
    assert (await dock.complete(upload["upload"])).status == 200
    assert place.read_bytes() == CONTENT
    assert place.with_name(f"{place.name}.damaged-1").read_bytes() == b"x" * len(CONTENT)


async def test_no_room_above_the_floor_is_later_and_not_never(
    config: CentreConfig, session: aiohttp.ClientSession
) -> None:
    full = config.model_copy(update={"free_space_floor_bytes": 2**62})
    async with serving_centre(config) as roomy:
        upload = (await DockVoice(session, roomy.url).claim(CONTENT)).json["upload"]
    async with serving_centre(full) as cramped:
        dock = DockVoice(session, cramped.url)
        part = upload["parts"][0]
        url = part["url"].replace(roomy.url, cramped.url)
        for reply in (await dock.claim(b"other"), await dock.put_part({**part, "url": url}, CONTENT)):
            assert (reply.status, reply.code) == (507, "store-full")
            assert int(reply.headers["Retry-After"]) > 0
        assert (await dock.ask("GET", "/api/v1/docks")).status == 200


async def test_disk_full_in_the_middle_of_a_part_keeps_nothing_and_is_later(
    dock: DockVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = (await dock.claim(CONTENT)).json["upload"]

    def no_space(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "pwrite", no_space)
        reply = await dock.put_part(upload["parts"][0], CONTENT)
    assert (reply.status, reply.code) == (507, "store-full")
    assert (await dock.put_part(upload["parts"][0], CONTENT)).status == 204


async def test_failed_fsync_is_never_retried_and_stops_the_store(
    dock: DockVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = (await dock.claim(CONTENT)).json["upload"]

    def broken_disk(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", broken_disk)
        first = await dock.put_part(upload["parts"][0], CONTENT)
    assert (first.status, first.code) == (503, "store-suspect")
    assert (await dock.put_part(upload["parts"][0], CONTENT)).code == "store-suspect"
    assert (await dock.claim(b"other")).code == "store-suspect"


async def test_abandoned_uploads_are_given_up_and_may_be_claimed_anew(
    centre: ServedCentre, folder: Path, dock: DockVoice, clock: ManualClock
) -> None:
    upload = (await dock.claim(CONTENT)).json["upload"]
    await dock.put_part(upload["parts"][0], CONTENT)
    done = await dock.send(b"done long ago")
    clock.advance(3600 * 24 * 8)
    await dock.claim(b"a fresh one")
    await centre.services.claims.give_up_abandoned(clock.now() - clock.now().replace(day=15))
    assert len(leftovers(folder)) == 1
    assert (await dock.complete(upload["upload"])).code == "not-found"
    again = (await dock.claim(CONTENT)).json["upload"]
    assert again["finished_parts"] == []
    assert (await dock.claim(b"done long ago")).json["receipt"] == done


async def test_restart_sweeps_what_no_row_speaks_of(
    folder: Path, config: CentreConfig, session: aiohttp.ClientSession
) -> None:
    async with serving_centre(config) as first:
        upload = (await DockVoice(session, first.url).claim(CONTENT)).json["upload"]["upload"]
    old = 1_000_000_000
    for name in ("uploads/up-orphan", "drafts/.x.draft", f"uploads/{upload}"):
        (folder / name).touch()
        os.utime(folder / name, (old, old))
    (folder / "drafts/.young.draft").touch()
    async with serving_centre(config):
        assert leftovers(folder) == sorted([".young.draft", upload])


async def test_kill_between_placing_and_the_receipt_is_repaired_by_asking_again(
    centre: ServedCentre, folder: Path, dock: DockVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = (await dock.claim(CONTENT)).json["upload"]
    for part in upload["parts"]:
        await dock.put_part(part, CONTENT)
    accept = centre.services.claims._accept

    async def killed(*_: object, **__: object) -> Receipt:
        raise RuntimeError("stands for a kill: nothing after this point happens")

    monkeypatch.setattr("dockd.central.claims.Claims._accept", killed)
    assert (await dock.complete(upload["upload"])).code == "internal-error"
    assert object_file(folder, CONTENT).exists()
    monkeypatch.setattr("dockd.central.claims.Claims._accept", lambda _self, *rest, **more: accept(*rest, **more))
    offered = (await dock.claim(CONTENT)).json
    assert offered["receipt"] is None
    assert offered["upload"]["parts"] == []
    assert (await dock.complete(upload["upload"])).status == 200
    assert (await dock.claim(CONTENT)).status == 200
    await dock.put_part(upload["parts"][0], CONTENT, data=io.BytesIO(b"z" * 1000))
    assert object_file(folder, CONTENT).read_bytes() == CONTENT
