"""Docking and pulling by moving folders, as the dock's port watcher sees it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dockd.driver_api import Occupied, PortEvent, Vacated
from dockd.errors import ConfigInvalid
from drivers.simulated import CameraDescription, SimulatedDriver, make_camera_folder
from drivers.simulated.bay_watch import BayWatch
from drivers.simulated.inotify import Inotify

SETTLE_SECONDS = 0.05


@pytest.fixture
def bays(tmp_path: Path) -> Path:
    folder = tmp_path / "bays"
    for bay in ("1", "2"):
        (folder / bay).mkdir(parents=True)
    return folder


@pytest.fixture(params=["inotify", "looking again"])
def use_inotify(request: pytest.FixtureRequest) -> bool:
    return request.param == "inotify"


class Comings:
    """The events of a watch, with bays that were empty when first seen set apart."""

    def __init__(self, watch: BayWatch) -> None:
        self._watch = watch
        self._ever_occupied: set[str] = set()
        self.empty: list[str] = []

    def has_more(self) -> bool:
        """Whether an event waits that is not of an empty bay's first sight."""
        told = list(self._watch._events._queue)
        return any(isinstance(one, Occupied) or one.port_path in self._ever_occupied for one in told)

    async def __anext__(self) -> PortEvent:
        while True:
            event = await anext(self._watch)
            if isinstance(event, Occupied):
                self._ever_occupied.add(event.port.path)
            elif event.port_path not in self._ever_occupied:
                assert event.port_path not in self.empty, "told as empty once"
                self.empty.append(event.port_path)
                continue
            return event


@asynccontextmanager
async def watching(bays: Path, *, use_inotify: bool = True) -> AsyncIterator[Comings]:
    watch = BayWatch(bays, settle_seconds=SETTLE_SECONDS, look_again_seconds=0.02, use_inotify=use_inotify)
    async with watch as events:
        yield Comings(events)


async def next_event(events: Comings) -> PortEvent:
    async with asyncio.timeout(5):
        return await anext(events)


async def nothing_more(events: Comings, seconds: float = 0.05) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            pytest.fail(f"unexpected {await anext(events)}")


def camera(tmp_path: Path, name: str = "cam", serial: str = "SIM-1") -> Path:
    make_camera_folder(tmp_path / name, CameraDescription(serial=serial))
    return tmp_path / name


def is_occupied(event: PortEvent, place: Path) -> bool:
    return (
        isinstance(event, Occupied)
        and event.port.path == f"folder:{place.parent.name}"
        and event.port.node == str(place)
        and event.port.driver_hint == "simulated"
    )


async def test_a_folder_moved_in_is_docked_and_moved_out_is_pulled(
    tmp_path: Path, bays: Path, use_inotify: bool
) -> None:
    folder = camera(tmp_path)
    async with watching(bays, use_inotify=use_inotify) as events:
        folder.rename(bays / "1" / "cam")
        assert is_occupied(await next_event(events), bays / "1" / "cam")
        (bays / "1" / "cam").rename(bays / "2" / "cam")
        first_two = [await next_event(events), await next_event(events)]
        assert Vacated("folder:1") in first_two
        assert any(is_occupied(one, bays / "2" / "cam") for one in first_two)
        (bays / "2" / "cam").rename(folder)
        assert await next_event(events) == Vacated("folder:2")
        await nothing_more(events)


async def test_bays_that_are_empty_at_start_are_told_so_that_they_can_be_shown(tmp_path: Path, bays: Path) -> None:
    camera(tmp_path).rename(bays / "2" / "cam")
    async with watching(bays) as events:
        assert is_occupied(await next_event(events), bays / "2" / "cam")
        (bays / "3").mkdir()
        await nothing_more(events)
        assert events.empty == ["folder:1", "folder:3"]


