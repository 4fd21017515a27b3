"""What the service may do on a real host, and nobody else: its bays, its cards, no other disk."""

from __future__ import annotations

import json

from tests.lab.guest import Guest
from tests.lab.lab import Scene

_IN_THE_SERVICE = (
    'echo $$ > /sys/fs/cgroup/system.slice/dockd.service/cgroup.procs && exec dd of=/dev/null count=1 if="$1"'
)


def test_the_service_reads_cards_and_can_open_no_other_disk(shared: Scene) -> None:
    guest = shared.dock
    card = _docked_card(shared, guest)

    status, words = _dd_in_the_service(guest, card)
    assert status == 0, words
    for foreign in ("/dev/vda", "/dev/mem", "/dev/ttyS0"):
        assert guest.status_of("test", "-e", foreign)[0] == 0
        status, words = _dd_in_the_service(guest, foreign)
        assert status != 0, f"the service may open {foreign}"
        assert "Operation not permitted" in words, words
    _let_it_go(shared, guest)


def test_a_bay_belongs_to_the_dock_and_to_nobody_else(shared: Scene) -> None:
    guest = shared.dock
    card = _docked_card(shared, guest)

    port = f"/sys/bus/usb/devices/{guest.bays['3'].kernel_path}/authorized"
    assert guest.run("stat", "--format=%U:%G %a", port).strip() == "root:dockd 664"
    assert guest.run("stat", "--format=%U:%G %a", card).strip() == "root:dockd 640"
    assert guest.shell(f"find -L /dev/disk -samefile {card} 2> /dev/null || true").strip() == "", (
        "a card got a name by its own label"
    )
    assert guest.status_of("runuser", "-u", "nobody", "--", "cat", card)[0] != 0
    assert guest.status_of("runuser", "-u", "nobody", "--", "ls", "/var/lib/dockd")[0] != 0

    guest.workbench.put_disk(shared.camera("OWNKEY").file, "OWNKEY")
    own = guest.until_output(
        "readlink -f /dev/disk/by-id/usb-*OWNKEY* 2> /dev/null | grep '^/dev/sd' || true", "the computer's own USB disk"
    )
    assert "dockd" not in guest.run("stat", "--format=%U:%G", own.split()[0])
    guest.workbench.pull()
    _let_it_go(shared, guest)


def test_the_doctor_finds_what_was_done_to_a_sound_host(scene: Scene) -> None:
    guest = scene.start_guest()
    assert _problems(guest) <= {"clock-unsynchronised"}

    guest.shell("rm /etc/udev/rules.d/60-dockd-bays.rules; chown root: /var/lib/dockd/staging")
    guest.disconnect()
    found = _problems(guest)
    assert {"bay-rules-missing", "permissions-wrong-owner", "centre-not-reached"} <= found
    assert found <= {"bay-rules-missing", "permissions-wrong-owner", "centre-not-reached", "clock-unsynchronised"}


def _docked_card(scene: Scene, guest: Guest) -> str:
    """A camera in bay 3 that stays there, its recordings not yet accepted; the path of its disk."""
    guest.disconnect()
    bay = guest.bays["3"]
    bay.dock(scene.camera())
    guest.until_state(bay, "securing")
    return guest.shell("ls -d /dev/sd?").strip()


def _let_it_go(scene: Scene, guest: Guest) -> None:
    """The camera of bay 3 becomes ready as soon as the centre is there again."""
    guest.connect(scene.centre)
    guest.until_state(guest.bays["3"], "ready")
    guest.bays["3"].pull()
    guest.until_empty()
    scene.accounts().check_all()


def _dd_in_the_service(guest: Guest, device: str) -> tuple[int, str]:
    return guest.status_of("sh", "-euc", _IN_THE_SERVICE, "sh", device)


def _problems(guest: Guest) -> set[str]:
    status, told = guest.status_of("dockd", "doctor", "--json", timeout_seconds=120)
    findings = json.loads(told)["findings"]
    problems = {one["code"] for one in findings if one["severity"] == "problem"}
    assert status == (1 if problems else 0)
    assert all(one["found"] and one["action"] for one in findings if one["code"] in problems), "a problem without words"
    return problems
