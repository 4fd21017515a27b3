"""A centre's database with records in it, written as the tables hold them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import insert

from dockd.central.database import Database
from dockd.central.tables import custody_lines, dock_recordings, docks, manifests, receipts, sessions, sources
from dockd.model.facts import SessionReconciled, Tally
from dockd.model.recording import ContainerVerdict, Receipt
from dockd.rules.custody import Custody
from dockd.wire.status import DockStatus

GENESIS = "0" * 64


async def add_dock(database: Database, name: str, *, heard_at: datetime | None, status: DockStatus | None) -> None:
    """A dock as it last showed itself."""
    async with database.writing() as connection:
        await connection.execute(
            insert(docks).values(
                dock=name,
                facts=1234,
                head=GENESIS,
                last_heard_at=heard_at,
                status=status.model_dump_json() if status else None,
                status_at=heard_at,
            )
        )


async def add_session(
    database: Database,
    dock: str,
    session: str,
    *,
    camera: str,
    started_at: datetime,
    offset_milliseconds: int | None = 1250,
    differences: tuple[str, ...] | None = (),
    reason: str | None = None,
    state: str = "ready",
) -> None:
    """A session; `differences` None leaves it unreconciled."""
    tally = Tally(count=2, size_bytes=3_000_000)
    nothing = Tally(count=0, size_bytes=0)
    reconciled = SessionReconciled(
        session=session,
        camera=camera,
        listed=tally,
        staged=tally,
        stored=tally,
        erased=tally,
        retained=nothing,
        differences=differences or (),
    )
    async with database.writing() as connection:
        await connection.execute(
            insert(sessions).values(
                dock=dock,
                session=session,
                bay="3",
                camera=camera,
                model="Sim 1",
                state=state,
                reason=reason,
                started_at=started_at,
                ended_at=None,
                clock_offset_milliseconds=offset_milliseconds,
                reconciliation=None if differences is None else reconciled.model_dump_json(),
                first_fact=1,
                last_fact=20,
            )
        )


async def add_recordings(
    database: Database,
    dock: str,
    session: str,
    *,
    camera: str,
    recorded_at: datetime,
    count: int,
    officer: str | None = "MX4521",
    paths: Iterable[str] = (),
    first: int = 0,
) -> list[str]:
    """`count` accepted and erased recordings, five minutes apart, with custody and receipt. Returns their digests,
    which are numbered from `first`."""
    names = list(paths) or [f"DCIM/20261122/2026112206{place:04d}.MP4" for place in range(count)]
    digests = []
    async with database.writing() as connection:
        for place, path in enumerate(names):
            digest, recording = f"{first + place:03x}".ljust(64, "a"), f"{session}-{place}"
            at = recorded_at + timedelta(minutes=5 * place)
            digests.append(digest)
            common = {
                "dock": dock,
                "recording": recording,
                "camera": camera,
                "session": session,
                "path": path,
                "size_bytes": 1_500_000,
                "recorded_at": at,
                "officer": officer,
                "digest": digest,
                "container": ContainerVerdict.COMPLETE.value,
            }
            await connection.execute(
                insert(dock_recordings).values(**common, state=Custody.ERASED.name, reason=None, last_fact=20)
            )
            await connection.execute(insert(sources).values(**common, claimed_at=at + timedelta(hours=1)))
            receipt = Receipt(
                store="store-1",
                digest=digest,
                size_bytes=1_500_000,
                object_key=f"objects/{digest}",
                accepted_at=at + timedelta(hours=2),
                key="key-1",
                signature="c2lnbmF0dXJl",
            )
            await connection.execute(
                insert(receipts).values(
                    digest=digest,
                    size_bytes=1_500_000,
                    object_key=receipt.object_key,
                    accepted_at=receipt.accepted_at,
                    receipt=json.dumps(receipt.model_dump(mode="json")),
                )
            )
            for number, words in enumerate(
                ("Found on the card.", "Copied to the dock.", "Erased from the card."), start=1
            ):
                await connection.execute(
                    insert(custody_lines).values(
                        dock=dock,
                        recording=recording,
                        fact_number=place * 10 + number,
                        at=at + timedelta(minutes=number),
                        kind="RecordingListed",
                        words=words,
                    )
                )
    return digests


async def add_manifest(database: Database, dock: str, session: str, name: str, *, stored_at: datetime) -> None:
    """A manifest kept for a session."""
    async with database.writing() as connection:
        await connection.execute(
            insert(manifests).values(
                dock=dock, session=session, name=name, digest="b" * 64, size_bytes=900, stored_at=stored_at
            )
        )
