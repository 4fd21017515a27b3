"""The account of custody is what the facts say, whatever the facts say; asked in every way, on both databases."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from dockd.central.app import ServedCentre
from dockd.central.config import CentreConfig
from dockd.central.custody.reading import CustodyReader
from dockd.central.custody.search import Cursor
from dockd.central.opening import initialise_centre, open_services
from dockd.central.services import Services
from dockd.custody_out.custody_proof import CustodyProof, prove_custody
from dockd.custody_out.pinned import PinnedKeys
from dockd.wire.custody import CustodyRecording, CustodySelection, CustodySession
from tests.support.clock import START, ManualClock
from tests.support.custody_plans import CAMERAS, ERASED, PlannedForce
from tests.support.dock_voice import Chain, DockVoice
from tests.support.questions import statements_to
from tests.support.tar_files import unpacked


@pytest_asyncio.fixture
async def services(config: CentreConfig, clock: ManualClock) -> AsyncIterator[Services]:
    async with open_services(config, clock) as opened:
        yield opened


async def hand_in(services: Services, force: PlannedForce, rng: random.Random) -> None:
    """Every dock hands in its chain, in batches of any size, the docks in turn."""
    left = {dock.dock: list(dock.facts) for dock in force.docks}
    while left:
        dock = rng.choice(sorted(left))
        size = rng.randint(1, 40)
        batch, rest = left[dock][:size], left[dock][size:]
        await services.facts.take(dock, tuple(batch))
        left[dock] = rest
        if not rest:
            del left[dock]


async def all_recordings(
    reader: CustodyReader, wanted: CustodySelection, *, limit: int = 3, only: bool = False
) -> list[CustodyRecording]:
    found: list[CustodyRecording] = []
    after: Cursor | None = None
    while True:
        page = await reader.recordings(wanted, after=after, limit=limit, only=only)
        found += page.recordings
        if page.next_after is None:
            return found
        assert len(page.recordings) == limit
        after = Cursor.parse(page.next_after)


async def all_sessions(reader: CustodyReader, wanted: CustodySelection, *, only: bool = False) -> list[CustodySession]:
    found: list[CustodySession] = []
    after: Cursor | None = None
    while True:
        page = await reader.sessions(wanted, after=after, limit=3, only=only)
        found += page.sessions
        if page.next_after is None:
            return found
        after = Cursor.parse(page.next_after)


def selections(rng: random.Random, force: PlannedForce) -> list[CustodySelection]:
    """Everything, and some combinations."""
    chosen = [CustodySelection()]
    for _ in range(4):
        began = START - timedelta(hours=rng.randrange(100))
        chosen.append(
            CustodySelection(
                camera=rng.choice((*CAMERAS, None)),
                officer=rng.choice(("PC1", "PC2", None)),
                dock=rng.choice((force.docks[0].dock, None)),
                from_at=rng.choice((began, None)),
                before_at=rng.choice((began + timedelta(hours=rng.randint(1, 200)), None)),
            )
        )
    return chosen


async def check_account(services: Services, force: PlannedForce, rng: random.Random) -> None:
    """What the reader answers is what the plan says."""
    reader = services.custody.reader
    expected = force.expected()
    times = {(one.dock, one.recording): one.recorded_at for one in force.recordings}
    for wanted in selections(rng, force):
        rows = await all_recordings(reader, wanted)
        keys = [(row.dock, row.recording) for row in rows]
        assert len(keys) == len(set(keys))
        assert [row.at for row in rows] == sorted((row.at for row in rows), reverse=True)
        assert set(keys) == {
            (one.dock, one.recording)
            for one in force.recordings
            if wanted.camera in (None, one.camera)
            and wanted.officer in (None, one.officer)
            and wanted.covers_dock(one.dock)
            and (
                one.recorded_at is None
                or (
                    (wanted.from_at is None or one.recorded_at >= wanted.from_at)
                    and (wanted.before_at is None or one.recorded_at < wanted.before_at)
                )
            )
            and (one.recorded_at is not None or wanted.before_at is None or (wanted.before_at > START))
        }
        assert {(row.dock, row.recording): set(row.differences) for row in rows} == {key: expected[key] for key in keys}
        assert all(row.recorded_at == times[row.dock, row.recording] for row in rows)
        differing = await all_recordings(reader, wanted, only=True)
        assert [row for row in rows if row.differences] == differing
        rogues = [row for row in rows if {"erased-unaccepted", "broken-order"} & set(row.differences)]
        assert list(await reader.grave(wanted, limit=100)) == rogues
    sessions = await all_sessions(reader, CustodySelection())
    of_sessions = {(one.dock, one.session): one.differences() for one in force.sessions}
    assert {(row.dock, row.session): set(row.differences) for row in sessions} == of_sessions
    assert await all_sessions(reader, CustodySelection(), only=True) == [row for row in sessions if row.differences]
    held = (await reader.holders(CustodySelection(), limit=200)).holders
    assert sorted(
        (one.holder.dock, one.holder.assignment, one.holder.camera, one.holder.officer, one.holder.started_at)
        for one in held
    ) == sorted(one[:5] for one in force.holders)
    assert {(one.holder.dock, one.holder.assignment): one.holder.ended_at for one in held} == {
        (one[0], one[1]): one[5] for one in force.holders
    }


async def bundled(services: Services, wanted: CustodySelection, folder: Path) -> CustodyProof:
    pieces = [piece async for piece in await services.custody.bundle("auditor", wanted, has_footage=False)]
    unpacked(b"".join(pieces), folder)
    return prove_custody(folder, PinnedKeys(store=services.identity.pinned.public_key))


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_whatever_the_facts_are_the_account_is_that_of_a_naive_model(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def check() -> None:
        rng = random.Random(seed)
        folder = tmp_path_factory.mktemp("custody")
        await initialise_centre(folder / "centre", store="store-test")
        config = CentreConfig(folder=str(folder / "centre"), port=0, free_space_floor_bytes=0)
        async with open_services(config, ManualClock()) as services:
            force = PlannedForce(rng, services.identity).plan("dock", docks=rng.randint(1, 3))
            await hand_in(services, force, rng)
            await check_account(services, force, rng)
            for number, wanted in enumerate(selections(rng, force)):
                proof = await bundled(services, wanted, folder / f"bundle-{number}")
                faults = [fault for one in proof.of_bundle for fault in one.faults]
                assert not faults
                rogues = [
                    one
                    for one in await all_recordings(services.custody.reader, wanted)
                    if "erased-unaccepted" in one.differences
                ]
                assert bool(proof.of_custody[-1].faults) == bool(rogues)

    asyncio.run(check())


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_account_is_the_same_on_both_databases(services: Services, seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    force = PlannedForce(rng, services.identity).plan("dock", docks=3, sessions=6)
    await hand_in(services, force, rng)
    await check_account(services, force, rng)
    proof = await bundled(services, CustodySelection(), tmp_path / "bundle")
    assert not [fault for one in proof.of_bundle for fault in one.faults]


async def test_a_recording_stored_by_another_dock_is_no_difference_there(services: Services) -> None:
    rng = random.Random(7)
    for number in range(40):
        force = PlannedForce(rng, services.identity).plan(f"pair{number}", docks=2, sessions=3, recordings=6)
        await hand_in(services, force, rng)
        settled = [
            one
            for one in force.recordings
            if one.depth < ERASED and any(other.depth == ERASED for other in force.others(one))
        ]
        if settled:
            break
    rows = await all_recordings(services.custody.reader, CustodySelection(dock=settled[0].dock))
    row = next(one for one in rows if one.recording == settled[0].recording)
    assert row.erased_by
    assert not {"never-stored", "not-erased"} & set(row.differences)


async def test_erased_without_acceptance_is_said_loudly_on_the_page(
    centre: ServedCentre, dock: DockVoice, clock: ManualClock
) -> None:
    rng = random.Random(3)
    services = centre.services
    force = PlannedForce(rng, services.identity).plan("dock", docks=2, sessions=8, recordings=8)
    assert any(one.is_rogue for one in force.recordings)
    await hand_in(services, force, rng)
    page = (await dock.ask("GET", "/custody?from=")).body.decode()
    assert "This must be impossible." in page
    assert "ERASED WITHOUT ACCEPTANCE" in page
    assert page.index("<h2>Differences</h2>") < page.index("<h2>Recordings</h2>")


async def test_facts_of_before_the_upgrade_come_into_the_account(config: CentreConfig, clock: ManualClock) -> None:
    """As after the migration: facts are held, the tables are empty."""
    rng = random.Random(5)
    async with open_services(config, clock) as services:
        force = PlannedForce(rng, services.identity).plan("dock", docks=2, sessions=5)
        await hand_in(services, force, rng)
        database = services.gathering._database
        async with database.writing() as connection:
            for table in ("docks", "recordings", "sessions", "session_facts", "holders"):
                await connection.execute(text(f"DELETE FROM custody_{table}"))
        more = force.docks[0]
        held = len(more.facts)
        more.sign()
        await services.facts.take(more.dock, tuple(more.facts[held:]))
        assert not await services.custody.reader.is_whole()
        assert not await all_recordings(services.custody.reader, CustodySelection())
        assert await services.gathering.catch_up() == sum(len(one.facts) for one in force.docks)
        assert await services.custody.reader.is_whole()
        assert await services.gathering.catch_up() == 0
        await check_account(services, force, rng)


async def test_every_look_and_every_export_is_a_fact(centre: ServedCentre, dock: DockVoice) -> None:
    chain = Chain(dock.dock)
    await dock.put_facts([*chain.start(), *chain.sign()])
    await dock.ask("GET", "/custody")  # the empty form shows nothing of anybody
    for path in ("/custody?officer=PC9", "/api/v1/custody/recordings?camera=simulated:X", "/api/v1/custody/holders"):
        assert (await dock.ask("GET", path)).status == 200
    for name in ("export/recordings.csv", "bundle.tar"):
        assert (await dock.ask("GET", f"/api/v1/custody/{name}?officer=PC9")).status == 200
    told = [(kind, about) for kind, about in await services_facts(centre) if kind.startswith("Custody")]
    assert [kind for kind, _ in told] == ["CustodyLooked"] * 3 + ["CustodyExportBegun", "CustodyExported"] * 2
    assert told[0][1]["selection"] == {"officer": "PC9"}
    assert told[1][1]["selection"] == {"camera": "simulated:X"}
    assert told[-1][1]["manifest_sha256"]


async def services_facts(centre: ServedCentre) -> list[tuple[str, dict[str, object]]]:
    found = await centre.services.custody._facts.read(limit=100)
    return [(one.kind, dict(one.about)) for one in found]


async def test_a_fork_is_refused_and_remembered_for_auditors(centre: ServedCentre, dock: DockVoice) -> None:
    chain = Chain(dock.dock)
    chain.start()
    assert (await dock.put_facts(chain.sign() and chain.facts)).status == 200
    other = Chain(dock.dock)
    other.private = chain.private
    other.clock.advance(5)
    for _ in range(2):
        assert (await dock.put_facts(other.facts or other.start())).code == "rewrite"
    reply = await dock.ask("GET", "/api/v1/custody/conflicts")
    (one,) = reply.json["conflicts"]
    assert (one["dock"], one["code"], one["number"], one["times"]) == (dock.dock, "rewrite", 1, 2)
    assert "contradict those it sent before" in (await dock.ask("GET", "/custody?dock=")).body.decode()


@pytest.mark.parametrize(
    "path",
    [
        "/custody?camera=x",
        "/custody?from=yesterday",
        "/custody?from=2026-11-22&to=2026-11-21",
        "/custody?after=nonsense",
        "/custody?view=all",
        "/custody?officer=%3Cscript%3E",
        "/api/v1/custody/recordings?after=2026-99-99T00:00:00.000000Z~a~b",
        "/api/v1/custody/recordings?limit=201",
        "/api/v1/custody/export/facts.csv",
    ],
)
async def test_nonsense_is_refused_in_words(dock: DockVoice, path: str) -> None:
    assert (await dock.ask("GET", path)).status == 400


async def test_a_site_that_no_list_names_is_told(dock: DockVoice) -> None:
    assert (await dock.ask("GET", "/custody?site=nowhere")).status == 404


async def test_questions_do_not_grow_with_the_period(config: CentreConfig, clock: ManualClock) -> None:
    async with open_services(config, clock) as services:
        rng = random.Random(11)
        counts = []
        for number in range(2):
            for inner in range(1 + 5 * number):
                force = PlannedForce(rng, services.identity).plan(f"d{number}{inner}", docks=2, sessions=8)
                await hand_in(services, force, rng)
            with statements_to(services.gathering._database) as asked:
                for only in (False, True):
                    await services.custody.reader.recordings(CustodySelection(), limit=10, only=only)
                    await services.custody.reader.sessions(CustodySelection(), limit=10, only=only)
                await services.custody.reader.holders(CustodySelection(), limit=10)
            counts.append(len(asked))
        assert max(counts) <= 25, counts  # with six times as many rows
