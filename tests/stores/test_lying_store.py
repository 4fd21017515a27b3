"""A store that lies, fails or is slow: never a receipt on doubt, never a rejection, and always a way on."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from dockd.central.refusals import BUSY, PART_DAMAGED, STORE_SUSPECT
from dockd.central.stores.s3.config import StoreConfig
from dockd.clock import SystemClock
from dockd.web.problems import Refusal
from tests.support.ceph_rgw import CephRgw
from tests.support.lying_store import Lie, LyingStore, lying_store
from tests.support.object_store import make_bucket
from tests.support.store_site import StoreSite, open_s3_site

CONTENT = os.urandom(200_000)


@pytest_asyncio.fixture
async def lied(
    ceph: CephRgw, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> AsyncIterator[tuple[StoreSite, LyingStore]]:
    """A real Ceph behind a proxy that lies."""
    await make_bucket(ceph.server, bucket_name)
    async with lying_store(ceph.server.endpoint) as (url, liar):
        config = configured(replace(ceph.server, endpoint=url), bucket_name, timeout_seconds=1)
        async with open_s3_site(tmp_path, config, SystemClock()) as site:
            yield site, liar


async def _refused(site: StoreSite, content: bytes) -> Refusal:
    plan = await site.plan(content)
    await site.store.begin(plan)
    await site.send(plan, content)
    with pytest.raises(Refusal) as refused:
        await site.place(plan)
    return refused.value


@pytest.mark.parametrize("lie", [Lie.DAMAGED_OBJECT, Lie.LOST_OBJECT, Lie.CUT_CONTENT])
async def test_bad_object_is_not_signed_for_and_is_sent_again(lied: tuple[StoreSite, LyingStore], lie: Lie) -> None:
    site, liar = lied
    plan = await site.plan(CONTENT)
    await site.store.begin(plan)
    await site.send(plan, CONTENT)
    liar.lies.add(lie)
    with pytest.raises(Refusal) as refused:
        await site.place(plan)
    assert refused.value.kind is PART_DAMAGED
    liar.lies.clear()
    assert await site.store.begin(plan) == frozenset()
    await site.send(plan, CONTENT)
    assert await site.get((await site.place(plan)).object_key) == (200, CONTENT)


async def test_store_that_reads_differently_each_time_is_asked_later(lied: tuple[StoreSite, LyingStore]) -> None:
    site, liar = lied
    liar.lies.add(Lie.OTHER_CONTENT_ONCE)
    refusal = await _refused(site, CONTENT)
    assert refusal.kind is STORE_SUSPECT
    assert "different bytes each time" in refusal.what


@pytest.mark.parametrize(
    ("lie", "kind"), [(Lie.UNAVAILABLE, BUSY), (Lie.FORBIDDEN, STORE_SUSPECT), (Lie.SILENT, STORE_SUSPECT)]
)
async def test_trouble_of_the_store_is_later_with_words(
    lied: tuple[StoreSite, LyingStore], lie: Lie, kind: object
) -> None:
    site, liar = lied
    plan = await site.plan(CONTENT)
    await site.store.begin(plan)
    await site.send(plan, CONTENT)
    liar.lies.add(lie)
    for call in (
        site.place(plan),
        site.store.begin(plan),
        site.store.keep_document("sessions/a/b/c.txt", b"x"),
    ):
        with pytest.raises(Refusal) as refused:
            await call
        assert refused.value.kind is kind
        assert refused.value.kind.status == 503
        assert refused.value.retry_after_seconds
        assert refused.value.what.startswith("The object store")
    liar.lies.clear()
    assert await site.get((await site.place(plan)).object_key) == (200, CONTENT)
