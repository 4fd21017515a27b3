"""The package's services under a real systemd, from the first installation to the purge.

A bare Debian is booted in a container on this machine's kernel; there is no USB in it, and no control over devices
(DeviceAllow). Both, with real USB devices, are the lab's work (tests/lab).
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bare_debian import BareDebian, repacked

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
CAP_SYS_ADMIN = f"{1 << 21:016x}"
NO_CAPABILITY = f"{0:016x}"


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A block device with a file system and one recording, which any user may erase."""
    folder = tmp_path_factory.mktemp("card")
    (folder / "content/DCIM").mkdir(parents=True)
    (folder / "content/DCIM").chmod(0o777)
    (folder / "content/DCIM/A.MP4").write_text("footage")
    image = folder / "card.img"
    with image.open("wb") as file:
        file.truncate(8 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-d", str(folder / "content"), str(image)], check=True)
    made = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=True)
    node = Path(made.stdout.strip())
    before = node.stat()
    try:
        yield node
    finally:
        node.chmod(stat.S_IMODE(before.st_mode))
        os.chown(node, before.st_uid, before.st_gid)
        subprocess.run(["losetup", "--detach", str(node)], check=True)


@pytest.fixture(scope="module")
def found(debian: BareDebian, package: Path, card: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    newer = repacked(package, "99.0", tmp_path_factory.mktemp("newer"))
    first, second = debian.bring(package, "/opt/first.deb"), debian.bring(newer, "/opt/second.deb")
    debian.bring(HERE / "room_probe.py", "/opt/room_probe.py")
    script = debian.bring(HERE / "host_steps.py", "/opt/host_steps.py")
    printed = debian.boot(script, [first, second, str(card)], devices=[card])
    lines = [line for line in printed.splitlines() if line.startswith("FOUND ")]
    if not lines and "FOUND" not in printed and "Welcome to" not in printed:
        pytest.skip(f"no systemd can be booted in a container here: {printed.strip()[-300:]}")
    assert lines, printed
    seen: dict[str, Any] = json.loads(lines[0].removeprefix("FOUND "))
    return seen


def test_without_a_configuration_it_is_switched_on_and_waits(found: dict[str, Any]) -> None:
    assert found["without configuration"]["UnitFileState"] == "enabled"
    for step in ("without configuration", "started without configuration"):
        assert (found[step]["ActiveState"], found[step]["NRestarts"]) == ("inactive", "0")


def test_dock_and_centre_run_and_reach_each_other(found: dict[str, Any]) -> None:
    assert (found["dock"]["SubState"], found["centre"]["SubState"]) == ("running", "running")
    assert "Central store reachable" in found["status"]


def test_the_dock_has_one_capability_and_the_centre_none(found: dict[str, Any]) -> None:
    dock, centre = found["dock process"], found["centre process"]
    assert (dock["effective"], dock["bounding"], dock["ambient"]) == (CAP_SYS_ADMIN, CAP_SYS_ADMIN, NO_CAPABILITY)
    assert (centre["effective"], centre["bounding"]) == (NO_CAPABILITY, NO_CAPABILITY)
    assert "0" not in (dock["user"], centre["user"])
    assert dock["user"] != centre["user"]
    assert dock["seccomp"] == centre["seccomp"] == "2"


def test_the_docks_view_of_mounts_is_its_own_and_read_only(found: dict[str, Any]) -> None:
    assert found["dock process"]["shared mounts"] == []
    assert found["dock process"]["root"].split(",")[0] == "ro"


def test_exposure_of_the_loaded_unit_is_at_most_three(found: dict[str, Any]) -> None:
    assert float(found["exposure"].split("dockd.service: ")[1].split()[0]) <= 3.0


def test_under_its_unit_a_card_is_protected_read_and_erased(found: dict[str, Any]) -> None:
    probe = found["probe"]
    assert probe["was mounted"], probe
    assert probe["write to a protected card"] == "PermissionError"
    assert probe["card"] == "footage"
    assert probe["after erasing"] == []
    assert probe["user"] != 0


def test_no_other_process_sees_a_mounted_card(found: dict[str, Any]) -> None:
    assert found["probe"]["seen by another process"] is False


@pytest.mark.parametrize(
    ("what", "refusal"),
    [
        ("read /etc/shadow", "PermissionError"),
        ("write below /etc", "OSError"),  # EROFS
        ("write below /usr", "OSError"),
        ("set the clock", "PermissionError"),
        ("make a namespace", "PermissionError"),
    ],
)
def test_what_the_dock_never_needs_is_refused(found: dict[str, Any], what: str, refusal: str) -> None:
    assert found["probe"][what] == refusal, found["probe"]["log"]


def test_programs_that_the_dock_starts_have_no_capability(found: dict[str, Any]) -> None:
    assert found["probe"]["capabilities of a child"] == [NO_CAPABILITY]


def test_the_dock_may_ask_whether_the_clock_is_synchronised(found: dict[str, Any]) -> None:
    assert found["probe"]["clock state"] in ("synchronised", "unsynchronised")


def test_a_daemon_that_hangs_is_started_again_and_one_that_works_is_left_alone(found: dict[str, Any]) -> None:
    stuck = found["stuck"]
    assert stuck["alive"]["MainPID"] == stuck["before"]["MainPID"], "it lived through two watchdog times"
    assert stuck["after"]["MainPID"] != stuck["before"]["MainPID"]
    assert stuck["after"]["ActiveState"] == "active"
    assert "Watchdog timeout" in stuck["log"]


def test_a_key_that_the_service_manager_hands_over_is_used(found: dict[str, Any]) -> None:
    assert found["key"]["state"]["ActiveState"] == "active"
    assert found["key"]["made again"] is False


def test_an_upgrade_starts_again_what_ran_with_its_configuration_unchanged(found: dict[str, Any]) -> None:
    for unit in ("dockd", "dockd-central"):
        before, after = found["before upgrade"][unit], found["after upgrade"][unit]
        assert after["ActiveState"] == "active", found["upgraded"]
        assert before["MainPID"] != after["MainPID"]
    assert found["config after"] == found["config"]
    assert "Central store reachable" in found["status after"]


def test_the_dock_leaves_in_time_when_it_is_told_to(found: dict[str, Any]) -> None:
    assert found["stop"]["state"]["Result"] == "success"
    assert found["stop"]["seconds"] < 20


def test_an_upgrade_does_not_start_what_was_stopped(found: dict[str, Any]) -> None:
    assert found["still stopped"]["ActiveState"] == "inactive", found["upgraded while stopped"]


def test_removing_stops_the_services_and_keeps_the_configuration(found: dict[str, Any]) -> None:
    assert found["units left"].split() == ["inactive", "inactive"]
    assert found["config kept"] is True


def test_installing_again_goes_on_with_the_kept_configuration(found: dict[str, Any]) -> None:
    for unit in ("dockd", "dockd-central"):
        assert found["after installing again"][unit]["ActiveState"] == "active", found["installed again"]


def test_purge_keeps_every_file_of_state_and_its_owner_and_says_where(found: dict[str, Any]) -> None:
    assert found["config purged"] is True
    assert any(name.startswith("/var/lib/dockd/journal/") for name in found["state before"])
    assert found["state before"].items() <= found["state after"].items()
    assert "/var/lib/dockd was kept" in found["purged"]
