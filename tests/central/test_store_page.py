"""The store's page and call: what the last trial found, whether it is worse than before, and what that means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from dockd.central.app import build_centre
from dockd.central.canary import CanaryRecords, CanaryReport, Check, Finding
from dockd.central.config import CentreConfig
from dockd.central.database import Database, sqlite_url
from dockd.central.opening import DATABASE_FILE, initialise_centre
from dockd.central.stores.s3.config import FOLDER_STORE, StoreConfig
from dockd.central.verifier_queue import ReadBack, VerifierQueue
from dockd.clock import SystemClock
from tests.support.html_check import read_html
from tests.support.processes import quiet_port
from tests.support.store_site import digest_of

EVIL = '"><script>alert(1)</script>'


class LongAgo(SystemClock):
    """An hour late."""

    def now(self) -> datetime:
        return super().now() - timedelta(hours=1)


class Site:
    """A running centre, and the records that its canary would write: nobody answers where its bucket should be."""

    def __init__(self, client: TestClient, records: CanaryRecords | None, queue: VerifierQueue) -> None:
        self.client = client
        self.records = records
        self.queue = queue

    async def words(self, path: str = "/store") -> str:
        response = await self.client.get(path)
        assert response.status == 200
        page = read_html(await response.text())
        assert page.mistakes == []
        return page.words

    async def checks(self, query: str = "") -> dict:
        response = await self.client.get(f"/api/v1/store/checks{query}")
        assert response.status == 200
        return await response.json()

    async def found(self, *bad: Check, said: str = "HTTP 200") -> None:
        assert self.records is not None
        findings = {check: Finding(check not in bad, said if check in bad else "HTTP 400") for check in Check}
        report = CanaryReport(SystemClock().now(), findings)
        await self.records.keep(report.compared_with(await self.records.latest()))


async def _site(folder: Path, store: StoreConfig) -> AsyncIterator[Site]:
    await initialise_centre(folder)
    app = build_centre(CentreConfig(folder=str(folder), free_space_floor_bytes=0), store_config=store)
    async with TestClient(TestServer(app)) as client:
        database = Database(sqlite_url(folder / DATABASE_FILE))
        await database.open()
        records = CanaryRecords(database, store.place, SystemClock()) if store.kind == "s3" else None
        yield Site(client, records, VerifierQueue(database, LongAgo(), "footage"))
        await database.close()


@pytest_asyncio.fixture
async def folder_site(tmp_path: Path) -> AsyncIterator[Site]:
    async for one in _site(tmp_path / "centre", FOLDER_STORE):
        yield one


@pytest_asyncio.fixture
async def bucket_site(tmp_path: Path) -> AsyncIterator[Site]:
    credentials = tmp_path / "credentials.ini"
    credentials.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    credentials.chmod(0o600)
    given = {"kind": "s3", "endpoint": f"http://127.0.0.1:{quiet_port()}", "bucket": "footage"}
    store = StoreConfig.model_validate(
        given | {"credentials_file": str(credentials), "timeout_seconds": 1, "verifiers": 0}
    )
    async for one in _site(tmp_path / "centre", store):
        yield one


async def test_folder_is_always_read_back_and_never_tried(folder_site: Site) -> None:
    assert "the centre's own folder" in await folder_site.words()
    assert "Object store" not in await folder_site.words("/")
    checks = await folder_site.checks()
    assert (checks["kind"], checks["is_read_back"], checks["reports"]) == ("folder", True, [])


async def test_store_that_was_never_tried_is_read_back_and_the_centre_serves_all_the_same(bucket_site: Site) -> None:
    assert "has not been tried yet" in await bucket_site.words()
    assert "Object store read back" in await bucket_site.words("/")
    assert (await bucket_site.checks())["is_read_back"] is True


async def test_last_trial_says_each_finding_and_what_it_means(bucket_site: Site) -> None:
    await bucket_site.found(Check.WRONG_SHA256_HEADER, Check.VERSIONS, said=EVIL)
    words = await bucket_site.words()
    assert "does not refuse every wrong digest" in words
    assert "Not worse than the trial before." in words
    assert f"{Check.WRONG_SHA256_HEADER.value} does not {EVIL} every recording is read back" in words
    assert f"{Check.VERSIONS.value} does not {EVIL} the proof stays the same" in words
    assert f"{Check.WRONG_MD5.value} does HTTP 400" in words


async def test_worse_than_before_is_said_first_and_stays_in_the_history(bucket_site: Site) -> None:
    lost = Check.TRUNCATED_BODY.value
    await bucket_site.found()
    assert "Object store refuses wrong digests" in await bucket_site.words("/")
    await bucket_site.found(Check.TRUNCATED_BODY)
    assert "worse than before: tell IT" in await bucket_site.words("/")
    words = await bucket_site.words()
    assert "Worse than the trial before. Tell IT" in words
    assert f"it no longer does this: {lost}" in words
    assert f"{lost} does not (it did before)" in words
    await bucket_site.found(Check.TRUNCATED_BODY)
    words = await bucket_site.words()
    assert "Not worse than the trial before." in words
    assert f"some taken worse: no longer {lost}" in words
    newest = await bucket_site.checks()
    assert len(newest["reports"]) == 1
    older = await bucket_site.checks(f"?after={newest['next_after']}&limit=100")
    assert [one["is_worse_than_before"] for one in older["reports"]] == [True, False]
    assert older["next_after"] is None


async def test_read_backs_that_nobody_does_are_called_late(bucket_site: Site) -> None:
    assert "Nothing waits to be read back." in await bucket_site.words()
    await bucket_site.queue.ask(ReadBack("objects/a", None, digest_of(b"a"), 1, 1, (digest_of(b"a"),)))
    words = await bucket_site.words()
    assert "Read-backs are late. 1 recording waits to be read back" in words
    assert "no verifier is at work" in words
    assert "read-backs are late: tell IT" in await bucket_site.words("/")
    checks = await bucket_site.checks()
    assert (checks["waiting"], checks["is_late"]) == (1, True)
