"""The whole main job on a real kernel with real USB disks: docked, copied, verified, receipted, erased, ready."""

from __future__ import annotations

import pytest

from tests.lab.bay import Bay
from tests.lab.guest import Guest
from tests.lab.lab import Scene

_WRITE_SOMETHING = 'dd if=/dev/urandom of="$1" bs=512 seek=2048 count=8 oflag=direct'


def test_cameras_of_every_kind_end_ready_and_empty_with_every_recording_receipted(shared: Scene) -> None:
    guest = shared.dock
    cameras = {
        "1": shared.camera("BWC0001"),
        "2": shared.camera("BWC0002", has_partition_table=True),
        "3": shared.camera("BWC0003", file_system="exfat"),
        "9": shared.camera("BWC0004", file_system="exfat", has_partition_table=True),
        "10": shared.camera("000000", label="BWC00005", name="label-is-id"),
    }
    for camera in cameras.values():
        if camera.file_system == "exfat":
            guest.fill_exfat(camera)
        assert set(camera.on_card()) == set(camera.recordings), "the lab's own card is not as it was meant"
    for bay, camera in cameras.items():
        guest.bays[bay].dock(camera)

    shown = {bay: guest.until_state(guest.bays[bay], "ready", "held") for bay in cameras}

    assert {bay: (one.state, one.recordings_erased) for bay, one in shown.items()} == dict.fromkeys(
        cameras, ("ready", 2)
    )
    for bay in cameras:
        guest.bays[bay].pull()
    guest.until_empty()
    books = shared.accounts()
    books.check_finished()
    kinds = books.kinds()
    assert kinds["RecordingAccepted"] == kinds["RecordingErased"] == len(books.expected) == 10
    for camera in cameras.values():
        camera.check()
    measured = {one["session"]: one for one in books.facts_of("SpaceMeasured")}
    assert len(measured) == len(cameras)
    for one in measured.values():
        freed_bytes = one["after"]["free_bytes"] - one["before"]["free_bytes"]
        assert freed_bytes >= one["erased_bytes"] > 1_000_000, "the room was not measured, or not freed"
    identities = {one["identity"]["camera"] for one in books.facts_of("CameraIdentified")}
    assert identities == {f"massstorage:BWC000{number}" for number in range(1, 5)} | {"massstorage:BWC00005"}


@pytest.mark.parametrize("has_partition_table", [False, True], ids=["whole-disk", "partition"])
def test_nothing_can_write_to_a_card_before_its_recordings_are_accepted(
    shared: Scene, has_partition_table: bool
) -> None:
    guest = shared.dock
    guest.disconnect()
    camera = shared.camera(has_partition_table=has_partition_table)
    before = camera.digest()
    guest.bays["4"].dock(camera)
    guest.until_state(guest.bays["4"], "securing")

    disk = guest.shell("ls -d /dev/sd?").strip()
    nodes = [node for node in guest.shell(f"lsblk -rnpo NAME,PKNAME {disk}").split() if node.startswith(disk)]
    assert f"{disk}{1 if has_partition_table else ''}" in nodes
    for node in dict.fromkeys(nodes):
        assert guest.run("blockdev", "--getro", node).strip() == "1"
        status, words = guest.status_of("sh", "-euc", _WRITE_SOMETHING, "sh", node)
        assert status != 0, f"root wrote to {node}"
        assert "Operation not permitted" in words or "Read-only" in words, words
    assert camera.digest() == before

    guest.connect(shared.centre)
    guest.until_state(guest.bays["4"], "ready")
    guest.bays["4"].pull()
    guest.until_empty()
    shared.accounts().check_finished()


def test_no_other_process_sees_a_mounted_card(shared: Scene) -> None:
    guest = shared.dock
    guest.disconnect()
    camera = shared.camera()
    guest.bays["1"].dock(camera)
    guest.until_state(guest.bays["1"], "securing")

    mounts = guest.cards_in_sight_of_the_daemon()
    assert len(mounts) == 1
    options = mounts[0].split()[5].split(",")
    assert {"ro", "nosuid", "nodev", "noexec", "nosymfollow"} <= set(options)
    assert "/run/dockd/mounts/" not in guest.run("cat", "/proc/self/mountinfo"), "the card is mounted for everyone"
    assert guest.shell("find /run/dockd/mounts -mindepth 2").strip() == "", "root in the host's own view sees footage"
    assert guest.shell("find /run/media /media /mnt -type f 2> /dev/null || true").strip() == "", (
        "something else mounted it"
    )

    guest.connect(shared.centre)
    guest.until_state(guest.bays["1"], "ready")
    guest.bays["1"].pull()
    guest.until_empty()
    shared.accounts().check_finished()
    assert not guest.cards_in_sight_of_the_daemon()


def test_bays_are_learned_by_docking_a_camera_in_each(scene: Scene) -> None:
    guest = scene.start_guest()
    camera = scene.camera("BWC0001")
    before = camera.digest()
    guest.run("systemctl", "stop", "dockd.service")
    guest.run(
        *("systemd-run", "--quiet", "--unit=learning", "--setenv=DOCKD_USB__BAYS_FILE=/root/learned.toml"),
        *("--property=StandardOutput=append:/root/learning.txt", "dockd", "bays", "learn", "left", "middle", "right"),
    )
    wanted = {"left": guest.bays["3"], "middle": guest.bays["12"], "right": guest.bays["24"]}
    for name, bay in wanted.items():
        _until_told(guest, f"into bay {name}.")
        bay.dock(camera)
        _until_told(guest, f"Bay {name} is USB port {bay.kernel_path}")
        bay.pull()
    _until_told(guest, "3 bays are known")

    learned = guest.read_file("/root/learned.toml").decode()
    for name, bay in wanted.items():
        assert f'name = "{name}"\nport = "{bay.kernel_path}"' in learned
    assert camera.digest() == before, "learning where a bay is wrote to a card"


def _until_told(guest: Guest, words: str) -> None:
    guest.until_output(f"grep -F '{words}' /root/learning.txt || true", words)


def test_two_cameras_with_one_serial_number_are_both_held_and_neither_is_touched(shared: Scene) -> None:
    guest = shared.dock
    first = shared.camera("BWC0007", name="first")
    second = shared.camera("BWC0007", name="second")
    before = (first.digest(), second.digest())
    guest.disconnect()
    _dock_and_wait(guest, guest.bays["1"], first, "securing")
    guest.bays["2"].dock(second)

    assert guest.until_state(guest.bays["2"], "held").code == "duplicate-identity"
    assert guest.until_state(guest.bays["1"], "held").code == "duplicate-identity"
    guest.connect(shared.centre)
    shared.accounts().check_all()
    guest.bays["1"].pull()
    guest.bays["2"].pull()
    guest.until_empty()

    assert (first.digest(), second.digest()) == before
    shared.accounts().check_all()


def _dock_and_wait(guest: Guest, bay: Bay, camera: object, state: str) -> None:
    bay.dock(camera)  # type: ignore[arg-type]
    guest.until_state(bay, state)
