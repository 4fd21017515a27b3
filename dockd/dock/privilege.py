"""The privilege room: everything that needs more rights than reading files, and nothing else.

Makes block devices read-only or writable, mounts and unmounts cards, switches USB devices on. Every act
is one short method with checked arguments: a few kernel calls in a thread of their own, with a time-out. Reads
no card, speaks to no network, knows no sessions, starts no program. Why it is a module and not a process of
its own: `docs/decisions/0005-privilege.md`; whose rights it uses: `0009-rights-of-the-service.md`.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import structlog
from pydantic import Field

from dockd.dock import kernel_calls
from dockd.dock.mount_namespace import enter_own_mount_namespace, is_shared_mount
from dockd.dock.usb_descriptors import DescriptorsMalformed, parse_descriptors
from dockd.dock.usb_policy import UsbConfig, check_interfaces
from dockd.dock.worker import CameraThread
from dockd.driver_api import Volume
from dockd.ending import to_the_end
from dockd.errors import (
    CameraGone,
    CardUnreadable,
    CardWriteProtected,
    DriverTimeout,
    ForbiddenDevice,
    ServiceFailed,
)
from dockd.model.camera import Port
from dockd.section import Section

FileSystem = Literal["vfat", "exfat", "ext4"]

T = TypeVar("T")

_ALWAYS = ("nosuid", "nodev", "noexec", "nosymfollow", "noatime")
_DESCRIPTORS_LIMIT_BYTES = 256 * 1024
_NOT_THERE = frozenset({errno.ENOENT, errno.ENXIO, errno.ENOMEDIUM})
_MOUNT_WORDS = {
    errno.EINVAL: "what is on the card is not a sound file system of that kind",
    errno.EUCLEAN: "what is on the card is not a sound file system of that kind",
    errno.ENODEV: "this computer's kernel does not know that file system",
    errno.EROFS: "the card is protected against writing",
    errno.EACCES: "the card is protected against writing",
    errno.EPERM: "the dock has no right to mount; its service must run as the package installs it",
}

_log = structlog.get_logger(__name__)


class PrivilegeConfig(Section):
    """How cards are mounted."""

    mount_folder: str = Field(
        default="/run/dockd/mounts", description="Folder for mount points; only the daemon may look into it."
    )
    file_systems: Annotated[tuple[FileSystem, ...], Field(strict=False)] = Field(
        default=("vfat", "exfat"),
        description="File systems that a card may have; any other is never given to the kernel. Files on ext4 have "
        "owners: the service needs CAP_DAC_OVERRIDE besides to empty such cards.",
    )
    mount_namespace: Literal["given", "own", "shared"] = Field(
        default="given",
        description="`given`: the service manager gives the daemon its own view of mounts (systemd "
        "`PrivateMounts=yes`), and the daemon refuses to mount if it did not. `own`: the daemon makes one at start. "
        "`shared`: cards are mounted where every program on this computer sees them.",
    )
    act_timeout_seconds: float = Field(
        default=30.0, gt=0, le=300, description="How long one mounting, unmounting or switching may take."
    )


class HostPrivilege:
    """The room on a real host. Satisfies `driver_api.Privilege` and `hotplug.UsbSwitch`."""

    def __init__(self, config: PrivilegeConfig, usb: UsbConfig) -> None:
        self._config = config
        self._usb = usb
        self._folder = Path(config.mount_folder)
        self._numbers = count(1)

    def enter(self) -> None:
        """Prepare the room. To be called once, before any thread is started: a mount namespace is a thread's.

        Programs that the daemon starts afterwards have none of its capabilities. Raises ServiceFailed when cards
        could not be mounted privately.
        """
        if self._config.mount_namespace == "own":
            try:
                enter_own_mount_namespace()
            except OSError as error:
                raise ServiceFailed(f"The dock cannot make its own view of mounts: {error}.") from error
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            if self._config.mount_namespace != "shared" and is_shared_mount(self._folder):
                raise ServiceFailed(
                    f"Cards mounted in {self._folder} would be seen by every program on this computer.",
                    footage="Nothing was mounted or read.",
                    action="Tell IT: start dockd with PrivateMounts=yes, or set mount_namespace to own.",
                )
            self._clear_leftovers()
            kernel_calls.drop_ambient_capabilities()
        except OSError as error:
            raise ServiceFailed(f"The dock cannot use {self._folder} for mounting cards: {error}.") from error

    def _clear_leftovers(self) -> None:
        """Let go of the cards and remove the mount points of a run that was killed; what resists is left and told."""
        for mount_point in self._folder.iterdir():
            try:
                if kernel_calls.is_mounted(mount_point):
                    kernel_calls.unmount(mount_point, lazy=True)
                mount_point.rmdir()
            except OSError as error:
                _log.warning("mount-point-left", mount_point=str(mount_point), reason=str(error))

    async def set_block_read_only(self, device_node: Path, read_only: bool) -> None:
        """Block (or allow) writing at the block layer, and ask the kernel whether it took.

        For a partition this holds for its whole disk too. Raises CardWriteProtected (the device itself refuses
        writing), CardUnreadable, CameraGone, DriverTimeout.
        """
        _check_block_device(device_node)
        try:
            is_read_only = await self._act(_switch_writing, device_node, read_only)
        except OSError as error:
            _raise_in_words(error, device_node, f"The card at {device_node} could not be switched", {})
        if is_read_only and not read_only:
            raise CardWriteProtected(f"The card at {device_node} is protected against writing.")
        if read_only and not is_read_only:
            raise CardUnreadable(f"The card at {device_node} could not be protected against writing.")

    async def mount(self, volume: Volume, *, read_only: bool) -> Path:
        """Mount at a new private mount point and return it.

        Raises CardUnreadable (also for a file system outside the allow-list), CameraGone, DriverTimeout.
        """
        if volume.file_system not in self._config.file_systems:
            raise CardUnreadable(
                f"The card has the file system {volume.file_system[:20]!r}, which is not allowed here.",
                footage="Nothing on the card was read or changed.",
                action="Tell IT: the card must be examined; it may have been formatted elsewhere.",
            )
        _check_block_device(volume.device_node)
        mounting = _Mounting(volume, self._new_mount_point(volume), read_only=read_only)
        try:
            await self._act(mounting.run)
        except BaseException as error:
            # Also when cancelled: the call goes on in its thread, and may yet succeed.
            mounting.abandon()
            await to_the_end(self.unmount(mounting.mount_point))
            if isinstance(error, OSError):
                _raise_in_words(error, volume.device_node, "The card could not be mounted", _MOUNT_WORDS)
            raise
        return mounting.mount_point

    def _new_mount_point(self, volume: Volume) -> Path:
        try:
            while True:
                mount_point = self._folder / f"{volume.device_node.name}.{next(self._numbers)}"
                with suppress(FileExistsError):  # left by a run that was killed
                    mount_point.mkdir(mode=0o700)
                    return mount_point
        except OSError as error:
            raise CardUnreadable(f"No mount point can be made in {self._folder}: {error.strerror}.") from error

    async def unmount(self, mount_point: Path) -> None:
        """Unmount; lazily where the device has left or is stuck. Never raises for a card that is gone.

        Raises CardUnreadable when the kernel keeps the mount in spite of everything.
        """
        if mount_point.parent != self._folder:
            raise CardUnreadable(f"{mount_point} is not one of the dock's mount points.")
        if kernel_calls.is_mounted(mount_point):
            try:
                await self._act(kernel_calls.unmount, mount_point)
            except (OSError, DriverTimeout) as error:
                _log.warning("unmount-lazy", mount_point=str(mount_point), reason=str(error))
                with suppress(OSError):  # it may have gone meanwhile; what is left is told below
                    await self._act(_unmount_lazily, mount_point)
        try:
            mount_point.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            # Told here as well: whoever lets go of a card that is gone does not look at errors any more.
            _log.warning("mount-point-left", mount_point=str(mount_point), reason=str(error))
            raise CardUnreadable(f"The mount point {mount_point} could not be removed: {error.strerror}.") from error

    async def authorise(self, port: Port) -> None:
        """Let the kernel use the USB device in `port` if all of its interfaces are allowed; else switch it off.

        The device is judged here once more, by what it says now, and the answer is written to that very
        incarnation of it: one that has left and come back as something else gets nothing. Raises
        ForbiddenDevice, CameraGone, DriverTimeout.
        """
        await self._act(authorise_device, port, self._usb)

    async def _act(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run one act to its end in a thread of its own; one that is stuck in the kernel is left behind.

        Raises what `work` raises, and DriverTimeout.
        """
        thread = CameraThread("privilege")
        try:
            return await thread.run_blocking(work, *arguments, timeout_seconds=self._config.act_timeout_seconds)
        except DriverTimeout:
            raise DriverTimeout(
                f"The kernel did not finish within {self._config.act_timeout_seconds:g} s: the card is stuck."
            ) from None
        finally:
            thread.close()


