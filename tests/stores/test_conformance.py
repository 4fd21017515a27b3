"""What every object store promises, over a folder, Ceph, Ceph with Object Lock and Swift alike."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import pytest

from dockd.central.refusals import DIGEST_DIFFERS, PARTS_MISSING
from dockd.central.stores import UploadPlan
from dockd.errors import NotFound
from dockd.web.problems import Refusal
from tests.support.store_site import PART_BYTES, StoreSite, digest_of

CONTENT = os.urandom(PART_BYTES) + os.urandom(77_777)


async def test_what_was_sent_in_parts_comes_back_whole(site: StoreSite) -> None:
    stored = await site.keep(CONTENT)
    assert await site.get(stored.object_key) == (200, CONTENT)
    assert await site.store.holds(stored.object_key, len(CONTENT))
    assert not await site.store.holds(stored.object_key, len(CONTENT) + 1)


async def test_empty_and_single_part_recordings_are_kept(site: StoreSite) -> None:
    for content in (b"", b"x", os.urandom(1000)):
        stored = await site.keep(content)
        assert await site.get(stored.object_key) == (200, content)


async def test_ranges_are_served_and_impossible_ones_refused(site: StoreSite) -> None:
    stored = await site.keep(b"0123456789")
    assert await site.get(stored.object_key, Range="bytes=2-4") == (206, b"234")
    assert await site.get(stored.object_key, Range="bytes=-3") == (206, b"789")
    status, body = await site.get(stored.object_key, Range="bytes=50-60")
    assert status == 416
    assert b"0123" not in body


async def test_upload_resumes_from_what_the_store_lists(site: StoreSite) -> None:
    plan = await site.plan(CONTENT)
    assert await site.store.begin(plan) == frozenset()
    await site.send(plan, CONTENT, 2)
    assert await site.store.begin(plan) == {2}
    with pytest.raises(Refusal) as refused:
        await site.place(plan)
    assert refused.value.kind is PARTS_MISSING
    await site.send(plan, CONTENT, 1)
    stored = await site.place(plan)
    assert await site.get(stored.object_key) == (200, CONTENT)


async def test_part_with_other_bytes_is_not_taken(site: StoreSite) -> None:
    plan = await site.plan(CONTENT)
    await site.store.begin(plan)
    wrong = bytes([CONTENT[PART_BYTES] ^ 1]) + CONTENT[PART_BYTES + 1 :]
    assert await site.put(site.address(plan, 2), wrong) == 400
    assert await site.store.begin(plan) == frozenset()


async def test_part_of_another_length_is_not_taken(site: StoreSite) -> None:
    plan = await site.plan(CONTENT)
    await site.store.begin(plan)
    assert await site.put(site.address(plan, 2), CONTENT[PART_BYTES:-1]) in (400, 403)
    assert await site.store.begin(plan) == frozenset()


async def test_expired_address_is_refused(site: StoreSite) -> None:
    plan = await site.plan(b"late")
    await site.store.begin(plan)
    address = site.store.part_address(plan, 1, site.origin, site.clock.now() + timedelta(seconds=1))
    await asyncio.sleep(2.2)
    assert await site.put(address, b"late") == 403


async def test_address_of_one_part_takes_no_other(site: StoreSite) -> None:
    plan = await site.plan(CONTENT)
    await site.store.begin(plan)
    moved = site.address(plan, 2)
    for old, new in (("partNumber=2", "partNumber=1"), ("/parts/2", "/parts/1")):
        moved = moved.model_copy(update={"url": moved.url.replace(old, new)})
    assert await site.put(moved, CONTENT[PART_BYTES:]) == 403


async def test_two_completions_at_once_give_the_same_object(site: StoreSite) -> None:
    plan = await site.plan(CONTENT)
    await site.store.begin(plan)
    await site.send(plan, CONTENT)
    first, second = await asyncio.gather(site.place(plan), site.place(plan))
    assert first == second
    assert await site.get(first.object_key) == (200, CONTENT)


async def test_completion_after_a_kill_proves_again(site: StoreSite) -> None:
    plan = await site.plan(CONTENT)
    await site.store.begin(plan)
    await site.send(plan, CONTENT)
    first = await site.place(plan)  # no receipt came of it
    assert await site.store.begin(plan) == {1, 2}
    assert await site.place(plan) == first


async def test_claim_that_contradicts_itself_is_refused(site: StoreSite) -> None:
    """Every part is as claimed, the whole is not: no store can ever make that true."""
    plan = await site.plan(CONTENT)
    liar = UploadPlan(plan.upload, digest_of(b"other"), plan.size_bytes, plan.part_size_bytes, plan.part_digests)
    await site.store.begin(liar)
    await site.send(liar, CONTENT)
    with pytest.raises(Refusal) as refused:
        await site.place(liar)
    assert refused.value.kind is DIGEST_DIFFERS


async def test_discarding_after_the_receipt_leaves_the_object(site: StoreSite) -> None:
    """Some S3 servers would take an object's parts away when its finished upload is aborted."""
    plan = await site.plan(CONTENT)
    await site.store.begin(plan)
    await site.send(plan, CONTENT)
    stored = await site.place(plan)
    await site.store.discard(plan)
    await site.store.discard(plan)
    assert await site.get(stored.object_key) == (200, CONTENT)


async def test_part_sent_again_after_completion_changes_nothing(site: StoreSite) -> None:
    plan = await site.plan(CONTENT)
    await site.store.begin(plan)
    address = site.address(plan, 2)
    await site.send(plan, CONTENT)
    stored = await site.place(plan)
    await site.put(address, CONTENT[PART_BYTES:])
    assert await site.put(address, b"?" * (len(CONTENT) - PART_BYTES)) >= 400 or site.service is None
    assert await site.get(stored.object_key) == (200, CONTENT)


async def test_discarded_upload_takes_no_parts(site: StoreSite) -> None:
    plan = await site.plan(CONTENT)
    await site.store.begin(plan)
    address = site.address(plan, 2)
    await site.store.discard(plan)
    if site.service is not None:  # the folder store asks the row of the upload, which the claims remove
        assert await site.put(address, CONTENT[PART_BYTES:]) in (403, 404)
    with pytest.raises(Refusal) as refused:
        await site.place(plan)
    assert refused.value.kind is PARTS_MISSING


async def test_documents_are_kept_once(site: StoreSite) -> None:
    key = "sessions/dock-1/session-1/manifest-sha256.txt"
    with pytest.raises(NotFound):
        await site.store.read_document(key)
    await site.store.keep_document(key, b"first")
    await site.store.keep_document(key, b"first")
    with pytest.raises(FileExistsError):
        await site.store.keep_document(key, b"second")
    assert await site.store.read_document(key) == b"first"


async def test_unknown_object_is_not_found(site: StoreSite) -> None:
    key = f"objects/ab/cd/{'ab' * 32}"
    assert not await site.store.holds(key, 1)
    with pytest.raises(NotFound):
        await site.store.content_response(key, {})
