"""One virtual machine from outside: the QEMU process, its control socket (QMP), its console and its agent.

Knows QEMU. Must not know docks, cameras or what runs inside. QMP: qemu.org, "QEMU Machine Protocol".
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import re
import shutil
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.guest_image import GuestImage, LabUnavailable

PROGRAM = "qemu-system-x86_64"
HUBS = 3
PORTS_PER_HUB = 8
_START_SECONDS = 20.0
_ACCELERATORS = {"tcg": "tcg,thread=multi,tb-size=512", "kvm": "kvm"}
# Left out is what costs an emulated processor something at every call: guards of a computer that has something to lose,
# and waiting for other processors where there is one.
_KERNEL = (
    "root=/dev/vda rw console=ttyS0 mitigations=off net.ifnames=0 loglevel=4 panic=-1 random.trust_cpu=on "
    "lsm=yama apparmor=0 audit=0 init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off nokaslr "
    "cgroup.memory=nokmem,nosocket psi=0 nowatchdog tsc=reliable no_timer_check cryptomgr.notests edd=off "
    "rcupdate.rcu_expedited=1 highres=off"
)
_BOGOMIPS = re.compile(r"^bogomips\s*: ([0-9.]+)$", re.MULTILINE)
# In software, a guest that knows fewer wide instructions is quicker: it starts in 17 s instead of 22 s with `max`.
_PROCESSORS = {"tcg": "Nehalem", "kvm": "max"}


class MachineEnded(AssertionError):
    """The machine does not run, or did not answer in time."""


class _Line:
    """A socket on which JSON objects go back and forth, one on each line; a thread sorts what comes."""

    def __init__(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        self._socket = _connect(path, process)
        self._writing = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._is_closed = False
        self._reader = threading.Thread(target=self._read, name=f"lab-{path.name}", daemon=True)
        self._reader.start()

    def ask(self, number_key: str, request: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """Send with a number of its own and wait for the answer with that number. Raises MachineEnded."""
        number = next(self._numbers)
        answer = self._waiting[number] = queue.SimpleQueue()
        try:
            with self._writing:
                self._socket.sendall(json.dumps({**request, number_key: number}).encode() + b"\n")
            told = answer.get(timeout=timeout_seconds)
        except (queue.Empty, OSError) as failure:
            raise MachineEnded(f"no answer within {timeout_seconds:g} s to {str(request)[:300]}") from failure
        finally:
            del self._waiting[number]
        if not told:
            raise MachineEnded(f"the machine ended before it answered {str(request)[:300]}")
        return told

    def close(self) -> None:
        self._is_closed = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._reader.join(5)

    def _read(self) -> None:
        pending = b""
        with suppress(OSError):
            while content := self._socket.recv(1 << 20):
                pending += content
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    with suppress(ValueError):
                        told = json.loads(line)
                        if waiting := self._waiting.get(told.get("number", told.get("id"))):
                            waiting.put(told)
        for waiting in list(self._waiting.values()):
            waiting.put({})


def _connect(path: Path, process: subprocess.Popen[bytes]) -> socket.socket:
    end = time.monotonic() + _START_SECONDS
    while True:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(str(path))
        except OSError as failure:
            link.close()
            if process.poll() is not None or time.monotonic() > end:
                raise MachineEnded(f"QEMU (status {process.poll()}) does not listen on {path.name}") from failure
            time.sleep(0.02)
        else:
            return link


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a machine is made of. A saved state fits only the very same hardware."""

    image: GuestImage
    disk: Path
    """A qcow2 overlay of its own."""
    folder: Path
    """For sockets and logs; its path must be short enough for a Unix socket."""
    is_power_cut_planned: bool = False
    """The disk then loses nothing that the guest flushed, and keeps nothing that it did not: no unsafe caching."""
    saved_state: Path | None = None
    """Go on from here instead of booting."""
    forwards: tuple[tuple[int, int], ...] = ()
    """TCP ports (on this host's loopback, in the guest)."""
    rtc: str = "utc"
    accelerator: str = "tcg"


