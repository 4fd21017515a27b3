"""`dockd central retention`: the report and the run from the terminal, with the same rules and the same brake."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dockd.central.database import sqlite_url
from dockd.central.opening import initialise_centre
from dockd.cli import exit_status_of
from dockd.rules.retention import ROUTINE
from tests.support.clock import ManualClock
from tests.support.retention_site import open_retention_site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A centre with one recording that is due and one that nobody has classified."""
    folder = tmp_path / "centre"

    async def prepare() -> None:
        await initialise_centre(folder, store="store-test")
        clock = ManualClock(datetime.now(UTC) - timedelta(days=40))
        async with open_retention_site(folder, sqlite_url(folder / "centre.sqlite"), clock) as site:
            due = await site.bring(b"footage", recorded_at=clock.now())
            await site.bring(b"more footage", recorded_at=clock.now())
            await site.retention.decisions.classify([due], ROUTINE, by="Ann", reason="nothing found")

    asyncio.run(prepare())
    return folder


@dataclass
class Said:
    """What a command printed, and its exit status."""

    exit_code: int
    output: str


Ask = Callable[..., Said]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs `dockd central retention …` on a centre's folder."""

    def run(folder: Path, *words: str, retention: str = "") -> Said:
        config = folder.parent / "central.toml"
        config.write_text(f'[central]\nfolder = "{folder}"\n{retention}')
        capsys.readouterr()
        status = exit_status_of(["central", "retention", *words, "--config", str(config)])
        printed = capsys.readouterr()
        lines = (printed.out + printed.err).splitlines(keepends=True)
        return Said(status, "".join(line for line in lines if "[info" not in line))

    return run


def objects(folder: Path) -> int:
    return sum(one.is_file() for one in (folder / "objects").rglob("*"))


def test_report_names_what_would_go_and_why_and_changes_nothing(folder: Path, ask: Ask) -> None:
    done = ask(folder, "report")
    assert done.exit_code == 0, done.output
    assert "would go: 1 recording, 7 bytes, of 2 in the store." in done.output
    assert "Deleting is not turned on" in done.output
    assert "so much at once" in done.output
    assert "routine is kept 31 days from its recording" in done.output
    assert objects(folder) == 2


def test_report_as_csv_has_a_line_for_each(folder: Path, ask: Ask) -> None:
    rows = list(csv.DictReader(io.StringIO(ask(folder, "report", "--csv").output)))
    assert len(rows) == 1
    assert rows[0]["category"] == "routine"


def test_dry_run_deletes_nothing_even_where_deleting_is_on(folder: Path, ask: Ask) -> None:
    done = ask(folder, "run", "--dry-run", retention="[retention]\ndelete = true\nmost_percent = 100\n")
    assert done.exit_code == 0, done.output
    assert "would go: 1 recording" in done.output
    assert objects(folder) == 2


def test_run_needs_a_name_and_deletes_what_is_due(folder: Path, ask: Ask) -> None:
    turned_on = "[retention]\ndelete = true\nmost_percent = 100\n"
    assert "--by is missing" in ask(folder, "run", retention=turned_on).output
    assert objects(folder) == 2
    done = ask(folder, "run", "--by", "Ann", retention=turned_on)
    assert done.exit_code == 0, done.output
    assert "1 due, 1 deleted, 0 kept" in done.output
    assert objects(folder) == 1


def test_run_is_refused_where_deleting_is_off(folder: Path, ask: Ask) -> None:
    done = ask(folder, "run", "--by", "Ann")
    assert done.exit_code != 0
    assert "not turned on" in done.output
    assert objects(folder) == 2


def test_run_that_would_delete_too_much_stops(folder: Path, ask: Ask) -> None:
    done = ask(folder, "run", "--by", "Ann", retention="[retention]\ndelete = true\n")
    assert done.exit_code == 0, done.output
    assert "Stopped: 1 of 2 recordings at once" in done.output
    assert objects(folder) == 2
