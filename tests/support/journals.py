"""Journals for tests: short facts, and a second connection that looks (or tampers) from outside."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dockd.dock.journal import DATABASE_NAME, Journal
from dockd.model import facts
from dockd.model.facts import Fact
from dockd.model.ids import CameraId, CardPath, DockId, SessionId
from tests.support.clock import START
from tests.support.custody import CAMERA, SESSION, Footage, Signer

DOCK = DockId("dock-1")
SIGNER = Signer()


def footage(number: int, *, camera: CameraId = CAMERA, session: SessionId = SESSION, generation: int = 0) -> Footage:
    """The recording `number` of a card; every number has content of its own."""
    return Footage(
        content=f"footage {number} {generation}".encode(),
        path=CardPath((b"DCIM", f"{number:05d}.MP4".encode())),
        camera=camera,
        session=session,
        generation=generation,
    )


def way_to_the_store(one: Footage, signer: Signer = SIGNER) -> tuple[Fact, ...]:
    """From the card to ACCEPTED."""
    return (one.listed(), one.staged(), one.verified(), one.stored(), one.accepted(signer))


def whole_way(one: Footage, signer: Signer = SIGNER) -> tuple[Fact, ...]:
    """From the card to ERASED."""
    return (*way_to_the_store(one, signer), one.wipe_intended(), one.erased())


def intended(assignment: str, *, camera: CameraId = CAMERA, officer: str = "PC1") -> facts.AssignmentIntended:
    return facts.AssignmentIntended(assignment=assignment, session=SESSION, bay="bay-1", camera=camera, officer=officer)


def started(assignment: str, *, camera: CameraId = CAMERA, officer: str = "PC1") -> facts.AssignmentStarted:
    return facts.AssignmentStarted(assignment=assignment, camera=camera, officer=officer, started_at=START)


def ended(assignment: str, *, camera: CameraId = CAMERA, officer: str = "PC1") -> facts.AssignmentEnded:
    return facts.AssignmentEnded(assignment=assignment, camera=camera, officer=officer, ended_at=START)


async def numbered(journal: Journal) -> list[tuple[int, str]]:
    """Number and kind of every fact."""
    return [(one.number, one.fact.kind) for one in await journal.facts_after(0, 10_000)]


@contextmanager
def from_outside(folder: Path) -> Iterator[sqlite3.Connection]:
    """The journal's file through Python's own sqlite3, as a stranger would open it; commits at the end."""
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection, connection:
        yield connection


def without_triggers(connection: sqlite3.Connection) -> None:
    """Remove the guards of the database: a stranger with a hex editor does not ask them either."""
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
