"""What an administrator does, in order, inside the bare Debian under its systemd; run with its own bare python3.

Prints one JSON object with what was seen after each step. Judges nothing: `test_under_systemd.py` does.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATE = Path("/var/lib/dockd")
CENTRE = Path("/var/lib/dockd-central")
CONFIG = Path("/etc/dockd/dockd.toml")
BAYS = '[[bay]]\nname = "1"\nport = "1-1.1"\n'


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def shown(unit: str, *names: str) -> dict[str, str]:
    lines = run("systemctl", "show", unit, *(f"--property={name}" for name in names)).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def state_of(unit: str) -> dict[str, str]:
    return shown(unit, "ActiveState", "SubState", "UnitFileState", "MainPID", "NRestarts", "Result")


def until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def install(package: str) -> str:
    return run("dpkg", "--install", package)


def set_up() -> None:
    run("runuser", "-u", "dockd-central", "--", "dockd", "central", "init", "--folder", str(CENTRE))
    run("systemctl", "enable", "--now", "dockd-central")
    pinned = json.loads((CENTRE / "pinned-store.json").read_text())
    lines = ["[dock]", 'id = "dock-1"', 'site = "Blackfriars"', "[centre]", 'url = "http://127.0.0.1:8490"']
    lines += [f'{name} = "{pinned[name]}"' for name in ("store", "key", "public_key")]
    CONFIG.write_text("\n".join(lines) + "\n")
    CONFIG.with_name("bays.toml").write_text(BAYS)


def process_of(unit: str) -> dict[str, Any]:
    folder = Path("/proc", state_of(unit)["MainPID"])
    fields = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    mounts = [line.split(" ") for line in (folder / "mountinfo").read_text().splitlines()]
    return {
        "user": fields["Uid"].split()[0],
        "effective": fields["CapEff"].strip(),
        "bounding": fields["CapBnd"].strip(),
        "ambient": fields["CapAmb"].strip(),
        "seccomp": fields["Seccomp"].strip(),
        "shared mounts": [line[4] for line in mounts if any(word.startswith("shared:") for word in line[6:9])],
        "root": next(line[5] for line in mounts if line[4] == "/"),
    }


def probe(device: str) -> dict[str, Any]:
    """The dock's own unit with another program in it, and the device of the test on its list."""
    unit = Path("/usr/lib/systemd/system/dockd.service").read_text()
    replaced = {
        "Type=": "Type=oneshot",
        "Restart=": "Restart=no",
        "WatchdogSec=": "",
        "ExecStart=": f"ExecStart=/usr/lib/dockd/venv/bin/python3 -I /opt/room_probe.py {device}\n"
        "StandardOutput=file:/run/probe.json",
        "RuntimeDirectory=": "RuntimeDirectory=dockd-probe",
        "DeviceAllow=block-sd": "DeviceAllow=block-loop rw",
    }
    lines = [next((new for old, new in replaced.items() if line.startswith(old)), line) for line in unit.splitlines()]
    Path("/run/systemd/system/dockd-probe.service").write_text("\n".join(lines) + "\n")
    run("systemctl", "daemon-reload")
    # What the udev rule does.
    shutil.chown(device, group="dockd")
    Path(device).chmod(0o640)
    starting = subprocess.Popen(["systemctl", "start", "dockd-probe"])
    is_mounted = until((STATE / "mounted").exists, 60)
    place = (STATE / "mounted").read_text() if is_mounted else "?"
    seen = place in Path("/proc/self/mountinfo").read_text()
    (STATE / "seen").touch()
    starting.wait(60)
    output = Path("/run/probe.json").read_text() if Path("/run/probe.json").exists() else ""
    log = run("journalctl", "--no-pager", "--unit=dockd-probe")
    found: dict[str, Any] = json.loads(output) if output else {}
    return {**found, "log": log, "seen by another process": seen, "was mounted": is_mounted}


def stuck() -> dict[str, Any]:
    """The daemon is stopped in the middle, as one that hangs; the watchdog is made short."""
    drop_in = Path("/run/systemd/system/dockd.service.d/quick.conf")
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text("[Service]\nWatchdogSec=3\nRestartSec=0\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "dockd")
    before = state_of("dockd")
    time.sleep(7)
    alive = state_of("dockd")
    os.kill(int(alive["MainPID"]), signal.SIGSTOP)
    until(lambda: state_of("dockd")["MainPID"] not in ("0", alive["MainPID"]), 30)
    until(lambda: state_of("dockd")["ActiveState"] == "active", 30)
    log = run("journalctl", "--no-pager", "--unit=dockd")
    drop_in.unlink()
    run("systemctl", "daemon-reload")
    return {"before": before, "alive": alive, "after": state_of("dockd"), "log": log}


def key_from_outside() -> dict[str, Any]:
    credential = Path("/etc/credstore/dockd.dock-key.pem")
    shutil.move(STATE / "dock-key.pem", credential)
    os.chown(credential, 0, 0)
    was = CONFIG.read_text()
    place = "/run/credentials/dockd.service/dockd.dock-key.pem"
    CONFIG.write_text(was.replace("[centre]", f'key_file = "{place}"\n[centre]'))
    run("systemctl", "restart", "dockd")
    return {"state": state_of("dockd"), "made again": (STATE / "dock-key.pem").exists()}


def stop() -> dict[str, Any]:
    began = time.monotonic()
    run("systemctl", "stop", "dockd")
    return {"seconds": time.monotonic() - began, "state": state_of("dockd")}


def kept() -> dict[str, str]:
    """Everything in the folders of state, with its owner."""
    return {
        str(path): path.owner() for folder in (STATE, CENTRE) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def main(first: str, second: str, device: str) -> dict[str, Any]:
    found: dict[str, Any] = {"installed": install(first), "without configuration": state_of("dockd")}
    run("systemctl", "start", "dockd")
    found["started without configuration"] = state_of("dockd")
    set_up()
    run("systemctl", "start", "dockd")
    found |= {"dock": state_of("dockd"), "centre": state_of("dockd-central"), "status": run("dockd", "status")}
    found |= {"dock process": process_of("dockd"), "centre process": process_of("dockd-central")}
    found["exposure"] = run("systemd-analyze", "security", "dockd").splitlines()[-1]
    found |= {"probe": probe(device), "stuck": stuck(), "key": key_from_outside()}
    found |= {
        "before upgrade": {unit: state_of(unit) for unit in ("dockd", "dockd-central")},
        "config": CONFIG.read_text(),
    }
    found["upgraded"] = install(second)
    found |= {
        "after upgrade": {unit: state_of(unit) for unit in ("dockd", "dockd-central")},
        "config after": CONFIG.read_text(),
    }
    found["status after"] = run("dockd", "status")
    found["stop"] = stop()
    found["upgraded while stopped"] = install(first)
    found["still stopped"] = state_of("dockd")
    run("systemctl", "start", "dockd")
    found["state before"] = kept()
    found |= {
        "removed": run("dpkg", "--remove", "dockd"),
        "units left": run("systemctl", "is-active", "dockd", "dockd-central"),
    }
    found["config kept"] = CONFIG.exists()
    found["installed again"] = install(first)
    found["after installing again"] = {unit: state_of(unit) for unit in ("dockd", "dockd-central")}
    found |= {"purged": run("dpkg", "--purge", "dockd"), "state after": kept(), "config purged": not CONFIG.exists()}
    return found


if __name__ == "__main__":
    print("FOUND " + json.dumps(main(*sys.argv[1:])))
