"""What a camera is and what it says of itself."""

from __future__ import annotations

from dockd.model.ids import CameraId
from dockd.model.moment import UtcTime
from dockd.model.value import CameraText, IdText, ShortText, Value


class CameraIdentity(Value):
    """Who the camera is, as its driver found it. `camera` is stable for the life of the device."""

    camera: CameraText
    maker: ShortText
    model: ShortText
    firmware: ShortText | None = None

    @property
    def id(self) -> CameraId:
        return CameraId(self.camera)


class BatteryReading(Value):
    """Charge in percent (0 to 100), or None where the camera cannot tell; `is_charging` None: unknown."""

    percent: int | None
    is_charging: bool | None


class SpaceReading(Value):
    """Room on the card, bytes."""

    total_bytes: int
    free_bytes: int


class ClockReading(Value):
    """The camera's clock against the host's, read as close together as the driver can.

    `offset_milliseconds` is camera minus host; `uncertainty_milliseconds` is how wrong that may be
    (half the time the question took, plus the resolution of the camera's answer).
    """

    camera_at: UtcTime
    host_at: UtcTime
    offset_milliseconds: int
    uncertainty_milliseconds: int


class Port(Value):
    """Where something was plugged in. Not what it is: that is the camera.

    `path` is unique on this host and stable over reboots: a kernel port path such as `1-1.3`, or
    `folder:<name>` for a simulated bay. `driver_hint` is set by a driver's own watcher, whose ports
    belong to no other driver. `node` is what the driver opens (a sysfs path, or a folder).
    """

    path: ShortText
    node: str
    driver_hint: IdText | None = None
    usb_vendor_id: int | None = None
    usb_product_id: int | None = None
    usb_interfaces: tuple[tuple[int, int, int], ...] = ()
    """(class, subclass, protocol) of every interface, USB 2.0 specification §9.6.5."""
    usb_serial: ShortText | None = None
    """The device's own serial number string (iSerialNumber, §9.6.1): its word, untrusted."""
