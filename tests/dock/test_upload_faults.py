"""Sending footage to a centre that is slow, broken, forgetful or lying. Every test is a claim or a threat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dockd.dock.uploader import Uploader
from dockd.model import facts
from dockd.rules.custody import Custody
from tests.support.custody import Signer, sha256
from tests.support.upload_site import PART_BYTES, UploadSite, open_site, until
from tests.support.wire_centre import WireCentre, answers, drops, drops_after, refuses

CONTENT = bytes(range(256)) * (PART_BYTES // 256) * 3 + b"the end"
PARTS = 4


@pytest.fixture
async def centre() -> AsyncIterator[WireCentre]:
    async with WireCentre().serving() as running:
        yield running


@pytest.fixture
async def site(centre: WireCentre, tmp_path: Path) -> AsyncIterator[UploadSite]:
    async with open_site(tmp_path, centre.url, centre.signer.pinned) as opened:
        yield opened


async def kinds(site: UploadSite) -> list[str]:
    return [one.fact.kind for one in await site.journal.facts_after(0, 1000)]


async def test_verified_recording_is_sent_receipted_and_accepted(site: UploadSite, centre: WireCentre) -> None:
    recording = await site.stage(CONTENT)
    async with site.uploading():
        entry = await site.reaches(recording, Custody.ACCEPTED)
    assert centre.objects[sha256(CONTENT)] == CONTENT
    assert entry.receipt == centre.receipts[sha256(CONTENT)]
    assert (await kinds(site))[-2:] == ["RecordingStored", "RecordingAccepted"]


async def test_empty_recording_needs_no_part(site: UploadSite, centre: WireCentre) -> None:
    recording = await site.stage(b"")
    async with site.uploading():
        await site.reaches(recording, Custody.ACCEPTED)
    assert centre.count("PUT /parts") == 0


async def test_what_the_store_has_already_costs_no_bytes(site: UploadSite, centre: WireCentre) -> None:
    centre.objects[sha256(CONTENT)] = CONTENT
    centre.receipts[sha256(CONTENT)] = centre.signer.receipt(sha256(CONTENT), len(CONTENT))
    recording = await site.stage(CONTENT)
    async with site.uploading():
        await site.reaches(recording, Custody.ACCEPTED)
    assert centre.count("PUT /parts") == 0
    assert "RecordingStored" not in await kinds(site)


async def test_recordings_that_come_later_are_sent_too(site: UploadSite, centre: WireCentre) -> None:
    async with site.uploading():
        await until(lambda: centre.count("GET /api/v1/store") == 0)
        first = await site.stage(CONTENT, b"1.MP4")
        await site.reaches(first, Custody.ACCEPTED)
        second = await site.stage(CONTENT[:-1], b"2.MP4")
        await site.reaches(second, Custody.ACCEPTED)


async def test_parts_go_in_parallel_within_the_bound(site: UploadSite, centre: WireCentre) -> None:
    site.config["parallel_parts"], centre.part_seconds = 3, 0.01
    recordings = [await site.stage(CONTENT + bytes([number]), b"%d.MP4" % number) for number in range(4)]
    async with site.uploading():
        for recording in recordings:
            await site.reaches(recording, Custody.ACCEPTED)
    assert 2 <= centre.most_at_once <= 3


async def test_finished_parts_are_not_sent_again_after_a_kill(
    site: UploadSite, centre: WireCentre, tmp_path: Path
) -> None:
    site.config["parallel_parts"] = 1
    recording = await site.stage(CONTENT)
    blocked, released = asyncio.Event(), asyncio.Event()

    async def hang(request: object) -> object:
        blocked.set()
        await released.wait()
        return await drops(request)  # type: ignore[arg-type]

    async with site.uploading():
        await until(lambda: len(centre.part_bodies) >= 2)
        centre.break_next("PUT /parts", hang, times=10)  # type: ignore[arg-type]
        await blocked.wait()
    released.set()
    before = dict(centre.part_bodies)
    centre.faults.clear()
    async with site.uploading():
        await site.reaches(recording, Custody.ACCEPTED)
    assert len(before) in (2, 3)
    assert all(count == 1 for count in centre.part_bodies.values())
    assert len(centre.part_bodies) == PARTS


async def test_part_that_the_store_forgot_is_sent_again(site: UploadSite, centre: WireCentre) -> None:
    recording = await site.stage(CONTENT)

    async def forget(request: object) -> object:
        for upload in centre.uploads.values():
            upload.parts.pop(2)
        return await refuses(409, "parts-missing")(request)  # type: ignore[arg-type]

    centre.break_next("POST /api/v1/uploads", forget)  # type: ignore[arg-type]
    async with site.uploading():
        await site.reaches(recording, Custody.ACCEPTED)
    assert centre.part_bodies[sha256(CONTENT), 2] == 2
    assert centre.part_bodies[sha256(CONTENT), 1] == 1


@pytest.mark.parametrize(
    ("at", "fault"),
    [
        ("POST /api/v1/recordings", drops),
        ("POST /api/v1/recordings", answers(503, retry_after="0")),
        ("POST /api/v1/recordings", answers(507)),
        ("POST /api/v1/recordings", answers(429, retry_after="0")),
        ("POST /api/v1/recordings", answers(500, body="Traceback")),
        ("POST /api/v1/recordings", answers(401)),
        ("POST /api/v1/recordings", answers(404, body="<html>nginx</html>", content_type="text/html")),
        ("POST /api/v1/recordings", answers(400, body="<html>proxy</html>", content_type="text/html")),
        ("POST /api/v1/recordings", answers(302)),
        ("POST /api/v1/recordings", answers(200, body="{", content_type="application/json")),
        ("POST /api/v1/recordings", answers(200, body="{}", content_type="application/json")),
        ("POST /api/v1/recordings", answers(200, body="x" * 100_000)),
        ("PUT /parts", drops),
        ("PUT /parts", drops_after(PART_BYTES // 2)),
        ("PUT /parts", answers(503)),
        ("PUT /parts", answers(507)),
        ("PUT /parts", answers(400, body="<Error><Code>BadDigest</Code></Error>", content_type="application/xml")),
        ("PUT /parts", answers(404)),
        ("PUT /parts", answers(409)),
        ("POST /api/v1/uploads", drops),
        ("POST /api/v1/uploads", answers(503)),
        ("POST /api/v1/uploads", refuses(404, "not-found")),
        ("POST /api/v1/uploads", answers(200, body='{"store": 1}', content_type="application/json")),
        ("GET /api/v1/store", drops),
    ],
)
async def test_trouble_of_the_line_or_the_store_is_never_a_rejection(
    site: UploadSite, centre: WireCentre, at: str, fault: object
) -> None:
    recording = await site.stage(CONTENT)
    centre.break_next(at, fault, times=4)  # type: ignore[arg-type]
    async with site.uploading():
        await site.reaches(recording, Custody.ACCEPTED)
    assert centre.objects[sha256(CONTENT)] == CONTENT
    assert "RecordingRejected" not in await kinds(site)


@pytest.mark.parametrize("status", [400, 409, 413, 422])
async def test_refusal_of_the_claim_rejects_with_the_reason(site: UploadSite, centre: WireCentre, status: int) -> None:
    recording = await site.stage(CONTENT)
    centre.break_next("POST /api/v1/recordings", refuses(status, "never", "The size is absurd."), times=100)
    async with site.uploading():
        entry = await site.reaches(recording, Custody.REJECTED)
    assert "The size is absurd." in (entry.rejection or "")
    assert entry.has_copy
    assert site.staging.final_path(recording).read_bytes() == CONTENT


async def test_one_refused_recording_does_not_hold_up_the_others(site: UploadSite, centre: WireCentre) -> None:
    site.config["parallel_recordings"] = 1
    recordings = [await site.stage(CONTENT[number:], b"%d.MP4" % number) for number in range(3)]
    centre.break_next("POST /api/v1/recordings", refuses(422, "never"))
    async with site.uploading(), asyncio.timeout(10):
        while (states := [(await site.entry(one)).state for one in recordings]).count(Custody.ACCEPTED) < 2:
            await asyncio.sleep(0.01)
    assert states.count(Custody.REJECTED) == 1


async def test_expired_addresses_are_asked_for_afresh(site: UploadSite, centre: WireCentre) -> None:
    recording = await site.stage(CONTENT)

    async def expire(request: object) -> object:
        centre.expire_addresses()
        return await refuses(403, "expired")(request)  # type: ignore[arg-type]

    centre.break_next("PUT /parts", expire)  # type: ignore[arg-type]
    async with site.uploading():
        await site.reaches(recording, Custody.ACCEPTED)
    assert centre.count("GET /api/v1/uploads") >= 1


async def test_store_that_assembled_other_bytes_gets_everything_once_more(site: UploadSite, centre: WireCentre) -> None:
    recording = await site.stage(CONTENT)

    async def differs(request: object) -> object:
        centre.uploads.clear()
        return await refuses(409, "digest-differs")(request)  # type: ignore[arg-type]

    centre.break_next("POST /api/v1/uploads", differs)  # type: ignore[arg-type]
    async with site.uploading():
        await site.reaches(recording, Custody.ACCEPTED)
    assert set(centre.part_bodies.values()) == {2}


@pytest.mark.parametrize(
    "lie",
    [
        lambda signer: lambda receipt: signer.sign(receipt.model_copy(update={"digest": "ab" * 32})),
        lambda signer: lambda receipt: signer.sign(receipt.model_copy(update={"size_bytes": 1})),
        lambda signer: lambda receipt: signer.sign(receipt.model_copy(update={"store": "another"})),
        lambda signer: lambda receipt: receipt.model_copy(update={"key": "another"}),
        lambda signer: lambda receipt: receipt.model_copy(update={"signature": "A" * 86 + "=="}),
        lambda signer: lambda receipt: Signer().sign(receipt),
    ],
    ids=["digest", "size", "store", "key", "signature", "other signer"],
)
async def test_receipt_that_proves_nothing_clears_nothing(site: UploadSite, centre: WireCentre, lie: object) -> None:
    centre.resigned = lie(centre.signer)  # type: ignore[operator]
    recording = await site.stage(CONTENT)
    async with site.uploading() as uploader:
        await until(lambda: "clears nothing" in uploader.status().words)
        entry = await site.entry(recording)
        assert entry.state is Custody.STORED
        assert entry.receipt is None
        assert entry.has_copy
    assert not uploader.status().is_reachable


async def test_stale_receipt_of_another_recording_clears_nothing(site: UploadSite, centre: WireCentre) -> None:
    old = centre.signer.receipt(sha256(b"old"), 3)
    centre.receipts[sha256(CONTENT)] = old
    recording = await site.stage(CONTENT)
    async with site.uploading() as uploader:
        await until(lambda: "clears nothing" in uploader.status().words)
    assert (await site.entry(recording)).state is Custody.VERIFIED


async def test_no_footage_goes_to_a_centre_that_is_another(site: UploadSite, centre: WireCentre) -> None:
    centre.described = lambda description: description.model_copy(update={"store": "store-2"})
    await site.stage(CONTENT)
    async with site.uploading() as uploader:
        await until(lambda: "was enrolled" in uploader.status().words)
    assert centre.count("POST") == 0
    assert centre.count("PUT") == 0


async def test_damaged_staged_copy_is_never_sent_as_good(site: UploadSite, centre: WireCentre) -> None:
    recording = await site.stage(CONTENT)
    damaged = bytearray(CONTENT)
    damaged[PART_BYTES + 17] ^= 1
    site.staging.final_path(recording).write_bytes(damaged)
    async with site.uploading():
        with site.journal.changes() as changes:
            async with asyncio.timeout(10):
                while (await site.entry(recording)).has_copy:
                    await changes.wait()
        await until(lambda: not site.staging.final_path(recording).exists())
    assert all(2 not in upload.parts for upload in centre.uploads.values())
    last = (await site.journal.facts_after(0, 100))[-1].fact
    assert isinstance(last, facts.CopyDiscarded)
    assert last.code == "staged-copy-damaged"
    assert not centre.objects


async def test_damaged_copy_that_a_careless_store_took_is_found_out_at_completion(
    site: UploadSite, centre: WireCentre
) -> None:
    """A store that accepts wrong bytes: the centre finds the whole wrong, the dock its own copy damaged."""
    recording = await site.stage(CONTENT)
    damaged = bytearray(CONTENT)
    damaged[PART_BYTES + 17] ^= 1
    site.staging.final_path(recording).write_bytes(damaged)
    centre.proves_parts = False
    async with site.uploading():
        with site.journal.changes() as changes:
            async with asyncio.timeout(10):
                while (await site.entry(recording)).has_copy:
                    await changes.wait()
    last = (await site.journal.facts_after(0, 100))[-1].fact
    assert isinstance(last, facts.CopyDiscarded)
    assert last.code == "staged-copy-damaged"
    assert not centre.objects


@pytest.mark.parametrize(("damage", "code"), [("gone", "staged-copy-missing"), ("short", "staged-copy-short")])
async def test_missing_or_short_copy_is_given_up(site: UploadSite, damage: str, code: str) -> None:
    recording = await site.stage(CONTENT)
    path = site.staging.final_path(recording)
    path.unlink() if damage == "gone" else path.write_bytes(CONTENT[:10])
    async with site.uploading():
        with site.journal.changes() as changes:
            async with asyncio.timeout(10):
                while (await site.entry(recording)).has_copy:
                    await changes.wait()
    last = (await site.journal.facts_after(0, 100))[-1].fact
    assert isinstance(last, facts.CopyDiscarded)
    assert last.code == code


async def test_addresses_for_other_parts_are_not_used(site: UploadSite, centre: WireCentre) -> None:
    recording = await site.stage(CONTENT)
    honest = centre._offer

    def dishonest(name: str) -> object:
        offer = honest(name)
        moved = offer.parts[0].model_copy(update={"offset_bytes": PART_BYTES})
        return offer.model_copy(update={"parts": (moved, *offer.parts[1:])})

    centre._offer = dishonest  # type: ignore[method-assign,assignment]
    async with site.uploading():
        await until(lambda: centre.count("POST /api/v1/recordings") >= 2)
    assert centre.count("PUT /parts") == 0
    assert (await site.entry(recording)).state is Custody.VERIFIED


async def test_status_tells_what_is_sent_and_how_fast(site: UploadSite, centre: WireCentre) -> None:
    site.config["parallel_parts"] = 1
    recording = await site.stage(CONTENT)
    going_on = asyncio.Event()

    async def wait(request: object) -> object:
        await going_on.wait()
        return await drops(request)  # type: ignore[arg-type]

    async with site.uploading() as uploader:
        await until(lambda: len(centre.part_bodies) >= 1)
        centre.break_next("PUT /parts", wait)  # type: ignore[arg-type]
        await until(lambda: any(one.done_bytes > 0 for one in uploader.status().transfers))
        (transfer,) = uploader.status().transfers
        assert transfer.recording == recording
        assert transfer.size_bytes == len(CONTENT)
        assert uploader.status().rate_bytes_per_second > 0
        assert uploader.status().is_reachable
        going_on.set()
        await site.reaches(recording, Custody.ACCEPTED)
        await until(lambda: not uploader.status().transfers)


async def test_nothing_is_left_open_when_the_uploader_is_killed(site: UploadSite, centre: WireCentre) -> None:
    await site.stage(CONTENT)
    uploader: Uploader = site.uploader()
    async with site.uploading(uploader):
        await until(lambda: centre.count("PUT /parts") >= 1)
    assert not uploader.status().transfers
