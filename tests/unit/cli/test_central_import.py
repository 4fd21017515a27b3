"""`dockd central import`: what a person sees, and what the shell is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dockd.central.opening import initialise_centre
from dockd.cli import exit_status_of
from dockd.errors import ListRefused

SITES = "site;name;unit;state\ns1;One;Camden;planned\ns2;Two;Camden;planned\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    asyncio.run(initialise_centre(tmp_path / "centre"))
    file = tmp_path / "dockd.toml"
    file.write_text(f'[central]\nfolder = "{tmp_path / "centre"}"\nfree_space_floor_bytes = 0\n')
    return file


def test_a_list_is_tried_imported_and_imported_again(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sites.csv"
    file.write_text(SITES)
    said = []
    for more in (["--dry-run"], [], [], ["--dry-run"]):
        assert exit_status_of(["central", "import", "sites", str(file), "-c", str(config), *more]) == 0
        said.append(capsys.readouterr().out)
    assert said == [
        "sites.csv: 2 sites read; 2 would be new, 0 would be changed, 0 as they were.\nNothing was written.\n",
        "sites.csv: 2 sites read; 2 new, 0 changed, 0 as they were.\n",
        "sites.csv: 2 sites read; 0 new, 0 changed, 2 as they were.\n",
        "sites.csv: 2 sites read; 0 would be new, 0 would be changed, 2 as they were.\nNothing was written.\n",
    ]


def test_every_mistake_is_printed_with_its_line(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.csv"
    file.write_bytes(b"camera,model,site\nA1,Sim,\nsimulated:A2,,\nsimulated:A3,\x1b[31mred,\nsimulated:A4,S,s9\n")
    assert exit_status_of(["central", "import", "cameras", str(file), "-c", str(config)]) == ListRefused.exit_status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "bad.csv line 2, camera: 'A1' is not a camera: write driver:serial, like massstorage:B0012345.",
        "bad.csv line 3, model: The cell is empty.",
        "bad.csv line 4, model: The cell holds the character U+001B, which cannot be printed.",
        "bad.csv line 5, site: There is no site 's9'; import the sites first.",
        "bad.csv: 4 lines are wrong, in 4 rows that were read.",
        ListRefused.footage,
        ListRefused.action,
    ]


@pytest.mark.parametrize("arguments", [["docks", "x.csv"], ["sites"], []])
def test_lists_that_are_none_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status_of(["central", "import", *arguments]) == 2
    assert "sites|officers|cameras" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status_of(["central", "import", "sites", str(tmp_path / "none.csv"), "-c", str(config)]) == 1
    assert "none.csv cannot be read: No such file or directory." in capsys.readouterr().err
