"""A dock host in a virtual machine: its commands, its page, its bays, its power switch.

Knows what the lab's installation put into the guest (see `installation.py`). Must not know scenarios.
"""

from __future__ import annotations

import base64
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from dockd.wire.status import BayStatus, DockStatus
from tests.lab.bay import Bay, all_bays
from tests.lab.camera_image import CameraImage
from tests.lab.centre import Centre
from tests.lab.machine import Hardware, Machine, MachineEnded

PAGE_PORT = 8480
CENTRE_PORT = 8490
PATIENCE_SECONDS = 300.0
"""A guest without its own hardware is slow, and slower beside other work: what is judged is what happens, not when."""
_LOOK_AGAIN_SECONDS = 0.3
_ASK_AGAIN_SECONDS = 1.0
"""A program that is started in the guest to look takes a tenth of a second from what is looked at."""
_UNSOUND = ("Traceback (most recent call last)", "internal-error", "kernel BUG", "Oops:", "Watchdog timeout")


_MOUNTS_OF_DAEMON = """
import pathlib
processes = pathlib.Path("/sys/fs/cgroup/system.slice/dockd.service/cgroup.procs").read_text().split()
output = "".join(pathlib.Path("/proc", one, "mountinfo").read_text() for one in processes)
"""
_LINK_TO_CENTRE = """
import os, socket
listening = socket.create_server(("127.0.0.1", int(arguments[0])))
pid = os.fork()
if pid == 0:
    try:  # as a service manager hands over a listening socket (sd_listen_fds(3))
        os.setsid()
        os.dup2(listening.fileno(), 3)
        os.set_inheritable(3, True)  # also where it was 3 already
        program = "/usr/lib/systemd/systemd-socket-proxyd"
        os.execve(program, [program, arguments[1]], {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())})
    finally:
        os._exit(1)
listening.close()
output = str(pid)
"""
_CUT_LINK = """
import os, signal
os.kill(int(arguments[0]), signal.SIGKILL)
os.waitpid(int(arguments[0]), 0)
output = ""
"""