class Machine:
    """A started QEMU. To be ended with `kill` whatever happens."""

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        self.console = hardware.folder / "console.log"
        self._nodes = itertools.count(1)
        with (hardware.folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(
                command_line(hardware), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._control = _Line(hardware.folder / "qmp", self._process)
            self.qmp("qmp_capabilities")
            if hardware.saved_state is not None:
                self._until_running()
            self._agent = _Line(hardware.folder / "agent", self._process)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def qmp(self, command: str, **arguments: Any) -> Any:
        """One QMP command. Raises MachineEnded, or AssertionError with QEMU's own words for a refusal."""
        asked = {"execute": command, "arguments": arguments} if arguments else {"execute": command}
        told = self._control.ask("id", asked, 60.0)
        assert "error" not in told, f"QEMU refused {command} {arguments}: {told['error'].get('desc')}"
        return told["return"]

    def agent(self, argv: list[str], *, stdin: str = "", timeout_seconds: float = 60.0) -> dict[str, Any]:
        """Run a program in the guest: `status`, `output`, `errors`. Raises MachineEnded."""
        asked = {"argv": argv, "input": stdin, "timeout_seconds": timeout_seconds}
        return self._agent.ask("number", asked, timeout_seconds + 30.0)

    def look(self, source: str, *arguments: str, timeout_seconds: float = 60.0) -> dict[str, Any]:
        """Run Python in the guest's agent: it finds `arguments` and leaves its `output`. Answers as `agent`."""
        return self._agent.ask("number", {"python": source, "arguments": arguments}, timeout_seconds)

    def add_disk(
        self,
        file: Path,
        *,
        bytes_per_second: int | None = None,
        writes_per_second: int | None = None,
        is_read_only: bool = False,
        bad_sectors: range | None = None,
    ) -> str:
        """Make an image file known as a medium and return its name there.

        It reads no faster than `bytes_per_second` and takes no more than `writes_per_second`; reading any of
        `bad_sectors` (512 bytes each) gives an I/O error.
        """
        node = f"medium-{next(self._nodes)}"
        image: dict[str, Any] = {"driver": "file", "filename": str(file), "read-only": is_read_only}
        if bad_sectors is not None:
            rules = [{"event": "none", "iotype": "read", "errno": 5, "sector": sector} for sector in bad_sectors]
            image = {"driver": "blkdebug", "inject-error": rules, "image": image, "read-only": is_read_only}
        medium: dict[str, Any] = {"driver": "raw", "read-only": is_read_only, "file": image}
        limits: dict[str, int] = {}
        if bytes_per_second is not None:
            limits |= {"bps-read": bytes_per_second}
        if writes_per_second is not None:
            limits |= {"iops-write": writes_per_second}
        if limits:
            self.qmp("object-add", **{"qom-type": "throttle-group", "id": f"{node}-pace", "limits": limits})
            medium = {"driver": "throttle", "throttle-group": f"{node}-pace", "file": medium}
        self.qmp("blockdev-add", **{**medium, "node-name": node, "read-only": is_read_only})
        return node

    def slow_host_disk(self, read_bytes_per_second: int) -> None:
        """From now on the host's own disk reads no faster; 0 is as fast as it can."""
        others = dict.fromkeys(("bps", "bps_wr", "iops", "iops_rd", "iops_wr"), 0)
        self.qmp("block_set_io_throttle", device="disk", bps_rd=read_bytes_per_second, **others)

    def add_hub(self, hub: int) -> None:
        """Put a hub that was taken out back in."""
        self.qmp("device_add", **hub_properties(hub))

    def take_device(self, device: str) -> None:
        """Pull a USB device and wait until it is out."""
        self.qmp("device_del", id=device)
        end = time.monotonic() + 10
        while any(one["name"] == device for one in self.qmp("qom-list", path="/machine/peripheral")):
            assert time.monotonic() < end, f"{device} does not come out"
            time.sleep(0.01)

    def remove_disk(self, node: str) -> None:
        """Let go of the image file; everything the guest wrote is in it then."""
        end = time.monotonic() + 10
        while True:
            try:
                self.qmp("blockdev-del", **{"node-name": node})
            except AssertionError as refused:  # QEMU lets go of a pulled device a little later
                if "in use" not in str(refused) or time.monotonic() > end:
                    raise
                time.sleep(0.02)
            else:
                return

    def written_bytes(self, device: str) -> int:
        """How much the guest has written to a USB disk so far."""
        return self._counted(device, "wr_bytes")

    def read_bytes(self, device: str) -> int:
        """How much the guest has read from a USB disk so far."""
        return self._counted(device, "rd_bytes")

    def _counted(self, device: str, what: str) -> int:
        for one in self.qmp("query-blockstats"):
            if device in one.get("qdev", "").split("/"):
                return int(one["stats"][what])
        return 0

    def save_state(self, file: Path) -> None:
        """Stop the machine and write its memory and devices to `file`; end it."""
        self.qmp("stop")
        self.qmp("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        self.qmp("migrate", uri=f"exec:cat > '{file}'")
        end = time.monotonic() + 120
        while (told := self.qmp("query-migrate"))["status"] != "completed":
            assert told["status"] in ("setup", "active", "device", "postcopy-active"), (
                f"the state was not saved: {told}"
            )
            assert time.monotonic() < end, "the state was not saved in time"
            time.sleep(0.05)
        with suppress(MachineEnded):
            self.qmp("quit")
        self.kill()

    def kill(self) -> None:
        """Cut its power: SIGKILL. Nothing that is only in its memory survives."""
        self._process.kill()
        self._process.wait()
        for line in (self._control, self._agent):
            line.close()
        for name in ("qmp", "agent"):
            (self.hardware.folder / name).unlink(missing_ok=True)

    def _until_running(self) -> None:
        end = time.monotonic() + 60
        while (status := self.qmp("query-status")["status"]) == "inmigrate":
            assert time.monotonic() < end, "the saved state did not load in time"
            time.sleep(0.02)
        assert status in ("paused", "postmigrate"), f"the saved state does not load: {status}"
        self.qmp("cont")


def command_line(hardware: Hardware) -> list[str]:
    """QEMU with a host controller, hubs with switchable ports, a network of its own, and two lines to the outside."""
    image, folder = hardware.image, hardware.folder
    cache = "writethrough" if hardware.is_power_cut_planned else "unsafe"
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:{outside}-:{inside}" for outside, inside in hardware.forwards)
    command = [
        *(PROGRAM, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "pc", "-accel", _ACCELERATORS[hardware.accelerator]),
        *("-cpu", _PROCESSORS[hardware.accelerator], "-smp", "1", "-m", "768"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initial_ramdisk)),
        *("-append", f"{_KERNEL} {_clock_rate()}"),
        *("-rtc", f"base={hardware.rtc},clock=host"),
        *("-chardev", f"file,id=console,path={folder / 'console.log'},append=on", "-serial", "chardev:console"),
        *("-qmp", f"unix:{folder / 'qmp'},server=on,wait=off"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,path={folder / 'agent'},server=on,wait=off"),
        *("-device", "virtserialport,chardev=agent,name=lab.agent"),
        *("-drive", f"file={hardware.disk},format=qcow2,if=none,id=disk,cache={cache},discard=unmap"),
        *("-device", "virtio-blk-pci,drive=disk"),
        *("-netdev", f"user,id=net{forwards}", "-device", "virtio-net-pci,netdev=net,romfile="),
        *("-device", "virtio-rng-pci"),
        *("-device", "qemu-xhci,id=xhci,p2=8,p3=8"),
    ]
    for hub in range(1, HUBS + 1):
        properties = hub_properties(hub)
        command += [
            "-device",
            ",".join([properties.pop("driver"), *(f"{key}={one}" for key, one in properties.items())]),
        ]
    if hardware.saved_state is not None:
        command += ["-incoming", f"exec:cat '{hardware.saved_state}'"]
    return command


def _clock_rate() -> str:
    """Kernel parameter that tells the guest how fast its time stamp counter runs, as this host's kernel knows it.

    The guest would measure it, and on a busy host measure wrongly: its clock once ran eleven times too fast. In
    software its counter is the host's own, of which the host's kernel shows twice the MHz as `bogomips`; whole MHz are
    the same after every start of the host.
    """
    found = _BOGOMIPS.search(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return f"tsc_early_khz={round(float(found[1]) / 2)}000" if found else ""


def hub_properties(hub: int) -> dict[str, Any]:
    """A hub of the dock, with port power that the guest can switch."""
    return {
        "driver": "usb-hub",
        "id": f"hub{hub}",
        "bus": "xhci.0",
        "port": str(hub),
        "ports": PORTS_PER_HUB,
        "port-power": "on",
    }


def check_programs() -> None:
    """Raises LabUnavailable naming every program that this host lacks, and the Debian package it is in."""
    needed = {
        PROGRAM: "qemu-system-x86",
        "qemu-img": "qemu-utils",
        "mmdebstrap": "mmdebstrap",
        "mke2fs": "e2fsprogs",
        "mkfs.vfat": "dosfstools",
        "mkfs.exfat": "exfatprogs",
        "mcopy": "mtools",
    } | ({} if os.geteuid() == 0 else {"fakeroot": "fakeroot"})
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [
        f"{program} (Debian: {package})" for program, package in needed.items() if not shutil.which(program, path=path)
    ]
    if missing:
        raise LabUnavailable(f"this host has no {', '.join(missing)}")


def make_overlay(file: Path, backing: Path, backing_format: str, *, backing_name: str | None = None) -> None:
    """A disk that keeps its own changes and reads everything else from `backing`.

    Written into it as `backing_name` where both are moved together; else as an absolute path.
    """
    name = backing_name or str(backing.resolve())
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", name, "-F", backing_format, str(file)],
        check=True,
        capture_output=True,
    )
