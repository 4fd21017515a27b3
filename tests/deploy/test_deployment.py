"""docs/deploy.md, followed: enrolled docks through nginx to two centres, a PostgreSQL, a bucket in Ceph, people.

Centres are killed, and restored from an older backup.
"""

from __future__ import annotations

import hashlib
import random

import aiohttp
import pytest

from dockd.model import facts as f
from dockd.model.facts import RecordedFact
from dockd.wire.messages import FactsTaken
from tests.support.aftermath import check_journal
from tests.support.deployment import Deployment
from tests.support.dock_voice import Chain, Reply, refused
from tests.support.postgres import PostgresServer
from tests.support.processes import StationProcess, is_everything_told, is_ready, until

pytestmark = [pytest.mark.slow, pytest.mark.postgresql, pytest.mark.stores]

MIB = 1 << 20
PART_BYTES = 16 * MIB
BEFORE, AFTER, PUT_OUT, BY_HAND = "blackfriars-1", "camden-1", "soho-1", "lambeth-1"


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


async def facts_head(session: aiohttp.ClientSession, url: str, dock: str) -> FactsTaken:
    """Where the centre's record of a dock ends."""
    async with session.get(f"{url}/api/v1/docks/{dock}/facts/head") as answer:
        return FactsTaken.model_validate_json(await answer.read())


async def is_at(session: aiohttp.ClientSession, url: str, dock: str, told: FactsTaken) -> bool:
    """Whether the dock has told again as much as before."""
    return (await facts_head(session, url, dock)).number >= told.number


async def check_erased_is_known(
    session: aiohttp.ClientSession, url: str, told: list[RecordedFact], *, count: int
) -> None:
    """Everything that the dock ever erased has a receipt at the centre that it has now, the one it was erased for."""
    receipts = {one.fact.recording: one.fact.receipt for one in told if isinstance(one.fact, f.RecordingAccepted)}
    erased = [one.fact.recording for one in told if isinstance(one.fact, f.RecordingErased)]
    assert len(erased) == count
    for recording in erased:
        async with session.get(f"{url}/api/v1/recordings/{receipts[recording].digest}") as answer:
            assert (await answer.json())["receipt"] == receipts[recording].model_dump(mode="json")


def rows(postgres: PostgresServer, question: str) -> int:
    """How many."""
    ((count,),) = postgres.query(question, "dockd")
    assert isinstance(count, int)
    return count


async def test_a_centre_killed_in_the_middle_of_an_upload_is_not_missed(
    deployment: Deployment, session: aiohttp.ClientSession, postgres: PostgresServer, seed: int
) -> None:
    dice = random.Random(seed)
    deployment.town.enrol(BEFORE)
    paced = {"bytes_per_second": 12_000_000, "parallel_parts": 1, "longest_retry_seconds": 2.0}
    station = deployment.town.station(BEFORE, uploader=paced)
    daemon = await station.start()
    # Both in turn: whichever the dock's connections went through, it loses them once.
    for centre in ("first", "second"):
        content = dice.randbytes(4 * PART_BYTES - 1000)
        digest = hashlib.sha256(content).hexdigest()
        station.rig.camera(centre, {"DCIM/LONG.MP4": content})
        station.rig.dock(centre, 1)
        begun = f"SELECT count(*) FROM uploads WHERE digest = '{digest}'"
        await until(lambda question=begun: rows(postgres, question), daemon.end_of_log, 60)
        assert await deployment.running[centre].kill() == -9
        assert rows(postgres, f"SELECT count(*) FROM receipts WHERE digest = '{digest}'") == 0, "killed too late"
        await station.until(is_ready(1), "ready, with one centre", 120)
        station.rig.undock(centre, 1)
        await station.until(is_everything_told, "everything told to the other centre", 60)
        await check_held(session, deployment.nginx.url, content)
        await deployment.start(centre)
    await daemon.stop()
    await check_journal(station.rig)
    for port in deployment.ports.docks:
        assert f'"127.0.0.1:{port}"' in deployment.nginx.docks_log.read_text("utf-8")
    assert "/uploads/" not in deployment.nginx.access_log.read_text("utf-8"), "no dock comes by people's way"


