"""Everything that docs/deploy.md sets up, on this machine: two centres, a verifier, nginx, an administrator.

The page's blocks, the units' commands and nginx's examples are used as they are; addresses and folders are exchanged.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from dockd.dock.centre_tls import context_trusting
from dockd.rules.receipts import PinnedStore
from tests.support.certificates import TlsFiles, make_tls
from tests.support.enrolled_town import EnrolledTown
from tests.support.guide_blocks import Guide
from tests.support.launchers import ROOT, Daemon, Launcher, PlainLauncher, launching
from tests.support.nginx import Nginx, running_nginx
from tests.support.object_store import ObjectStoreServer, make_bucket
from tests.support.postgres import PostgresServer, programs
from tests.support.processes import quiet_port, until
from tests.support.sign_in import Browser

PAGE = ROOT / "docs" / "deploy.md"
ADMINISTRATOR, PASSWORD = "ada", "seven lanterns on the embankment"
_UNITS = {
    "first": ("dockd-central.service", "", "centre_serving"),
    "second": ("dockd-central@.service", "second", "centre_serving"),
    "verifier": ("dockd-verifier.service", "", "verifier_ready"),
}


@dataclass(frozen=True, slots=True)
class CentrePorts:
    """Where the two centres listen, the first one's port first."""

    people: tuple[int, int]
    docks: tuple[int, int]


@dataclass
class Deployment:
    """The running services, and who may speak to them."""

    folder: Path
    guide: Guide
    ports: CentrePorts
    nginx: Nginx
    tls: TlsFiles
    launcher: Launcher
    town: EnrolledTown
    token: str = ""
    running: dict[str, Daemon] = field(default_factory=dict)

    async def start(self, *names: str) -> None:
        """Start these services with the command line of their units, and wait until they say that they are ready.

        And until docks are let through: nginx looks away for 5 s (`fail_timeout`) from centres that it found away.
        """
        for name in names or tuple(_UNITS):
            unit, instance, ready = _UNITS[name]
            words = shlex.split(self.guide.here(_command_of(unit).replace("%i", instance)))
            assert words[0] == "/usr/bin/dockd"
            daemon = await self.launcher.launch("dockd", *words[1:], log=self.folder / f"{name}.log")
            self.running[name] = daemon
            await _is_ready(name, daemon, ready)
        context = context_trusting((self.folder / "centre" / "ca.pem").read_text("ascii"))
        await until(lambda: _is_let_through(self.nginx.docks_port, context), lambda: "nginx to let docks through", 30.0)

    async def stop(self) -> None:
        """Stop every service that runs, as systemd would."""
        for name, daemon in self.running.items():
            if daemon.status is None:
                assert await daemon.stop() == 0, f"{name}\n{daemon.end_of_log()}"

    async def first_administrator(self) -> None:
        """Make the first administrator by the page's command, change the first password, and take a script's token."""
        said = self.guide.follow("The first administrator")
        found = re.search(r"First password, printed this once: (\S+)", said)
        assert found, said
        async with Browser(self.nginx.url, tls=self.tls.client_context()) as browser:
            await browser.sign_in(ADMINISTRATOR, found[1])
            changed = {"present": found[1], "wanted": PASSWORD, "again": PASSWORD}
            status, text, _ = await browser.post("/account/password", changed, on="/account")
            assert status == 303, text
            status, text, _ = await browser.post("/account/tokens", {"purpose": "the test"}, on="/account")
            token = re.search(r"dockd_[A-Za-z0-9_-]{43}", text)
            assert status == 200
            assert token, text
        self.token = token[0]

    def session(self, *, is_signed_in: bool = True) -> aiohttp.ClientSession:
        """A client of the pages' address that believes nginx's certificate, as the administrator or as nobody."""
        headers = {"Authorization": f"Bearer {self.token}"} if is_signed_in else {}
        connector = aiohttp.TCPConnector(ssl=self.tls.client_context())
        return aiohttp.ClientSession(connector=connector, headers=headers)


async def _is_let_through(port: int | None, context: ssl.SSLContext) -> bool:
    """Whether a centre answers at nginx's port for docks; who asks shows no certificate and says nothing."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    except OSError:
        return False
    writer.transport.abort()
    return True


async def _is_ready(name: str, daemon: Daemon, ready: str) -> None:
    await until(
        lambda: daemon.told(ready) or daemon.status is not None,
        lambda: f"{name} to be ready\n{daemon.end_of_log()}",
    )
    assert daemon.status is None, f"{name} ended with {daemon.status}\n{daemon.end_of_log()}"


def _command_of(unit: str) -> str:
    lines = (ROOT / "deploy" / "systemd" / unit).read_text("utf-8").splitlines()
    (command,) = [line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart=")]
    return command


@asynccontextmanager
async def deployed(folder: Path, postgres: PostgresServer, ceph: ObjectStoreServer) -> AsyncIterator[Deployment]:
    """docs/deploy.md followed to the end of its section 5, until the block is left."""
    tls = make_tls(folder / "tls")
    ports = CentrePorts((quiet_port(), quiet_port()), (quiet_port(), quiet_port()))
    for name in ("etc", "backups"):
        (folder / name).mkdir()
    ceph.write_credentials(folder / "etc" / "store-credentials.ini")
    (folder / "etc" / "database-password").touch(mode=0o600)
    bucket = await make_bucket(ceph, f"footage-{os.urandom(4).hex()}")
    with running_nginx(folder / "nginx", ports.people, tls, docks=ports.docks) as nginx:
        exchanged = _exchanged(folder, postgres, ceph, bucket, nginx, ports)
        shell = _shell(postgres)
        guide = Guide(PAGE, exchanged, shell)
        guide.follow("PostgreSQL")
        guide.follow("The centre")
        pinned = PinnedStore.model_validate_json((folder / "centre" / "pinned-store.json").read_bytes())
        async with launching(PlainLauncher()) as launcher:
            town = EnrolledTown(folder, PAGE, exchanged, shell, nginx.docks_url, pinned, launcher)
            one = Deployment(folder, guide, ports, nginx, tls, launcher, town)
            await one.start()
            await one.first_administrator()
            yield one
            await town.close()
            await one.stop()
    postgres.drop_database("dockd")
    postgres.query("DROP ROLE dockd")


def _exchanged(
    folder: Path, postgres: PostgresServer, ceph: ObjectStoreServer, bucket: str, nginx: Nginx, ports: CentrePorts
) -> list[tuple[str, str]]:
    return [
        ("db.example/dockd?sslmode=verify-full&sslrootcert=/etc/dockd/db-ca.pem", f"/dockd?host={postgres.folder}"),
        ("runuser -u postgres -- ", ""),
        ("runuser -u dockd-central -- ", ""),
        ("/etc/dockd", str(folder / "etc")),
        ("/var/lib/dockd-central", str(folder / "centre")),
        ("/var/backups", str(folder / "backups")),
        ("https://centre.example:8491", nginx.docks_url),
        ("https://centre.example", nginx.url),
        ("https://s3.example", ceph.endpoint),
        ('bucket = "footage"', f'bucket = "{bucket}"'),
        ("port = 8490", f"port = {ports.people[0]}"),
        ("port = 8590", f"port = {ports.people[1]}"),
        ("port = 8492", f"port = {ports.docks[0]}"),
        ("port = 8592", f"port = {ports.docks[1]}"),
    ]


def _shell(postgres: PostgresServer) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{programs()}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PGHOST": str(postgres.folder), "PGUSER": "postgres"}