class Guest:
    """A running dock host. To be ended with `close` whatever happens."""

    def __init__(self, hardware: Hardware, page_port: int) -> None:
        self._hardware = hardware
        self._page_port = page_port
        self._centre: Centre | None = None
        self._link = ""
        self._start(hardware)

    def _start(self, hardware: Hardware) -> None:
        self.machine = Machine(hardware)
        self.bays = all_bays(self.machine)
        self.workbench = Bay.workbench(self.machine)

    # --- inside ---------------------------------------------------------------------------------------

    def run(self, *argv: str, stdin: str = "", timeout_seconds: float = PATIENCE_SECONDS) -> str:
        """What a program in the guest prints. Fails with its complaint when it ends with another status than 0."""
        return _output(" ".join(argv), self.machine.agent(list(argv), stdin=stdin, timeout_seconds=timeout_seconds))

    def shell(self, script: str, *arguments: str, timeout_seconds: float = PATIENCE_SECONDS) -> str:
        """What a shell script in the guest prints. Fails when one of its commands does."""
        return self.run("sh", "-euc", script, "sh", *arguments, timeout_seconds=timeout_seconds)

    def look(self, source: str, *arguments: str) -> str:
        """The `output` of a Python source that finds `arguments`, without a process of its own."""
        return _output("Python", self.machine.look(source, *arguments))

    def status_of(self, *argv: str, timeout_seconds: float = PATIENCE_SECONDS) -> tuple[int, str]:
        """Exit status of a program in the guest, and what it printed and complained about."""
        told = self.machine.agent(list(argv), timeout_seconds=timeout_seconds)
        return told["status"], f"{told['output']}{told['errors']}"

    def read_file(self, path: str) -> bytes:
        """Content of a file in the guest."""
        return base64.b64decode(self.run("base64", "-w0", path))

    def write_file(self, path: str, text: str) -> None:
        """Write a file in the guest."""
        self.shell('printf "%s" "$2" > "$1"', path, text)

    def daemon_process(self) -> str:
        """The number of the daemon's process."""
        return self.run("systemctl", "show", "--property=MainPID", "--value", "dockd.service").strip()

    def cards_in_sight_of_the_daemon(self) -> list[str]:
        """Every card that the daemon has mounted in its own view: lines of mountinfo (proc(5))."""
        mounts = dict.fromkeys(self.look(_MOUNTS_OF_DAEMON).splitlines())
        return [line for line in mounts if " /run/dockd/mounts/" in line]

    def fill_exfat(self, camera: CameraImage) -> None:
        """Let the guest's kernel write the recordings onto an exFAT card, at a port that is no bay."""
        self.workbench.dock(camera)
        node = self.until_output("lsblk -rnpo NAME,FSTYPE,LABEL | awk '$2 == \"exfat\" {print $1}'", "the card's disk")
        self.shell('mkdir -p /mnt/card && mount -t exfat -o noatime "$1" /mnt/card', node)
        for clip in sorted(camera.unfilled.rglob("*.MP4")):
            path = f"/mnt/card/{clip.relative_to(camera.unfilled)}"
            self.shell('mkdir -p "$(dirname "$1")"', path)
            self.run("sh", "-c", 'base64 -d > "$1"', "sh", path, stdin=base64.b64encode(clip.read_bytes()).decode())
        self.shell("umount /mnt/card && sync")
        self.workbench.pull()
        shutil.rmtree(camera.unfilled)

    def until_output(self, script: str, what: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait until a shell script prints something."""
        end = time.monotonic() + seconds
        while not (found := self.machine.agent(["sh", "-c", script])["output"].strip()):
            assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
            time.sleep(_ASK_AGAIN_SECONDS)
        return str(found)

    # --- the dock's page ---------------------------------------------------------------------------------

    def status(self) -> DockStatus | None:
        """What the page's API shows; None while no dock answers."""
        try:
            with self._asked("/api/v1/status") as answer:
                return DockStatus.model_validate_json(answer.read())
        except (OSError, HTTPException):
            return None

    def pictures(self, seconds: float = PATIENCE_SECONDS) -> Iterator[DockStatus]:
        """The page now and after every change, as a browser is told it, until the time is over.

        Asking again and again would take the emulated processors from the dock that is being watched.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                with self._asked("/api/v1/status/events") as stream:
                    for line in stream:
                        if line.startswith(b"data: "):
                            yield DockStatus.model_validate_json(line.removeprefix(b"data: "))
                        elif line.startswith(b":") and (shown := self.status()):  # nothing new for seconds
                            yield shown
                        if time.monotonic() > end:
                            return
            except (OSError, HTTPException):
                pass  # no dock answers, or it was stopped: what is judged is what it shows when it does
            time.sleep(_LOOK_AGAIN_SECONDS)

    def release(self, bay: Bay) -> None:
        """Let the dock try a held bay again, as staff do on its page."""
        with self._asked(f"/api/v1/bays/{bay.name}/release", method="POST"):
            pass

    def _asked(self, path: str, method: str = "GET") -> HTTPResponse:
        page = f"http://127.0.0.1:{self._page_port}"
        request = urllib.request.Request(f"{page}{path}", method=method, headers={"Origin": page})
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=30)
        return answer

    def until(self, holds: Callable[[DockStatus], bool], what: str, seconds: float = PATIENCE_SECONDS) -> DockStatus:
        """Wait until the page shows it; fails with what it shows instead."""
        last: DockStatus | None = None
        for last in self.pictures(seconds):
            if holds(last):
                return last
        bays = [f"{one.bay}: {one.state} {one.words}" for one in (last.bays if last else ()) if one.state != "empty"]
        raise AssertionError(f"waited {seconds:g} s for: {what}\n" + "\n".join(bays or ["the page shows nothing"]))

    def until_state(self, bay: Bay, *states: str, seconds: float = PATIENCE_SECONDS) -> BayStatus:
        """Wait until a bay is in one of the states, and return it."""
        shown = self.until(
            lambda dock: any(one.bay == bay.name and one.state in states for one in dock.bays),
            f"bay {bay.name} to be {' or '.join(states)}",
            seconds,
        )
        return next(one for one in shown.bays if one.bay == bay.name)

    def until_empty(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until no bay shows anything, and the centre has every fact."""
        self.until(
            _is_empty,
            "all bays to be empty and every fact to be at the centre",
            seconds,
        )

    def until_settled(self, seconds: float = PATIENCE_SECONDS) -> DockStatus:
        """Wait until nothing is left to do: no camera, nothing waiting for the centre, every fact there."""
        return self.until(
            lambda dock: _is_empty(dock) and dock.is_centre_reachable and dock.waiting_recordings == 0,
            "the dock to have nothing left to do",
            seconds,
        )

    # --- the world around it -----------------------------------------------------------------------------

    def connect(self, centre: Centre) -> None:
        """Let the dock reach `centre` at the address in its configuration: the guest's own port 8490."""
        self._centre = centre
        self._link = self.look(_LINK_TO_CENTRE, str(CENTRE_PORT), f"10.0.2.2:{centre.port}")

    def disconnect(self) -> None:
        """Cut the line to the centre."""
        self._centre = None
        self.look(_CUT_LINK, self._link)

    def set_clock(self, at: datetime | None = None) -> None:
        """Set the guest's clock (now), and forget nothing else."""
        self.run("date", "--utc", "--set", f"{at or datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}")

    def clock(self) -> float:
        """What the guest's clock shows, in seconds since 1970."""
        return float(self.run("date", "+%s.%N"))

    def cut_power(self) -> None:
        """The plug is pulled."""
        self.machine.kill()

    def boot(self, docked: Mapping[str, CameraImage] | None = None, seconds: float = PATIENCE_SECONDS) -> None:
        """Switch the host on again with the same disk and `docked` in its bays; wait until its dock shows its page."""
        self._start(replace(self._hardware, saved_state=None))
        for bay, camera in (docked or {}).items():
            self.bays[bay].dock(camera)
        self.run("true", timeout_seconds=seconds)
        if self._centre is not None:
            self.connect(self._centre)
        self.until(lambda dock: True, "the dock's page after the start", seconds)

    # --- the end -----------------------------------------------------------------------------------------

    def console_bytes(self) -> int:
        """How much the console has told so far."""
        return self.machine.console.stat().st_size

    def check_sound(self, since_bytes: int = 0) -> None:
        """Fails when the console, on which everything is logged, tells of a bug after so many bytes."""
        text = self.machine.console.read_bytes()[since_bytes:].decode("utf-8", "replace")
        for sign in _UNSOUND:
            at = text.find(sign)
            assert at < 0, f"the guest's log tells of {sign!r}:\n{text[max(0, at - 500) : at + 3000]}"

    def keep_logs(self, folder: Path) -> None:
        """Write what the guest can tell to `folder`, beside the console that is there already."""
        for name, argv in (
            ("journal.txt", ["journalctl", "--no-pager", "-b", "-o", "short-precise"]),
            ("status.txt", ["systemctl", "status", "--no-pager", "dockd.service"]),
            ("devices.txt", ["sh", "-c", "lsusb -t; lsblk -f; ls -l /sys/bus/usb/devices; df -h; mount"]),
        ):
            try:
                told = self.machine.agent(argv, timeout_seconds=30.0)
            except (MachineEnded, OSError, AssertionError) as failure:
                (folder / name).write_text(f"not to be had: {failure}\n", encoding="utf-8")
            else:
                (folder / name).write_text(f"{told['output']}{told['errors']}", encoding="utf-8")
        shown = self.status()
        (folder / "status.json").write_text(shown.model_dump_json(indent=2) if shown else "null", encoding="utf-8")

    def close(self) -> None:
        """Switch it off."""
        self.machine.kill()


def _output(what: str, told: Mapping[str, Any]) -> str:
    assert told["status"] == 0, f"{what} in the guest: status {told['status']}\n{told['output']}{told['errors']}"
    return str(told["output"])


def _is_empty(dock: DockStatus) -> bool:
    """No bay shows anything, and the centre has every fact."""
    return all(one.state == "empty" for one in dock.bays) and dock.facts == dock.facts_at_centre
