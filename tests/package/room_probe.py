"""Runs under the dock's own unit, as its own user: uses the privilege room on a real card, and tries what it may not.

Prints one JSON object. Runs with the package's Python inside the bare Debian; see `host_steps.py`.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dockd.clock import host_clock_sync
from dockd.dock.privilege import HostPrivilege, PrivilegeConfig
from dockd.dock.usb_policy import UsbConfig
from dockd.driver_api import Volume

STATE = Path("/var/lib/dockd")


def outcome(act: Callable[[], Any]) -> str:
    """`done`, or the name of the error that the kernel gives."""
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"


def set_clock() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.settimeofday(ctypes.create_string_buffer(16), None) != 0:
        raise OSError(ctypes.get_errno(), "settimeofday")


def new_namespace() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000) != 0:  # CLONE_NEWUSER
        raise OSError(ctypes.get_errno(), "unshare")


def write_to(path: Path) -> None:
    with path.open("r+b", buffering=0) as file:
        file.write(bytes(512))


async def main(device: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"user": os.getuid()}
    room = HostPrivilege(PrivilegeConfig(mount_folder="/run/dockd-probe/mounts", file_systems=("ext4",)), UsbConfig())
    room.enter()
    card = Volume(device, "ext4", None)
    await room.set_block_read_only(device, True)
    found["write to a protected card"] = outcome(lambda: write_to(device))
    mount_point = await room.mount(card, read_only=True)
    found["card"] = (mount_point / "DCIM" / "A.MP4").read_text()
    (STATE / "mounted").write_text(str(mount_point))
    while not (STATE / "seen").exists():
        time.sleep(0.05)
    await room.unmount(mount_point)
    await room.set_block_read_only(device, False)
    mount_point = await room.mount(card, read_only=False)
    (mount_point / "DCIM" / "A.MP4").unlink()
    await room.unmount(mount_point)
    mount_point = await room.mount(card, read_only=True)
    found["after erasing"] = [path.name for path in (mount_point / "DCIM").iterdir()]
    await room.unmount(mount_point)
    found["read /etc/shadow"] = outcome(lambda: Path("/etc/shadow").read_bytes())
    found["write below /etc"] = outcome(lambda: Path("/etc/dockd/x").write_text("x"))
    found["write below /usr"] = outcome(lambda: Path("/usr/lib/dockd/x").write_text("x"))
    found["set the clock"] = outcome(set_clock)
    found["make a namespace"] = outcome(new_namespace)
    found["clock state"] = str(host_clock_sync())
    status = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    found["capabilities of a child"] = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff")]
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
