"""What the rollout pages say and draw."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.central.pages.rollout import bar_of, site_line, unit_line
from dockd.wire.rollout import CameraFigures, PlaceFigures, SiteRollout, UnitRollout

SITE = SiteRollout(
    site="cam-1",
    name="Kentish Town",
    unit="R&D <i>",
    state="planned",
    planned_on=date(2026, 12, 1),
    live_on=None,
    closed_on=None,
    is_late=False,
    cameras_planned=None,
    cameras=CameraFigures(delivered=0, enrolled=0, issued=0, out_of_service=0),
    officers=0,
    docks=("dock-1", "dock-2"),
    docks_heard=("dock-2",),
    bays=1,
)


@pytest.mark.parametrize(
    ("changed", "state", "since"),
    [
        ({}, "Planned", "planned for 1 Dec 2026"),
        ({"planned_on": None}, "Planned", "no day planned"),
        ({"is_late": True}, "Late", "planned for 1 Dec 2026"),
        ({"state": "live", "live_on": date(2026, 10, 1)}, "Live", "since 1 Oct 2026"),
        ({"state": "closed", "closed_on": date(2026, 10, 2)}, "Closed", "since 2 Oct 2026"),
    ],
)
def test_a_state_is_a_word_a_shape_and_a_day(changed: dict[str, object], state: str, since: str) -> None:
    line = site_line(SITE.model_copy(update=changed))
    assert (line.state, line.since) == (state, since)
    assert line.docks == "1 of 2, 1 bay"


def test_no_two_states_share_a_shape() -> None:
    changes: list[dict[str, object]] = [
        {},
        {"is_late": True},
        {"state": "live", "live_on": date(2026, 10, 1)},
        {"state": "closed", "closed_on": date(2026, 10, 2)},
    ]
    icons = [site_line(SITE.model_copy(update=one)).icon for one in changes]
    assert len(set(icons)) == len(icons)


def test_an_address_survives_any_name() -> None:
    assert site_line(SITE).address == "/rollout/sites?unit=R%26D+%3Ci%3E"


def test_sites_are_counted_in_words() -> None:
    figures = PlaceFigures(
        sites_planned=2,
        sites_live=1,
        sites_closed=0,
        sites_late=1,
        cameras_planned=0,
        cameras=SITE.cameras,
        officers=0,
        docks=0,
        docks_heard=0,
    )
    line = unit_line(UnitRollout(unit="Camden", next_planned_on=date(2027, 1, 31), figures=figures))
    assert (line.sites, line.next, line.is_late) == ("1 live, 2 planned", "31 Jan 2027", True)


COUNTS = st.integers(0, 30_000)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_bar_never_leaves_its_drawing_and_shows_every_camera(
    planned: int, delivered: int, enrolled: int, issued: int
) -> None:
    figures = CameraFigures(
        delivered=delivered, enrolled=min(enrolled, delivered), issued=min(issued, delivered), out_of_service=0
    )
    bar = bar_of(planned, figures)
    for length, count in (
        (bar.planned, planned),
        (bar.delivered, figures.delivered),
        (bar.enrolled, figures.enrolled),
        (bar.issued, figures.issued),
    ):
        assert 0 <= length <= 100
        assert (length > 0) == (count > 0)
    assert f"{planned:,} planned" in bar.label
