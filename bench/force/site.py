"""The centre as a force runs it, for one measurement: PostgreSQL, two centre processes, TLS before or in them.

Everything is the real program with its own defaults, on loopback, ended by its own process id.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.config import CentralConfig, config_text
from dockd.rules.receipts import PinnedStore
from tests.support.certificates import make_tls
from tests.support.launchers import ROOT
from tests.support.nginx import running_nginx
from tests.support.object_store import wait_for_port
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.processes import quiet_port

FRONTS = ("nginx", "none")
"""Where TLS ends: in nginx before the centres, or there is none."""
_NGINX = Path(__file__).with_name("nginx.conf")
_START_SECONDS = 120.0
_STOP_SECONDS = 30.0

POSTGRES_SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "autovacuum_naptime": "15s",
}
"""What docs/deploy.md recommends for a force; fsync and synchronous_commit stay on."""


@dataclass
class Site:
    """A running centre."""

    folder: Path
    postgres: PostgresServer
    database: str
    pinned: PinnedStore
    centres: list[subprocess.Popen[bytes]]
    ports: list[int]
    """Where docks connect."""
    tls: ssl.SSLContext | None
    roots: dict[str, list[int]] = field(default_factory=dict)
    """Process ids by what they are: of each, all processes below count too."""


@contextmanager
def running_site(folder: Path | None, *, front: str, centres: int = 2) -> Iterator[Site]:
    """Make and run everything in a new folder below `folder` until the block is left."""
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dockd-fleet-", dir=folder)))
        postgres = stack.enter_context(postgres_server())
        for name, value in POSTGRES_SETTINGS.items():
            postgres.query(f"ALTER SYSTEM SET {name} = '{value}'")
        postgres.stop()
        postgres.start()
        database = postgres.new_database()
        home = work / "centre"
        pinned = asyncio.run(initialise_centre(home, database_url=postgres.address(database)))
        tls = make_tls(work / "tls")
        ports = [quiet_port() for _ in range(centres)]
        running: list[subprocess.Popen[bytes]] = []
        for port in ports:
            running.append(_centre(work, home, postgres.address(database), port))
            stack.callback(_end, running[-1])
        for port, process in zip(ports, running, strict=True):
            wait_for_port(port, _START_SECONDS, process)
        site = Site(work, postgres, database, pinned, running, ports, None if front == "none" else tls.client_context())
        site.roots = {"centres": [one.pid for one in running], "postgresql": [postgres.pid]}
        if front == "nginx":
            before = running_nginx(work / "nginx", (ports[0], ports[-1]), tls, pages_example=_NGINX)
            nginx = stack.enter_context(before)
            site.ports = [nginx.port]
            site.roots["nginx"] = [nginx.process.pid]
        yield site


def _centre(work: Path, home: Path, url: str, port: int) -> subprocess.Popen[bytes]:
    section = CentreConfig(folder=str(home), port=port, free_space_floor_bytes=0, database_url=url)
    config = work / f"centre-{port}.toml"
    config.write_text(config_text(CentralConfig(central=section), changed_only=True), encoding="utf-8")
    command = [sys.executable, "-m", "dockd", "central", "run", "--config", str(config)]
    with (work / f"centre-{port}.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
