"""The questions that a centre asks its database, whichever of its connections they go over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import event

from dockd.central.database import Database


@contextmanager
def questions_to(database: Database, *, by: asyncio.Task[Any] | None = None) -> Iterator[list[str]]:
    """Fill a list with the statements that read, while in here; with `by`, only those that this task asks.

    Without `by` it counts also what the centre's own services ask meanwhile.
    """
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")) and (by is None or asyncio.current_task() is by):
            asked.append(statement)

    with ExitStack() as listening:
        for engine in {database._engine, database._looks}:
            assert engine is not None
            event.listen(engine.sync_engine, "before_cursor_execute", note)
            listening.callback(event.remove, engine.sync_engine, "before_cursor_execute", note)
        yield asked
