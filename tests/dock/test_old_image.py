"""A dock that is restored from an old image of its disk, or copied: its facts fork, and nothing is erased by it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from dockd.model.ids import BayId
from tests.support.enrolled_rig import EnrolledRig, enrolled_rig
from tests.support.enrolled_site import EnrolledSite, enrolled_site

MIB = 1024 * 1024


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[EnrolledSite]:
    async with enrolled_site(tmp_path) as one:
        yield one


async def facts_at_centre(site: EnrolledSite, dock: str = "dock-1") -> tuple[int, str]:
    taken = await site.centre.services.facts.head(dock)
    return taken.number, taken.head


async def use_once(rig: EnrolledRig, camera: str) -> None:
    """A camera's whole visit; returns with all of its facts at the centre."""
    rig.camera(camera, {"DCIM/1.MP4": os.urandom(MIB)})
    async with rig.run() as dock:
        rig.dock(camera, 1)
        await rig.until_state(1, "ready")
        rig.undock(camera, 1)
        await rig.until(lambda: rig.status(1).state == "empty", "the bay is empty")
        await rig.until(lambda: dock.desk.snapshot().facts_at_centre == dock.journal.head[0], "all facts told")


async def test_a_dock_from_an_old_image_is_refused_held_and_told_why(site: EnrolledSite) -> None:
    rig = await enrolled_rig(site)
    await use_once(rig, "A1")
    image = rig.root / "image"
    shutil.copytree(rig.root / "state", image)
    await use_once(rig, "A2")
    before = await facts_at_centre(site)

    shutil.rmtree(rig.root / "state")
    shutil.copytree(image, rig.root / "state")
    rig.camera("A3", {"DCIM/1.MP4": os.urandom(MIB)})
    async with rig.run() as dock:
        await rig.until(lambda: "old cop" in dock.desk.snapshot().centre_words, "the page says why")
        rig.dock("A3", 1)
        bay = await rig.until_state(1, "held")
        assert (bay.code, "old cop" in bay.words, "nothing is erased" in bay.words) == ("records-differ", True, True)
        assert (bay.recordings_accepted, bay.recordings_erased) == (1, 0), "its footage is sent all the same"
        rig.oracle.check_nothing_lost()
        await dock.desk.release(BayId(bay.bay))
        await rig.until(lambda: rig.status(1).state != "held", "it tries again")
        await rig.until_state(1, "held")
        rig.undock("A3", 1)
    assert await facts_at_centre(site) == before, "the centre's record is as it was"

    # As docs/enrolment.md says: a name of its own and an empty record; what is on cards is brought by the next docking.
    shutil.move(rig.root / "state" / "journal", rig.root / "state" / "journal-before")
    rig.dock_id = "dock-1b"
    rig.enrolment = await site.enrol("dock-1b")
    async with rig.run():
        rig.dock("A3", 1)
        bay = await rig.until_state(1, "ready")
        assert bay.recordings_erased == 1


async def test_two_computers_under_one_name_are_not_both_believed(site: EnrolledSite) -> None:
    """The whole disk was copied, certificate and all; both run, one after the other."""
    first = await enrolled_rig(site)
    await use_once(first, "A1")
    copy = EnrolledRig(
        root=site.root / "copy",
        centre_url=site.url,
        pinned=first.pinned,
        store=site.folder,
        enrolment=first.enrolment,
        clock=site.clock,
    )
    shutil.copytree(first.root / "state", copy.root / "state")
    await use_once(first, "A2")
    before = await facts_at_centre(site)
    copy.camera("B0", {"DCIM/1.MP4": os.urandom(1000)})
    async with copy.run() as dock:
        copy.dock("B0", 1)
        bay = await copy.until_state(1, "held")
        assert bay.code == "records-differ"
        assert dock.desk.snapshot().facts_at_centre < dock.journal.head[0]
    assert await facts_at_centre(site) == before
    await use_once(first, "A3")
