"""A centre that was there before: what its facts say of cameras is there after the migration, on both databases."""

from __future__ import annotations

import asyncio
import dataclasses

from sqlalchemy import create_engine, delete, insert, select
from sqlalchemy.pool import NullPool

from dockd.central.database import Database
from dockd.central.fact_intake import FactIntake
from dockd.central.places.whereabouts import Whereabouts
from dockd.central.postgres import DRIVER
from dockd.central.tables import camera_whereabouts, docks, facts, sessions
from dockd.model import facts as f
from dockd.model.camera import CameraIdentity
from dockd.model.canonical import canonical_json
from dockd.model.facts import RecordedFact
from migrations.runner import upgrade
from tests.support.clock import ManualClock
from tests.support.dock_voice import Chain


def told(clock: ManualClock) -> list[Chain]:
    """Two docks: one camera came back elsewhere, one is out, one was never issued, one came back where it was."""
    first, second = Chain("dock-1", clock=clock), Chain("dock-2", clock=clock)

    def see(chain: Chain, *cameras: str) -> None:
        for camera in cameras:
            session = f"s{len(chain.facts)}"
            identity = CameraIdentity(camera=camera, maker="m", model="Sim")
            chain.add(f.CameraDocked(session=session, bay="1", port="1-1"))
            chain.add(f.CameraIdentified(session=session, bay="1", driver="simulated", identity=identity))

    def take(chain: Chain, *cameras: str) -> None:
        for camera in cameras:
            chain.add(
                f.AssignmentStarted(assignment=f"a-{camera[-1]}", camera=camera, officer="PC1", started_at=clock.now())
            )

    first.start()
    second.start()
    see(first, "simulated:A", "simulated:B", "simulated:C", "simulated:D")
    clock.advance(60)
    take(first, "simulated:A", "simulated:B", "simulated:D")
    clock.advance(3600)
    see(second, "simulated:A")
    see(first, "simulated:D")
    first.add(
        f.AssignmentEnded(assignment="a-D", camera="simulated:D", officer="PC1", ended_at=clock.now()),
    )
    return [first, second]


def test_what_older_facts_say_is_what_new_facts_would_have_said(url: str, clock: ManualClock) -> None:
    chains = told(clock)
    engine = create_engine(url.replace("postgresql", DRIVER, 1), poolclass=NullPool)

    def rows() -> dict[str, Whereabouts]:
        with engine.connect() as connection:
            found = connection.execute(select(camera_whereabouts)).mappings()
            return {row["camera"]: Whereabouts(**row) for row in found}

    with engine.begin() as connection:
        upgrade(connection, "central", "0003")
        for chain in chains:
            connection.execute(insert(docks).values(dock=chain.dock, facts=0, head=chain.head))
            connection.execute(insert(facts), [stored(one) for one in chain.facts])
            connection.execute(insert(sessions), sessions_of(chain))
        upgrade(connection, "central")
    migrated = rows()
    assert {camera: one.is_held for camera, one in migrated.items()} == {
        "simulated:A": False,
        "simulated:B": True,
        "simulated:C": False,
        "simulated:D": False,
    }
    with engine.begin() as connection:
        for table in (docks, facts, sessions, camera_whereabouts):
            connection.execute(delete(table))
    asyncio.run(take_all(url, chains))
    assert {name: dataclasses.asdict(one) for name, one in rows().items()} == {
        name: dataclasses.asdict(one) for name, one in migrated.items()
    }
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


def sessions_of(chain: Chain) -> list[dict[str, object]]:
    return [
        {
            "dock": chain.dock,
            "session": one.fact.session,
            "bay": one.fact.bay,
            "camera": one.fact.identity.camera,
            "state": "ready",
            "started_at": one.moment.at,
            "first_fact": one.number,
            "last_fact": one.number,
        }
        for one in chain.facts
        if isinstance(one.fact, f.CameraIdentified)
    ]


async def take_all(url: str, chains: list[Chain]) -> None:
    database = Database(url)
    await database.open()
    try:
        for chain in chains:
            await FactIntake(database, chain.clock).take(chain.dock, tuple(chain.facts))
    finally:
        await database.close()
