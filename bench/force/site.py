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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.force.enrolling import enrol_all
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.config.central import CentralConfig
from dockd.config.toml_text import config_text
from dockd.rules.receipts import PinnedStore
from tests.support.certificates import TlsFiles, make_tls
from tests.support.launchers import ROOT
from tests.support.nginx import running_nginx
from tests.support.object_store import wait_for_port
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.processes import quiet_port

FRONTS = ("docks", "nginx", "none")
"""Where TLS ends: in the centres, with certificates on both sides, behind nginx that passes it through, as
docs/deploy.md has it; in nginx before the centres, without docks' certificates; or there is none."""
_NGINX = Path(__file__).with_name("nginx.conf")
_NGINX_WORKERS = 2
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
    home: Path
    """The centre's own folder."""
    centres: list[subprocess.Popen[bytes]]
    ports: list[int]
    """Where docks connect."""
    docks_url: str | None = None
    """The same as the centre names it, where docks show certificates."""
    tls: TlsFiles | None = None
    """Of nginx, where TLS ends there."""
    roots: dict[str, list[int]] = field(default_factory=dict)
    """Process ids by what they are: of each, all processes below count too."""

    async def tls_of(self, docks: Sequence[str]) -> list[ssl.SSLContext]:
        """What each of `docks` speaks TLS with, in their order; one for all, or none, where nobody asks for more."""
        if self.docks_url is None:
            return [] if self.tls is None else [self.tls.client_context()]
        url = self.postgres.address(self.database)
        return await enrol_all(self.home, url, self.pinned, docks_url=self.docks_url, docks=docks)


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
        ports, docks_ports = ([quiet_port() for _ in range(centres)] for _ in range(2))
        site = Site(work, postgres, database, pinned, home, [], ports)
        if front != "none":
            between = running_nginx(
                work / "nginx",
                (ports[0], ports[-1]),
                tls,
                docks=(docks_ports[0], docks_ports[-1]) if front == "docks" else None,
                pages_example=_NGINX,
                workers=_NGINX_WORKERS,
            )
            nginx = stack.enter_context(between)
            site.roots["nginx"] = [nginx.process.pid]
            if nginx.docks_port is None:
                site.ports, site.tls = [nginx.port], tls
            else:
                site.ports, site.docks_url = [nginx.docks_port], f"https://localhost:{nginx.docks_port}"
        for port, docks_port in zip(ports, docks_ports, strict=True):
            site.centres.append(_centre(site, port, docks_port))
            stack.callback(_end, site.centres[-1])
        for port, process in zip(ports, site.centres, strict=True):
            wait_for_port(port, _START_SECONDS, process)
        site.roots |= {"centres": [one.pid for one in site.centres], "postgresql": [postgres.pid]}
        yield site


def _centre(site: Site, port: int, docks_port: int) -> subprocess.Popen[bytes]:
    section = CentreConfig(
        folder=str(site.home),
        port=port,
        free_space_floor_bytes=0,
        database_url=site.postgres.address(site.database),
        docks_host="127.0.0.1" if site.docks_url else None,
        docks_port=docks_port,
        docks_url=site.docks_url,
    )
    config = site.folder / f"centre-{port}.toml"
    config.write_text(config_text(CentralConfig(central=section), changed_only=True), encoding="utf-8")
    command = [sys.executable, "-m", "dockd", "central", "run", "--config", str(config)]
    with (site.folder / f"centre-{port}.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
