"""A centre that was there before: what its facts say of the fleet is there after the migration, on both databases."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import create_engine, delete, insert, select
from sqlalchemy.pool import NullPool

from dockd.central.database import Database
from dockd.central.fact_intake import FactIntake
from dockd.central.fleet import tables as fleet
from dockd.central.postgres import DRIVER
from dockd.central.schema import METADATA
from dockd.central.tables import docks, facts
from dockd.model import facts as f
from dockd.model.camera import CameraIdentity
from dockd.model.canonical import canonical_json
from dockd.model.facts import RecordedFact
from dockd.model.ids import Digest
from dockd.model.moment import ClockSync
from dockd.model.recording import ContainerVerdict, StagedRecording
from dockd.wire.status import DockStatus
from migrations.runner import upgrade
from tests.support.clock import ManualClock
from tests.support.dock_voice import Chain
from tests.support.kiosk_fakes import DockOnPaper, held_bay, ready_bay

BEFORE = "0004"
FILLED = (
    fleet.bay_visits,
    fleet.bay_cameras,
    fleet.camera_faults,
    fleet.bay_weeks,
    fleet.dock_days,
    fleet.dock_hours,
    fleet.dock_gauges,
)


def told(clock: ManualClock) -> list[Chain]:
    """Two docks and two weeks: faults of every kind, resets, restarts, copies, a camera that fails everywhere."""
    chains = [Chain("dock-1", clock=clock), Chain("dock-2", clock=clock)]
    for chain in chains:
        chain.start()
    codes = ("driver-timeout", None, "not-charging", "card-damaged", None, "duplicate-identity", "staging-full", None)
    for number in range(60):
        chain = chains[number % 2]
        session, bay = f"s{number}", str(number % 3)
        camera = f"simulated:{'ABCDE'[number % 5]}"
        chain.add(f.CameraDocked(session=session, bay=bay, port="1-1"))
        if number % 11:
            identity = CameraIdentity(camera=camera, maker="m", model="Sim")
            chain.add(f.CameraIdentified(session=session, bay=bay, driver="simulated", identity=identity))
        _session(chain, clock, number, session, codes[number % len(codes)])
        if number % 7:
            chain.add(f.CameraUndocked(session=session, bay=bay, camera=camera))
        clock.advance(2 if number % 4 else 20_000)
        if number == 40:
            clock.reboot()
            chains[0].start()
    return chains


def _session(chain: Chain, clock: ManualClock, number: int, session: str, code: str | None) -> None:
    def move(state: str, code: str | None = None) -> None:
        chain.add(f.SessionMoved(session=session, from_state="x", to_state=state, code=code))

    move("offloading")
    clock.advance(5)
    staged = StagedRecording(
        recording=f"r{number}",
        session=session,
        digest=Digest("0" * 64),
        size_bytes=2**60 if number == 33 else 1_000_000 * number,
        container=ContainerVerdict.COMPLETE,
        is_read_whole=True,
    )
    chain.add(f.RecordingStaged(staged=staged))
    move("verifying")
    if code is None or number % 5 == 0:
        move("securing")
    if code is not None:
        move("held" if number % 2 else "faulted", code)
    if number % 6 == 0:
        move("ready")


def statuses() -> list[DockStatus]:
    return [
        DockOnPaper(ready_bay("1"), held_bay("2"), dock="dock-1", site="Nul \0 in it").snapshot(),
        DockOnPaper(ready_bay("1"), dock="dock-2", clock_sync=ClockSync.UNSYNCHRONISED, waiting_bytes=2**70).snapshot(),
    ]


def test_what_older_facts_say_is_what_new_facts_would_have_said(url: str, clock: ManualClock) -> None:
    chains = told(clock)
    engine = create_engine(url.replace("postgresql", DRIVER, 1), poolclass=NullPool)

    def rows() -> dict[str, list[dict[str, Any]]]:
        with engine.connect() as connection:
            return {
                table.name: [
                    dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()
                ]
                for table in FILLED
            }

    with engine.begin() as connection:
        upgrade(connection, "central", BEFORE)
        for chain, status in zip(chains, statuses(), strict=True):
            connection.execute(
                insert(docks).values(
                    dock=chain.dock,
                    facts=0,
                    head=chain.head,
                    status=status.model_dump_json(),
                    status_at=clock.now(),
                )
            )
            connection.execute(insert(facts), [stored(one) for one in chain.facts])
        upgrade(connection, "central")
    migrated = rows()
    assert {name: bool(some) for name, some in migrated.items()} == dict.fromkeys(migrated, True)
    assert max(row["connection_losses"] for row in migrated["bay_weeks"]) > 1
    assert max(row["failures_in_row"] for row in migrated["camera_faults"]) > 0
    with engine.begin() as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(delete(table))
    asyncio.run(take_all(url, chains))
    assert rows() == migrated
    engine.dispose()


def stored(one: RecordedFact) -> dict[str, object]:
    return {
        "dock": one.dock,
        "number": one.number,
        "hash": one.hash,
        "kind": one.fact.kind,
        "body": canonical_json(one.to_json()).decode(),
        "received_at": one.moment.at,
    }


async def take_all(url: str, chains: list[Chain]) -> None:
    database = Database(url)
    await database.open()
    try:
        for chain, status in zip(chains, statuses(), strict=True):
            intake = FactIntake(database, chain.clock)
            for begin in range(0, len(chain.facts), 7):  # in small batches: where one ends must not matter
                await intake.take(chain.dock, tuple(chain.facts[begin : begin + 7]))
            await intake.note_status(status)
    finally:
        await database.close()
