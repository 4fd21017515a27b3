"""What happens to the host itself: an upgrade in the middle, a clock that is wrong by years."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.lab.guest import Guest
from tests.lab.lab import Scene


@pytest.mark.takes_long
def test_an_upgrade_with_a_camera_half_copied_goes_on_afterwards(scene: Scene) -> None:
    guest = scene.start_guest()
    camera = scene.camera("BWC0001", count=2, size_bytes=2_000_000)
    bay = guest.bays["6"]
    bay.dock(camera, bytes_per_second=400_000)
    guest.until(
        lambda dock: any(one.progress and one.progress.done_bytes > 500_000 for one in dock.bays), "half a copy"
    )
    before = guest.daemon_process()
    guest.shell("dpkg --install /root/dockd_*_amd64.deb", timeout_seconds=180)
    guest.until(lambda dock: True, "the dock's page after the upgrade")

    assert guest.daemon_process() != before
    scene.accounts().check_all()
    guest.until_state(bay, "ready")
    bay.pull()
    guest.until_empty()
    books = scene.accounts()
    books.check_finished()
    assert books.kinds()["DockStopped"] == 1, "the daemon was not stopped in order"
    assert books.kinds()["DockStarted"] == 2


def test_removing_and_purging_the_package_touches_neither_footage_nor_journal(scene: Scene) -> None:
    guest = scene.start_guest()
    guest.disconnect()
    camera = scene.camera("BWC0001")
    guest.bays["1"].dock(camera)
    guest.until_state(guest.bays["1"], "securing")
    guest.bays["1"].pull()
    guest.run("dpkg", "--remove", "dockd")
    left = _state_files(guest)
    assert set(camera.recordings) <= {line.split()[0] for line in left.splitlines()}, "a copy is gone"
    assert "journal.sqlite3" in left
    assert "dockd.toml" in guest.run("ls", "/etc/dockd")

    said = guest.run("dpkg", "--purge", "dockd")
    assert "/var/lib/dockd" in said, "nobody is told what was left"
    assert _state_files(guest) == left
    assert guest.shell("ls -d /etc/dockd /usr/lib/dockd /usr/bin/dockd 2> /dev/null || true").strip() == ""
    assert set(guest.shell("cat /sys/bus/usb/devices/usb*/authorized_default").split()) == {"1"}, "ports stay closed"
    scene.accounts().check_all()


def _state_files(guest: Guest) -> str:
    return guest.shell("find /var/lib/dockd -type f -exec sha256sum '{}' + | sort -k 2")


@pytest.mark.takes_long
def test_a_host_that_has_never_seen_a_usb_disk_takes_its_first_camera(scene: Scene) -> None:
    guest = scene.start_guest(is_switched_on=True)
    assert guest.shell("ls -d /dev/sd? 2> /dev/null || true").strip() == "", "the host has a SCSI disk of its own"
    camera = scene.camera("BWC0001")
    guest.bays["1"].dock(camera)
    guest.until_state(guest.bays["1"], "ready")
    guest.bays["1"].pull()
    guest.until_empty()
    scene.accounts().check_finished()


def test_a_clock_three_years_back_and_not_synchronised_loses_nothing_and_is_told(scene: Scene) -> None:
    guest = scene.start_guest()
    guest.run("systemctl", "stop", "dockd.service")
    long_ago = datetime.now(UTC) - timedelta(days=3 * 365)
    guest.set_clock(long_ago)
    guest.run("systemctl", "start", "dockd.service", timeout_seconds=120)
    guest.until(lambda dock: dock.is_centre_reachable, "the dock to reach the centre")
    camera = scene.camera("BWC0001")
    guest.bays["1"].dock(camera)
    guest.until_state(guest.bays["1"], "ready")
    guest.bays["1"].pull()
    guest.until_empty()

    books = scene.accounts()
    books.check_finished()
    erased = [one for one in books.facts() if one.fact.kind == "RecordingErased"]
    assert {one.moment.clock_sync for one in erased} == {"unsynchronised"}
    assert all(abs(one.moment.at - long_ago) < timedelta(days=1) for one in erased), "the record does not say what was"
    shown = guest.status()
    assert shown is not None
    assert shown.clock_sync == "unsynchronised"
