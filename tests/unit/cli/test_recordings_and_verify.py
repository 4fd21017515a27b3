"""`dockd recordings` and `dockd verify`: what they ask for, what they say, how they end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dockd.cli import exit_status_of
from dockd.cli.recordings import recordings, selection_of, summary_line
from dockd.cli.verify import verify
from dockd.custody_out.export import Exporter, Selection
from dockd.errors import BadRequest
from dockd.model.ids import SessionId
from tests.support.archive import MadeArchive
from tests.support.clock import ManualClock


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = MadeArchive()
    made.session("session-1", [b"footage"])
    root = tmp_path_factory.mktemp("cli") / "export"
    asyncio.run(Exporter(made, root, ManualClock()).export(Selection(session=SessionId("session-1"))))
    return root


@pytest.mark.parametrize(
    ("session", "camera", "digest", "selection"),
    [
        ("session-1", None, None, Selection(session=SessionId("session-1"))),
        ("dock-1/session-1", None, None, Selection(session=SessionId("session-1"), dock="dock-1")),
        (None, "simulated:1", None, Selection(camera="simulated:1")),
    ],
)
def test_options_say_what_is_wanted(
    session: str | None, camera: str | None, digest: str | None, selection: Selection
) -> None:
    assert selection_of(session, camera, digest) == selection


@pytest.mark.parametrize(
    ("session", "camera", "digest"),
    [
        (None, None, None),
        ("a", "b", None),
        ("a/b/c", None, None),
        ("../etc", None, None),
        ("", None, None),
        (None, None, "abc"),
    ],
)
def test_unclear_options_are_refused(session: str | None, camera: str | None, digest: str | None) -> None:
    with pytest.raises(BadRequest):
        selection_of(session, camera, digest)


def test_digest_may_be_written_in_capitals() -> None:
    assert selection_of(None, None, "AB" * 32).digest == "ab" * 32


def test_line_of_a_recording_says_when_by_whom_and_where() -> None:
    made = MadeArchive()
    made.session("session-1", [b"footage"])
    line = summary_line(asyncio.run(made.recordings({}, None)).recordings[0])
    assert "2026-11-22 06:00:00Z" in line
    assert "PC1234" in line
    assert "dock-1/session-1" in line
    assert "accepted" in line


def test_good_export_verifies(export: Path) -> None:
    result = CliRunner().invoke(verify, [str(export)])
    assert result.exit_code == 0
    assert "All 10 claims" in result.output
    assert result.output.count("OK  ") == 10


def test_verify_for_programs(export: Path) -> None:
    claims = json.loads(CliRunner().invoke(verify, [str(export), "--json"]).output)
    assert all(one["holds"] and not one["faults"] for one in claims)


def test_published_keys_are_compared(export: Path) -> None:
    store, dock = export / "store/store-1/public-key.pem", export / "docks/dock-1/key-1/public-key.pem"
    assert exit_status_of(["verify", str(export), "--store-key", str(store), "--dock-key", str(dock)]) == 0
    assert exit_status_of(["verify", str(export), "--store-key", str(dock), "--dock-key", str(store)]) == 1


def test_export_that_does_not_hold_ends_with_status_1(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (export / "footage" / "extra").write_bytes(b"x")
    try:
        assert exit_status_of(["verify", str(export)]) == 1
    finally:
        (export / "footage" / "extra").unlink()
    told = capsys.readouterr()
    assert "FAIL" in told.out
    assert "footage/extra is not listed" in told.out
    assert "do not hold" in told.err
    assert exit_status_of(["verify", str(tmp_path)]) == 1


def test_address_that_is_none_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(recordings, ["list", "--centre", "localhost:8490"])
    assert isinstance(result.exception, BadRequest)
