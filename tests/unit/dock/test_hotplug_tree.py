"""Changes may come twice, late, or not at all."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from dockd.dock.udev_source import Appeared, Disappeared, UsbDevice, UsbInterface
from dockd.dock.usb_tree import UsbTree
from dockd.driver_api import Occupied, PortEvent, Vacated
from dockd.model.camera import Port
from tests.support.usb_bytes import HUB, STORAGE

HUB_PATH = "/sys/usb1/1-1"


def camera(number: int, port: int = 1, serial: str | None = None) -> UsbDevice:
    path = f"1-1.{port}"
    node = f"{HUB_PATH}/{path}"
    return UsbDevice(node, Port(path=path, node=node, usb_interfaces=(STORAGE,), usb_serial=serial), str(number), False)


def hub(number: int) -> UsbDevice:
    return UsbDevice(HUB_PATH, Port(path="1-1", node=HUB_PATH, usb_interfaces=(HUB,)), str(number), True)


def new_tree() -> UsbTree:
    return UsbTree(lambda device: not device.is_hub)


def test_late_removal_of_the_camera_before_does_not_empty_the_port() -> None:
    tree = new_tree()
    tree.apply(Appeared(camera(8)))
    assert tree.apply(Disappeared(camera(8).sys_path, "7")) == []
    assert tree.occupied_ports() == {"1-1.1"}
    assert tree.apply(Disappeared(camera(8).sys_path, "8")) == [Vacated("1-1.1")]


def test_camera_that_replaced_another_unnoticed_is_a_departure_and_an_arrival() -> None:
    tree = new_tree()
    tree.apply(Appeared(camera(7)))
    assert tree.apply(Appeared(camera(8))) == [Vacated("1-1.1"), Occupied(camera(8).port)]


def test_text_that_is_filled_in_late_is_not_a_new_arrival() -> None:
    tree = new_tree()
    tree.apply(Appeared(camera(7)))
    assert tree.apply(Appeared(camera(7, serial="BWC0001"))) == []
    occupant = tree.occupant("1-1.1")
    assert occupant is not None
    assert occupant.usb_serial == "BWC0001"


def test_hub_enumerated_afresh_takes_its_ports_with_it() -> None:
    tree = new_tree()
    tree.replace([hub(2), camera(3, 1), camera(4, 2)])
    events = tree.replace([camera(13, 1), hub(12), camera(14, 2)])
    assert sorted(event.port_path for event in events if isinstance(event, Vacated)) == ["1-1.1", "1-1.2"]
    assert [event.port.path for event in events if isinstance(event, Occupied)] == ["1-1.1", "1-1.2"]


def test_interfaces_leave_with_their_device() -> None:
    tree = new_tree()
    tree.apply(Appeared(camera(7)))
    tree.apply(Appeared(UsbInterface(f"{camera(7).sys_path}/1-1.1:1.0", "1-1.1")))
    assert tree.has_interfaces("1-1.1")
    tree.apply(Disappeared(camera(7).sys_path, "7"))
    tree.apply(Appeared(camera(8)))
    assert not tree.has_interfaces("1-1.1")


def replayed(events: list[PortEvent]) -> set[str]:
    """The occupied ports as someone sees them who only hears the events; each must be news."""
    occupied: set[str] = set()
    for event in events:
        if isinstance(event, Occupied):
            assert event.port.path not in occupied
            occupied.add(event.port.path)
        else:
            assert event.port_path in occupied
            occupied.discard(event.port_path)
    return occupied


@given(seed=st.integers(0, 2**32), length=st.integers(0, 60), loss_percent=st.sampled_from([0, 20, 90]))
def test_listener_and_tree_agree_whatever_is_lost_or_repeated(seed: int, length: int, loss_percent: int) -> None:
    chance = random.Random(seed)
    tree, heard, truth = new_tree(), [], dict[str, UsbDevice]()
    for number in range(1, length + 1):
        port = chance.randint(1, 4)
        path = camera(0, port).sys_path
        present = truth.pop(path, None)
        if present is None:
            truth[path] = camera(number, port)
            change: Appeared | Disappeared = Appeared(truth[path])
        else:
            change = Disappeared(path, present.device_number)
        for _ in range(chance.choice([1, 1, 2])):
            if chance.randrange(100) >= loss_percent:
                heard += tree.apply(change)
        assert replayed(heard) == tree.occupied_ports()
    heard += tree.replace(truth.values())
    assert replayed(heard) == tree.occupied_ports() == {device.port.path for device in truth.values()}
