"""PostgreSQL killed, restarted, crowded, slow or read-only: "later", never "no".

Nothing that was acknowledged is lost or doubled.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
import pytest_asyncio

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.config import CentreConfig
from dockd.central.database import Database
from dockd.central.opening import initialise_centre
from dockd.central.postgres import PostgresLimits
from dockd.errors import CentreUnusable, DatabaseUnreachable
from dockd.model import facts as f
from dockd.web.problems import Refusal
from tests.support.dock_voice import Chain, DockVoice, Reply, sha256
from tests.support.launchers import Launcher, PlainLauncher, launching
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.postgres_centre import PostgresCentre

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]

KILLS = 4
PART_SIZE_BYTES = 60_000
FACTS = 150
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One of its own: other tests' server is never killed."""
    with postgres_server() as one:
        yield one


@pytest.fixture
def database(server: PostgresServer) -> Iterator[str]:
    name = server.new_database()
    yield name
    server.drop_database(name)


@pytest_asyncio.fixture
async def config(tmp_path: Path, server: PostgresServer, database: str) -> CentreConfig:
    folder, url = tmp_path / "centre", server.address(database)
    await initialise_centre(folder, store="store-test", database_url=url)
    return CentreConfig(
        folder=str(folder), port=0, free_space_floor_bytes=0, database_url=url, database_statement_seconds=2
    )


@pytest_asyncio.fixture
async def centre(config: CentreConfig) -> AsyncIterator[ServedCentre]:
    async with serving_centre(config) as served:
        yield served


@pytest_asyncio.fixture
async def launcher() -> AsyncIterator[Launcher]:
    async with launching(PlainLauncher()) as one:
        yield one


def is_later(reply: Reply, *codes: str) -> None:
    """A "later" with one of these codes and a time to come back."""
    assert reply.status == 503, reply.body
    assert reply.code in codes, reply.body
    assert int(reply.headers["Retry-After"]) > 0


class Docks:
    """A few docks that tell facts and send footage through two centres, and go on after every "later"."""

    def __init__(self, session: aiohttp.ClientSession, urls: list[str], chance: random.Random) -> None:
        self.chance = chance
        self.voices = [DockVoice(session, url) for url in urls]
        self.chains = [Chain(f"dock-{number}") for number in range(3)]
        self.contents = [chance.randbytes(chance.randrange(1, 5 * PART_SIZE_BYTES)) for _ in range(20)]
        self.held_facts = dict.fromkeys((chain.dock for chain in self.chains), 0)
        self.receipts: dict[str, Any] = {}
        self.laters = 0

    async def run(self) -> None:
        """Until every fact and recording is acknowledged."""
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as work:
            for chain in self.chains:
                work.create_task(self._tell(chain))
            for worker in range(4):
                work.create_task(self._send_all(worker))

    async def _insist(self, ask: Any) -> Reply:
        """Ask until the answer is not "later". Only 503 may come in between."""
        while True:
            reply: Reply = await ask(self.chance.choice(self.voices))
            if reply.status != 503:
                return reply
            is_later(reply, "database-away", "busy")
            self.laters += 1
            await asyncio.sleep(0.05)

    async def _tell(self, chain: Chain) -> None:
        chain.start()
        while len(chain.facts) < FACTS:
            chain.add(f.CameraDocked(session=f"s{len(chain.facts)}", bay="b", port="p"))
            if self.chance.random() < 0.1:
                chain.sign()
            unsent = chain.facts[self.held_facts[chain.dock] :]
            reply = await self._insist(lambda voice, batch=unsent: voice.put_facts(batch, dock=chain.dock))
            assert reply.status == 200, reply.body
            assert reply.json["head"] == chain.head
            self.held_facts[chain.dock] = reply.json["number"]
            await asyncio.sleep(0.01)

    async def _send_all(self, worker: int) -> None:
        # Two workers share every recording, so that claims, parts and completions of one upload meet.
        for content in self.contents[worker % 2 :: 2]:
            receipt = await self._send(content)
            assert self.receipts.setdefault(sha256(content), receipt) == receipt

    async def _send(self, content: bytes) -> Any:
        while True:
            reply = await self._insist(lambda voice: voice.claim(content, part_size_bytes=PART_SIZE_BYTES))
            assert reply.status in (200, 201), reply.body
            if reply.json["receipt"]:
                return reply.json["receipt"]
            upload = reply.json["upload"]
            for part in upload["parts"]:
                reply = await self._insist(lambda voice, one=part: _put(voice, one, content))
                assert reply.status == 204, reply.body
            reply = await self._insist(lambda voice, name=upload["upload"]: voice.complete(name))
            if reply.status == 200:
                return reply.json
            assert reply.code == "parts-missing", reply.body


async def _put(voice: DockVoice, part: dict[str, Any], content: bytes) -> Reply:
    path = part["url"].partition("/api/")[2]
    return await voice.put_part({**part, "url": f"{voice.url}/api/{path}"}, content)


