"""What a camera driver must offer, and what it is given.

A driver is a plug-in found by the entry-point group `dockd.drivers`: an object that satisfies `Driver`.
It sees only this module, `dockd.model`, `dockd.errors` and `dockd.clock`. It holds no policy, makes no
retries and logs no contents. A camera is a composition of small capabilities; a missing optional one
is `None`.

Threads: methods that are `async` may be awaited on the event loop; drivers run their own blocking work
through `DriverContext.run_blocking`, which uses one worker thread per camera and a time-out for every
call. `SourceReader` is the exception: it is blocking on purpose and is called from that same worker
thread by the offload, so that no call crosses threads per chunk.

Errors: `CameraGone` when the device left, `DriverTimeout` when it does not answer, `CardUnreadable` when
the card as a whole fails, `SourceUnreadable` for a bad place in one file, `EraseFailed`. Anything else
that escapes is a bug and ends in HELD.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from dockd.clock import Clock
from dockd.model.camera import (
    BatteryReading,
    CameraIdentity,
    ClockReading,
    Port,
    SpaceReading,
)
from dockd.model.ids import OfficerNumber
from dockd.model.recording import SourceFile
from dockd.rules.custody import Clearance

__all__ = [
    "AssignmentSlot",
    "Battery",
    "Camera",
    "CameraClock",
    "Clearance",
    "Driver",
    "DriverContext",
    "Eraser",
    "Lights",
    "Listing",
    "Match",
    "Occupied",
    "PortEvent",
    "Privilege",
    "SourceReader",
    "SourceUnreadable",
    "Storage",
    "Vacated",
    "Volume",
]

T = TypeVar("T")


class SourceUnreadable(Exception):
    """The camera answered, but the bytes at this place cannot be read (EIO, a bad sector).

    Not one of our final errors: the offload narrows the place down, keeps the readable ranges and
    labels the recording.
    """


# --- ports ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Occupied:
    """Something was plugged into `port`, or was found there at start."""

    port: Port


@dataclass(frozen=True, slots=True)
class Vacated:
    """The port with this path is empty now."""

    port_path: str


PortEvent = Occupied | Vacated


@dataclass(frozen=True, slots=True)
class Match:
    """Which devices a driver claims, as data. None matches anything.

    Specificity is the number of fields that are set; the most specific driver wins, two equal
    winners are refused. `interface` is (class, subclass, protocol) and must be among the device's.
    """

    vendor_id: int | None = None
    product_id: int | None = None
    interface: tuple[int, int, int] | None = None
    port_prefix: str | None = None

    def matches(self, port: Port) -> bool:
        """Whether this rule claims what sits in `port`."""
        return (
            (self.vendor_id is None or self.vendor_id == port.usb_vendor_id)
            and (self.product_id is None or self.product_id == port.usb_product_id)
            and (self.interface is None or self.interface in port.usb_interfaces)
            and (self.port_prefix is None or port.path.startswith(self.port_prefix))
        )

    @property
    def specificity(self) -> int:
        """How many fields must agree."""
        given = (self.vendor_id, self.product_id, self.interface, self.port_prefix)
        return sum(field is not None for field in given)


# --- what a driver is given -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Volume:
    """A block device with a file system, as udev reports it. Label is the camera's word: hostile."""

    device_node: Path
    file_system: str
    untrusted_label: str | None


class Privilege(Protocol):
    """The small room: everything that needs more rights than reading files.

    Mount points are private to the daemon. `mount` refuses file systems outside its allow-list and
    always mounts `nosuid,nodev,noexec`.
    """

    async def set_block_read_only(self, device_node: Path, read_only: bool) -> None:
        """Block (or allow) writing at the block layer (`blockdev --setro/--setrw`).

        Raises CardWriteProtected when it is to be allowed and the card itself refuses it.
        """

    async def mount(self, volume: Volume, *, read_only: bool) -> Path:
        """Mount and return the mount point. Raises CardUnreadable."""

    async def unmount(self, mount_point: Path) -> None:
        """Unmount; lazily where the device has left."""


class DriverContext(Protocol):
    """One session's view of the dock, for its driver."""

    @property
    def clock(self) -> Clock:
        """Time."""

    @property
    def privilege(self) -> Privilege:
        """The small room."""

    async def run_blocking(self, work: Callable[..., T], *arguments: Any, timeout_seconds: float) -> T:
        """Run `work` in this camera's worker thread. Raises DriverTimeout; the thread is then abandoned."""

    async def volume(self, *, timeout_seconds: float) -> Volume:
        """Wait for the event that says there is a volume on this port. Raises DriverTimeout, CameraGone."""

    async def expect_reenumeration(self, *, timeout_seconds: float) -> Port:
        """The device is about to leave and come back on the same port: not a departure.

        Returns the port as it came back. Raises DriverTimeout.
        """