async def test_mv_from_a_shell_is_all_it_takes(tmp_path: Path, bays: Path) -> None:
    folder = camera(tmp_path)
    async with watching(bays) as events:
        await asyncio.to_thread(subprocess.run, ["mv", str(folder), str(bays / "1")], check=True)
        assert is_occupied(await next_event(events), bays / "1" / "cam")
        await asyncio.to_thread(subprocess.run, ["mv", str(bays / "1" / "cam"), str(tmp_path)], check=True)
        assert await next_event(events) == Vacated("folder:1")


async def test_what_lies_in_the_bays_at_start_comes_first(tmp_path: Path, bays: Path) -> None:
    camera(tmp_path).rename(bays / "2" / "cam")
    async with watching(bays) as events:
        assert is_occupied(await next_event(events), bays / "2" / "cam")
        await nothing_more(events)


async def test_a_camera_out_and_in_again_before_anyone_looked_is_two_dockings(tmp_path: Path, bays: Path) -> None:
    place = bays / "1" / "cam"
    camera(tmp_path).rename(place)
    async with watching(bays) as events:
        assert is_occupied(await next_event(events), place)
        for _ in range(3):
            place.rename(tmp_path / "cam")
            (tmp_path / "cam").rename(place)
        for _ in range(3):
            assert await next_event(events) == Vacated("folder:1")
            assert is_occupied(await next_event(events), place)
        await nothing_more(events)


async def test_another_camera_under_the_same_name_is_another_docking(tmp_path: Path, bays: Path) -> None:
    place = bays / "1" / "cam"
    camera(tmp_path).rename(place)
    async with watching(bays, use_inotify=False) as events:
        assert is_occupied(await next_event(events), place)
        other = camera(tmp_path, "other", "SIM-2")
        place.rename(tmp_path / "first")
        other.rename(place)
        assert await next_event(events) == Vacated("folder:1")
        assert is_occupied(await next_event(events), place)


async def test_a_bay_made_later_is_a_bay_and_one_removed_is_empty(tmp_path: Path, bays: Path) -> None:
    folder = camera(tmp_path)
    async with watching(bays) as events:
        (bays / "late").mkdir()
        folder.rename(bays / "late" / "cam")
        assert is_occupied(await next_event(events), bays / "late" / "cam")
        (bays / "late").rename(tmp_path / "late")
        assert await next_event(events) == Vacated("folder:late")
        (tmp_path / "late").rename(bays / "again")
        assert is_occupied(await next_event(events), bays / "again" / "cam")
        (bays / "again" / "cam").rename(folder)
        assert await next_event(events) == Vacated("folder:again")


async def test_a_bay_replaced_by_another_folder_of_its_name_is_watched(tmp_path: Path, bays: Path) -> None:
    folder = camera(tmp_path)
    async with watching(bays) as events:
        (bays / "1").rename(tmp_path / "old")
        (bays / "1").mkdir()
        await asyncio.sleep(0.02)
        folder.rename(bays / "1" / "cam")
        assert is_occupied(await next_event(events), bays / "1" / "cam")


@pytest.mark.parametrize("order", [("camera.toml", "card"), ("card", "camera.toml")])
async def test_a_folder_copied_in_is_docked_when_it_is_complete(
    tmp_path: Path, bays: Path, use_inotify: bool, order: tuple[str, ...]
) -> None:
    folder = camera(tmp_path)
    text = (folder / "camera.toml").read_bytes()
    place = bays / "1" / "cam"
    async with watching(bays, use_inotify=use_inotify) as events:
        place.mkdir()
        for part in order:
            await asyncio.sleep(0.02)
            if part == "card":
                shutil.copytree(folder / "card", place / "card")
            else:
                with (place / "camera.toml").open("wb", buffering=0) as file:
                    file.write(text[:5])
                    await asyncio.sleep(0.01)
                    assert not events.has_more(), "docked with half a camera.toml"
                    file.write(text[5:])
        assert is_occupied(await next_event(events), place)
        await nothing_more(events)


