"""What a centre says to its database, whichever of its connections they go over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import event

from dockd.central.database import Database


@contextmanager
def statements_to(database: Database, *, by: asyncio.Task[Any] | None = None) -> Iterator[list[str]]:
    """Fill a list with every statement, while in here; with `by`, only with those of this task.

    Without `by` it counts also what the centre's own services do meanwhile.
    """
    told: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if by is None or asyncio.current_task() is by:
            told.append(statement)

    with ExitStack() as listening:
        for engine in {database._engine, database._looks}:
            assert engine is not None
            event.listen(engine.sync_engine, "before_cursor_execute", note)
            listening.callback(event.remove, engine.sync_engine, "before_cursor_execute", note)
        yield told


def questions_in(statements: list[str]) -> list[str]:
    """Those that read."""
    return [one for one in statements if one.lstrip().startswith(("SELECT", "WITH"))]