async def test_nothing_acknowledged_is_lost_or_doubled_when_postgresql_is_killed_again_and_again(
    tmp_path: Path,
    server: PostgresServer,
    database: str,
    launcher: Launcher,
    session: aiohttp.ClientSession,
    seed: int,
) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    folder, url = tmp_path / "centre", server.address(database)
    await initialise_centre(folder, store="store-test", database_url=url)
    centres = [PostgresCentre(folder, url, launcher, name=name) for name in ("north", "south")]
    await asyncio.gather(*(one.start() for one in centres))
    docks = Docks(session, [one.url for one in centres], chance)
    working = asyncio.create_task(docks.run())
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.1, 0.8))
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(chance.uniform(0.0, 0.5))
        await asyncio.to_thread(server.start)
    await working
    assert docks.laters > 0, "the outages were never noticed"
    for one in centres:
        assert one.daemon is not None
        assert one.daemon.status is None, one.daemon.end_of_log()
        assert "Traceback" not in one.log.read_text(), one.daemon.end_of_log()

    told = server.query("SELECT dock, number, hash FROM facts ORDER BY dock, number", database)
    assert told == [(one.dock, fact.number, fact.hash) for one in docks.chains for fact in one.facts]
    assert {dock: len(chain.facts) for chain in docks.chains for dock in [chain.dock]} == docks.held_facts
    sessions = sum(isinstance(fact.fact, f.CameraDocked) for one in docks.chains for fact in one.facts)
    assert server.query("SELECT count(*) FROM sessions", database) == [(sessions,)]
    assert {row[0] for row in server.query("SELECT digest FROM receipts", database)} == set(docks.receipts)
    assert set(docks.receipts) == {sha256(one) for one in docks.contents}
    for digest, receipt in docks.receipts.items():
        assert sha256((folder / receipt["object_key"]).read_bytes()) == digest
    assert list((folder / "uploads").iterdir()) == []


async def test_centre_answers_later_while_postgresql_is_away_and_goes_on_by_itself(
    server: PostgresServer, centre: ServedCentre, session: aiohttp.ClientSession
) -> None:
    dock = DockVoice(session, centre.url)
    chain = Chain()
    chain.start()
    assert (await dock.put_facts(chain.facts)).status == 200
    await asyncio.to_thread(server.kill)
    try:
        chain.add(f.CameraDocked(session="s1", bay="b", port="p"))
        for reply in (
            await dock.put_facts(chain.facts[1:]),
            await dock.claim(b"some bytes"),
            await dock.ask("GET", "/api/v1/docks"),
        ):
            is_later(reply, "database-away")
        page = await dock.ask("GET", "/")
        assert page.status == 503
        assert (await dock.ask("GET", "/api/v1/store")).status == 200
    finally:
        await asyncio.to_thread(server.start)
    assert (await dock.put_facts(chain.facts[1:])).json["number"] == 2


async def test_connections_that_died_while_idle_are_never_used(
    server: PostgresServer, database: str, centre: ServedCentre, session: aiohttp.ClientSession
) -> None:
    """After a quiet restart, or an administrator's pg_terminate_backend, nobody sees an error."""
    dock = DockVoice(session, centre.url)
    for _ in range(5):
        assert {reply.status for reply in await asyncio.gather(*(dock.claim(b"x" * n) for n in range(1, 9)))} == {201}
        ended = server.query(
            f"SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = '{database}'"
        )
        assert ended != [(0,)]