class _Mounting:
    """One call of mount(2) that may be given up while it runs. It then undoes itself when it is done."""

    def __init__(self, volume: Volume, mount_point: Path, *, read_only: bool) -> None:
        self.mount_point = mount_point
        self._volume = volume
        self._options = mount_options(volume.file_system, read_only=read_only)
        self._is_abandoned = threading.Event()

    def run(self) -> None:
        """Mount (blocking). Raises OSError."""
        kernel_calls.mount(self._volume.device_node, self.mount_point, self._volume.file_system, self._options)
        if self._is_abandoned.is_set():
            with suppress(OSError):  # whoever gave it up may have undone it already
                kernel_calls.unmount(self.mount_point, lazy=True)
                self.mount_point.rmdir()

    def abandon(self) -> None:
        """Nobody waits any more."""
        self._is_abandoned.set()


def _unmount_lazily(mount_point: Path) -> None:
    kernel_calls.unmount(mount_point, lazy=True)


def _switch_writing(device_node: Path, read_only: bool) -> bool:
    """Switch a disk, and the partition of it that is meant; returns what the kernel says then. Raises OSError."""
    disk = kernel_calls.disk_of(device_node)
    nodes = [device_node] if disk is None else [disk, device_node]
    for node in nodes:
        kernel_calls.set_block_read_only(node, read_only)
    states = [kernel_calls.is_block_read_only(node) for node in nodes]
    return all(states) if read_only else any(states)