async def test_a_malformed_camera_is_reported_after_a_quiet_while_so_that_opening_can_tell_why(
    tmp_path: Path, bays: Path, use_inotify: bool
) -> None:
    folder = camera(tmp_path)
    (folder / "camera.toml").write_text("serial = ", encoding="utf-8")
    async with watching(bays, use_inotify=use_inotify) as events:
        begun = asyncio.get_running_loop().time()
        folder.rename(bays / "1" / "cam")
        assert is_occupied(await next_event(events), bays / "1" / "cam")
        assert asyncio.get_running_loop().time() - begun >= SETTLE_SECONDS


async def test_what_is_no_camera_is_not_docked(tmp_path: Path, bays: Path) -> None:
    (bays / "1" / "holiday-pictures").mkdir()
    (bays / "1" / ".hidden").mkdir()
    (bays / "1" / "a-file").touch()
    (bays / "1" / "link").symlink_to(camera(tmp_path), target_is_directory=True)
    make_camera_folder(bays / ".pulled" / "cam", CameraDescription(serial="SIM-3"))
    (bays / "1" / os.fsdecode(b"\xff\xfe")).mkdir()
    (bays / "no bay name").mkdir()
    async with watching(bays) as events:
        await nothing_more(events)


async def test_a_second_camera_in_a_bay_waits_until_the_first_has_left(tmp_path: Path, bays: Path) -> None:
    camera(tmp_path, "b").rename(bays / "1" / "b")
    async with watching(bays) as events:
        assert is_occupied(await next_event(events), bays / "1" / "b")
        camera(tmp_path, "a", "SIM-2").rename(bays / "1" / "a")
        await nothing_more(events, 0.05)
        (bays / "1" / "b").rename(tmp_path / "b")
        assert await next_event(events) == Vacated("folder:1")
        assert is_occupied(await next_event(events), bays / "1" / "a")


async def test_writing_to_a_docked_cameras_own_file_is_no_event(tmp_path: Path, bays: Path) -> None:
    place = bays / "1" / "cam"
    camera(tmp_path).rename(place)
    async with watching(bays) as events:
        assert is_occupied(await next_event(events), place)
        (place / "new.toml").write_bytes((place / "camera.toml").read_bytes())
        (place / "new.toml").rename(place / "camera.toml")
        await nothing_more(events, 0.05)


async def test_lost_events_are_made_good_by_looking(
    tmp_path: Path, bays: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a queue overflow: the kernel only says that something was lost."""
    lost = Inotify.read

    def only_overflow(self: Inotify) -> object:
        return [event for event in lost(self) if False]

    folder = camera(tmp_path)
    async with watching(bays) as events:
        monkeypatch.setattr(Inotify, "read", only_overflow)
        folder.rename(bays / "1" / "cam")
        assert is_occupied(await next_event(events), bays / "1" / "cam")


async def test_fifty_moves_end_with_the_truth(tmp_path: Path, bays: Path) -> None:
    place, away = bays / "1" / "cam", camera(tmp_path)
    async with watching(bays) as events:
        for _ in range(50):
            away.rename(place)
            await asyncio.sleep(0)
            place.rename(away)
        away.rename(place)
        occupied = False
        while True:
            try:
                async with asyncio.timeout(0.2):
                    event = await anext(events)
            except TimeoutError:
                break
            assert isinstance(event, Occupied) != occupied, "occupied and vacated alternate"
            occupied = isinstance(event, Occupied)
        assert occupied


async def test_a_bays_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    driver = SimulatedDriver()
    driver.configure({"bays_folder": str(tmp_path / "nowhere")})
    watch = driver.watch()
    assert watch is not None
    with pytest.raises(ConfigInvalid, match="nowhere"):
        await watch.__aenter__()


def test_without_a_bays_folder_there_are_no_folder_bays() -> None:
    assert SimulatedDriver().watch() is None


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ConfigInvalid, match="bay_folder"):
        SimulatedDriver().configure({"bay_folder": "/x"})
