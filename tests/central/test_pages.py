"""The centre's pages over a real database and the real application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from dockd.central.app import build_centre
from dockd.central.config import CentreConfig
from dockd.central.database import Database
from dockd.central.opening import initialise_centre
from dockd.clock import SystemClock
from dockd.model.moment import ClockSync
from dockd.model.recording import Receipt
from dockd.wire.status import DockStatus
from tests.support import centre_records as records
from tests.support.html_check import read_html
from tests.support.kiosk_fakes import DockOnPaper, empty_bay, held_bay, ready_bay

EVIL = '"><script>alert(1)</script>'
DAY = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
CAMERA = "simulated:CAM1"


class Centre:
    """A running centre and the database under it."""

    def __init__(self, client: TestClient, database: Database) -> None:
        self.client = client
        self.database = database

    async def page(self, path: str, status: int = 200) -> str:
        response = await self.client.get(path)
        assert response.status == status
        assert response.content_type == "text/html"
        html = await response.text()
        assert read_html(html).mistakes == []
        return html

    async def words(self, path: str, status: int = 200) -> str:
        return read_html(await self.page(path, status)).words


@pytest_asyncio.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    folder = tmp_path / "centre"
    await initialise_centre(folder)
    app = build_centre(CentreConfig(folder=str(folder), free_space_floor_bytes=0))
    async with TestClient(TestServer(app)) as client:
        database = Database(f"sqlite:///{folder / 'centre.sqlite'}")
        await database.open()
        yield Centre(client, database)
        await database.close()


def status_of(*bays, **changed: object) -> DockStatus:
    return DockOnPaper(*bays, **changed).snapshot()


async def test_an_empty_centre_says_so(centre: Centre) -> None:
    assert "No dock has reported yet." in await centre.words("/")
    assert "No recording was found." in await centre.words("/recordings")


async def test_docks_with_problems_come_first(centre: Centre) -> None:
    now = SystemClock().now()
    fine = status_of(ready_bay("1"), empty_bay("2"), dock="fine", site="Albany")
    held = status_of(ready_bay("1"), held_bay("2"), dock="held", site="Zeal Street")
    await records.add_dock(centre.database, "fine", heard_at=now, status=fine)
    await records.add_dock(centre.database, "held", heard_at=now, status=held)
    await records.add_dock(centre.database, "lost", heard_at=now - timedelta(hours=3), status=fine)
    await records.add_dock(centre.database, "new", heard_at=None, status=None)
    words = await centre.words("/")
    assert words.index("Zeal Street") < words.index("fine ·")
    assert "1 bay needs a person: 2" in words
    assert "Last heard 3 h ago; what it shows is old" in words
    assert "Never heard" in words
    assert words.count("heard just now") == 2


async def test_bad_disk_and_clock_of_a_dock_are_problems(centre: Centre) -> None:
    status = status_of(empty_bay("1"), staging_free_bytes=10, clock_sync=ClockSync.UNSYNCHRONISED)
    await records.add_dock(centre.database, "dock-7", heard_at=SystemClock().now(), status=status)
    words = await centre.words("/docks/dock-7")
    assert "Its disk is nearly full: 10 bytes free" in words
    assert "Its clock is not synchronised" in words


async def test_dock_shows_bays_and_sessions(centre: Centre) -> None:
    now = SystemClock().now()
    await records.add_dock(centre.database, "dock-7", heard_at=now, status=status_of(ready_bay("1"), held_bay("2")))
    await records.add_session(centre.database, "dock-7", "s1", camera=CAMERA, started_at=DAY)
    await records.add_session(centre.database, "dock-7", "s2", camera=CAMERA, started_at=DAY, differences=("a.mp4",))
    await records.add_session(centre.database, "dock-7", "s3", camera=CAMERA, started_at=DAY, differences=None)
    words = await centre.words("/docks/dock-7")
    assert "The card is write-protected." in words
    for verdict in ("agrees", "differs", "not yet"):
        assert verdict in words


async def test_session_shows_the_closed_loop_and_the_clock(centre: Centre) -> None:
    await records.add_session(centre.database, "dock-7", "s1", camera=CAMERA, started_at=DAY)
    await records.add_recordings(centre.database, "dock-7", "s1", camera=CAMERA, recorded_at=DAY, count=2)
    await records.add_manifest(centre.database, "dock-7", "s1", "manifest-sha256.txt", stored_at=DAY)
    html = await centre.page("/sessions/dock-7/s1")
    words = await centre.words("/sessions/dock-7/s1")
    assert "Recordings 2 2 2 2 0" in words
    assert "Bytes 3,000,000 3,000,000 3,000,000 3,000,000 0" in words
    assert "The counts agree" in words
    assert "1.250 s ahead of the dock's" in words
    assert "In the store, erased from the card" in words
    assert 'href="/api/v1/sessions/dock-7/s1/manifests/manifest-sha256.txt"' in html


async def test_a_difference_is_named(centre: Centre) -> None:
    await records.add_session(
        centre.database, "dock-7", "s1", camera=CAMERA, started_at=DAY, differences=("DCIM/a.mp4",)
    )
    words = await centre.words("/sessions/dock-7/s1")
    assert "The counts differ. These recordings are concerned: DCIM/a.mp4" in words


async def test_unmeasured_clock_is_not_called_right(centre: Centre) -> None:
    await records.add_session(
        centre.database, "dock-7", "s1", camera=CAMERA, started_at=DAY, offset_milliseconds=None, differences=None
    )
    words = await centre.words("/sessions/dock-7/s1")
    assert "not measured" in words
    assert "Not yet reconciled" in words


async def test_recordings_are_found_by_camera_officer_and_day(centre: Centre) -> None:
    await records.add_recordings(centre.database, "dock-7", "s1", camera=CAMERA, recorded_at=DAY, count=2)

    async def count(query: str) -> int:
        return read_html(await centre.page(f"/recordings?{query}")).tags["tr"]

    assert await count("") == 3
    assert await count(f"camera={CAMERA}") == 3
    assert await count("camera=simulated:OTHER") == 0
    assert await count("officer=mx4521&from=2026-11-22&to=2026-11-22") == 3
    assert await count("officer=other") == 0
    assert await count("to=2026-11-21") == 0
    assert await count("from=2026-11-23") == 0


async def test_search_goes_on_page_by_page_and_keeps_what_was_asked(centre: Centre) -> None:
    await records.add_recordings(centre.database, "dock-7", "s1", camera=CAMERA, recorded_at=DAY, count=130)
    reader = read_html(await centre.page("/recordings?officer=MX4521"))
    assert reader.tags["tr"] == 101
    (older,) = [link for link in reader.links if "before=" in link]
    assert "officer=MX4521" in older
    rest = read_html(await centre.page(older))
    assert rest.tags["tr"] == 31
    assert not [link for link in rest.links if "before=" in link]


@pytest.mark.parametrize(
    "query",
    [
        "camera=x",
        "officer=a%20b",
        "dock=../x",
        "from=22.11.2026",
        "to=2026-13-01",
        "from=2026-11-23&to=2026-11-22",
        "from=9999-12-31",
        "before=x",
        "before=",
        "before=" + "9" * 30,
    ],
)
async def test_wrong_searches_are_refused_in_words(centre: Centre, query: str) -> None:
    assert "Correct the value and try again." in await centre.words(f"/recordings?{query}", 400)


async def test_custody_of_a_recording_with_its_receipt(centre: Centre) -> None:
    (digest,) = await records.add_recordings(centre.database, "dock-7", "s1", camera=CAMERA, recorded_at=DAY, count=1)
    html = await centre.page(f"/recordings/{digest}")
    words = await centre.words(f"/recordings/{digest}")
    assert words.index("Found on the card.") < words.index("Copied to the dock.") < words.index("Erased from the card.")
    assert "dock-7, fact 2" in words
    assert "Accepted by store store-1 on 2026-11-22 08:00:00 UTC, signed with key key-1." in words
    assert f'href="/api/v1/recordings/{digest}/content"' in html
    response = await centre.client.get(f"/recordings/{digest}/receipt.json")
    assert Receipt.model_validate_json(await response.read()).digest == digest
    assert "MX4521" in await centre.words("/docks/dock-7/recordings/s1-0")


@pytest.mark.parametrize(
    "path", [f"/recordings/{'f' * 64}", f"/recordings/{'f' * 64}/receipt.json", "/docks/none", "/sessions/a/b", "/x/y"]
)
async def test_what_is_not_there_is_a_page_that_says_so(centre: Centre, path: str) -> None:
    assert "Not found" in await centre.words(path, 404)


@pytest.mark.parametrize("path", ["/recordings/xyz", "/docks/a%20b", "/recordings/" + "F" * 64])
async def test_names_of_a_wrong_form_are_refused(centre: Centre, path: str) -> None:
    await centre.words(path, 400)


async def test_nothing_reported_by_a_dock_becomes_markup(centre: Centre) -> None:
    bad = held_bay("1", words=EVIL).model_copy(update={"model": EVIL, "code": EVIL})
    status = status_of(bad, site=EVIL, version=EVIL, centre_words=EVIL)
    await records.add_dock(centre.database, "dock-7", heard_at=SystemClock().now(), status=status)
    await records.add_session(
        centre.database, "dock-7", "s1", camera=CAMERA, started_at=DAY, reason=EVIL, differences=(EVIL,), state="held"
    )
    await records.add_recordings(centre.database, "dock-7", "s1", camera=CAMERA, recorded_at=DAY, count=1)
    for path in ("/", "/docks/dock-7", "/sessions/dock-7/s1", "/recordings"):
        assert "<script" not in await centre.page(path)


async def test_pages_need_no_script_and_carry_the_policy(centre: Centre) -> None:
    response = await centre.client.get("/")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "<script" not in await response.text()


async def test_the_api_still_answers_with_problems(centre: Centre) -> None:
    response = await centre.client.get(f"/api/v1/recordings/{'f' * 64}")
    assert response.status == 404
    assert response.content_type == "application/problem+json"
