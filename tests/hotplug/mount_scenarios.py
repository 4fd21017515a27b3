"""What must hold when cards are mounted. Run as root in a private mount namespace by `test_mounting.py`."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockd.dock import kernel_calls
from dockd.dock.privilege import HostPrivilege, PrivilegeConfig
from dockd.dock.usb_policy import UsbConfig
from dockd.driver_api import Volume
from dockd.errors import CameraGone, CardUnreadable, CardWriteProtected, DriverTimeout

CARD_BYTES = 8 * 1024 * 1024


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Volume]:
    """A loop device holding an ext4 file system with one recording and one hostile symbolic link."""
    content = tmp_path / "content"
    (content / "DCIM").mkdir(parents=True)
    (content / "DCIM" / "A.MP4").write_bytes(b"footage")
    (content / "DCIM" / "B.MP4").symlink_to("/etc/passwd")
    image = tmp_path / "card.img"
    with image.open("wb") as file:
        file.truncate(CARD_BYTES)
    run("mkfs.ext4", "-q", "-d", str(content), str(image))
    node = run("losetup", "--find", "--show", str(image)).strip()
    try:
        yield Volume(Path(node), "ext4", "CARD")
    finally:
        run("blockdev", "--setrw", node)
        run("losetup", "--detach", node)


@pytest.fixture
def room(tmp_path: Path) -> HostPrivilege:
    return entered(tmp_path)


def entered(tmp_path: Path, act_timeout_seconds: float = 30.0) -> HostPrivilege:
    config = PrivilegeConfig(
        mount_folder=str(tmp_path / "mounts"),
        file_systems=("vfat", "exfat", "ext4"),
        act_timeout_seconds=act_timeout_seconds,
    )
    privilege = HostPrivilege(config, UsbConfig())
    privilege.enter()
    return privilege


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def options_of(mount_point: Path) -> set[str]:
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split(" ")
        if fields[4] == str(mount_point):
            return set(fields[5].split(","))
    return set()


class HangingMount:
    """mount(2) that succeeds, and whose answer does not come until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._mount = kernel_calls.mount
        self.is_mounted = threading.Event()
        self.let_go = threading.Event()
        monkeypatch.setattr(kernel_calls, "mount", self)

    def __call__(self, *arguments: Any) -> None:
        self._mount(*arguments)
        self.is_mounted.set()
        self.let_go.wait(20)


async def test_protected_card_can_be_read_and_not_written(room: HostPrivilege, card: Volume) -> None:
    await room.set_block_read_only(card.device_node, True)
    with card.device_node.open("r+b", buffering=0) as device, pytest.raises(OSError, match="not permitted"):
        device.write(bytes(512))
    mount_point = await room.mount(card, read_only=True)
    try:
        assert options_of(mount_point) >= {"ro", "nosuid", "nodev", "noexec", "noatime", "nosymfollow"}
        assert (mount_point / "DCIM" / "A.MP4").read_bytes() == b"footage"
        with pytest.raises(OSError, match="Read-only"):
            (mount_point / "DCIM" / "A.MP4").unlink()
    finally:
        await room.unmount(mount_point)
    assert not mount_point.exists()


async def test_symbolic_link_on_a_card_is_not_followed(room: HostPrivilege, card: Volume) -> None:
    mount_point = await room.mount(card, read_only=True)
    try:
        with pytest.raises(OSError) as caught:
            (mount_point / "DCIM" / "B.MP4").read_bytes()
        assert caught.value.errno == errno.ELOOP
    finally:
        await room.unmount(mount_point)


async def test_protected_card_cannot_be_mounted_for_writing(room: HostPrivilege, card: Volume) -> None:
    await room.set_block_read_only(card.device_node, True)
    with pytest.raises(CardUnreadable, match="protected against writing"):
        await room.mount(card, read_only=False)
    assert list(room._folder.iterdir()) == []


async def test_card_opened_for_erasing_is_erased_for_good(room: HostPrivilege, card: Volume) -> None:
    await room.set_block_read_only(card.device_node, True)
    await room.set_block_read_only(card.device_node, False)
    mount_point = await room.mount(card, read_only=False)
    (mount_point / "DCIM" / "A.MP4").unlink()
    await room.unmount(mount_point)
    await room.set_block_read_only(card.device_node, True)
    second = await room.mount(card, read_only=True)
    assert second != mount_point
    assert not (second / "DCIM" / "A.MP4").exists()
    await room.unmount(second)


async def test_card_in_use_is_unmounted_lazily(room: HostPrivilege, card: Volume) -> None:
    mount_point = await room.mount(card, read_only=True)
    with (mount_point / "DCIM" / "A.MP4").open("rb") as reader:
        await room.unmount(mount_point)
        assert options_of(mount_point) == set()
        assert not mount_point.exists()
        assert reader.read() == b"footage"
    await room.unmount(mount_point)  # a second time is not an error


async def test_damaged_file_system_is_refused_in_words(room: HostPrivilege, card: Volume) -> None:
    with card.device_node.open("r+b") as device:
        device.write(bytes(64 * 1024))
    with pytest.raises(CardUnreadable, match="not a sound file system"):
        await room.mount(card, read_only=True)
    assert list(room._folder.iterdir()) == []


async def test_file_system_that_is_not_allowed_never_reaches_the_kernel(room: HostPrivilege, card: Volume) -> None:
    with pytest.raises(CardUnreadable, match="'btrfs', which is not allowed"):
        await room.mount(Volume(card.device_node, "btrfs", None), read_only=True)


