"""A session's manifests reach the store: once, equal after a crash, and whatever was evicted meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dockd.custody_out.manifest import read_sha256_list
from dockd.dock.manifests import ManifestService
from dockd.model import facts
from dockd.model.ids import RecordingId
from dockd.rules.custody import Custody
from tests.support.custody import sha256
from tests.support.upload_site import DOCK, UploadSite, open_site, until
from tests.support.wire_centre import WireCentre, answers, drops, refuses


@pytest.fixture
async def centre() -> AsyncIterator[WireCentre]:
    async with WireCentre().serving() as running:
        yield running


@pytest.fixture
async def site(centre: WireCentre, tmp_path: Path) -> AsyncIterator[UploadSite]:
    async with open_site(tmp_path, centre.url, centre.signer.pinned) as opened:
        yield opened


@asynccontextmanager
async def making(site: UploadSite, folder: Path) -> AsyncIterator[None]:
    service = ManifestService(site.journal, site.staging, site.client, dock=DOCK, clock=site.clock, state_folder=folder)
    task = asyncio.create_task(service.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def docked(site: UploadSite, *contents: bytes) -> list[RecordingId]:
    await site.journal.append(facts.CameraDocked(session=site.session, bay="bay-1", port="folder:bay-1"))
    return [await site.stage(content, b"%d.MP4" % number) for number, content in enumerate(contents)]


async def reconciled(site: UploadSite) -> None:
    nothing = facts.Tally(count=0, size_bytes=0)
    await site.journal.append(
        facts.SessionReconciled(
            session=site.session,
            camera=site.camera,
            listed=nothing,
            staged=nothing,
            stored=nothing,
            erased=nothing,
            retained=nothing,
            differences=(),
        )
    )


async def undocked(site: UploadSite) -> None:
    await site.journal.append(facts.CameraUndocked(session=site.session, bay="bay-1", camera=site.camera))


async def stored(site: UploadSite, count: int = 3) -> list[facts.ManifestStored]:
    """Wait for so many facts of stored manifests."""
    async with asyncio.timeout(10):
        while True:
            bodies = [one.fact for one in await site.journal.facts_after(0, 1000)]
            found = [body for body in bodies if isinstance(body, facts.ManifestStored)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.005)


async def test_manifests_of_a_reconciled_session_are_stored_and_noted(
    site: UploadSite, centre: WireCentre, tmp_path: Path
) -> None:
    await docked(site, b"one", b"two")
    async with making(site, tmp_path):
        await asyncio.sleep(0.05)
        assert not centre.manifests
        await reconciled(site)
        noted = await stored(site)
    listed = read_sha256_list(centre.manifests["session-1", "manifest-sha256.txt"])
    assert set(listed.values()) == {sha256(b"one"), sha256(b"two")}
    assert {(one.name, one.digest) for one in noted} == {
        (name, sha256(content)) for (_, name), content in centre.manifests.items()
    }


async def test_session_that_ended_early_gets_its_manifest_too(
    site: UploadSite, centre: WireCentre, tmp_path: Path
) -> None:
    await docked(site, b"one")
    await undocked(site)
    async with making(site, tmp_path):
        await stored(site)
    assert ("session-1", "manifest-sha256.txt") in centre.manifests


async def test_empty_session_gets_none(site: UploadSite, centre: WireCentre, tmp_path: Path) -> None:
    await docked(site)
    await reconciled(site)
    await undocked(site)
    async with making(site, tmp_path):
        await asyncio.sleep(0.1)
    assert not centre.manifests


@pytest.mark.parametrize("killed_after", [0, 1, 2])
async def test_kill_between_manifests_ends_with_each_stored_once(
    site: UploadSite, centre: WireCentre, tmp_path: Path, killed_after: int
) -> None:
    await docked(site, b"one")
    await reconciled(site)
    hang = asyncio.Event()

    async def wait(request: object) -> object:
        hang.set()
        return await drops(request)  # type: ignore[arg-type]

    names = ["manifest-sha256.txt", "0001_", "ascmhl_chain.xml"]
    centre.break_next(f"PUT /api/v1/sessions/{DOCK}/session-1/manifests/{names[killed_after]}", wait, times=3)  # type: ignore[arg-type]
    async with making(site, tmp_path):
        await hang.wait()
    before = dict(centre.manifests)
    centre.faults.clear()
    await undocked(site)
    async with making(site, tmp_path):
        noted = await stored(site)
    assert len(before) == killed_after
    assert all(centre.manifests[key] == content for key, content in before.items())
    assert len({one.name for one in noted}) == len(noted) == 3


async def test_stored_but_not_noted_is_the_same_the_second_time(
    site: UploadSite, centre: WireCentre, tmp_path: Path
) -> None:
    """The crash fell between the store's answer and our fact: the same bytes are put again."""
    recordings = await docked(site, b"one")
    await reconciled(site)
    async with making(site, tmp_path):
        noted = await stored(site)
    again = ManifestService(site.journal, site.staging, site.client, dock=DOCK, clock=site.clock)
    await again._scan()
    (record,) = again._sessions.values()
    made = await again._made(record)
    assert made is not None
    assert {(name, sha256(content)) for name, content in made.by_name()} == {(one.name, one.digest) for one in noted}
    assert recordings


