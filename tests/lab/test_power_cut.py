"""The dock host's plug is pulled: QEMU is killed, the same disk is started again, the camera is still in its bay.

The disk loses nothing that was flushed and keeps nothing that was not (cache=writethrough).
"""

from __future__ import annotations

import json

import pytest

from tests.lab.bay import Bay
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
def test_power_cut_while_copying(scene: Scene) -> None:
    guest = scene.start_guest(is_power_cut_planned=True)
    camera = scene.camera("BWC0001", count=2, size_bytes=3_000_000)
    bay = guest.bays["5"]
    bay.dock(camera, bytes_per_second=700_000)
    _until_progress(guest, bay, "offloading", at_least_bytes=2_000_000)
    guest.cut_power()
    assert set(camera.on_card()) == set(camera.recordings)

    guest.boot({"5": camera})
    scene.accounts().check_all()
    _finish(scene, guest, "5")
    resumed = [
        one["is_read_whole"] for one in (each["staged"] for each in scene.accounts().facts_of("RecordingStaged"))
    ]
    assert len(resumed) == 2


@pytest.mark.takes_long
def test_power_cut_while_reading_back(scene: Scene) -> None:
    guest = scene.start_guest(is_power_cut_planned=True)
    camera = scene.camera("BWC0001", count=2, size_bytes=2_000_000)
    bay = guest.bays["5"]
    bay.dock(camera, bytes_per_second=2_000_000)
    guest.until_state(bay, "offloading")
    guest.machine.slow_host_disk(300_000)
    _until_progress(guest, bay, "verifying", at_least_bytes=1)
    guest.cut_power()
    assert set(camera.on_card()) == set(camera.recordings)

    guest.boot({"5": camera})
    scene.accounts().check_all()
    _finish(scene, guest, "5")


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


@pytest.mark.takes_long
def test_power_cut_while_erasing(scene: Scene) -> None:
    guest = scene.start_guest(is_power_cut_planned=True)
    camera = scene.camera("BWC0001", count=8, size_bytes=300_000)
    bay = guest.bays["5"]
    bay.dock(camera, writes_per_second=3)
    guest.until(
        lambda dock: (
            any(one.bay == "5" and one.state == "wiping" for one in dock.bays)
            and guest.machine.written_bytes(bay.device) > 0
        ),
        "the first write to the card",
    )
    guest.cut_power()
    scene_books = scene.accounts()
    left = set(camera.on_card()) & set(camera.recordings)
    print(f"{len(left)} of {len(camera.recordings)} recordings were still on the card when the power was cut")

    guest.boot({"5": camera})
    scene_books.check_all()
    _finish(scene, guest, "5", was_written=True)


def _until_progress(guest: Guest, bay: Bay, state: str, *, at_least_bytes: int) -> None:
    shown = None
    for picture in guest.pictures():
        shown = next((one for one in picture.bays if one.bay == bay.name), None)
        if shown and shown.state == state and shown.progress and shown.progress.done_bytes >= at_least_bytes:
            return
        assert shown is None or shown.state not in ("ready", "held", "faulted"), f"too late for {state}: {shown.words}"
    raise AssertionError(f"no progress in {state}: {shown}")


def _finish(scene: Scene, guest: Guest, bay: str, *, was_written: bool = False) -> None:
    """The camera that was in its bay all the time ends ready, and everything adds up."""
    guest.until_state(guest.bays[bay], "ready")
    guest.bays[bay].pull()
    guest.until_empty()
    scene.accounts().check_finished()
    for camera in scene.cameras:
        camera.check(was_power_cut_while_written=was_written)
