"""Visits as text in a column, and back. Knows one JSON shape and `rules.faults`; no database."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dockd.model.moment import format_utc, parse_utc
from dockd.rules.faults import Outcome, Visit

NO_VISITS = "[]"


def visits_text(visits: Sequence[Visit]) -> str:
    """Compact JSON: `[at, dock, session, bay, camera, outcome, code]` for each."""
    rows = [
        [format_utc(one.at), one.dock, one.session, one.bay, one.camera, one.outcome.value, one.code] for one in visits
    ]
    return json.dumps(rows, separators=(",", ":"))


def visits_of(text: str) -> tuple[Visit, ...]:
    """What `visits_text` wrote."""
    return tuple(
        Visit(parse_utc(at), dock, session, bay, camera, Outcome(outcome), code)
        for at, dock, session, bay, camera, outcome, code in json.loads(text)
    )
