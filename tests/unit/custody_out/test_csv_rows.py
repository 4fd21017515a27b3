"""A spreadsheet that opens our CSV runs nothing and loses nothing."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.custody_out.csv_rows import COLUMNS, csv_head, csv_line
from dockd.wire.custody import CustodyRecording


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "@SUM(A1)", "-2+3", '=HYPERLINK("http://x","y")', "\t=1", "\r=1", "\n=1", "＝1", "－1+1"]
)
def test_a_cell_that_would_be_run_is_text(cell: str) -> None:
    (read,) = csv.reader(io.StringIO(csv_line([cell]), newline=""))
    assert read == [f"'{cell}"]


@pytest.mark.parametrize(("cell", "told"), [(-250, "-250"), (0, "0"), (None, ""), ("a,b", "a,b"), ('"', '"')])
def test_numbers_stay_numbers_and_nothing_stays_nothing(cell: object, told: str) -> None:
    (read,) = csv.reader(io.StringIO(csv_line([cell, "x"]), newline=""))
    assert read == [told, "x"]


@given(st.lists(st.text(max_size=20), min_size=2, max_size=5))
def test_whatever_the_text_it_comes_back_and_begins_as_no_formula(cells: list[str]) -> None:
    (read,) = csv.reader(io.StringIO(csv_line(cells), newline=""), strict=True)
    assert [one.removeprefix("'") for one in read] == [one.removeprefix("'") for one in cells]
    for one in read:
        assert not one.startswith(tuple("=+@\t\r\n＝＋－＠"))
        assert not one.startswith("-") or one.removeprefix("-").isdigit()


def test_every_column_has_a_name_of_its_own() -> None:
    for kind, columns in COLUMNS.items():
        assert csv_head(kind).count(",") == len(columns) - 1
    assert csv_head(CustodyRecording).startswith("differences,dock,recording,camera,officer,recorded_at")
