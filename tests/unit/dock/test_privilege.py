"""The privilege room's decisions, without a kernel; with one: tests/hotplug/test_mounting.py."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from dockd.dock.kernel_calls import split_options
from dockd.dock.mount_namespace import is_shared_mount
from dockd.dock.privilege import PrivilegeConfig, authorise_device, mount_options
from dockd.dock.usb_policy import UsbConfig
from dockd.errors import CameraGone, CardUnreadable, ForbiddenDevice
from dockd.model.camera import Port
from tests.support.usb_bytes import KEYBOARD, STORAGE, descriptors_of

ALWAYS = {"nosuid", "nodev", "noexec", "nosymfollow", "noatime"}


@pytest.mark.parametrize("file_system", ["vfat", "exfat", "ext4"])
@pytest.mark.parametrize("read_only", [True, False])
def test_nothing_on_a_card_is_ever_run_or_followed(file_system: str, read_only: bool) -> None:
    options = set(mount_options(file_system, read_only=read_only))
    assert options >= ALWAYS
    assert ("ro" in options, "rw" in options) == (read_only, not read_only)


@pytest.mark.parametrize("file_system", ["vfat", "exfat"])
def test_files_of_a_card_without_owners_belong_to_the_daemon_alone(file_system: str) -> None:
    assert set(mount_options(file_system, read_only=True)) >= {f"uid={os.getuid()}", f"gid={os.getgid()}", "umask=077"}


def test_fat_names_and_times_are_handed_through_as_the_card_has_them() -> None:
    assert set(mount_options("vfat", read_only=True)) >= {"utf8=1", "shortname=mixed", "tz=UTC"}
    assert "iocharset=utf8" in mount_options("exfat", read_only=True)


def test_journal_of_a_card_is_not_replayed_while_reading() -> None:
    assert "noload" in mount_options("ext4", read_only=True)
    assert "noload" not in mount_options("ext4", read_only=False)


@pytest.mark.parametrize("file_system", ["vfat", "exfat", "ext4"])
def test_what_the_kernel_itself_enforces_is_given_as_flags_and_never_as_text(file_system: str) -> None:
    # Numbers of mount(2), include/uapi/linux/mount.h.
    read_only, nosuid, nodev, noexec, nosymfollow, noatime = 1, 2, 4, 8, 256, 1024
    always = nosuid | nodev | noexec | nosymfollow | noatime
    flags, text = split_options(mount_options(file_system, read_only=True))
    assert flags == always | read_only
    assert split_options(mount_options(file_system, read_only=False))[0] == always
    assert not {"ro", "rw", *ALWAYS} & set(text.split(","))


def test_what_only_the_file_system_knows_is_given_as_text() -> None:
    _, text = split_options(mount_options("vfat", read_only=True))
    assert text.startswith(f"uid={os.getuid()},gid={os.getgid()},umask=077,utf8=1")


def test_ext4_is_not_given_to_the_kernel_unless_asked_for() -> None:
    assert PrivilegeConfig().file_systems == ("vfat", "exfat")


def test_only_known_file_systems_can_be_allowed() -> None:
    with pytest.raises(ValidationError, match="ntfs"):
        PrivilegeConfig.model_validate({"file_systems": ["vfat", "ntfs"]})
    with pytest.raises(ValueError, match="ntfs"):
        mount_options("ntfs", read_only=True)


# --- authorising, on a folder that looks like a device --------------------------------------------


def device(folder: Path, descriptors: bytes, authorized: str = "0") -> Port:
    folder.mkdir()
    (folder / "descriptors").write_bytes(descriptors)
    (folder / "authorized").write_text(f"{authorized}\n", encoding="ascii")
    return Port(path="1-1.3", node=str(folder), usb_interfaces=(STORAGE,))


def authorized(port: Port) -> str:
    return (Path(port.node) / "authorized").read_text(encoding="ascii").strip()


def test_allowed_device_is_switched_on(tmp_path: Path) -> None:
    port = device(tmp_path / "1-1.3", descriptors_of([STORAGE]))
    authorise_device(port, UsbConfig())
    assert authorized(port) == "1"


def test_device_that_has_become_a_keyboard_since_it_was_reported_stays_off(tmp_path: Path) -> None:
    port = device(tmp_path / "1-1.3", descriptors_of([STORAGE, KEYBOARD]))
    with pytest.raises(ForbiddenDevice, match="keyboard"):
        authorise_device(port, UsbConfig())
    assert authorized(port) == "0"


def test_forbidden_device_that_is_on_is_switched_off(tmp_path: Path) -> None:
    port = device(tmp_path / "1-1.3", descriptors_of([KEYBOARD]), authorized="1")
    with pytest.raises(ForbiddenDevice):
        authorise_device(port, UsbConfig())
    assert authorized(port) == "0"


def test_device_with_damaged_descriptors_is_switched_off(tmp_path: Path) -> None:
    port = device(tmp_path / "1-1.3", descriptors_of([STORAGE])[:-3], authorized="1")
    with pytest.raises(ForbiddenDevice, match="does not say properly"):
        authorise_device(port, UsbConfig())
    assert authorized(port) == "0"


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder that anyone may read, and a test that is not run with the rights of user 0."""
    was = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        if was == 0:
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            os.seteuid(was)


def test_port_that_the_host_gives_no_right_to_is_told_and_not_taken_for_a_camera_that_left(as_nobody: Path) -> None:
    port = device(as_nobody / "1-1.3", descriptors_of([STORAGE]))
    (as_nobody / "1-1.3" / "authorized").chmod(0o444)
    with pytest.raises(CardUnreadable, match=r"no right to switch USB port 1-1\.3"):
        authorise_device(port, UsbConfig())


def test_device_that_left_is_gone(tmp_path: Path) -> None:
    with pytest.raises(CameraGone):
        authorise_device(Port(path="1-1.3", node=str(tmp_path / "1-1.3")), UsbConfig())
    port = device(tmp_path / "1-1.4", descriptors_of([STORAGE]))
    (tmp_path / "1-1.4" / "authorized").unlink()
    with pytest.raises(CameraGone):
        authorise_device(port, UsbConfig())


# --- mount propagation ----------------------------------------------------------------------------

MOUNTINFO = """\
22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:22 / /run rw,nosuid shared:2 master:1 - tmpfs tmpfs rw
24 23 0:23 / /run/dockd/mounts rw - tmpfs tmpfs rw
25 22 0:24 / /with\\040space rw master:3 - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("folder", "is_shared"),
    [
        ("/srv", True),
        ("/run/dockd", True),
        ("/run/dockd/mounts", False),
        ("/run/dockd/mounts/sdb1.1", False),
        ("/run/dockd/mountsx", True),
        ("/with space/x", False),
    ],
)
def test_propagation_is_read_from_the_mount_that_holds_the_folder(tmp_path: Path, folder: str, is_shared: bool) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTINFO, encoding="utf-8")
    assert is_shared_mount(Path(folder), table) == is_shared


def test_of_two_mounts_on_one_place_the_later_one_counts(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTINFO + "26 23 0:25 / /run rw - tmpfs tmpfs rw\n", encoding="utf-8")
    assert not is_shared_mount(Path("/run/dockd"), table)
