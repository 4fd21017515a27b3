"""What every driver promises of listing and reading a card."""

from __future__ import annotations

import os
import socket
import tracemalloc
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from dockd.errors import CameraGone, SourceChanged
from dockd.model.ids import CardPath
from dockd.model.recording import SourceFile
from dockd.model.value import PathText
from tests.support.driver_rigs import Rig

HOSTILE = (
    b"new\nline.mp4",
    b"invalid-\xff\xfe.mp4",
    b"n" * 251 + b".mp4",
    b"same.mp4",
    b"SAME.MP4",
    b"..mp4",
    b"...",
    b"-rf.mp4",
    b"100%25.mp4",
    b"%2e%2e",
    b"MOVI~1.MP4",
    b" leading and trailing .mp4 ",
    b"tab\t\x01\x7f.mp4",
    b"quote'\";$(reboot)`.mp4",
    "cliché-日本.mp4".encode(),
)


async def test_it_says_the_same_identity_each_time_it_is_docked(rig: Rig) -> None:
    async with rig.open() as camera:
        first = await camera.identify()
    rig.unplug()
    rig.plug_in()
    async with rig.open() as camera:
        assert await camera.identify() == first
        assert await camera.identify() == first
    assert first.camera.startswith(f"{rig.driver.name}:")


async def test_an_empty_card_lists_nothing(rig: Rig) -> None:
    async with rig.open() as camera:
        assert (await camera.storage.list()).footage == ()


async def test_footage_is_listed_in_the_order_of_its_path_with_size_and_time(rig: Rig) -> None:
    rig.put(b"DCIM/b.mp4", b"22", modified_ns=1_763_791_202_000_000_000)
    rig.put(b"DCIM/a/z.mp4", b"1", modified_ns=1_763_791_201_000_000_000)
    rig.put(b"DCIM/a.mp4", b"", modified_ns=1_763_791_200_000_000_000)
    async with rig.open() as camera:
        footage = (await camera.storage.list()).footage
        assert footage == (await camera.storage.list()).footage
    assert footage == (
        SourceFile(CardPath((b"DCIM", b"a", b"z.mp4")), 1, 1_763_791_201_000_000_000),
        SourceFile(CardPath((b"DCIM", b"a.mp4")), 0, 1_763_791_200_000_000_000),
        SourceFile(CardPath((b"DCIM", b"b.mp4")), 2, 1_763_791_202_000_000_000),
    )
    assert [one.untrusted_recorded_at.second for one in footage if one.untrusted_recorded_at] == [1, 0, 2]


async def test_clutter_is_named_and_left_alone(rig: Rig) -> None:
    for clutter in (b"._a.mp4", b"camera.log", b"System Volume Information/index.mp4"):
        rig.put(b"DCIM/" + clutter)
    rig.put(b"DCIM/a.mp4")
    async with rig.open() as camera:
        listing = await camera.storage.list()
    assert [one.path.text for one in listing.footage] == ["DCIM/a.mp4"]
    assert {"DCIM/._a.mp4", "DCIM/camera.log", "DCIM/System Volume Information"} <= set(listing.ignored)


