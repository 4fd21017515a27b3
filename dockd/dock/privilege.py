"""The privilege room: everything that needs more rights than reading files, and nothing else.

Makes block devices read-only or writable, mounts and unmounts cards, switches USB devices on. Every act
is one short method with checked arguments; programs are started with an argument list, a clean
environment and a time-out. Reads no card, speaks to no network, knows no sessions. Why it is a module and
not a process of its own: `docs/decisions/0005-privilege.md`. Switching port power will come here.
"""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Annotated, Literal

import structlog
from pydantic import Field

from dockd.dock.mount_namespace import enter_own_mount_namespace, is_shared_mount
from dockd.dock.usb_descriptors import DescriptorsMalformed, parse_descriptors
from dockd.dock.usb_policy import UsbConfig, check_interfaces
from dockd.driver_api import Volume
from dockd.errors import CameraGone, CardUnreadable, DockdError, DriverTimeout, ForbiddenDevice, ServiceFailed
from dockd.model.camera import Port
from dockd.section import Section

FileSystem = Literal["vfat", "exfat", "ext4"]

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_ALWAYS = ("nosuid", "nodev", "noexec", "nosymfollow", "noatime")
_KILL_GRACE_SECONDS = 2.0
_LEFTOVER_TIMEOUT_SECONDS = 10.0
_DESCRIPTORS_LIMIT_BYTES = 256 * 1024

_log = structlog.get_logger(__name__)


class PrivilegeConfig(Section):
    """How cards are mounted."""

    mount_folder: str = Field(
        default="/run/dockd/mounts", description="Folder for mount points; only the daemon may look into it."
    )
    file_systems: Annotated[tuple[FileSystem, ...], Field(strict=False)] = Field(
        default=("vfat", "exfat", "ext4"),
        description="File systems that a card may have; any other is never given to the kernel.",
    )
    mount_namespace: Literal["given", "own", "shared"] = Field(
        default="given",
        description="`given`: the service manager gives the daemon its own view of mounts (systemd "
        "`PrivateMounts=yes`), and the daemon refuses to mount if it did not. `own`: the daemon makes one at start. "
        "`shared`: cards are mounted where every program on this computer sees them.",
    )
    command_timeout_seconds: float = Field(
        default=30.0, gt=0, le=300, description="How long one mount, unmount or blockdev command may take."
    )


