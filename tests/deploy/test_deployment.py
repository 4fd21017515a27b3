"""docs/deploy.md, followed: two centres behind nginx, a PostgreSQL, a bucket in Ceph, and real docks before them.

The page's blocks, the units' commands and nginx's example are used as they are; addresses and folders are exchanged.
"""

from __future__ import annotations

import hashlib
import os
import random
import shlex
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from dockd.model import facts as f
from dockd.model.facts import RecordedFact
from dockd.rules.receipts import PinnedStore
from dockd.wire.messages import FactsTaken
from tests.support.aftermath import check_journal
from tests.support.ceph_rgw import running_ceph
from tests.support.certificates import TlsFiles, make_tls
from tests.support.dock_voice import Chain, DockVoice
from tests.support.guide_blocks import Guide
from tests.support.launchers import ROOT, Daemon, Launcher, PlainLauncher, launching
from tests.support.nginx import Nginx, running_nginx
from tests.support.object_store import ObjectStoreServer, make_bucket
from tests.support.postgres import PostgresServer, programs
from tests.support.processes import CentreProcess, StationProcess, Town, is_everything_told, is_ready, quiet_port, until

pytestmark = [pytest.mark.slow, pytest.mark.postgresql, pytest.mark.stores]

MIB = 1 << 20
PART_BYTES = 16 * MIB
UNITS = {
    "first": ("dockd-central.service", "", "centre_serving"),
    "second": ("dockd-central@.service", "second", "centre_serving"),
    "verifier": ("dockd-verifier.service", "", "verifier_ready"),
}


@dataclass
class Deployment:
    """Everything that docs/deploy.md sets up."""

    folder: Path
    guide: Guide
    ports: tuple[int, int]
    nginx: Nginx
    tls: TlsFiles
    launcher: Launcher
    running: dict[str, Daemon] = field(default_factory=dict)

    async def start(self, *names: str) -> None:
        """Start these services with the command line of their units, and wait until they say that they are ready."""
        for name in names or tuple(UNITS):
            unit, instance, ready = UNITS[name]
            words = shlex.split(self.guide.here(_command_of(unit).replace("%i", instance)))
            assert words[0] == "/usr/bin/dockd"
            daemon = await self.launcher.launch("dockd", *words[1:], log=self.folder / f"{name}.log")
            self.running[name] = daemon
            await _is_ready(name, daemon, ready)

    async def stop(self) -> None:
        """Stop every service that runs, as systemd would."""
        for name, daemon in self.running.items():
            if daemon.status is None:
                assert await daemon.stop() == 0, f"{name}\n{daemon.end_of_log()}"

    @property
    def pinned(self) -> PinnedStore:
        """What docks pin."""
        return PinnedStore.model_validate_json((self.folder / "centre" / "pinned-store.json").read_bytes())

    def town(self, seed: int) -> Town:
        """Where docks stand whose centre is this address."""
        first = CentreProcess(self.folder / "centre", self.pinned, self.nginx.port, self.launcher)
        return Town(self.folder, first, random.Random(seed))


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


@pytest.fixture(scope="module")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStoreServer]:
    """The bucket's server."""
    with running_ceph(tmp_path_factory.mktemp("ceph") / "cluster") as running:
        yield running.server


@pytest_asyncio.fixture
async def deployment(
    tmp_path: Path, postgres: PostgresServer, ceph: ObjectStoreServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Deployment]:
    """docs/deploy.md followed to the end of its section 4."""
    tls = make_tls(tmp_path / "tls")
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.certificate))  # what docks believe, beside nothing else
    ports = quiet_port(), quiet_port()
    for name in ("etc", "backups"):
        (tmp_path / name).mkdir()
    ceph.write_credentials(tmp_path / "etc" / "store-credentials.ini")
    (tmp_path / "etc" / "database-password").touch(mode=0o600)
    bucket = await make_bucket(ceph, f"footage-{os.urandom(4).hex()}")
    with running_nginx(tmp_path / "nginx", ports, tls) as nginx:
        guide = Guide(
            ROOT / "docs" / "deploy.md", _exchanged(tmp_path, postgres, ceph, bucket, nginx, ports), _shell(postgres)
        )
        guide.follow("PostgreSQL")
        guide.follow("The centre")
        async with launching(PlainLauncher()) as launcher:
            one = Deployment(tmp_path, guide, ports, nginx, tls, launcher)
            await one.start()
            yield one
            await one.stop()
    postgres.drop_database("dockd")
    postgres.query("DROP ROLE dockd")


