"""What every driver promises of erasing: only with a clearance, only that file, only while it is that file."""

from __future__ import annotations

import ast
import hashlib
import os
from contextlib import suppress
from pathlib import Path

import pytest

from dockd.driver_api import Camera
from dockd.errors import CameraGone, EraseFailed, SourceChanged
from dockd.model.ids import CameraId, CardPath, Digest
from dockd.model.recording import SourceFile
from tests.support.driver_clearance import make_clearance
from tests.support.driver_rigs import Rig

ROOT = Path(__file__).parents[2]


async def clearance_for(rig: Rig, camera: Camera, source: SourceFile) -> object:
    content = await rig.read(camera, source)
    identity = await camera.identify()
    return make_clearance(identity.id, source, Digest(hashlib.sha256(content).hexdigest()))


async def listed(camera: Camera) -> dict[str, SourceFile]:
    return {one.path.text: one for one in (await camera.storage.list()).footage}


async def test_only_the_cleared_file_is_erased(rig: Rig) -> None:
    for name in (b"a.mp4", b"b.mp4", b"A.MP4", b"a.mp4.log"):
        rig.put(b"DCIM/" + name)
    async with rig.open() as camera:
        source = (await listed(camera))["DCIM/a.mp4"]
        clearance = await clearance_for(rig, camera, source)
        async with camera.storage.erasing() as eraser:
            await eraser.erase(clearance)
        assert set(await listed(camera)) == {"DCIM/A.MP4", "DCIM/b.mp4"}
    assert sorted(place.name for place in (rig.card / "DCIM").iterdir()) == ["A.MP4", "a.mp4.log", "b.mp4"]


async def test_room_grows_by_what_was_erased(rig: Rig) -> None:
    rig.put(b"DCIM/a.mp4", bytes(5_000_000))
    rig.put(b"DCIM/b.mp4", bytes(100))
    async with rig.open() as camera:
        before = await camera.storage.measure()
        clearance = await clearance_for(rig, camera, (await listed(camera))["DCIM/a.mp4"])
        async with camera.storage.erasing() as eraser:
            await eraser.erase(clearance)
        after = await camera.storage.measure()
    assert after.total_bytes == before.total_bytes
    assert after.free_bytes - before.free_bytes == 5_000_000


async def test_a_file_that_is_absent_already_is_no_error(rig: Rig) -> None:
    rig.put(b"DCIM/deep/a.mp4")
    async with rig.open() as camera:
        clearance = await clearance_for(rig, camera, (await listed(camera))["DCIM/deep/a.mp4"])
        for _ in range(2):
            async with camera.storage.erasing() as eraser:
                await eraser.erase(clearance)
    (rig.card / "DCIM" / "deep").rmdir()
    async with rig.open() as camera, camera.storage.erasing() as eraser:
        await eraser.erase(clearance)


@pytest.mark.parametrize("change", ["grown", "touched", "became a folder", "became a link"])
async def test_a_file_that_changed_since_it_was_cleared_stays(rig: Rig, change: str) -> None:
    rig.put(b"DCIM/a.mp4")
    async with rig.open() as camera:
        clearance = await clearance_for(rig, camera, (await listed(camera))["DCIM/a.mp4"])
    place = rig.card / "DCIM" / "a.mp4"
    if change == "grown":
        place.write_bytes(b"footage and more")
        os.utime(place, ns=(1_763_791_200_000_000_000,) * 2)
    elif change == "touched":
        os.utime(place, ns=(5, 5))
    else:
        place.rename(place.with_name("moved.mp4"))
        place.mkdir() if change == "became a folder" else place.symlink_to("moved.mp4")
    async with rig.open() as camera:
        async with camera.storage.erasing() as eraser:
            with pytest.raises(SourceChanged):
                await eraser.erase(clearance)
        assert os.path.lexists(rig.card / "DCIM" / "a.mp4")


async def test_a_clearance_for_another_camera_erases_nothing_here(rig: Rig) -> None:
    rig.put(b"DCIM/a.mp4")
    async with rig.open() as camera:
        (source,) = (await listed(camera)).values()
        digest = Digest(hashlib.sha256(b"footage").hexdigest())
        clearance = make_clearance(CameraId(f"{rig.driver.name}:OTHER-7"), source, digest)
        async with camera.storage.erasing() as eraser:
            with pytest.raises(EraseFailed):
                await eraser.erase(clearance)
        assert len(await listed(camera)) == 1


@pytest.mark.parametrize(
    "names", [(b"..", b"host.mp4"), (b"DCIM", b"..", b"..", b"host.mp4"), (b"DCIM", b"out", b"host.mp4")]
)
async def test_a_clearance_cannot_reach_outside_the_card(rig: Rig, names: tuple[bytes, ...]) -> None:
    rig.put(b"DCIM/a.mp4")
    async with rig.open() as camera:
        identity = await camera.identify()
        async with camera.storage.erasing() as eraser:
            outside = rig.card.parent / "host.mp4"
            outside.write_bytes(b"footage")
            (rig.card / "DCIM" / "out").symlink_to(rig.card.parent, target_is_directory=True)
            source = SourceFile(CardPath(names), 7, outside.stat().st_mtime_ns)
            clearance = make_clearance(identity.id, source, Digest(hashlib.sha256(b"footage").hexdigest()))
            with suppress(SourceChanged, EraseFailed):
                await eraser.erase(clearance)
            assert outside.read_bytes() == b"footage"


async def test_nothing_is_erased_after_the_cable_was_pulled(rig: Rig) -> None:
    rig.put(b"DCIM/a.mp4")

    async def pull_while_erasing() -> None:
        async with rig.open() as camera:
            clearance = await clearance_for(rig, camera, (await listed(camera))["DCIM/a.mp4"])
            async with camera.storage.erasing() as eraser:
                rig.unplug()
                await eraser.erase(clearance)

    with pytest.raises(CameraGone):
        await pull_while_erasing()
    assert rig.open_mounts == 0
    assert (rig.card / "DCIM" / "a.mp4").exists()


async def test_the_card_can_be_read_after_erasing_failed(rig: Rig) -> None:
    rig.put(b"DCIM/a.mp4")
    async with rig.open() as camera:
        (source,) = (await listed(camera)).values()
        wrong = make_clearance((await camera.identify()).id, SourceFile(source.path, 6, None), Digest("a" * 64))
        with pytest.raises(SourceChanged):
            async with camera.storage.erasing() as eraser:
                await eraser.erase(wrong)
        assert await rig.read(camera, source) == b"footage"


def test_the_source_of_every_driver_deletes_only_where_a_clearance_is_asked_for() -> None:
    """Static: a call that can remove a file stands in a function that takes a `Clearance`, and nowhere else."""
    removing = {"unlink", "remove", "rmdir", "removedirs", "rmtree", "truncate", "unlinkat"}
    allowed, found = set(), set()
    for path in (ROOT / "drivers").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            asks = any(
                isinstance(one.annotation, ast.Name) and one.annotation.id == "Clearance" for one in function.args.args
            )
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and node.attr in removing:
                    place = f"{path.relative_to(ROOT)}:{function.name}:{node.attr}"
                    (allowed if asks else found).add(place)
    assert allowed == {"drivers/card_tree.py:erase:unlink"}
    assert found == {
        # A settings file of the camera is emptied before its new content; profiles may not name footage.
        "drivers/card_tree.py:write_small:truncate",
        # The kernel's watch on a bay folder.
        "drivers/simulated/bay_watch.py:_unwatch:remove",
        # Makes test footage, never given a card of a docked camera.
        "drivers/simulated/footage.py:truncate_clip:truncate",
    }
