"""What a line of each list may be."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.central.places.csv_lines import Cells
from dockd.central.places.rows import (
    CAMERAS,
    FORMS,
    OFFICERS,
    SITES,
    CameraRow,
    CameraState,
    Form,
    OfficerRow,
    OfficerState,
    SiteRow,
    SiteState,
)

SITE = {"site": "cam-1", "name": "Kentish Town", "unit": "Camden", "state": "planned"}


def told(form: Form, **text: str) -> str:
    found = form.read(Cells(7, text))
    assert isinstance(found, tuple), found
    assert all(one.line == 7 for one in found)
    return " | ".join(map(str, found))


def test_a_whole_site() -> None:
    text = {**SITE, "state": "LIVE", "live_on": "2026-10-01", "cameras_planned": "690", "docks": " dock-2  dock-1 "}
    assert SITES.read(Cells(2, text)) == SiteRow(
        "cam-1",
        "Kentish Town",
        "Camden",
        SiteState.LIVE,
        None,
        date(2026, 10, 1),
        None,
        690,
        ("dock-1", "dock-2"),
    )


def test_what_may_be_left_empty() -> None:
    assert OFFICERS.read(Cells(2, {"officer": "pc1234", "name": "Ann"})) == OfficerRow(
        "PC1234", "Ann", None, OfficerState.ACTIVE
    )
    assert CAMERAS.read(Cells(2, {"camera": "simulated:A1", "model": "Sim 1", "batch": ""})) == CameraRow(
        "simulated:A1", "Sim 1", None, None, CameraState.IN_USE, None, None
    )


def test_everything_that_is_wrong_with_a_line_is_told_at_once() -> None:
    words = told(SITES, site="a b", name="", unit="x" * 101, state="open", live_on="1/2/2026", docks="d d")
    for column in ("site", "name", "unit", "state", "live_on", "docks"):
        assert f"line 7, {column}: " in words


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"live_on": "2026-01-01"}, "A planned site is not live yet"),
        ({"state": "live"}, "A live site needs the day"),
        ({"state": "closed"}, "A closed site needs the day"),
        ({"closed_on": "2026-01-01"}, "only a closed one has this day"),
        ({"state": "closed", "live_on": "2026-02-01", "closed_on": "2026-01-01"}, "closed before it went live"),
        ({"planned_on": "22/11/2026"}, "is not a day: write it as 2026-11-22"),
        ({"planned_on": "20261122"}, "is not a day"),
        ({"planned_on": "2026-02-30"}, "is not a day"),
        ({"planned_on": "1026-02-03"}, "is not a day"),
        ({"cameras_planned": "-1"}, "is not a number of cameras"),
        ({"cameras_planned": "1e3"}, "is not a number of cameras"),
        ({"cameras_planned": "9999999"}, "is not a number of cameras"),
        ({"docks": "dock-1 ../x"}, "cannot be the name of a dock"),
        ({"docks": " ".join(f"d{one}" for one in range(201))}, "More than 200 docks"),
    ],
)
def test_a_site_that_contradicts_itself_is_refused(changed: dict[str, str], expected: str) -> None:
    assert expected in told(SITES, **{**SITE, **changed})


def test_a_plan_that_was_given_up_is_closed_without_having_been_live() -> None:
    assert isinstance(SITES.read(Cells(2, {**SITE, "state": "closed", "closed_on": "2026-01-01"})), SiteRow)


@pytest.mark.parametrize("number", ["PC 1", "", "x" * 17, "PC1'; DROP TABLE officers;--", "<b>1</b>", "\N{BULLET}"])
def test_bad_officer_numbers(number: str) -> None:
    assert "line 7, officer: " in told(OFFICERS, officer=number, name="Ann")


@pytest.mark.parametrize("camera", ["B0012345", "massstorage:", "Mass:1", "a:b c", "a:b:c", "a:" + "x" * 41])
def test_bad_cameras(camera: str) -> None:
    assert "is not a camera: write driver:serial" in told(CAMERAS, camera=camera, model="m")


@pytest.mark.parametrize("name", ["Robert'); DROP TABLE officers;--", "<img src=x onerror=alert(1)>", "O\u2019Brien"])
def test_names_may_hold_what_people_are_called(name: str) -> None:
    row = OFFICERS.read(Cells(2, {"officer": "PC1", "name": name}))
    assert isinstance(row, OfficerRow)
    assert row.name == name


@given(st.sampled_from(sorted(FORMS)), st.data())
def test_any_text_is_a_row_or_is_told(kind: str, data: st.DataObject) -> None:
    form = FORMS[kind]
    cells = data.draw(st.fixed_dictionaries({}, optional={name: st.text(max_size=40) for name in form.column_names}))
    found = form.read(Cells(2, cells))
    if isinstance(found, tuple):
        assert found
        assert all(one.column in form.column_names and one.words.endswith(".") for one in found)
    else:
        assert getattr(found, form.key) is not None
