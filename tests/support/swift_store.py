"""A real OpenStack Swift with s3api on loopback: one proxy and one account, container and object server.

Swift lives in an environment of its own, made from `tests/stores/swift-requirements.lock` once and kept in
the cache. Every server is a process of ours, ended by its own id. Knows nothing of dockd.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.object_store import ObjectStoreServer, wait_for_port
from tests.support.processes import quiet_port

_ROOT = Path(__file__).resolve().parents[2]
_LOCK_FILE = _ROOT / "tests" / "stores" / "swift-requirements.lock"
_ENVIRONMENTS = _ROOT / ".cache" / "swift"
_PATIENCE_SECONDS = 60.0
_SERVERS = ("object", "container", "account")

_CLUSTER = """
[swift-hash]
swift_hash_path_suffix = {suffix}
[storage-policy:0]
name = only
default = yes
"""

_SERVER = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
devices = {folder}/disks
log_address = {folder}/no-log
mount_check = false
swift_dir = {folder}/etc
user = {user}
workers = 0
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
[account-reaper]
[container-sync]
[object-reconstructor]
[{name}-auditor]
[{name}-replicator]
[{name}-updater]
"""

_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
log_address = {folder}/no-log
swift_dir = {folder}/etc
user = {user}
workers = 0
[pipeline:main]
pipeline = catch_errors gatekeeper cache etag-quoter bulk s3api tempauth copy slo symlink versioned_writes proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:bulk]
use = egg:swift#bulk
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:copy]
use = egg:swift#copy
[filter:etag-quoter]
use = egg:swift#etag_quoter
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:s3api]
use = egg:swift#s3api
check_bucket_owner = false
force_swift_request_proxy_log = false
location = us-east-1
s3_acl = false
[filter:slo]
use = egg:swift#slo
[filter:symlink]
use = egg:swift#symlink
[filter:tempauth]
use = egg:swift#tempauth
user_test_dockd = {secret} .admin .reseller_admin
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
allow_versioned_writes = true
"""

SECRET_KEY = "not-a-secret-of-anybody"


@dataclass
class SwiftStore:
    """The servers, by name; `proxy` is what speaks S3."""

    folder: Path
    binaries: Path
    ports: dict[str, int]
    processes: dict[str, subprocess.Popen[bytes]]

    @property
    def server(self) -> ObjectStoreServer:
        """How it is reached."""
        return ObjectStoreServer("swift", f"http://127.0.0.1:{self.ports['proxy']}", "test:dockd", SECRET_KEY)

    def make(self) -> None:
        """Write rings and configurations, start everything."""
        for name in ("etc", "disks/one", "log"):
            (self.folder / name).mkdir(parents=True)
        suffix = hashlib.sha256(os.urandom(16)).hexdigest()[:16]
        self._write("swift.conf", _CLUSTER.format(suffix=suffix))
        words = {"folder": self.folder, "user": getpass.getuser(), "secret": SECRET_KEY}
        for name in _SERVERS:
            self._make_ring(name)
            self._write(f"{name}-server.conf", _SERVER.format(name=name, port=self.ports[name], **words))
        self._write("proxy-server.conf", _PROXY.format(port=self.ports["proxy"], **words))
        for name in (*_SERVERS, "proxy"):
            self._launch(name)
        for name, process in self.processes.items():
            wait_for_port(self.ports[name], _PATIENCE_SECONDS, process)

    def stop(self) -> None:
        """End every server, the proxy first."""
        for name in ("proxy", *_SERVERS):
            process = self.processes.pop(name, None)
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _write(self, name: str, text: str) -> None:
        (self.folder / "etc" / name).write_text(text, encoding="utf-8")

    def _make_ring(self, name: str) -> None:
        place = f"r1z1-127.0.0.1:{self.ports[name]}/one"
        for words in (("create", "4", "1", "0"), ("add", place, "1"), ("rebalance",)):
            subprocess.run(
                [self.binaries / "swift-ring-builder", f"{name}.builder", *words],
                cwd=self.folder / "etc",
                check=True,
                stdout=subprocess.DEVNULL,
            )

    def _launch(self, name: str) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                [self.binaries / f"swift-{name}-server", self.folder / "etc" / f"{name}-server.conf"],
                env={**os.environ, "SWIFT_DIR": str(self.folder / "etc"), "PYTHONWARNINGS": "ignore"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )


@contextmanager
def running_swift(folder: Path) -> Iterator[SwiftStore]:
    """Make and run Swift in `folder` (new) until the block is left."""
    ports = {name: quiet_port() for name in (*_SERVERS, "proxy")}
    swift = SwiftStore(folder, swift_binaries(), ports, {})
    try:
        swift.make()
        yield swift
    finally:
        swift.stop()


def swift_binaries() -> Path:
    """Where Swift's commands are; installs the locked packages the first time, once for all test processes."""
    lock = _LOCK_FILE.read_bytes()
    environment = _ENVIRONMENTS / hashlib.sha256(lock).hexdigest()[:16]
    _ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with (_ENVIRONMENTS / "being-made").open("w") as being_made:
        fcntl.flock(being_made, fcntl.LOCK_EX)
        is_made = environment / "is-made"
        if not is_made.exists():
            shutil.rmtree(environment, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", environment], check=True)
            pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes"]
            subprocess.run([*pip, "--requirement", _LOCK_FILE], check=True)
            is_made.touch()
    return environment / "bin"
