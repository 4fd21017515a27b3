"""A card is protected first, mounted read-only, and writable only for the moments of an act."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from dockd.driver_api import SourceUnreadable, Volume
from dockd.errors import (
    AssignmentNotWritten,
    BadRequest,
    CameraGone,
    CardUnreadable,
    DriverTimeout,
    EraseFailed,
    UnknownCamera,
    UnusableIdentity,
)
from dockd.model.camera import Port
from dockd.model.ids import CameraId, Digest, OfficerNumber
from drivers.card_file import UncachedReading
from drivers.massstorage.card_mount import read_first_block
from drivers.massstorage.mounted_card import MountedCard
from drivers.massstorage.profile import Profile, parse_profile
from drivers.massstorage.profile_library import ProfileLibrary
from tests.support.driver_clearance import make_clearance
from tests.support.driver_rigs import MassStorageFilesRig, MassStorageRig

PROTECT = ["setro", "mount ro"]
WRITE = ["unmount", "setrw", "mount rw", "unmount", *PROTECT]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[MassStorageFilesRig]:
    made = MassStorageFilesRig(tmp_path)
    yield made
    made.close()


async def test_reading_never_opens_the_card_for_writing(rig: MassStorageFilesRig) -> None:
    rig.put(b"DCIM/a.mp4")
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        await rig.read(camera, source)
        await camera.storage.measure()
        await camera.identify()
    assert rig.room.history == [*PROTECT, "unmount"]


async def test_erasing_and_settings_each_open_it_for_a_moment_and_protect_it_again(rig: MassStorageFilesRig) -> None:
    rig.put(b"DCIM/a.mp4")
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        async with camera.storage.erasing():
            assert not rig.room.is_mounted_read_only
        assert rig.room.is_mounted_read_only
        assert rig.room.is_read_only
        assert await rig.read(camera, source) == b"footage"
        await camera.clock.set(rig.clock.now())
        await camera.assignment.write(OfficerNumber("PC-1"))
    assert rig.room.history == [*PROTECT, *WRITE, *WRITE, *WRITE, "unmount"]
    assert (rig.card / "SETUP" / "TIME.TXT").read_bytes() == b"20261122060000"
    assert (rig.card / "SETUP" / "OFFICER.TXT").read_bytes() == b"PC-1\r\n"


async def test_a_number_that_does_not_fit_does_not_even_open_the_card_for_writing(rig: MassStorageFilesRig) -> None:
    async with rig.open() as camera:
        with pytest.raises(BadRequest, match="at most 6"):
            await camera.assignment.write(OfficerNumber("PC-12345"))
    assert "setrw" not in rig.room.history


@pytest.mark.parametrize("is_written_to", [False, True])
@pytest.mark.parametrize("late", range(16))
async def test_whenever_the_news_comes_that_a_failing_camera_has_left_nothing_stays_mounted_or_writable(
    rig: MassStorageFilesRig, *, late: int, is_written_to: bool
) -> None:
    has_failed = asyncio.Event()

    async def docking() -> None:
        async with rig.open() as camera:
            async with camera.storage.erasing() if is_written_to else nullcontext():
                has_failed.set()
                raise CameraGone("The card does not answer any more.")

    task = asyncio.create_task(docking())
    await has_failed.wait()
    for _ in range(late):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError, CameraGone):
        await task
    assert rig.room.mounted is None
    assert rig.room.is_read_only
    assert rig.room.history[-1] == "unmount"


async def test_the_permission_to_write_ends_with_its_block(rig: MassStorageFilesRig) -> None:
    rig.put(b"DCIM/a.mp4")
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        clearance = make_clearance((await camera.identify()).id, source, Digest("a" * 64))
        async with camera.storage.erasing() as eraser:
            pass
        with pytest.raises(EraseFailed, match="protected again"):
            await eraser.erase(clearance)
    assert (rig.card / "DCIM" / "a.mp4").exists()


async def test_a_device_that_refuses_protection_is_not_mounted(
    rig: MassStorageFilesRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(device_node: Path, read_only: bool) -> None:
        raise CardUnreadable("could not be protected against writing.")

    monkeypatch.setattr(rig.room, "set_block_read_only", refuse)
    with pytest.raises(CardUnreadable, match="protected"):
        async with rig.open():
            pass
    assert rig.room.history == []


async def test_a_card_that_cannot_be_mounted_for_writing_is_protected_again_and_the_reason_told(
    rig: MassStorageFilesRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = rig.room.mount

    async def refuse_writing(volume: Volume, *, read_only: bool) -> Path:
        if not read_only:
            raise CardUnreadable("wrong fs type.")
        return await mount(volume, read_only=read_only)

    monkeypatch.setattr(rig.room, "mount", refuse_writing)
    async with rig.open() as camera:
        with pytest.raises(CardUnreadable, match="wrong fs type"):
            async with camera.storage.erasing():
                pytest.fail("writable")
        assert rig.room.is_read_only
        assert (await camera.storage.list()).footage == ()


@pytest.mark.parametrize(("is_answering", "told"), [(True, SourceUnreadable), (False, CameraGone)])
async def test_a_card_that_fails_all_over_has_left_and_one_with_a_bad_place_is_damaged(
    rig: MassStorageFilesRig, monkeypatch: pytest.MonkeyPatch, *, is_answering: bool, told: type[Exception]
) -> None:
    def fail(_self: UncachedReading, _offset: int, _buffer: memoryview) -> int:
        raise OSError(errno.EIO, "Input/output error")

    rig.put(b"DCIM/a.mp4")
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        reader = camera.storage.open_reader(source)
        monkeypatch.setattr(UncachedReading, "read_into", fail)
        rig.is_card_answering = is_answering
        with pytest.raises(told):
            reader.read_into(0, memoryview(bytearray(512)))
        reader.close()


def test_a_first_block_is_read_from_the_medium_or_fails(tmp_path: Path) -> None:
    medium = tmp_path / "medium"
    medium.write_bytes(bytes(8192))
    read_first_block(medium)
    medium.unlink()
    with pytest.raises(FileNotFoundError):
        read_first_block(medium)


async def test_a_volume_that_never_comes_is_a_time_out(rig: MassStorageFilesRig) -> None:
    class NoVolume:
        async def volume(self, port_path: str, *, timeout_seconds: float) -> Volume:
            assert timeout_seconds == 30.0
            raise DriverTimeout("no disk appeared")

        async def expect_reenumeration(self, port_path: str, *, timeout_seconds: float) -> Port:
            raise AssertionError

    class Rigged(MassStorageFilesRig):
        events = NoVolume()

    (rig.folder / "other").mkdir()
    other = Rigged(rig.folder / "other")
    with pytest.raises(DriverTimeout):
        async with other.open():
            pass
    other.close()
    assert other.room.history == []


async def test_an_unknown_layout_leaves_the_card_unmounted_and_unchanged(rig: MassStorageRig) -> None:
    for place in (rig.card / "DCIM", rig.card / "SETUP"):
        place.rename(place.with_name("HOLIDAY-" + place.name))
    with pytest.raises(UnknownCamera, match="HOLIDAY"):
        async with rig.open():
            pass
    assert rig.room.history == [*PROTECT, "unmount"]


async def test_the_same_port_with_another_device_in_it_is_not_the_same_camera(rig: MassStorageFilesRig) -> None:
    async with rig.open() as camera:
        rig.unplug()
        rig.plug_in()
        with pytest.raises(CameraGone, match="something else"):
            await camera.storage.list()


@pytest.mark.parametrize(
    ("content", "usb_serial", "camera"),
    [
        (b"ID=BWC77\r\n", "USB-1", "massstorage:BWC77"),
        (b"nothing of use", "USB-1", "massstorage:USB-1"),
        (None, "USB-1", "massstorage:USB-1"),
        (b"\xff\xfeID=BWC78", None, "massstorage:BWC78"),
        (None, None, None),
        (None, "000000000000", None),
        (None, "../../etc", None),
    ],
)
async def test_the_serial_number_comes_from_the_profiles_file_else_from_usb(
    rig: MassStorageFilesRig, content: bytes | None, usb_serial: str | None, camera: str | None
) -> None:
    place = rig.card / "SETUP" / "ID.TXT"
    place.unlink() if content is None else place.write_bytes(content)
    rig.port = rig.port.model_copy(update={"usb_serial": usb_serial})
    async with rig.open() as opened:
        if camera is None:
            with pytest.raises(UnusableIdentity):
                await opened.identify()
        else:
            assert (await opened.identify()).camera == camera


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Callable[[str], MountedCard]]:
    opened: list[MountedCard] = []

    def make(profile: str) -> MountedCard:
        (chosen,) = [one for one in ProfileLibrary.load().profiles if one.name == profile]
        opened.append(MountedCard(tmp_path, chosen))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.mark.parametrize(
    ("profile", "footage", "beside"),
    [
        ("dcim", "DCIM/100MEDIA/MOVI0001.MP4", "MISC/SETTINGS.BIN"),
        ("dcim-dated", "DCIM/261122/A_20261122060105_B.MP4", "DCIM/261122/A.THM"),
        ("record", "RECORD/1.AVI", "RECORD/1.IDX"),
        ("normal-protected", "P_VIDEO/1.MP4", "T_VIDEO/1.MP4"),
        ("files-data", "files/data/1.mp4", "files/log/1.mp4"),
        ("model-folder", "DPB20/1.MP4", "OTHER/1.MP4"),
        ("label-is-id", "DCIM/1.MP4", "1.MP4"),
    ],
)
def test_each_layout_lists_and_erases_its_footage_and_names_the_rest(
    tmp_path: Path, card: Callable[[str], MountedCard], profile: str, footage: str, beside: str
) -> None:
    for name in (footage, beside):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 1000)
    mounted = card(profile)
    listing = mounted.list()
    (source,) = listing.footage
    assert source.path.text == footage
    assert listing.ignored == (beside,)
    camera = CameraId("massstorage:BWC1")
    mounted.erase(make_clearance(camera, source, Digest("a" * 64)), camera)
    assert mounted.list().footage == ()
    assert (tmp_path / beside).exists()


def test_the_label_is_the_serial_number_where_the_profile_says_so(card: Callable[[str], MountedCard]) -> None:
    mounted = card("label-is-id")
    assert mounted.untrusted_serial("BWC0012345", "USB-1") == "BWC0012345"
    assert mounted.untrusted_serial("NO NAME", "USB-1") == "USB-1"
    assert mounted.untrusted_serial(None, None) == ""


def test_room_is_what_the_file_system_says(card: Callable[[str], MountedCard]) -> None:
    room = card("dcim").measure()
    assert 0 < room.free_bytes <= room.total_bytes


def test_a_tree_that_is_too_deep_is_damage_and_not_an_empty_card(
    tmp_path: Path, card: Callable[[str], MountedCard]
) -> None:
    (tmp_path / "DCIM" / "/".join(["d"] * 30)).mkdir(parents=True)
    with pytest.raises(CardUnreadable, match="nested"):
        card("dcim").list()


def files_profile() -> Profile:
    return parse_profile(MassStorageFilesRig.profile.encode(), "rig")


def test_a_settings_file_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"host")
    (tmp_path / "rig").mkdir()
    rig = MassStorageFilesRig(tmp_path / "rig")
    (rig.card / "SETUP" / "OFFICER.TXT").symlink_to(outside)
    mounted = MountedCard(rig.card, files_profile())
    file = mounted.profile.assignment
    assert file is not None
    assert mounted.read_officer(file) is None
    with pytest.raises(AssignmentNotWritten, match="cannot be written"):
        mounted.write_officer(file, OfficerNumber("PC-1"))
    assert outside.read_bytes() == b"host"
    mounted.close()
    rig.close()
