"""Cameras that leave in the middle: the cable is pulled anywhere, the copy goes on in any bay of any dock."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.bay import Bay
from tests.lab.camera_image import CameraImage
from tests.lab.centre import pinned_store
from tests.lab.guest import Guest
from tests.lab.installation import dock_toml
from tests.lab.lab import Scene

_SIZE_BYTES = 3_000_000
_LEFT_BYTES = 1_000_000
"""So much is left for the last pull at least, so that its copy takes long enough to be seen on the page."""
_SLOW = 600_000
_STANDSTILL_SECONDS = 0.4


@pytest.mark.takes_long
def test_a_cable_pulled_at_twenty_random_offsets_loses_nothing(shared: Scene) -> None:
    """Five cameras, each pulled four times, further on each time: first copies and such as go on are broken off."""
    guest = shared.dock
    cameras = [shared.camera(f"BWC04{number:02}", count=1, size_bytes=_SIZE_BYTES) for number in range(1, 6)]
    offsets = [_growing_offsets(shared.dice) for _ in cameras]
    print(f"pulled after this many bytes of each recording: {offsets}")
    for turn in range(4):
        bays = shared.dice.sample(list(guest.bays.values()), len(cameras))
        _pull_each_at_its_offset(
            guest,
            {bay: (camera, own[turn]) for bay, camera, own in zip(bays, cameras, offsets, strict=True)},
        )
        shared.accounts().check_all()
        for camera in cameras:
            assert set(camera.on_card()) == set(camera.recordings), (
                f"{camera.serial} was changed by a copy that was broken off"
            )

    last_bays = shared.dice.sample(list(guest.bays.values()), len(cameras))
    for bay, camera in zip(last_bays, cameras, strict=True):
        bay.dock(camera)
    for bay in last_bays:
        guest.until_state(bay, "ready")
        bay.pull()
    guest.until_empty()
    books = shared.accounts()
    books.check_finished()
    assert books.kinds()["CameraUndocked"] == 25
    assert len(books.facts_of("RecordingListed")) == 5, "a copy that went on was taken for a new recording"


def _growing_offsets(dice: random.Random) -> list[int]:
    """Four offsets of one recording."""
    first = sorted(dice.randrange(_SIZE_BYTES - _LEFT_BYTES) for _ in range(3))
    return [*first, dice.randrange(first[-1], _SIZE_BYTES)]


def _pull_each_at_its_offset(guest: Guest, wave: dict[Bay, tuple[CameraImage, int]]) -> None:
    """Dock all of them on slow cards; pull each when about so much of its recordings was read from its card."""
    for bay, (camera, _) in wave.items():
        bay.dock(camera, bytes_per_second=_SLOW)
    waiting = {bay.name: bay for bay in wave}
    with ThreadPoolExecutor(len(wave)) as hands:
        pulls = []
        for shown in guest.pictures():
            for one in shown.bays:
                assert one.bay not in waiting or one.state not in ("ready", "held", "faulted"), f"too late: {one.words}"
                if one.bay in waiting and one.state == "offloading" and one.progress:
                    bay = waiting.pop(one.bay)
                    pulls.append(hands.submit(_pull_after, guest, bay, wave[bay][1] - one.progress.done_bytes))
            if not waiting:
                break
        assert not waiting, f"no transfer in {list(waiting)}"
        for pull in pulls:
            pull.result()
    guest.until_empty()


def _pull_after(guest: Guest, bay: Bay, more_bytes: int) -> None:
    """Pull when so much more was asked for from the card, or when nothing more is, which is still before its receipt.

    The page is told twice a second; what the card was asked for is known at every moment.
    """
    before = guest.machine.read_bytes(bay.device)
    last, since = before, time.monotonic()
    while last < before + more_bytes and time.monotonic() < since + _STANDSTILL_SECONDS:
        time.sleep(0.03)
        read = guest.machine.read_bytes(bay.device)
        if read > last:
            last, since = read, time.monotonic()
    bay.pull()


def test_a_camera_half_copied_goes_on_in_another_bay(shared: Scene) -> None:
    guest = shared.dock
    camera = shared.camera("BWC0500", count=2, size_bytes=4_000_000)
    _pull_each_at_its_offset(guest, {guest.bays["2"]: (camera, 3_000_000)})
    shared.accounts().check_all()
    guest.bays["20"].dock(camera)
    shown = guest.until_state(guest.bays["20"], "ready")
    assert shown.camera == "massstorage:BWC0500"
    guest.bays["20"].pull()
    guest.until_empty()
    books = shared.accounts()
    books.check_finished()
    assert books.kinds()["CameraUndocked"] == 2
    assert len(books.facts_of("RecordingListed")) == 2, "the other bay took the camera's recordings for new ones"


@pytest.mark.takes_long
def test_a_camera_half_copied_goes_on_at_another_dock(shared: Scene) -> None:
    here = shared.dock
    camera = shared.camera("BWC0600", count=2, size_bytes=3_000_000)
    _pull_each_at_its_offset(here, {here.bays["1"]: (camera, 3_500_000)})
    shared.accounts(here).check_all()

    there = shared.start_guest()
    _make_another_dock(shared, there, "lab-dock-2")
    there.bays["1"].dock(camera)
    there.until_state(there.bays["1"], "ready")
    there.bays["1"].pull()
    there.until_empty()

    shared.accounts(there).check_finished()
    shared.accounts(here).check_all()
    there.check_sound()
    shared.dismiss(there)


def _make_another_dock(scene: Scene, guest: Guest, dock: str) -> None:
    """The second guest is the very same host: give it a name and a journal of its own."""
    guest.run("systemctl", "stop", "dockd.service")
    guest.shell("rm -rf /var/lib/dockd/*")
    guest.write_file("/etc/dockd/dockd.toml", dock_toml(pinned_store(scene.centre.folder), dock))
    guest.run("systemctl", "start", "dockd.service", timeout_seconds=120)
    guest.until(lambda shown: shown.dock == dock and shown.is_centre_reachable, "the other dock")
