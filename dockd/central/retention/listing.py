"""The list of what would go as rows of a table, one for each recording; the same on the page and in the terminal.

A cell that a spreadsheet might take for a formula begins with an apostrophe: names come from cameras.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import datetime

from dockd.central.retention.entries import due_recording
from dockd.central.retention.service import Retention
from dockd.model.moment import format_utc

COLUMNS = ("recording", "size_bytes", "category", "camera", "officer", "dock", "recorded_at", "deadline_at", "why")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def listed(retention: Retention, at: datetime) -> AsyncIterator[tuple[str, ...]]:
    """The rows of what would go at `at`. Raises Refusal (503)."""
    async for one in retention.due(at):
        due = due_recording(one)
        row = (
            due.recording,
            str(due.size_bytes),
            due.category,
            due.camera,
            due.officer or "",
            due.dock,
            format_utc(due.recorded_at) if due.recorded_at else "",
            format_utc(due.deadline_at),
            due.why,
        )
        yield tuple(f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row)


def csv_line(row: tuple[str, ...]) -> bytes:
    """One row, quoted where it must be (RFC 4180)."""
    text = io.StringIO()
    csv.writer(text).writerow(row)
    return text.getvalue().encode("utf-8")
