"""Runs every claim of `mount_scenarios.py` in a mount namespace of its own, on real loop devices with ext4.

FAT and exFAT are not in every kernel that runs these tests; their options are checked as text in
`tests/unit/dock/test_privilege.py`, and for real by the lab's virtual machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.nested_pytest import ROOT, Outcomes, assert_holds, claims_of, run_claims

SCENARIOS = Path(__file__).with_name("mount_scenarios.py")


def require_mounting() -> None:
    missing = [
        program
        for program in ("unshare", "losetup", "mkfs.ext4", "blockdev", "addpart")
        if shutil.which(program) is None
    ]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this kernel or container does not allow a mount namespace")
    if subprocess.run(["losetup", "--find"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this kernel or container has no free loop device")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    require_mounting()
    return run_claims(["unshare", "--mount"], SCENARIOS, tmp_path_factory.mktemp("mounting") / "report.xml")


@pytest.mark.parametrize("name", claims_of(SCENARIOS))
def test_in_the_privilege_room(name: str, outcomes: Outcomes) -> None:
    assert_holds(name, outcomes)


def run_python(code: str, *arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


ENTER = """
import subprocess, sys
from pathlib import Path
from dockd.dock.privilege import HostPrivilege, PrivilegeConfig
from dockd.dock.usb_policy import UsbConfig
from dockd.errors import ServiceFailed
room = HostPrivilege(PrivilegeConfig(mount_folder=sys.argv[1], mount_namespace=sys.argv[2]), UsbConfig())
"""


def test_own_namespace_hides_the_daemons_mounts_from_the_rest_of_the_host(tmp_path: Path) -> None:
    require_mounting()
    code = (
        ENTER
        + """
room.enter()
subprocess.run(["mount", "-t", "tmpfs", "card", sys.argv[1]], check=True)
(Path(sys.argv[1]) / "footage").write_text("evidence")
print(Path("/proc/self/mountinfo").read_text().count(sys.argv[1]))
"""
    )
    run = run_python(code, str(tmp_path / "mounts"), "own")
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "1"
    assert list((tmp_path / "mounts").iterdir()) == []
    assert (tmp_path / "mounts").stat().st_mode & 0o777 == 0o700


def test_given_namespace_that_is_shared_is_refused(tmp_path: Path) -> None:
    require_mounting()
    code = (
        ENTER
        + """
try:
    room.enter()
except ServiceFailed as error:
    print(error.what)
"""
    )
    shared = run_python(code, str(tmp_path / "a"), "given", prefix=("unshare", "--mount", "--propagation", "shared"))
    assert "would be seen by every program" in shared.stdout, shared.stderr
    private = run_python(code, str(tmp_path / "b"), "given", prefix=("unshare", "--mount", "--propagation", "private"))
    assert (private.returncode, private.stdout) == (0, ""), private.stderr


def test_own_namespace_is_refused_once_other_threads_run(tmp_path: Path) -> None:
    require_mounting()
    code = (
        ENTER
        + """
import threading
end = threading.Event()
thread = threading.Thread(target=end.wait)
thread.start()
try:
    room.enter()
except ServiceFailed as error:
    print(error.what)
end.set()
"""
    )
    run = run_python(code, str(tmp_path / "mounts"), "own")
    assert "2 threads run already" in run.stdout, run.stderr
