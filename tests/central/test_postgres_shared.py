"""Two real centre processes on one PostgreSQL and one store: they share the work and never contradict each other."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psycopg
import pytest
import pytest_asyncio

from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre, open_services
from dockd.clock import SystemClock
from dockd.model import facts as f
from dockd.model.ids import Digest
from dockd.model.recording import ContainerVerdict
from dockd.wire.messages import Claim
from tests.support.dock_voice import Chain, DockVoice, sha256
from tests.support.kiosk_fakes import DockOnPaper
from tests.support.launchers import Launcher, PlainLauncher, launching
from tests.support.postgres import PostgresServer
from tests.support.postgres_centre import PostgresCentre
from tests.support.processes import until

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]

CONTENT_BYTES = 1_500_000
PART_SIZE_BYTES = 200_000


@pytest_asyncio.fixture
async def launcher() -> AsyncIterator[Launcher]:
    async with launching(PlainLauncher()) as one:
        yield one


@pytest_asyncio.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[str]:
    name = postgres.new_database()
    yield name
    postgres.drop_database(name)


@pytest_asyncio.fixture
async def centres(
    tmp_path: Path, postgres: PostgresServer, database: str, launcher: Launcher
) -> Sequence[PostgresCentre]:
    """Two that serve. They start at the same moment on an empty database: one of them migrates it."""
    folder, url = tmp_path / "centre", postgres.address(database)
    await initialise_centre(folder, store="store-test", database_url=url)
    postgres.query("DROP SCHEMA public CASCADE", database)
    postgres.query("CREATE SCHEMA public", database)
    both = [PostgresCentre(folder, url, launcher, name=name) for name in ("north", "south")]
    await asyncio.gather(*(one.start() for one in both))
    return both


@pytest.fixture
def voices(centres: Sequence[PostgresCentre], session: aiohttp.ClientSession) -> list[DockVoice]:
    return [DockVoice(session, one.url) for one in centres]


async def test_same_facts_at_two_centres_at_once_are_held_once_and_in_order(
    voices: list[DockVoice], postgres: PostgresServer, database: str, seed: int
) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    chains = [Chain(f"dock-{number}") for number in range(4)]
    for chain in chains:
        chain.start()
        for number in range(60):
            chain.add(f.CameraDocked(session=f"s{number}", bay="b", port="p"))

    async def tell(chain: Chain, voice: DockVoice, batch_size: int) -> None:
        while (held := (await voice.ask("GET", f"/api/v1/docks/{chain.dock}/facts/head")).json["number"]) < 61:
            reply = await voice.put_facts(chain.facts[held : held + batch_size], dock=chain.dock)
            assert reply.status == 200, reply.body

    # The dock's answer got lost, it tells the same again elsewhere, with other batches: both run at once.
    tellers = [(chain, voice, chance.randrange(3, 20)) for chain in chains for voice in (*voices, *voices)]
    await asyncio.gather(*(tell(*one) for one in tellers))
    for chain in chains:
        for voice in voices:
            head = (await voice.ask("GET", f"/api/v1/docks/{chain.dock}/facts/head")).json
            assert head == {"number": 61, "head": chain.head}
    rows = postgres.query("SELECT dock, count(*), max(number) FROM facts GROUP BY dock ORDER BY dock", database)
    assert rows == [(f"dock-{number}", 61, 61) for number in range(4)]
    assert postgres.query("SELECT count(*) FROM sessions", database) == [(240,)]


async def test_a_heartbeat_waits_for_its_docks_facts_and_makes_no_other_dock_wait(
    voices: list[DockVoice], postgres: PostgresServer, database: str
) -> None:
    async def beat(dock: str) -> int:
        status = DockOnPaper(dock=dock, facts=0, facts_at_centre=0).snapshot().model_dump(mode="json")
        return (await voices[0].ask("PUT", f"/api/v1/docks/{dock}/status", json=status)).status

    assert [await beat(dock) for dock in ("dock-1", "dock-2")] == [204, 204]
    with psycopg.connect(postgres.address(database)) as taking_facts:
        taking_facts.execute("SELECT dock FROM docks WHERE dock = 'dock-1' FOR UPDATE")
        waiting = asyncio.create_task(beat("dock-1"))
        await asyncio.sleep(0.7)  # longer than heartbeats are gathered: it has met the lock
        assert await beat("dock-2") == 204
        chain = Chain("dock-2")
        chain.start()
        assert (await voices[0].put_facts(chain.facts, dock="dock-2")).status == 200
        assert not waiting.done()
        taking_facts.rollback()
    assert await waiting == 204
    rows = postgres.query("SELECT dock, status IS NOT NULL FROM docks ORDER BY dock", database)
    assert rows == [("dock-1", True), ("dock-2", True)]


async def test_fork_told_to_two_centres_at_once_is_accepted_by_one_and_refused_by_the_other(
    voices: list[DockVoice],
) -> None:
    for turn in range(10):
        first = Chain(f"dock-{turn}")
        first.start()
        assert (await voices[0].put_facts(first.facts, dock=first.dock)).status == 200
        second = Chain(first.dock)
        second.private, second.facts = first.private, list(first.facts)
        first.add(f.CameraDocked(session="one", bay="b", port="p"))
        second.add(f.CameraDocked(session="other", bay="b", port="p"))
        replies = await asyncio.gather(
            *(
                voice.put_facts(chain.facts[1:], dock=first.dock)
                for voice, chain in zip(voices, (first, second), strict=True)
            )
        )
        assert sorted(reply.status for reply in replies) == [200, 409]
        head = (await voices[0].ask("GET", f"/api/v1/docks/{first.dock}/facts/head")).json["head"]
        assert head in (first.head, second.head)


async def test_parts_sent_to_both_and_completed_at_both_at_once_give_one_receipt(
    voices: list[DockVoice], centres: Sequence[PostgresCentre], postgres: PostgresServer, database: str
) -> None:
    for _ in range(4):
        content = os.urandom(CONTENT_BYTES)
        claims = await asyncio.gather(*(voice.claim(content, part_size_bytes=PART_SIZE_BYTES) for voice in voices * 2))
        assert {reply.status for reply in claims} == {201}
        uploads = [reply.json["upload"] for reply in claims]
        assert len({one["upload"] for one in uploads}) == 1
        # Every part goes to both; each of them must know what the other holds.
        puts = [
            voice.put_part(part, content) for voice, one in zip(voices, uploads, strict=False) for part in one["parts"]
        ]
        assert {reply.status for reply in await asyncio.gather(*puts)} == {204}
        replies = await asyncio.gather(*(voice.complete(uploads[0]["upload"]) for voice in voices * 3))
        assert {reply.status for reply in replies} == {200}
        assert len({reply.body for reply in replies}) == 1
        place = centres[0].folder / replies[0].json["object_key"]
        assert sha256(place.read_bytes()) == sha256(content)
    assert postgres.query("SELECT count(*), count(DISTINCT digest) FROM receipts", database) == [(4, 4)]
    assert postgres.query("SELECT count(*) FROM finished_parts", database) == [(0,)]
    assert list((centres[0].folder / "uploads").iterdir()) == []


@asynccontextmanager
async def receipts_locked(postgres: PostgresServer, database: str) -> AsyncIterator[ReceiptWriters]:
    """While the block runs nobody can write a receipt, only wait for it."""
    somebody = await psycopg.AsyncConnection.connect(postgres.address(database))
    async with somebody:
        await somebody.execute("LOCK TABLE receipts IN SHARE ROW EXCLUSIVE MODE")
        yield ReceiptWriters(postgres, database)


class ReceiptWriters:
    """Transactions that have a signed receipt in hand and wait to write it."""

    def __init__(self, postgres: PostgresServer, database: str) -> None:
        self._postgres = postgres
        self._question = (
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO receipts%' "
            f"AND datname = '{database}'"
        )

    async def are(self, count: int) -> None:
        """Wait until there are so many."""
        await until(
            lambda: len(self._postgres.query(self._question)) == count, lambda: f"{count} to wait with a receipt"
        )


async def _sent(voices: list[DockVoice], content: bytes) -> str:
    """Claim and send every part, each to another centre; returns the upload, ready to be completed."""
    upload = (await voices[0].claim(content, part_size_bytes=PART_SIZE_BYTES)).json["upload"]
    there = (await voices[1].ask("GET", f"/api/v1/uploads/{upload['upload']}")).json
    for here, other in zip(upload["parts"][::2], there["parts"][1::2], strict=True):
        assert (await voices[0].put_part(here, content)).status == 204
        assert (await voices[1].put_part(other, content)).status == 204
    return str(upload["upload"])


async def test_two_that_have_signed_for_one_upload_write_one_receipt_and_both_answer_with_it(
    voices: list[DockVoice], postgres: PostgresServer, database: str
) -> None:
    """Each has proved the object and signed at a time of its own: the two receipts differ, and only one may count."""
    upload = await _sent(voices, os.urandom(8 * PART_SIZE_BYTES))
    async with receipts_locked(postgres, database) as writers:
        first = asyncio.create_task(voices[0].complete(upload))
        await writers.are(1)
        second = asyncio.create_task(voices[1].complete(upload))
        await writers.are(2)
    replies = await asyncio.gather(first, second)
    assert [reply.status for reply in replies] == [200, 200]
    assert replies[0].body == replies[1].body
    assert postgres.query("SELECT digest FROM receipts", database) == [(replies[0].json["digest"],)]
    # A third that only asks later is told the same, by both.
    assert {(await voice.complete(upload)).body for voice in voices} == {replies[0].body}


async def test_centre_killed_between_proof_and_receipt_is_taken_over_and_signed_for_once(
    voices: list[DockVoice], centres: Sequence[PostgresCentre], postgres: PostgresServer, database: str
) -> None:
    content = os.urandom(8 * PART_SIZE_BYTES)
    upload = await _sent(voices, content)
    async with receipts_locked(postgres, database) as writers:
        lost = asyncio.create_task(voices[0].complete(upload))
        await writers.are(1)
        assert centres[0].daemon is not None
        await centres[0].daemon.kill()
        with pytest.raises(aiohttp.ClientError):
            await lost
        asked_again = asyncio.create_task(voices[1].complete(upload))
        await writers.are(2)  # the dead one's transaction is there still, and must come to nothing
    reply = await asked_again
    assert reply.status == 200, reply.body
    assert postgres.query("SELECT receipt FROM receipts", database) == [(reply.body.decode(),)]
    assert sha256((centres[0].folder / reply.json["object_key"]).read_bytes()) == sha256(content)


async def test_centre_killed_in_the_middle_is_taken_over_by_the_other(
    voices: list[DockVoice], centres: Sequence[PostgresCentre]
) -> None:
    content = os.urandom(CONTENT_BYTES)
    upload = (await voices[0].claim(content, part_size_bytes=PART_SIZE_BYTES)).json["upload"]
    for part in upload["parts"][:3]:
        assert (await voices[0].put_part(part, content)).status == 204
    assert centres[0].daemon is not None
    await centres[0].daemon.kill()
    listed = (await voices[1].ask("GET", f"/api/v1/uploads/{upload['upload']}")).json
    assert listed["finished_parts"] == [1, 2, 3]
    receipt = await voices[1].send(content, part_size_bytes=PART_SIZE_BYTES)
    assert receipt["digest"] == sha256(content)


async def test_two_sweeping_centres_give_up_each_upload_once(
    tmp_path: Path, postgres: PostgresServer, database: str, session: aiohttp.ClientSession
) -> None:
    folder, url = tmp_path / "centre", postgres.address(database)
    await initialise_centre(folder, database_url=url)
    config = CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0, database_url=url)
    clock = SystemClock()
    async with open_services(config, clock) as north, open_services(config, clock) as south:
        claims = [_claim(number) for number in range(230)]
        for claim in claims:
            await north.claims.claim(claim, "http://centre.example")
        postgres.query("UPDATE uploads SET touched_at = '2026-01-01T00:00:00.000000Z' WHERE digest < '8'", database)
        old = len(postgres.query("SELECT 1 FROM uploads WHERE touched_at < '2026-02'", database))
        week = clock.now() - clock.now().replace(year=2026, month=3, day=1)
        counts = await asyncio.gather(*(one.claims.give_up_abandoned(week) for one in (north, south, north, south)))
        assert sum(counts) == old > 80
        assert len(postgres.query("SELECT 1 FROM uploads", database)) == 230 - old
        assert len(list((folder / "uploads").iterdir())) == 230 - old


def _claim(number: int) -> Claim:
    content = f"recording {number}".encode()
    digest = Digest(sha256(content))
    return Claim(
        dock="dock-7",
        recording=f"r{number}",
        camera="simulated:CAM-1",
        session="s1",
        digest=digest,
        size_bytes=len(content),
        part_size_bytes=1000,
        part_digests=(digest,),
        path="DCIM/A.MP4",
        recorded_at=None,
        officer=None,
        container=ContainerVerdict.COMPLETE,
    )