# --- what a camera can do ---------------------------------------------------------------------


class SourceReader(Protocol):
    """One open file on the card. Blocking; used by one thread at a time; closed exactly once."""

    def stat(self) -> SourceFile:
        """The file as it is now. Raises CameraGone, SourceUnreadable."""

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; return the number of bytes, 0 only at the end.

        May return fewer bytes than asked. Raises SourceUnreadable, CameraGone, DriverTimeout.
        """

    def close(self) -> None:
        """Release it; never raises, also after the cable was pulled."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Footage on the card, and the names of files that were left alone as clutter (for the record)."""

    footage: tuple[SourceFile, ...]
    ignored: tuple[str, ...] = ()


class Eraser(Protocol):
    """A card that is open for erasing."""

    async def erase(self, clearance: Clearance) -> None:
        """Remove the one file that `clearance` names, if it still has the size and time it names.

        Raises EraseFailed, SourceChanged, CameraGone. A file already absent is not an error: a kill
        between act and record must be repairable.
        """


class Storage(Protocol):
    """The card."""

    async def list(self) -> Listing:
        """All footage, in a stable order (by path). Raises CardUnreadable, CameraGone."""

    def open_reader(self, source: SourceFile) -> SourceReader:
        """Open one listed file; blocking, for the worker thread. Raises SourceChanged, CameraGone."""

    def erasing(self) -> AbstractAsyncContextManager[Eraser]:
        """Allow writing to the card, for erasing only; leaving makes the erasures durable on the card."""

    async def measure(self) -> SpaceReading:
        """Room on the card now."""


class Battery(Protocol):
    """The battery. Cameras that cannot tell return None in the reading's fields."""

    async def read(self) -> BatteryReading:
        """Now."""


class CameraClock(Protocol):
    """The camera's clock."""

    async def read(self) -> ClockReading | None:
        """Measure it; None when it can be set but not read (a clock file)."""

    async def set(self, at: datetime) -> None:
        """Set it to `at` (aware, UTC). Raises ClockNotSettable."""


class AssignmentSlot(Protocol):
    """Where the camera keeps its officer's number."""

    async def read(self) -> str | None:
        """What is there now, untrusted; None when unassigned."""

    async def write(self, officer: OfficerNumber | None) -> None:
        """Write or (None) clear it. The caller reads back and compares."""


class Lights(Protocol):
    """A way to point at this camera."""

    async def locate(self, on: bool) -> None:
        """Blink, or stop."""


class Camera(Protocol):
    """An opened camera."""

    @property
    def storage(self) -> Storage: ...
    @property
    def battery(self) -> Battery: ...
    @property
    def clock(self) -> CameraClock | None: ...
    @property
    def assignment(self) -> AssignmentSlot | None: ...
    @property
    def lights(self) -> Lights | None: ...

    async def identify(self) -> CameraIdentity:
        """Who it is. Raises UnusableIdentity, CameraGone, DriverTimeout."""


class Driver(Protocol):
    """One kind of camera."""

    @property
    def name(self) -> str:
        """Lower-case letters, digits and underscores; the first half of every camera id it gives."""

    @property
    def summary(self) -> str:
        """One line for `dockd drivers`."""

    def configure(self, options: Mapping[str, Any]) -> None:
        """Take the `[drivers.<name>]` section. Raises ConfigInvalid listing every mistake."""

    def matches(self) -> tuple[Match, ...]:
        """The devices it claims."""

    def open(self, port: Port, context: DriverContext) -> AbstractAsyncContextManager[Camera]:
        """Make the storage reachable. Safe to leave after the cable was pulled.

        Leaving may be cancelled: the news that the camera has left can come while a failed access is being cleared
        up. What must not stay (a mount, a lock) is given back with `dockd.ending.to_the_end`.
        """

    def watch(self) -> AbstractAsyncContextManager[AsyncIterator[PortEvent]] | None:
        """The driver's own ports where they are not USB ports (folder bays); None for USB drivers.

        The iterator first yields what is there (a port that is there and empty as Vacated), then every change.
        """
