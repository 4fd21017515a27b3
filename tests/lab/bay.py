"""One bay of the lab's dock: a port of an emulated USB hub, into which devices are put and from which they are pulled.

Knows which hub port is which kernel path. Must not know dockd.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.lab.camera_image import CameraImage
from tests.lab.machine import HUBS, PORTS_PER_HUB, Machine

_CONTROLLER = "xhci.0"


class Bay:
    """Bay `number`, counted over all hubs from 1. `workbench` bays are root ports outside the dock."""

    def __init__(self, machine: Machine, number: int) -> None:
        self._machine = machine
        self.number = number
        self.name = str(number)
        self.port = _port(number)
        self.kernel_path = f"1-{self.port}"
        self._device: str | None = None
        self._node: str | None = None

    @classmethod
    def workbench(cls, machine: Machine) -> Bay:
        """A port of the computer itself that is no bay: for preparing cards."""
        bay = cls(machine, 1)
        bay.number, bay.name, bay.port, bay.kernel_path = 0, "workbench", "5", "1-5"
        return bay

    @property
    def device(self) -> str:
        """QEMU's name of what is in the bay."""
        assert self._device is not None, f"bay {self.name} is empty"
        return self._device

    def dock(
        self,
        camera: CameraImage,
        *,
        bytes_per_second: int | None = None,
        writes_per_second: int | None = None,
        is_write_protected: bool = False,
        bad_sectors: range | None = None,
    ) -> None:
        """Put the camera in. Its card can be made slow, protected by its switch, or bad in some places."""
        self.put_disk(
            camera.file,
            camera.serial,
            bytes_per_second=bytes_per_second,
            writes_per_second=writes_per_second,
            is_write_protected=is_write_protected,
            bad_sectors=bad_sectors,
        )

    def put_disk(
        self,
        file: Path,
        serial: str,
        *,
        bytes_per_second: int | None = None,
        writes_per_second: int | None = None,
        is_write_protected: bool = False,
        bad_sectors: range | None = None,
    ) -> None:
        """Put in a USB disk whose medium is `file`."""
        self._node = self._machine.add_disk(
            file,
            bytes_per_second=bytes_per_second,
            writes_per_second=writes_per_second,
            is_read_only=is_write_protected,
            bad_sectors=bad_sectors,
        )
        self.put("usb-storage", drive=self._node, serial=serial)

    def put(self, driver: str, **properties: Any) -> None:
        """Put in any USB device that QEMU can emulate."""
        assert self._device is None, f"bay {self.name} is taken"
        device = f"bay{self.number}"
        self._machine.qmp("device_add", driver=driver, id=device, bus=_CONTROLLER, port=self.port, **properties)
        self._device = device

    def pull(self) -> None:
        """Take out what is in it, whatever is going on. A card's file holds then what was written to it."""
        self._machine.take_device(self.device)
        self.pulled_with_its_hub()

    def pulled_with_its_hub(self) -> None:
        """What was in it has left with the hub: let go of the card's file."""
        self._device = None
        if self._node is not None:
            node, self._node = self._node, None
            self._machine.remove_disk(node)


def all_bays(machine: Machine) -> dict[str, Bay]:
    """Every bay of the lab's dock by name."""
    return {name: Bay(machine, int(name)) for name in kernel_paths()}


def kernel_paths() -> dict[str, str]:
    """The bay map of the lab's dock: the kernel's path of every bay by its name."""
    return {str(number): f"1-{_port(number)}" for number in range(1, HUBS * PORTS_PER_HUB + 1)}


def _port(number: int) -> str:
    hub, port = divmod(number - 1, PORTS_PER_HUB)
    return f"{hub + 1}.{port + 1}"
