"""Cards that are broken, hostile or not cards at all: words for staff, nothing written, the bay fit for the next."""

from __future__ import annotations

import hashlib

import pytest

from dockd.wire.status import BayStatus
from tests.lab.bay import Bay
from tests.lab.fat_damage import make_folder_its_own_child, scramble_allocation_table, scramble_boot_sector, sectors_of
from tests.lab.guest import Guest
from tests.lab.lab import Scene

_STOPPED = ("held", "faulted")


def test_a_card_with_unreadable_places_is_stored_as_far_as_it_goes_and_kept(shared: Scene) -> None:
    guest = shared.dock
    camera = shared.camera(count=2, size_bytes=900_000)
    names = sorted(camera.recordings.values())
    damaged = camera.mtools("mtype", f"::/DCIM/{names[0].rpartition('/')[2]}")
    bay = guest.bays["1"]
    bay.dock(camera, bad_sectors=sectors_of(camera.file, damaged[400_384:408_576]))
    held = guest.until_state(bay, "held")

    assert held.code == "card-damaged"
    bay.pull()
    guest.until_empty()
    digest = hashlib.sha256(damaged).hexdigest()
    assert digest in camera.on_card(), "the original of a damaged recording was erased"
    books = shared.accounts()
    books.check_all()
    lost = [one["staged"]["unreadable"] for one in books.facts_of("RecordingStaged") if one["staged"]["unreadable"]]
    assert len(lost) == 1
    lost_bytes = sum(one["end_byte"] - one["start_byte"] for one in lost[0])
    assert 8192 <= lost_bytes <= 64 * 1024, "more was given up than could not be read"
    assert books.kinds()["RecordingAccepted"] == 2


def test_a_write_protected_card_is_copied_and_held_because_it_cannot_be_emptied(shared: Scene) -> None:
    guest = shared.dock
    camera = shared.camera()
    bay = guest.bays["1"]
    bay.dock(camera, is_write_protected=True)
    held = guest.until_state(bay, *_STOPPED)

    assert (held.state, held.code) == ("held", "card-write-protected")
    assert held.recordings_accepted == 2
    assert "protected" in held.words, held.words
    bay.pull()
    guest.until_empty()
    assert set(camera.on_card()) == set(camera.recordings)
    books = shared.accounts()
    books.check_all()
    assert books.kinds()["RecordingErased"] == 0
    _a_good_camera_goes_through(shared, guest, bay)


@pytest.mark.parametrize(
    "damage", [scramble_allocation_table, scramble_boot_sector], ids=["allocation-table", "boot-sector"]
)
def test_a_corrupt_fat_is_told_in_words_and_nothing_is_written(shared: Scene, damage: object) -> None:
    guest = shared.dock
    camera = shared.camera()
    damage(camera.file, shared.seed)  # type: ignore[operator]
    before = camera.digest()
    bay = guest.bays["1"]
    bay.dock(camera)
    shown = guest.until_state(bay, *_STOPPED)

    _check_words(shown)
    bay.pull()
    guest.until_empty()
    assert camera.digest() == before
    shared.cameras.remove(camera)  # its files cannot be told from outside; that no byte changed was just shown
    _a_good_camera_goes_through(shared, guest, bay)


def test_a_loop_in_the_directory_tree_comes_to_an_end_and_loses_nothing(shared: Scene) -> None:
    guest = shared.dock
    camera = shared.camera()
    make_folder_its_own_child(camera.file, "DCIM")
    before = camera.digest()
    bay = guest.bays["1"]
    bay.dock(camera)
    shown = guest.until_state(bay, *_STOPPED)

    _check_words(shown)
    bay.pull()
    guest.until_empty()
    assert camera.digest() == before
    shared.cameras.remove(camera)  # mtools follows the loop too; that no byte changed was just shown
    _a_good_camera_goes_through(shared, guest, bay)


def test_a_volume_without_a_file_system_is_told_in_words_and_nothing_is_written(shared: Scene) -> None:
    guest = shared.dock
    noise = shared.folder / "noise.img"
    noise.write_bytes(shared.dice.randbytes(4 * 1024 * 1024))
    before = hashlib.sha256(noise.read_bytes()).hexdigest()
    bay = guest.bays["1"]
    bay.put_disk(noise, "BWC0666")
    shown = guest.until_state(bay, *_STOPPED)

    _check_words(shown)
    bay.pull()
    guest.until_empty()
    assert hashlib.sha256(noise.read_bytes()).hexdigest() == before
    _a_good_camera_goes_through(shared, guest, bay)


def _check_words(shown: BayStatus) -> None:
    """Whatever it is, staff read what it is and what to do."""
    assert shown.code not in (None, "internal-error"), shown
    assert shown.recordings_erased == 0
    assert len(shown.words) > 40, shown.words


def _a_good_camera_goes_through(scene: Scene, guest: Guest, bay: Bay) -> None:
    """The bay is none the worse for it."""
    good = scene.camera()
    bay.dock(good)
    guest.until_state(bay, "ready")
    bay.pull()
    guest.until_empty()
    books = scene.accounts()
    books.check_all()
    assert not good.on_card()
