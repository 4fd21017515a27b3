"""An upgrade never changes how long anything is kept, and deletes nothing: walked from every revision, with data.

Policies, classifications, holds, deadlines, locks of the store and the footage itself are compared before and after
every step, and after the newest program opened the database and looked at it for a night.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, MetaData, create_engine, inspect, select
from sqlalchemy.pool import NullPool

from dockd.central.postgres import DRIVER
from dockd.central.retention.config import RetentionConfig
from dockd.central.stores.placing import object_key
from dockd.model.ids import Digest
from dockd.model.moment import format_utc
from dockd.model.recording import Receipt
from dockd.rules.retention import Standing
from migrations.runner import upgrade
from migrations.standing import revisions
from tests.support.clock import START, ManualClock
from tests.support.retention_site import ON, open_retention_site

ALL = revisions("central")
RETENTION = "0009"
"""The revision with which policies, classifications and holds came."""
NOW = format_utc(START)
DIGESTS = [Digest(name * 32) for name in ("aa", "bb", "cc", "dd")]


def receipt_row(digest: Digest, *, retain_until: str | None) -> dict[str, Any]:
    receipt = Receipt(
        store="store-test",
        digest=digest,
        size_bytes=7,
        object_key=object_key(digest),
        accepted_at=START,
        retain_until=None if retain_until is None else START + timedelta(days=365),
        key="key",
        signature="c2ln",
    )
    row: dict[str, Any] = {"digest": digest, "size_bytes": 7, "object_key": receipt.object_key, "accepted_at": NOW}
    return row | {"retain_until": retain_until, "receipt": receipt.model_dump_json()}


def fill(connection: Connection, folder: Path) -> None:
    """Four recordings long past any number of days; where there is retention already: one of each standing."""
    there = MetaData()
    there.reflect(connection)
    lock = format_utc(START + timedelta(days=365))
    rows = [receipt_row(one, retain_until=lock if one == DIGESTS[3] else None) for one in DIGESTS]
    connection.execute(there.tables["receipts"].insert(), rows)
    connection.execute(
        there.tables["sources"].insert(),
        [
            {"digest": one, "dock": "dock-7", "recording": one[:32], "camera": "simulated:CAM-1", "session": "s1"}
            | {"size_bytes": 7, "path": "A.MP4", "recorded_at": NOW, "officer": "PC1", "container": "complete"}
            | {"claimed_at": NOW}
            for one in DIGESTS
        ],
    )
    for one in DIGESTS:
        file = folder / object_key(one)
        file.parent.mkdir(parents=True)
        file.write_bytes(b"footage")
    if "retention_policies" not in there.tables:
        return
    why = {"reason": "because", "set_at": NOW, "set_by": "Ann"}
    policies = [("unclassified", None), ("evidence", None), ("routine", 31), ("routine", 3650)]
    connection.execute(
        there.tables["retention_policies"].insert(), [{"category": name, "days": days} | why for name, days in policies]
    )
    decided = {"through": 4, "decided_at": NOW, "decided_by": "Ann", "reason": "because"}
    kinds = list(zip(DIGESTS, ("evidence", "routine", "routine"), strict=False))
    connection.execute(
        there.tables["retention_classifications"].insert(),
        [{"digest": digest, "category": category} | decided for digest, category in kinds],
    )
    connection.execute(
        there.tables["retention_subjects"].insert(),
        [{"digest": one, "category": kind, "counts_from": NOW, "is_gone": False} for one, kind in kinds],
    )
    for named in ({"digest": DIGESTS[1]}, {"officer": "PC9"}):
        connection.execute(there.tables["retention_holds"].insert(), [named | why])
    ended = {"hold": 2, "released_at": NOW, "released_by": "Bob", "reason": "over"}
    connection.execute(there.tables["retention_hold_releases"].insert(), [ended])


def retention_data(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row that says how long something is kept, and every receipt."""
    there = MetaData()
    with engine.connect() as connection:
        there.reflect(connection)
        names = [name for name in there.tables if name.startswith("retention_") or name in ("receipts", "sources")]
        return {
            name: sorted((tuple(row) for row in connection.execute(select(there.tables[name]))), key=str)
            for name in names
            if name not in ("retention_worker", "retention_runs")  # when it looked, and nothing else
        }


def footage(folder: Path) -> set[str]:
    return {one.name for one in folder.rglob("*") if one.is_file() and one.name in DIGESTS}


@pytest.mark.parametrize("begin", ALL)
async def test_upgrading_and_opening_changes_no_retention_and_deletes_nothing(
    url: str, tmp_path: Path, begin: str
) -> None:
    folder = tmp_path / "centre"
    engine = create_engine(url.replace("postgresql", DRIVER, 1), poolclass=NullPool)
    with engine.begin() as connection:
        upgrade(connection, "central", begin)
        fill(connection, folder)
    before = retention_data(engine)
    has_retention = "retention_policies" in before
    assert has_retention is (ALL.index(begin) >= ALL.index(RETENTION))
    for revision in (*ALL[ALL.index(begin) + 1 :], "head"):
        with engine.begin() as connection:
            upgrade(connection, "central", revision)
        after = retention_data(engine)
        assert {name: after[name] for name in before} == before
        assert all(rows == [] for name, rows in after.items() if name not in before), "a migration decides nothing"
    columns = {one["name"] for one in inspect(engine).get_columns("retention_policies")}
    assert columns == {"number", "category", "days", "set_at", "set_by", "reason"}

    # The newest program opens it, as an upgrade leaves it configured, and even with deleting turned on.
    for config in (RetentionConfig(), ON):
        clock = ManualClock(START + timedelta(days=3649))
        async with open_retention_site(folder, url, clock, config=config) as site:
            await site.retention.runs.look()
            assert footage(folder) == set(DIGESTS)
            standings = [(await site.retention.surveyor.verdict(one, clock.now())) for one in DIGESTS]
            found = [one.verdict.standing for one in standings if one is not None]
            if has_retention:
                assert found == [Standing.KEPT, Standing.HELD, Standing.NOT_YET, Standing.UNCLASSIFIED]
            else:
                assert found == [Standing.UNCLASSIFIED] * 4
        opened = retention_data(engine)
        for name, rows in before.items():
            assert opened[name] == rows, name
        if not has_retention:
            assert [(row[1], row[2]) for row in opened["retention_policies"]] == [
                ("unclassified", None),
                ("evidence", None),
                ("routine", 31),
            ]
        assert opened["retention_disposals"] == []
    engine.dispose()
