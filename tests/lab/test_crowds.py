"""Many at once: a shift ends, and a hub fails with everything that hangs at it."""

from __future__ import annotations

import time

import pytest

from tests.lab.lab import Scene
from tests.lab.machine import PORTS_PER_HUB


@pytest.mark.takes_long
def test_sixteen_cameras_docked_within_one_second_all_end_ready_and_empty(shared: Scene) -> None:
    guest = shared.dock
    cameras = [shared.camera(f"BWC02{number:02}", count=1, size_bytes=400_000) for number in range(1, 17)]
    bays = list(guest.bays.values())[: len(cameras)]
    began = time.monotonic()
    for bay, camera in zip(bays, cameras, strict=True):
        bay.dock(camera)
    assert time.monotonic() - began < 1, "they were not docked within a second"

    for bay in bays:
        assert guest.until_state(bay, "ready", "held").state == "ready"
    for bay in bays:
        bay.pull()
    guest.until_empty()
    books = shared.accounts()
    books.check_finished()
    docked = {one["bay"]: one["port"] for one in books.facts_of("CameraDocked")}
    assert docked == {bay.name: bay.kernel_path for bay in bays}


def test_a_hub_that_disappears_with_all_its_bays_loses_nothing(shared: Scene) -> None:
    guest = shared.dock
    cameras = [shared.camera(f"BWC03{number:02}", count=1, size_bytes=1_500_000) for number in range(1, 7)]
    bays = list(guest.bays.values())[PORTS_PER_HUB : PORTS_PER_HUB + len(cameras)]
    for bay, camera in zip(bays, cameras, strict=True):
        bay.dock(camera, bytes_per_second=300_000)
    stays = shared.camera("BWC0320", count=1, size_bytes=3_000_000)
    guest.bays["1"].dock(stays, bytes_per_second=500_000)
    names = {bay.name for bay in bays}
    guest.until(
        lambda dock: any(one.bay in names and one.state == "offloading" and one.progress for one in dock.bays),
        "copying at the second hub",
    )
    guest.machine.take_device("hub2")
    guest.until(lambda dock: all(one.state == "empty" for one in dock.bays if one.bay in names), "its bays to be empty")
    for bay in bays:
        bay.pulled_with_its_hub()
    assert all(set(camera.on_card()) == set(camera.recordings) for camera in cameras)

    guest.machine.add_hub(2)
    for bay, camera in zip(bays, cameras, strict=True):
        bay.dock(camera)
    for bay in (*bays, guest.bays["1"]):
        guest.until_state(bay, "ready")
        bay.pull()
    guest.until_empty()
    books = shared.accounts()
    books.check_finished()
    assert sum(one["bay"] == "1" for one in books.facts_of("CameraDocked")) == 1, (
        "a camera at the other hub was disturbed"
    )