async def test_what_is_verified_after_the_end_does_not_change_the_manifest(
    site: UploadSite, centre: WireCentre, tmp_path: Path
) -> None:
    await docked(site, b"one")
    await undocked(site)
    before = site.session
    late = await site.stage(b"verified later", b"9.MP4")
    async with making(site, tmp_path):
        await stored(site)
    assert set(read_sha256_list(centre.manifests[before, "manifest-sha256.txt"]).values()) == {sha256(b"one")}
    assert late


@pytest.mark.parametrize("fault", [drops, answers(503), answers(507)])
async def test_trouble_delays_manifests_and_loses_none(
    site: UploadSite, centre: WireCentre, tmp_path: Path, fault: object
) -> None:
    await docked(site, b"one")
    await reconciled(site)
    centre.break_next("PUT /api/v1/sessions", fault, times=1)  # type: ignore[arg-type]
    async with making(site, tmp_path):
        noted = await stored(site)
    assert len(centre.manifests) == len(noted) == 3


async def test_refused_manifest_does_not_hold_up_the_next_session(
    site: UploadSite, centre: WireCentre, tmp_path: Path
) -> None:
    await docked(site, b"one")
    await reconciled(site)
    await undocked(site)
    centre.break_next("PUT /api/v1/sessions/dock-1/session-1", refuses(422, "bad-name"), times=100)
    site.session = "session-2"  # type: ignore[assignment]
    await docked(site, b"another")
    await reconciled(site)
    async with making(site, tmp_path):
        noted = await stored(site)
    assert {one.session for one in noted} == {"session-2"}


async def test_evicted_copy_is_read_from_the_store_instead(
    site: UploadSite, centre: WireCentre, tmp_path: Path
) -> None:
    (recording,) = await docked(site, b"one")
    async with site.uploading():
        await site.reaches(recording, Custody.ACCEPTED)
    await site.journal.append(facts.StagingEvicted(recording=recording))
    site.staging.discard(recording)
    await reconciled(site)
    async with making(site, tmp_path):
        await stored(site)
    assert centre.count("GET /api/v1/recordings") == 1


async def test_damaged_copy_does_not_get_into_a_manifest(site: UploadSite, centre: WireCentre, tmp_path: Path) -> None:
    (recording,) = await docked(site, b"one")
    site.staging.final_path(recording).write_bytes(b"0ne")
    await reconciled(site)
    async with making(site, tmp_path):
        await until(lambda: centre.count("GET /api/v1/recordings") >= 1)
    assert not centre.manifests


async def test_finished_sessions_are_not_read_again_after_a_start(
    site: UploadSite, centre: WireCentre, tmp_path: Path
) -> None:
    await docked(site, b"one")
    await reconciled(site)
    await undocked(site)
    await site.journal.append(*[facts.DockStopped() for _ in range(600)])
    async with making(site, tmp_path):
        await stored(site)
        await until((tmp_path / "manifests.json").exists)
    before = centre.count("PUT")
    async with making(site, tmp_path):
        await asyncio.sleep(0.1)
    assert centre.count("PUT") == before
    (tmp_path / "manifests.json").write_text('{"done_before": 999999}')
    site.session = "session-2"  # type: ignore[assignment]
    await docked(site, b"other size")
    await reconciled(site)
    async with making(site, tmp_path):
        await stored(site, 6)