async def test_restored_centre_and_its_docks_converge_and_nothing_is_erased_that_it_does_not_know(
    deployment: Deployment, session: aiohttp.ClientSession, postgres: PostgresServer, seed: int
) -> None:
    url, town, dice = deployment.nginx.url, deployment.town, random.Random(seed)
    for dock in (BEFORE, BY_HAND):
        town.enrol(dock)
    station = town.station(BEFORE, reporter={"recheck_seconds": 10.0, "longest_retry_seconds": 2.0})
    before, after, later = ({f"DCIM/{n}.MP4": dice.randbytes(300_000) for n in range(3)} for _ in range(3))
    daemon = await station.start()
    await docked_and_ready(station, "A1", 1, before)
    deployment.guide.follow("Backup")
    # What the backup does not know: a whole docking, erased; and an object for which no dock has a receipt.
    await docked_and_ready(station, "A2", 2, after)
    voice = await town.voice(BY_HAND)
    chain = Chain(BY_HAND)
    chain.start()
    assert (await voice.put_facts(chain.facts)).status == 200
    unreceipted = dice.randbytes(200_000)
    await voice.send(unreceipted, part_size_bytes=PART_BYTES)
    told_before = await facts_head(session, url, BEFORE)

    await deployment.stop()
    deployment.guide.follow("Restore")
    # Asked before the centres serve: the dock may have told again before anybody else gets to ask.
    forgotten = rows(postgres, f"SELECT facts FROM docks WHERE dock = '{BEFORE}'")
    assert forgotten < told_before.number, "the restored centre is older"
    await deployment.start()
    # The dock has nothing new to tell; it finds out by itself, with the certificate that it has.
    await until(
        lambda: is_at(session, url, BEFORE, told_before), lambda: f"the dock to tell again\n{daemon.end_of_log()}", 60
    )
    for content in (*before.values(), *after.values()):
        await check_held(session, url, content)
    assert (await voice.put_facts(chain.facts)).status == 200
    receipt = await voice.send(unreceipted, part_size_bytes=PART_BYTES)
    assert receipt["digest"] == hashlib.sha256(unreceipted).hexdigest()
    await check_held(session, url, unreceipted)
    await docked_and_ready(station, "A3", 1, later)
    await daemon.stop()
    await check_journal(station.rig)
    await check_erased_is_known(session, url, station.rig.oracle.facts(), count=9)
    for content in later.values():
        await check_held(session, url, content)


async def test_who_came_and_went_since_the_backup_is_unknown_to_the_restored_centre_and_the_page_says_the_way_back(
    deployment: Deployment, session: aiohttp.ClientSession, seed: int
) -> None:
    url, town, guide, dice = deployment.nginx.url, deployment.town, deployment.guide, random.Random(seed)
    town.enrol(PUT_OUT)
    guide.follow("Backup")
    assert "certificates revoked" in town.put_out(PUT_OUT)
    refused(await _head(deployment, PUT_OUT), "certificate-revoked", "the host was stolen")
    town.enrol(AFTER)
    station = town.station(AFTER)
    erased = {"DCIM/1.MP4": dice.randbytes(300_000)}
    waiting = {"DCIM/2.MP4": dice.randbytes(300_000)}
    daemon = await station.start()
    await docked_and_ready(station, "B1", 1, erased)
    told_before = await facts_head(session, url, AFTER)

    await deployment.stop()
    said = guide.follow("Restore")
    assert f"{PUT_OUT}\tBlackfriars\tgood until" in said, "who was put out is in again until a person says it again"
    assert AFTER not in said
    assert "ada  administrator" in said
    town.put_out(PUT_OUT)
    await deployment.start()
    refused(await _head(deployment, PUT_OUT), "certificate-revoked", "the host was stolen")
    # Refused, in words, and nothing of the camera that comes meanwhile is erased.
    station.rig.camera("B2", waiting)
    station.rig.dock("B2", 2)
    await station.until(lambda shown: "not on record" in shown.centre_words, "the page to say why", 60)
    await station.until(lambda shown: any(one.recordings_safe_here for one in shown.bays), "copied all the same", 60)
    refused(await _head(deployment, AFTER), "certificate-unknown", "dockd enrol TOKEN")
    assert (await facts_head(session, url, AFTER)).number == 0
    station.rig.oracle.check_nothing_lost()
    await daemon.stop()
    # The way back: a new token, the same folders.
    town.enrol(AFTER)
    daemon = await station.start()
    await station.until(is_ready(2), "B2 ready", 120)
    station.rig.undock("B2", 2)
    await station.until(is_everything_told, "everything told", 60)
    assert await is_at(session, url, AFTER, told_before)
    await daemon.stop()
    await check_journal(station.rig)
    for content in (*erased.values(), *waiting.values()):
        await check_held(session, url, content)
    await check_erased_is_known(session, url, station.rig.oracle.facts(), count=2)


async def _head(deployment: Deployment, dock: str) -> Reply:
    voice = await deployment.town.voice(dock)
    return await voice.ask("GET", f"/api/v1/docks/{dock}/facts/head")
