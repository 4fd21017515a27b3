"""How Linux names ports and sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockd.dock.udev_source import companion_port, port_path_in, read_usb_device
from tests.support.usb_bytes import STORAGE, descriptors_of

CONTROLLER = "/sys/devices/pci0000:00/0000:00:14.0"


@pytest.mark.parametrize(
    ("sys_path", "port"),
    [
        (f"{CONTROLLER}/usb1/1-1", "1-1"),
        (f"{CONTROLLER}/usb1/1-1/1-1.3", "1-1.3"),
        (f"{CONTROLLER}/usb1/1-1/1-1.4/1-1.4.10/1-1.4.10:1.0/host6/target6:0:0/6:0:0:0/block/sdb/sdb1", "1-1.4.10"),
        (f"{CONTROLLER}/usb1", None),
        (f"{CONTROLLER}/usb1/1-0:1.0", None),
        ("/sys/devices/virtual/block/loop0", None),
    ],
)
def test_port_is_the_innermost_device_of_the_path(sys_path: str, port: str | None) -> None:
    assert port_path_in(sys_path) == port


@pytest.mark.parametrize(
    ("peer", "companion"), [("usb2/2-0:1.0/usb2-port3", "2-3"), ("usb2/2-1/2-1:1.0/2-1-port3", "2-1.3")]
)
def test_companion_of_a_usb_3_socket_is_named_by_the_kernels_peer_link(
    tmp_path: Path, peer: str, companion: str
) -> None:
    (tmp_path / peer).mkdir(parents=True)
    port = tmp_path / "usb1/1-1/1-1:1.0/1-1-port3"
    port.mkdir(parents=True)
    (port / "peer").symlink_to(tmp_path / peer)
    device = tmp_path / "usb1/1-1/1-1.3"
    device.mkdir()
    assert companion_port(device) is None
    (device / "port").symlink_to(port)
    assert companion_port(device) == companion


def test_device_is_described_by_what_sysfs_holds(tmp_path: Path) -> None:
    node = tmp_path / "1-1.3"
    node.mkdir()
    assert read_usb_device(node) is None, "without descriptors it has left"
    (node / "descriptors").write_bytes(descriptors_of([STORAGE]))
    (node / "devnum").write_text("007\n", encoding="ascii")
    (node / "serial").write_bytes(b" BWC\xff0001\n")
    device = read_usb_device(node)
    assert device is not None
    assert device.device_number == "7"
    assert device.port.path == "1-1.3"
    assert device.port.usb_interfaces == (STORAGE,)
    assert device.port.usb_serial == "BWC\ufffd0001"
    assert not device.is_hub