async def test_out_of_connections_is_later(
    server: PostgresServer, centre: ServedCentre, database: str, session: aiohttp.ClientSession
) -> None:
    dock = DockVoice(session, centre.url)
    with contextlib.ExitStack() as hogs:
        # The centre's own idle connection is ended, then everybody else's places are taken.
        server.query(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'")
        while (hog := _connection(server)) is not None:
            hogs.enter_context(hog)
        is_later(await dock.claim(b"some bytes"), "database-away", "busy")
    assert (await dock.claim(b"some bytes")).status == 201


def _connection(server: PostgresServer) -> psycopg.Connection[Any] | None:
    try:
        return psycopg.connect(server.address("postgres"))
    except psycopg.OperationalError as error:
        assert "too many clients" in str(error)
        return None


async def test_one_process_never_takes_more_connections_than_it_may(
    server: PostgresServer, database: str, config: CentreConfig, session: aiohttp.ClientSession
) -> None:
    narrow = config.model_copy(update={"database_connections": 2})
    async with serving_centre(narrow) as served:
        dock = DockVoice(session, served.url)
        asking = asyncio.gather(*(dock.claim(b"y" * (1 + n)) for n in range(60)))
        most = 0
        while not asking.done():
            rows = await asyncio.to_thread(
                server.query, f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"
            )
            most = max(most, int(str(rows[0][0])))
        assert {reply.status for reply in await asking} == {201}
    assert 1 <= most <= 2


async def test_locked_rows_and_slow_statements_are_later_and_change_nothing(
    server: PostgresServer, database: str, centre: ServedCentre, session: aiohttp.ClientSession
) -> None:
    dock = DockVoice(session, centre.url)
    chain = Chain()
    chain.start()
    assert (await dock.put_facts(chain.facts)).status == 200
    chain.add(f.CameraDocked(session="s1", bay="b", port="p"))
    with psycopg.connect(server.address(database)) as somebody:
        somebody.execute("SELECT * FROM docks FOR UPDATE")
        begun = time.monotonic()
        is_later(await dock.put_facts(chain.facts[1:]), "busy")  # statement_timeout, here 2 s
        assert time.monotonic() - begun < 10
        assert (await dock.head())["number"] == 1
    assert (await dock.put_facts(chain.facts[1:])).json["number"] == 2


async def test_demoted_server_is_left_and_nothing_is_half_written(
    server: PostgresServer, database: str, centre: ServedCentre, session: aiohttp.ClientSession
) -> None:
    """After a failover the old primary may still answer, but only read."""
    dock = DockVoice(session, centre.url)
    assert (await dock.claim(b"before")).status == 201
    server.query(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    server.query(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'")
    try:
        is_later(await dock.claim(b"meanwhile"), "database-away")
    finally:
        server.query(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    assert (await dock.claim(b"meanwhile")).status == 201
    assert server.query("SELECT count(*) FROM sources", database) == [(2,)]


async def test_deadlock_is_later_for_one_and_done_for_the_other(server: PostgresServer, config: CentreConfig) -> None:
    async with serving_centre(config) as served:
        database = served.services.claims._database
        async with database.writing() as connection:
            await connection.exec_driver_sql("CREATE TABLE pair (number INTEGER PRIMARY KEY)")
            await connection.exec_driver_sql("INSERT INTO pair VALUES (1), (2)")
        meeting = asyncio.Barrier(2)

        async def take(first: int, second: int) -> str:
            try:
                async with database.writing() as connection:
                    await connection.exec_driver_sql(f"SELECT * FROM pair WHERE number = {first} FOR UPDATE")
                    await meeting.wait()
                    await connection.exec_driver_sql(f"SELECT * FROM pair WHERE number = {second} FOR UPDATE")
            except Refusal as refusal:
                return refusal.kind.code
            return "done"

        outcomes = await asyncio.gather(take(1, 2), take(2, 1))
    assert sorted(outcomes) == ["busy", "done"]


async def test_server_that_hangs_is_given_up_and_asked_again_later(server: PostgresServer, database: str) -> None:
    """Its connections stay open and nothing comes: no failure that TCP or PostgreSQL would tell."""
    limits = PostgresLimits(connections=2, transaction_seconds=1.0)
    books = Database(server.address(database), limits=limits)
    await books.open()
    try:
        async with books.reading() as connection:
            assert (await connection.exec_driver_sql("SELECT 1")).scalar() == 1
        everybody = server.query(f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}'")
        hung = [int(str(row[0])) for row in everybody] + [server.pid]
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(Refusal) as refused:
                async with books.writing() as connection:
                    await connection.exec_driver_sql("CREATE TABLE never (n INTEGER)")
            assert refused.value.kind.code == "database-away"
        finally:
            for pid in hung:
                os.kill(pid, signal.SIGCONT)
        async with books.writing() as connection:
            await connection.exec_driver_sql("CREATE TABLE later (n INTEGER)")
    finally:
        await books.close()


# --- starting ----------------------------------------------------------------------------------------


async def test_centre_that_starts_before_postgresql_waits_for_it(server: PostgresServer, config: CentreConfig) -> None:
    await asyncio.to_thread(server.kill)
    starting = asyncio.create_task(_start_and_stop(config))
    await asyncio.sleep(1.0)
    assert not starting.done()
    await asyncio.to_thread(server.start)
    await asyncio.wait_for(starting, 30)


async def test_centre_without_postgresql_ends_with_a_status_after_which_it_is_started_again(
    tmp_path: Path, server: PostgresServer, config: CentreConfig, launcher: Launcher
) -> None:
    nowhere = f"postgresql://postgres@/nowhere?host={tmp_path}"
    centre = PostgresCentre(Path(config.folder), nowhere, launcher)
    daemon = await centre.launch()
    assert await daemon.wait(60) == DatabaseUnreachable.exit_status == 75
    assert "cannot be used" in daemon.end_of_log()


async def test_database_of_another_centre_is_refused(tmp_path: Path, config: CentreConfig) -> None:
    with pytest.raises(CentreUnusable, match="belongs to the centre store-test"):
        await initialise_centre(tmp_path / "other", store="store-other", database_url=config.database_url)


async def test_configuration_without_its_database_begins_no_empty_one(config: CentreConfig) -> None:
    slip = config.model_copy(update={"database_url": None})
    with pytest.raises(CentreUnusable, match="no PostgreSQL is configured"):
        await _start_and_stop(slip)
    assert not (Path(config.folder) / "centre.sqlite").exists()


async def test_server_that_would_forget_what_it_acknowledged_is_refused(
    server: PostgresServer, database: str, config: CentreConfig
) -> None:
    server.query(f"ALTER DATABASE {database} SET synchronous_commit = off")
    with pytest.raises(CentreUnusable, match="synchronous_commit = off"):
        await _start_and_stop(config)


async def _start_and_stop(config: CentreConfig) -> None:
    async with serving_centre(config):
        pass