def _raise_in_words(error: OSError, device_node: Path, what: str, words: dict[int, str]) -> NoReturn:
    """Raise CameraGone when the device is not there any more, else CardUnreadable that says why."""
    if error.errno in _NOT_THERE or not device_node.exists():
        raise CameraGone(f"The card at {device_node} is gone.") from error
    reason = words.get(error.errno or 0, error.strerror or str(error))
    raise CardUnreadable(f"{what}: {reason} ({errno.errorcode.get(error.errno or 0, error.errno)}).") from error


def mount_options(file_system: str, *, read_only: bool) -> tuple[str, ...]:
    """Mount options, most general first (mount(8); kernel Documentation/filesystems/vfat.rst, ext4).

    FAT stores local times without a zone: `tz=UTC` hands the card's own numbers through, and the session's
    measured clock offset explains them. A read-only ext4 is not replayed: nothing may write to the card.
    """
    owner = (f"uid={os.getuid()}", f"gid={os.getgid()}", "umask=077")
    general = ("ro" if read_only else "rw", *_ALWAYS)
    match file_system:
        case "vfat":
            return (*general, *owner, "utf8=1", "codepage=437", "shortname=mixed", "tz=UTC", "errors=remount-ro")
        case "exfat":
            return (*general, *owner, "iocharset=utf8", "errors=remount-ro")
        case "ext4":
            return (*general, "noload") if read_only else (*general, "errors=remount-ro")
    raise ValueError(f"no mount options are known for {file_system!r}")


def authorise_device(port: Port, config: UsbConfig) -> None:
    """Judge and switch on, or off, the device whose sysfs path is `port.node` (blocking).

    All files are opened relative to one handle on the device's folder, which stays with this incarnation of the
    device: once it has left, reading fails and writing gives ENODEV (kernel Documentation/usb/authorization.rst).
    Raises ForbiddenDevice, CameraGone, and CardUnreadable where the host gives no right to switch it.
    """
    try:
        folder = os.open(port.node, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _judge_and_switch(folder, port, config)
        finally:
            os.close(folder)
    except PermissionError as error:
        raise CardUnreadable(
            f"The dock has no right to switch USB port {port.path} on or off.",
            footage="The camera was not used; its footage is untouched.",
            action="Tell IT: this port must be in the rules that `dockd bays rules` writes (docs/install.md).",
        ) from error
    except OSError as error:
        raise CameraGone(
            f"The device at USB port {port.path} left while it was being switched on ({error})."
        ) from error


def _judge_and_switch(folder: int, port: Port, config: UsbConfig) -> None:
    is_on = _read_at(folder, "authorized").strip() == b"1"
    try:
        check_interfaces(_as_it_says_now(folder, port), config)
    except ForbiddenDevice:
        if is_on:
            _write_at(folder, "authorized", b"0")
        raise
    if not is_on:
        _write_at(folder, "authorized", b"1")


def _as_it_says_now(folder: int, port: Port) -> Port:
    try:
        descriptors = parse_descriptors(_read_at(folder, "descriptors"))
    except DescriptorsMalformed as error:
        raise ForbiddenDevice(f"The device in this bay does not say properly what it is: {error}.") from error
    return Port(
        path=port.path,
        node=port.node,
        usb_vendor_id=descriptors.vendor_id,
        usb_product_id=descriptors.product_id,
        usb_interfaces=descriptors.interfaces,
    )


def _read_at(folder: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_DESCRIPTORS_LIMIT_BYTES)


def _write_at(folder: int, name: str, value: bytes) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(descriptor, value)
    finally:
        os.close(descriptor)


def _check_block_device(device_node: Path) -> None:
    """Raise unless this is a block device in /dev, by a plain absolute path."""
    if not device_node.is_absolute() or device_node.parts[1] != "dev" or ".." in device_node.parts:
        raise CardUnreadable(f"{device_node} is not the path of a disk.")
    try:
        mode = device_node.stat().st_mode
    except OSError as error:
        raise CameraGone(f"The card at {device_node} is gone.") from error
    if not stat.S_ISBLK(mode):
        raise CardUnreadable(f"{device_node} is not a disk.")