class HostPrivilege:
    """The room on a real host. Satisfies `driver_api.Privilege` and `hotplug.UsbSwitch`."""

    def __init__(self, config: PrivilegeConfig, usb: UsbConfig) -> None:
        self._config = config
        self._usb = usb
        self._folder = Path(config.mount_folder)
        self._numbers = count(1)
        self._abandoned: set[asyncio.Task[int]] = set()

    def enter(self) -> None:
        """Prepare the room. To be called once, before any thread is started: a mount namespace is a thread's.

        Raises ServiceFailed when cards could not be mounted privately.
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
        except OSError as error:
            raise ServiceFailed(f"The dock cannot use {self._folder} for mounting cards: {error}.") from error

    def _clear_leftovers(self) -> None:
        """Let go of the cards and remove the mount points of a run that was killed; what resists is left and told."""
        for mount_point in self._folder.iterdir():
            try:
                if _is_mounted(mount_point):
                    command = ["umount", "--internal-only", "--lazy", "--", str(mount_point)]
                    subprocess.run(
                        command, check=True, capture_output=True, env=_ENVIRONMENT, timeout=_LEFTOVER_TIMEOUT_SECONDS
                    )
                mount_point.rmdir()
            except (OSError, subprocess.SubprocessError) as error:
                _log.warning("mount-point-left", mount_point=str(mount_point), reason=str(error))

    async def set_block_read_only(self, device_node: Path, read_only: bool) -> None:
        """Block (or allow) writing at the block layer, and ask the kernel whether it took.

        Raises CardUnreadable, CameraGone, DriverTimeout.
        """
        _check_block_device(device_node)
        await self._run(["blockdev", "--setro" if read_only else "--setrw", str(device_node)])
        answer = await self._run(["blockdev", "--getro", str(device_node)])
        if (answer.strip() == "1") != read_only:
            state = "protected against" if read_only else "opened for"
            raise CardUnreadable(f"The card at {device_node} could not be {state} writing.")

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
        mount_point = self._new_mount_point(volume)
        try:
            await self._run(mount_command(volume, mount_point, read_only=read_only))
        except BaseException:
            # Also when cancelled: the command may have succeeded before it was killed.
            await asyncio.shield(self.unmount(mount_point))
            raise
        return mount_point

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
        if await asyncio.to_thread(_is_mounted, mount_point):
            try:
                await self._run(["umount", "--internal-only", "--", str(mount_point)])
            except DockdError as error:
                _log.warning("unmount-lazy", mount_point=str(mount_point), reason=error.what)
                await self._run(["umount", "--internal-only", "--lazy", "--", str(mount_point)])
        try:
            mount_point.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            raise CardUnreadable(f"The mount point {mount_point} could not be removed: {error.strerror}.") from error

    async def authorise(self, port: Port) -> None:
        """Let the kernel use the USB device in `port` if all of its interfaces are allowed; else switch it off.

        The device is judged here once more, by what it says now, and the answer is written to that very
        incarnation of it: one that has left and come back as something else gets nothing. Raises
        ForbiddenDevice, CameraGone, DriverTimeout.
        """
        try:
            async with asyncio.timeout(self._config.command_timeout_seconds):
                await asyncio.to_thread(authorise_device, port, self._usb)
        except TimeoutError:
            raise DriverTimeout(f"The camera at USB port {port.path} did not answer when it was switched on.") from None

    async def _run(self, command: Sequence[str]) -> str:
        """Run one program to its end and return what it printed.

        Raises CardUnreadable with the program's complaint, DriverTimeout when it had to be killed.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_ENVIRONMENT,
        )
        try:
            async with asyncio.timeout(self._config.command_timeout_seconds):
                printed, complaint = await process.communicate()
        except TimeoutError:
            raise DriverTimeout(
                f"{command[0]} did not finish within {self._config.command_timeout_seconds:g} s: the card is stuck."
            ) from None
        finally:
            if process.returncode is None:
                await self._kill(process)
        if process.returncode != 0:
            words = complaint.decode("utf-8", "replace").strip()[:300]
            raise CardUnreadable(f"{command[0]} failed with status {process.returncode}: {words}")
        return printed.decode("utf-8", "replace")

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        """Kill; a program stuck in the kernel dies only when the device lets go, so do not wait for ever."""
        process.kill()
        ending = asyncio.create_task(process.wait())
        self._abandoned.add(ending)
        ending.add_done_callback(self._abandoned.discard)
        await asyncio.wait([ending], timeout=_KILL_GRACE_SECONDS)


def mount_command(volume: Volume, mount_point: Path, *, read_only: bool) -> list[str]:
    """The argument list of mount(8): fixed type, no helper programs of other packages, no look at fstab."""
    return [
        "mount",
        "--internal-only",
        "--no-mtab",
        # Said as a flag too: "rw" as a mere option would quietly become "ro" on a protected device (mount(8), -w).
        "--read-only" if read_only else "--read-write",
        "--types",
        volume.file_system,
        "--options",
        ",".join(mount_options(volume.file_system, read_only=read_only)),
        "--source",
        str(volume.device_node),
        "--target",
        str(mount_point),
    ]


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
    Raises ForbiddenDevice, CameraGone.
    """
    try:
        folder = os.open(port.node, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _judge_and_switch(folder, port, config)
        finally:
            os.close(folder)
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


def _is_mounted(mount_point: Path) -> bool:
    """Whether something is mounted there; asks the mount table, never the (perhaps dead) file system."""
    wanted = str(mount_point).encode()
    table = Path("/proc/self/mountinfo").read_bytes()
    return any(line.split(b" ")[4] == wanted for line in table.splitlines())