def _exchanged(
    folder: Path, postgres: PostgresServer, ceph: ObjectStoreServer, bucket: str, nginx: Nginx, ports: tuple[int, int]
) -> list[tuple[str, str]]:
    return [
        ("db.example/dockd?sslmode=verify-full&sslrootcert=/etc/dockd/db-ca.pem", f"/dockd?host={postgres.folder}"),
        ("runuser -u postgres -- ", ""),
        ("runuser -u dockd-central -- ", ""),
        ("/etc/dockd", str(folder / "etc")),
        ("/var/lib/dockd-central", str(folder / "centre")),
        ("/var/backups", str(folder / "backups")),
        ("https://centre.example", nginx.url),
        ("https://s3.example", ceph.endpoint),
        ('bucket = "footage"', f'bucket = "{bucket}"'),
        ("8490", str(ports[0])),
        ("8590", str(ports[1])),
    ]


def _shell(postgres: PostgresServer) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{programs()}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PGHOST": str(postgres.folder), "PGUSER": "postgres"}


@pytest_asyncio.fixture
async def session(deployment: Deployment) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that believes nginx's certificate."""
    connector = aiohttp.TCPConnector(ssl=deployment.tls.client_context())
    async with aiohttp.ClientSession(connector=connector) as one:
        yield one


async def docked_and_ready(station: StationProcess, camera: str, bay: int, files: dict[str, bytes]) -> None:
    """One camera from the shelf to READY, and out again."""
    station.rig.camera(camera, files)
    station.rig.dock(camera, bay)
    await station.until(is_ready(bay), f"{camera} ready", 120)
    station.rig.undock(camera, bay)
    await station.until(is_everything_told, "everything told", 60)


async def check_held(session: aiohttp.ClientSession, url: str, content: bytes) -> None:
    """The centre has a receipt for these bytes, and gives them back."""
    address = f"{url}/api/v1/recordings/{hashlib.sha256(content).hexdigest()}"
    async with session.get(address) as answer:
        told = await answer.json()
        assert answer.status == 200, told
        assert told["receipt"] is not None
        assert told["sources"], "nobody could find it by its camera"
    async with session.get(f"{address}/content") as answer:
        assert await answer.read() == content


def finished_parts(nginx: Nginx, daemon: Daemon) -> bool:
    """Whether the dock has begun to send: it asked for addresses, and its log does not end it."""
    return daemon.status is None and '"POST /api/v1/recordings" 201' in nginx.access_log.read_text("utf-8")


async def test_a_centre_killed_in_the_middle_of_an_upload_is_not_missed(
    deployment: Deployment, session: aiohttp.ClientSession, seed: int
) -> None:
    town = deployment.town(seed)
    paced = {"bytes_per_second": 12_000_000, "parallel_parts": 1, "longest_retry_seconds": 2.0}
    station = town.station("blackfriars-1", centre_url=deployment.nginx.url, uploader=paced)
    content = town.dice.randbytes(4 * PART_BYTES - 1000)
    station.rig.camera("A1", {"DCIM/LONG.MP4": content})
    station.rig.dock("A1", 1)
    daemon = await station.start()
    await until(lambda: finished_parts(deployment.nginx, daemon), daemon.end_of_log, 60)
    assert await deployment.running["first"].kill() == -9
    await station.until(is_ready(1), "ready, with one centre", 120)
    station.rig.undock("A1", 1)
    await station.until(is_everything_told, "everything told to the other centre", 60)
    await daemon.stop()
    await check_journal(station.rig)
    await check_held(session, deployment.nginx.url, content)
    served = deployment.nginx.access_log.read_text("utf-8")
    assert f"127.0.0.1:{deployment.ports[1]}" in served
    assert served.startswith("127.0.0.1 "), "the caller's address is in the log"
    await deployment.start("first")


