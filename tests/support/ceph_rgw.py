"""A real Ceph of one monitor, one disk and one RADOS gateway on loopback, in a folder of the test's own.

Every part is a process of ours, in the foreground, ended by its own id. Knows nothing of dockd.
Needs Debian's ceph-mon, ceph-osd, ceph-common and radosgw.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.object_store import ObjectStoreServer, wait_for_port
from tests.support.processes import quiet_port

ACCESS_KEY = "dockd-test"
SECRET_KEY = "not-a-secret-of-anybody"
_PATIENCE_SECONDS = 120.0

_CONFIGURATION = """
[global]
fsid = {cluster}
mon host = [v2:127.0.0.1:{monitor_port}]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth allow insecure global id reclaim = false
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail crit = 1
mon max pg per osd = 2000
osd crush chooseleaf type = 0
osd objectstore = bluestore
osd memory target = 939524096
osd pool default min size = 1
osd pool default pg autoscale mode = off
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default size = 1
bluestore block size = 6442450944
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
keyring = {folder}/keyring
log file = {folder}/log/$name.log
[mon.a]
mon data = {folder}/monitor
[osd.0]
osd data = {folder}/disk
[client.rgw]
rgw data = {folder}/gateway
rgw dns name = localhost
rgw frontends = beast endpoint=127.0.0.1:{gateway_port}
rgw thread pool size = 32
"""

_KEYS = (
    ("mon.", ("mon", "allow *")),
    ("client.admin", ("mon", "allow *", "osd", "allow *", "mgr", "allow *")),
    ("client.rgw", ("mon", "allow *", "osd", "allow *")),
    ("osd.0", ("mon", "allow profile osd", "osd", "allow *")),
)


@dataclass
class CephRgw:
    """The cluster. `gateway` is what speaks S3 and may be killed and started again."""

    folder: Path
    monitor_port: int
    gateway_port: int
    processes: dict[str, subprocess.Popen[bytes]]

    @property
    def server(self) -> ObjectStoreServer:
        """How it is reached."""
        return ObjectStoreServer("ceph", f"http://127.0.0.1:{self.gateway_port}", ACCESS_KEY, SECRET_KEY)

    def kill_gateway(self) -> None:
        """SIGKILL, as a machine that loses its power."""
        gateway = self.processes.pop("rgw")
        gateway.send_signal(signal.SIGKILL)
        gateway.wait()

    def start_gateway(self) -> None:
        """Start it and wait until it takes connections."""
        self._launch("rgw", "radosgw", "--foreground", "--name", "client.rgw")
        wait_for_port(self.gateway_port, _PATIENCE_SECONDS, self.processes["rgw"])

    def make(self) -> None:
        """Make the cluster and start everything."""
        for name in ("monitor", "disk", "gateway", "run", "log"):
            (self.folder / name).mkdir(parents=True)
        cluster = str(uuid.uuid4())
        self._configuration.write_text(
            _CONFIGURATION.format(
                cluster=cluster, folder=self.folder, monitor_port=self.monitor_port, gateway_port=self.gateway_port
            ),
            encoding="utf-8",
        )
        keyring = str(self.folder / "keyring")
        for turn, (name, allowed) in enumerate(_KEYS):
            capabilities = [word for at in range(0, len(allowed), 2) for word in ("--cap", *allowed[at : at + 2])]
            create = ["--create-keyring"] if turn == 0 else []
            self._run("ceph-authtool", *create, keyring, "--gen-key", "-n", name, *capabilities, plain=True)
        self._make_monitor(cluster, keyring)
        self._make_disk()
        self.start_gateway()
        self._run(
            *("radosgw-admin", "--name", "client.rgw", "user", "create", "--uid=dockd", "--display-name=dockd"),
            *(f"--access-key={ACCESS_KEY}", f"--secret={SECRET_KEY}"),
        )

    def stop(self) -> None:
        """End every process, the gateway first."""
        for name in ("rgw", "osd", "mon"):
            process = self.processes.pop(name, None)
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def _configuration(self) -> Path:
        return self.folder / "ceph.conf"

    def _make_monitor(self, cluster: str, keyring: str) -> None:
        monitors = str(self.folder / "monitors")
        address = f"[v2:127.0.0.1:{self.monitor_port}]"
        self._run("monmaptool", "--create", "--addv", "a", address, "--fsid", cluster, monitors, plain=True)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors, "--keyring", keyring)
        self._launch("mon", "ceph-mon", "--foreground", "-i", "a")
        wait_for_port(self.monitor_port, _PATIENCE_SECONDS, self.processes["mon"])

    def _make_disk(self) -> None:
        self._run("ceph", "osd", "new", str(uuid.uuid4()))
        disk = json.loads(self._run("ceph", "osd", "dump", "--format", "json"))["osds"][0]["uuid"]
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self._run("ceph", "osd", "crush", "add", "osd.0", "1", "host=localhost", "root=default")
        self._launch("osd", "ceph-osd", "--foreground", "-i", "0")

    def _run(self, command: str, *words: str, plain: bool = False) -> str:
        configuration = () if plain else ("--conf", str(self._configuration))
        done = subprocess.run(
            [command, *configuration, *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            env={**os.environ, "CEPH_CONF": str(self._configuration)},
        )
        assert done.returncode == 0, f"{command} {' '.join(words)}: {done.stderr[-2000:]}"
        return done.stdout

    def _launch(self, name: str, command: str, *words: str) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                [command, "--conf", str(self._configuration), *words], stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )


@contextmanager
def running_ceph(folder: Path) -> Iterator[CephRgw]:
    """Make and run a cluster in `folder` (new) until the block is left."""
    ceph = CephRgw(folder, quiet_port(), quiet_port(), {})
    try:
        ceph.make()
        yield ceph
    finally:
        ceph.stop()