async def test_links_devices_and_pipes_are_never_footage_and_never_opened(rig: Rig, tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"of the host")
    rig.put(b"DCIM/real.mp4")
    folder = rig.card / "DCIM"
    (folder / "link.mp4").symlink_to(secret)
    (folder / "linked-folder").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(folder / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as plug:
        here = Path.cwd()
        os.chdir(folder)  # a socket's path must be short
        try:
            plug.bind("plug.mp4")
        finally:
            os.chdir(here)
    async with rig.open() as camera:
        listing = await camera.storage.list()
        assert [one.path.file_name for one in listing.footage] == [b"real.mp4"]
        assert {"DCIM/link.mp4", "DCIM/linked-folder", "DCIM/pipe.mp4", "DCIM/plug.mp4"} <= set(listing.ignored)
        for hostile in (b"link.mp4", b"pipe.mp4"):
            with pytest.raises(SourceChanged):
                await rig.read(camera, SourceFile(CardPath((b"DCIM", hostile)), 7, 1))
        with pytest.raises(SourceChanged):
            await rig.read(camera, SourceFile(CardPath((b"DCIM", b"linked-folder", b"secret.mp4")), 11, 1))


@pytest.mark.parametrize(
    "names", [(b"..", b"secret.mp4"), (b"DCIM", b"..", b"..", b"secret.mp4"), (b"/etc/passwd",), (b"",)]
)
async def test_no_name_leads_out_of_the_card(rig: Rig, names: tuple[bytes, ...]) -> None:
    (rig.card.parent / "secret.mp4").write_bytes(b"of the host")
    async with rig.open() as camera:
        with pytest.raises(SourceChanged):
            await rig.read(camera, SourceFile(CardPath(names), 11, None))


async def test_hostile_names_are_listed_read_and_survive_their_text_form(rig: Rig) -> None:
    for index, name in enumerate(HOSTILE):
        rig.put(b"DCIM/" + name, b"%d" % index)
    async with rig.open() as camera:
        footage = (await camera.storage.list()).footage
        assert {one.path.file_name for one in footage} == set(HOSTILE)
        for source in footage:
            text = TypeAdapter(PathText).validate_python(source.path.text)
            assert CardPath.from_text(text) == source.path
            assert await rig.read(camera, source) == b"%d" % HOSTILE.index(source.path.file_name)


async def test_a_recording_reads_as_the_card_holds_it(rig: Rig) -> None:
    content = bytes(range(256)) * 1000 + b"tail"
    rig.put(b"DCIM/a.mp4", content)
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        assert await rig.read(camera, source) == content
        assert await rig.read(camera, source, start=255_000, at_most=300) == content[255_000:255_300]
        assert await rig.read(camera, source, start=len(content), at_most=10) == b""


async def test_a_recording_over_four_gibibytes_is_read_at_its_end(rig: Rig) -> None:
    place = rig.put(b"DCIM/long.mp4")
    with place.open("r+b") as file:
        file.truncate(5 * 1024**3)
        file.seek(5 * 1024**3 - 9)
        file.write(b"the-end!!")
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        assert source.size_bytes == 5 * 1024**3
        assert await rig.read(camera, source, start=4 * 1024**3 + 1, at_most=4) == bytes(4)
        assert await rig.read(camera, source, start=5 * 1024**3 - 9, at_most=100) == b"the-end!!"


@pytest.mark.parametrize("change", ["grown", "touched", "replaced", "removed"])
async def test_a_file_that_changed_since_it_was_listed_is_not_opened(rig: Rig, change: str) -> None:
    place = rig.put(b"DCIM/a.mp4", b"content")
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        place = rig.card / "DCIM" / "a.mp4"
        _change(place, change)
        with pytest.raises(SourceChanged):
            await rig.read(camera, source)


@pytest.mark.parametrize("change", ["grown", "touched", "replaced", "removed"])
async def test_an_open_reader_tells_when_its_file_changes(rig: Rig, change: str) -> None:
    rig.put(b"DCIM/a.mp4", b"content")
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        reader = await rig.blocking(camera.storage.open_reader, source)
        try:
            assert await rig.blocking(reader.stat) == source
            _change(rig.card / "DCIM" / "a.mp4", change)
            if change in ("replaced", "removed"):
                with pytest.raises(SourceChanged):
                    await rig.blocking(reader.stat)
            else:
                assert await rig.blocking(reader.stat) != source
        finally:
            reader.close()


def _change(place: Path, change: str) -> None:
    if change == "grown":
        with place.open("ab") as file:
            file.write(b"more")
    elif change == "touched":
        os.utime(place, ns=(1, 1))
    else:
        place.rename(place.parent.parent / "aside")
        if change == "replaced":
            place.write_bytes(b"another")


async def test_closing_a_reader_twice_is_harmless(rig: Rig) -> None:
    rig.put(b"DCIM/a.mp4")
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        reader = await rig.blocking(camera.storage.open_reader, source)
        reader.close()
        reader.close()


async def test_after_the_cable_was_pulled_everything_says_so_and_nothing_is_read(rig: Rig) -> None:
    rig.put(b"DCIM/a.mp4", b"x" * 100_000)
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
        reader = await rig.blocking(camera.storage.open_reader, source)
        buffer = memoryview(bytearray(10))
        assert await rig.blocking(reader.read_into, 0, buffer) > 0
        rig.unplug()
        buffer[:] = bytes(10)
        with pytest.raises(CameraGone):
            await rig.blocking(reader.read_into, 0, buffer)
        assert bytes(buffer) == bytes(10)
        with pytest.raises(CameraGone):
            await rig.blocking(reader.stat)
        with pytest.raises(CameraGone):
            await camera.storage.list()
        with pytest.raises(CameraGone):
            await camera.storage.measure()
        with pytest.raises(CameraGone):
            await rig.blocking(camera.storage.open_reader, source)
        reader.close()


async def test_leaving_after_an_error_inside_keeps_the_error_and_leaves_nothing_open(rig: Rig) -> None:
    class OursError(Exception):
        pass

    async def work_until_pulled() -> None:
        async with rig.open() as camera:
            await camera.storage.list()
            rig.unplug()
            raise OursError

    with pytest.raises(OursError):
        await work_until_pulled()
    assert rig.open_mounts == 0


async def test_opening_a_port_that_is_empty_says_that_the_camera_is_gone(rig: Rig) -> None:
    rig.unplug()
    with pytest.raises(CameraGone):
        async with rig.open():
            pass


async def test_nothing_can_be_read_through_a_camera_that_was_left(rig: Rig) -> None:
    rig.put(b"DCIM/a.mp4")
    async with rig.open() as camera:
        (source,) = (await camera.storage.list()).footage
    with pytest.raises(CameraGone):
        await rig.blocking(camera.storage.open_reader, source)


async def test_ten_thousand_files_are_listed_in_order_in_bounded_memory(rig: Rig) -> None:
    names = [b"DCIM/%02d/%06d.mp4" % (number % 10, number) for number in range(10_000)]
    for name in names:
        rig.put(name, b"")
    async with rig.open() as camera:
        tracemalloc.start()
        try:
            footage = (await camera.storage.list()).footage
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert [b"/".join(one.path.names) for one in footage] == sorted(names)
    assert peak_bytes < 20_000_000