@pytest.mark.parametrize("node", ["/etc/passwd", "/dev/null", "/dev/../etc/passwd", "dev/sdb1"])
async def test_only_a_block_device_of_dev_is_mounted_or_switched(room: HostPrivilege, node: str) -> None:
    with pytest.raises(CardUnreadable, match="is not"):
        await room.mount(Volume(Path(node), "ext4", None), read_only=True)
    with pytest.raises(CardUnreadable, match="is not"):
        await room.set_block_read_only(Path(node), True)


async def test_card_that_left_is_gone(room: HostPrivilege) -> None:
    with pytest.raises(CameraGone):
        await room.mount(Volume(Path("/dev/sdzz1"), "ext4", None), read_only=True)


async def test_stuck_mount_ends_in_a_timeout_and_leaves_no_mount_behind(
    card: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = entered(tmp_path, act_timeout_seconds=0.3)
    hanging = HangingMount(monkeypatch)
    try:
        with pytest.raises(DriverTimeout, match="stuck"):
            await room.mount(card, read_only=True)
    finally:
        hanging.let_go.set()
    assert hanging.is_mounted.is_set()
    assert list((tmp_path / "mounts").iterdir()) == []


async def test_cancelled_mount_leaves_no_mount_behind(
    room: HostPrivilege, card: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = HangingMount(monkeypatch)
    mounting = asyncio.create_task(room.mount(card, read_only=True))
    try:
        await asyncio.to_thread(hanging.is_mounted.wait, 10)
        mounting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await mounting
    finally:
        hanging.let_go.set()
    assert list(room._folder.iterdir()) == []


async def test_mount_that_succeeds_after_it_was_given_up_undoes_itself(
    card: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = entered(tmp_path, act_timeout_seconds=0.3)
    begin, done, mount = threading.Event(), threading.Event(), kernel_calls.mount

    def late(source: Path, target: Path, *rest: Any) -> None:
        begin.wait(20)
        target.mkdir(exist_ok=True)  # the room removed it when it gave up
        mount(source, target, *rest)
        done.set()

    monkeypatch.setattr(kernel_calls, "mount", late)
    with pytest.raises(DriverTimeout):
        await room.mount(card, read_only=True)
    begin.set()
    assert await asyncio.to_thread(done.wait, 10)
    async with asyncio.timeout(10):
        while list((tmp_path / "mounts").iterdir()):
            await asyncio.sleep(0.01)


async def test_protection_that_did_not_take_is_noticed(
    room: HostPrivilege, card: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_calls, "set_block_read_only", lambda _node, _read_only: None)
    with pytest.raises(CardUnreadable, match="could not be protected"):
        await room.set_block_read_only(card.device_node, True)


async def test_card_whose_own_switch_is_set_is_told_and_read_but_never_written(
    room: HostPrivilege, card: Volume, tmp_path: Path
) -> None:
    locked = Path(run("losetup", "--find", "--show", "--read-only", str(tmp_path / "card.img")).strip())
    try:
        await room.set_block_read_only(locked, True)
        mount_point = await room.mount(Volume(locked, "ext4", None), read_only=True)
        assert (mount_point / "DCIM" / "A.MP4").read_bytes() == b"footage"
        await room.unmount(mount_point)
        with pytest.raises(CardWriteProtected, match="protected against writing"):
            await room.set_block_read_only(locked, False)
    finally:
        run("losetup", "--detach", str(locked))


async def test_protecting_a_partition_protects_its_whole_disk(room: HostPrivilege, tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(CARD_BYTES)
    disk = Path(run("losetup", "--find", "--show", "--partscan", str(image)).strip())
    partition = disk.with_name(f"{disk.name}p1")
    try:
        run("addpart", str(disk), "1", "2048", "14336")  # told by hand: not every kernel reads partition tables
        await room.set_block_read_only(partition, True)
        for node in (disk, partition):
            with node.open("r+b", buffering=0) as device, pytest.raises(OSError, match="not permitted"):
                device.write(bytes(512))
        await room.set_block_read_only(partition, False)
        with disk.open("r+b", buffering=0) as device:
            assert device.write(bytes(512)) == 512
    finally:
        run("delpart", str(disk), "1")
        run("losetup", "--detach", str(disk))


async def test_only_the_rooms_own_mount_points_are_unmounted(room: HostPrivilege) -> None:
    with pytest.raises(CardUnreadable, match="not one of the dock's"):
        await room.unmount(Path("/proc"))


async def test_mounts_and_folders_of_a_killed_run_are_cleared_at_the_start(
    room: HostPrivilege, card: Volume, tmp_path: Path
) -> None:
    left = await room.mount(card, read_only=True)
    (room._folder / "sdb1.7").mkdir()
    assert options_of(left)
    entered(tmp_path)
    assert options_of(left) == set()
    assert list(room._folder.iterdir()) == []


async def test_mount_point_that_is_in_the_way_is_passed_over(room: HostPrivilege, card: Volume) -> None:
    in_the_way = room._folder / f"{card.device_node.name}.1"
    in_the_way.mkdir()
    mount_point = await room.mount(card, read_only=True)
    assert mount_point.name == f"{card.device_node.name}.2"
    await room.unmount(mount_point)
    in_the_way.rmdir()
