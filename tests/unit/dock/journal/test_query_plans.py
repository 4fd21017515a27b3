"""Every question that is asked while cameras wait is answered from an index, however long the history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Select, StaticPool, create_engine, event, select

from dockd.dock.journal import tables
from dockd.dock.journal.assigning import OPEN_STATES, AssignmentState
from dockd.dock.journal.queries import (
    select_assignments,
    select_backlog,
    select_entries,
    select_entry,
    select_latest,
    select_tally,
)
from dockd.model.ids import CardPath, OfficerNumber, RecordingId, SessionId
from dockd.model.recording import SourceFile
from dockd.rules.custody import Custody
from migrations import runner
from tests.support.custody import CAMERA

FILE = SourceFile(CardPath((b"DCIM", b"1.MP4")), 10, 5)
HELD = (AssignmentState.STARTED, AssignmentState.ENDED)
WAITING = (Custody.VERIFIED, Custody.STORED)
SAFE = (Custody.ACCEPTED, Custody.ERASED)
SESSION = SessionId("s")


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as opened:
        runner.upgrade(opened, "dock")
        yield opened
    engine.dispose()


def plan(connection: Connection, chosen: Select[Any]) -> list[str]:
    """SQLite's plan for `chosen` with the values that it is really given."""
    sent: list[tuple[str, Any]] = []

    def remember(_c: object, _cursor: object, statement: str, parameters: Any, _x: object, _many: bool) -> None:
        sent.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", remember)
    connection.execute(chosen).all()
    event.remove(connection, "before_cursor_execute", remember)
    ((statement, parameters),) = sent
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]


@pytest.mark.parametrize(
    ("chosen", "index"),
    [
        (select_entry(RecordingId("r")), "(recording=?)"),
        (select_latest(CAMERA, FILE), "ix_ledger_source (camera=? AND path=? AND size_bytes=? AND modified_ns=?)"),
        (
            select_latest(CAMERA, SourceFile(FILE.path, 10, None)),
            "ix_ledger_source (camera=? AND path=? AND size_bytes=? AND modified_ns=?)",
        ),
        (select_backlog(), "COVERING INDEX ix_ledger_custody"),
        (select_entries(camera=CAMERA), "ix_ledger_camera"),
        (select_entries(camera=CAMERA, is_on_card=True), "ix_ledger_camera (camera=? AND is_on_card=?)"),
        (select_entries(camera=CAMERA, states=WAITING), "(camera=? AND state=?)"),
        (select_entries(camera=CAMERA, states=WAITING, has_copy=False), "(camera=? AND state=? AND has_copy=?)"),
        (select_entries(last_session=SESSION), "ix_ledger_session (last_session=?)"),
        (select_entries(last_session=SESSION, is_on_card=True), "ix_ledger_session (last_session=?)"),
        (select_entries(last_session=SESSION, states=SAFE, has_copy=True), "(last_session=? AND state=?)"),
        (select_tally(SESSION), "COVERING INDEX ix_ledger_session (last_session=?)"),
        (select_entries(states=WAITING, has_copy=True), "ix_ledger_custody (state=? AND has_copy=?)"),
        (select_entries(states=SAFE, has_copy=True, limit=16), "COVERING INDEX ix_ledger_custody (state=?"),
        (select_assignments(OPEN_STATES, camera=CAMERA), "ix_assignments_camera (camera=? AND state=?)"),
        (select_assignments(HELD, camera=CAMERA), "ix_assignments_camera (camera=? AND state=?)"),
        (
            select_assignments(OPEN_STATES, officer=OfficerNumber("PC1")),
            "ix_assignments_officer (officer=? AND state=?)",
        ),
        (
            select(tables.facts).where(tables.facts.c.number > 5).order_by(tables.facts.c.number).limit(10),
            "INTEGER PRIMARY KEY (rowid>?)",
        ),
        (select(tables.checkpoints).where(tables.checkpoints.c.recording == "r"), "(recording=?)"),
        (select(tables.finished_parts).where(tables.finished_parts.c.recording == "r"), "(recording=?)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_question_is_answered_from_an_index(connection: Connection, chosen: Select[Any], index: str) -> None:
    steps = plan(connection, chosen)
    assert any(index in step for step in steps), steps
    assert not [step for step in steps if step.startswith("SCAN")], steps


def test_newest_generation_needs_no_sorting(connection: Connection) -> None:
    assert not [step for step in plan(connection, select_latest(CAMERA, FILE)) if "TEMP B-TREE" in step]
