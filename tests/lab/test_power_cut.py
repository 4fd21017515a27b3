"""The dock host's plug is pulled: QEMU is killed, the same disk is started again, the camera is still in its bay.

The disk loses nothing that was flushed and keeps nothing that was not (cache=writethrough).
"""

from __future__ import annotations

import json
from collections.abc import Collection

import pytest

from dockd.wire.status import BayStatus, DockStatus
from tests.lab.camera_image import CameraImage
from tests.lab.guest import Guest
from tests.lab.lab import Scene

_BETWEEN_RENAME_AND_ROW = r"""
import glob, json, os, sqlite3, sys, time
copies = "/var/lib/dockd/staging/copies/*/"
journal = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, isolation_level=None)
while not glob.glob(copies + ".*.partial"):
    time.sleep(0.1)
# A reader keeps SQLite from committing: whatever the dock does next, no row can say so.
journal.execute("BEGIN")
staged = journal.execute("SELECT count(*) FROM facts WHERE body LIKE '%RecordingStaged%'").fetchone()[0]
while not (final := [one for one in glob.glob(copies + "*") if not one.endswith(".partial")]):
    time.sleep(0.1)
os.sync()
print(json.dumps({"staged": staged, "final": final}))
sys.stdout.flush()
time.sleep(60)
"""


@pytest.mark.takes_long
def test_power_cut_while_one_camera_is_copied_one_read_back_and_one_erased(scene: Scene) -> None:
    guest = scene.start_guest(is_power_cut_planned=True)
    erased = scene.camera("BWC0001", count=10, size_bytes=200_000)
    copied = scene.camera("BWC0002", count=2, size_bytes=3_000_000)
    read_back = scene.camera("BWC0003", count=2, size_bytes=2_000_000)
    bays = {name: guest.bays[name] for name in ("5", "6", "12")}
    bays["5"].dock(erased, writes_per_second=1)
    guest.until(
        lambda dock: _bay(dock, "5").state == "wiping" and guest.machine.written_bytes(bays["5"].device) > 0,
        "the first write to the card",
    )
    bays["6"].dock(copied, bytes_per_second=200_000)
    bays["12"].dock(read_back, bytes_per_second=2_000_000)
    guest.until_state(bays["12"], "offloading")
    guest.machine.slow_host_disk(300_000)
    shown = guest.until(
        lambda dock: _is_at(dock, "12", "verifying", 1) and _is_at(dock, "6", "offloading", 100_000),
        "one to be read back while the other is copied",
    )
    guest.cut_power()
    assert _bay(shown, "5").state == "wiping", f"too late: {_bay(shown, '5').words}"
    for camera in (copied, read_back):
        assert set(camera.on_card()) == set(camera.recordings), f"{camera.serial} was changed before its receipts"
    left = set(erased.on_card()) & set(erased.recordings)
    print(f"{len(left)} of {len(erased.recordings)} recordings were still on the card when the power was cut")

    guest.boot({"5": erased, "6": copied, "12": read_back})
    scene.accounts().check_all()
    _finish(scene, guest, "5", "6", "12", written=(erased,))


@pytest.mark.takes_long
def test_power_cut_between_the_rename_of_a_copy_and_its_row_in_the_journal(scene: Scene) -> None:
    guest = scene.start_guest(is_power_cut_planned=True)
    camera = scene.camera("BWC0001", count=1, size_bytes=900_000)
    guest.write_file("/root/between.py", _BETWEEN_RENAME_AND_ROW)
    journal = scene.accounts().journal_in_guest()
    guest.run(
        "systemd-run",
        "--quiet",
        "--unit=between",
        "--property=StandardOutput=file:/root/between.json",
        "python3",
        "/root/between.py",
        journal,
    )
    guest.bays["5"].dock(camera, bytes_per_second=800_000)
    told = json.loads(guest.until_output("cat /root/between.json", "the rename"))
    guest.cut_power()
    assert told["staged"] == 0, "the journal knew of the copy already"
    assert set(camera.on_card()) == set(camera.recordings)

    guest.boot({"5": camera})
    scene.accounts().check_all()
    _finish(scene, guest, "5")


def _bay(dock: DockStatus, name: str) -> BayStatus:
    return next(one for one in dock.bays if one.bay == name)


def _is_at(dock: DockStatus, bay: str, state: str, at_least_bytes: int) -> bool:
    shown = _bay(dock, bay)
    assert shown.state not in ("ready", "held", "faulted"), f"too late for {state} in bay {bay}: {shown.words}"
    return shown.state == state and shown.progress is not None and shown.progress.done_bytes >= at_least_bytes


def _finish(scene: Scene, guest: Guest, *bays: str, written: Collection[CameraImage] = ()) -> None:
    """The cameras that were in their bays all the time end ready, and everything adds up."""
    for bay in bays:
        guest.until_state(guest.bays[bay], "ready")
    for bay in bays:
        guest.bays[bay].pull()
    guest.until_empty()
    scene.accounts().check_finished()
    for camera in scene.cameras:
        camera.check(was_power_cut_while_written=camera in written)