async def test_restored_centre_and_its_docks_converge_and_nothing_is_erased_that_it_does_not_know(
    deployment: Deployment, session: aiohttp.ClientSession, postgres: PostgresServer, seed: int
) -> None:
    url, town = deployment.nginx.url, deployment.town(seed)
    station = town.station(
        "blackfriars-1", centre_url=url, reporter={"recheck_seconds": 10.0, "longest_retry_seconds": 2.0}
    )
    before, after, later = ({f"DCIM/{n}.MP4": town.dice.randbytes(300_000) for n in range(3)} for _ in range(3))
    daemon = await station.start()
    await docked_and_ready(station, "A1", 1, before)
    deployment.guide.follow("Backup")
    # What the backup does not know: a whole docking, erased; and an object for which no dock has a receipt.
    await docked_and_ready(station, "A2", 2, after)
    voice = DockVoice(session, url, "lambeth-1")
    chain = Chain("lambeth-1")
    chain.start()
    assert (await voice.put_facts(chain.facts)).status == 200
    unreceipted = town.dice.randbytes(200_000)
    await voice.send(unreceipted, part_size_bytes=PART_BYTES)
    told_before = await facts_head(session, url, "blackfriars-1")

    await deployment.stop()
    deployment.guide.follow("Restore")
    # Asked before the centres serve: the dock may have told again before anybody else gets to ask.
    ((forgotten,),) = postgres.query("SELECT facts FROM docks WHERE dock = 'blackfriars-1'", "dockd")
    assert isinstance(forgotten, int)
    assert forgotten < told_before.number, "the restored centre is older"
    await deployment.start()
    # The dock has nothing new to tell; it finds out by itself.
    await until(lambda: is_at(session, url, told_before), lambda: f"the dock to tell again\n{daemon.end_of_log()}", 60)
    for content in (*before.values(), *after.values()):
        await check_held(session, url, content)
    assert (await voice.put_facts(chain.facts)).status == 200
    assert (await voice.send(unreceipted, part_size_bytes=PART_BYTES))["digest"] == hashlib.sha256(
        unreceipted
    ).hexdigest()
    await check_held(session, url, unreceipted)
    await docked_and_ready(station, "A3", 1, later)
    await daemon.stop()
    await check_journal(station.rig)
    await check_erased_is_known(session, url, station.rig.oracle.facts())
    for content in later.values():
        await check_held(session, url, content)


async def facts_head(session: aiohttp.ClientSession, url: str, dock: str) -> FactsTaken:
    """Where the centre's record of a dock ends."""
    async with session.get(f"{url}/api/v1/docks/{dock}/facts/head") as answer:
        return FactsTaken.model_validate_json(await answer.read())


async def is_at(session: aiohttp.ClientSession, url: str, told: FactsTaken) -> bool:
    """Whether the dock has told again as much as before."""
    return (await facts_head(session, url, "blackfriars-1")).number >= told.number


async def check_erased_is_known(session: aiohttp.ClientSession, url: str, told: list[RecordedFact]) -> None:
    """Everything that the dock ever erased has a receipt at the centre that it has now, the one it was erased for."""
    receipts = {one.fact.recording: one.fact.receipt for one in told if isinstance(one.fact, f.RecordingAccepted)}
    erased = [one.fact.recording for one in told if isinstance(one.fact, f.RecordingErased)]
    assert len(erased) == 9
    for recording in erased:
        async with session.get(f"{url}/api/v1/recordings/{receipts[recording].digest}") as answer:
            assert (await answer.json())["receipt"] == receipts[recording].model_dump(mode="json")
