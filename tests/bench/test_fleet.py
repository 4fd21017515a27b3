"""The load measurement itself, run small: the real centre keeps up, and the oracle at its end sees what it must."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.fleet import Plan, measure
from bench.force.day import BUSIEST_HOUR_SHARE, HOURLY_SHARES, RECORDINGS_ON_CARD, Force, Mishaps
from bench.force.site import running_site

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]

SMALL = Plan(
    Force(240),
    seconds=4.0,
    docking_seconds=3.0,
    stored_share=0.2,
    mishaps=Mishaps(cut=0.1, doubled=0.1, late=0.1),
)
MULTIPLE = 200.0  # about 2.7 dockings a second of this small force


def test_shares_of_the_day_are_those_of_the_reference() -> None:
    assert sum(HOURLY_SHARES) == pytest.approx(1)
    assert max(HOURLY_SHARES) == BUSIEST_HOUR_SHARE
    assert sum(chance for chance, _, _ in RECORDINGS_ON_CARD) == pytest.approx(1)
    assert Force().busiest_hour_dockings == 4_400


@pytest.mark.parametrize("front", ["docks", "nginx", "none"])
def test_nothing_is_lost_or_doubled_with_cut_and_doubled_calls_and_late_docks(tmp_path: Path, front: str) -> None:
    with running_site(tmp_path, front=front) as site:
        measured, session = asyncio.run(measure(site, SMALL, [MULTIPLE], is_search=False))
        (replay,) = measured.replays
        assert measured.judgement.differences == ()
        assert measured.judgement.facts == replay.facts > 100
        assert measured.judgement.receipts > 5
        assert replay.outcome.unanswered == 0
        assert replay.trouble["cut"]
        assert replay.trouble["doubled"]
        assert {"facts", "claim", "part", "complete", "manifest", "status"} <= replay.outcome.seconds_of.keys()
        assert all(seconds > 0 for seconds in replay.cpu_seconds.values())
        if front != "none":
            return
        for harm in (
            "DELETE FROM facts WHERE (dock, number) IN (SELECT dock, number FROM facts ORDER BY dock, number LIMIT 1)",
            "UPDATE facts SET body = replace(body, 'SessionMoved', 'SessionMover') WHERE kind = 'SessionMoved'",
            "DELETE FROM receipts WHERE digest = (SELECT min(digest) FROM receipts)",
            "UPDATE sessions SET state = 'ready'",
        ):
            before = len(session.judge().differences)
            site.postgres.query(harm, site.database)
            assert len(session.judge().differences) > before, harm
