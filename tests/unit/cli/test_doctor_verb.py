"""Claims about `dockd doctor`: readable wide and narrow, on paper and for programs; its exit status says enough."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from dockd.cli import exit_status_of
from dockd.cli.doctor import as_document, exit_status, picture, summary
from dockd.dock.doctor import CHECKS, Finding, Report, Severity
from tests.support.dock_host import DockHost

EVERY = Report(
    tuple(kind.found(f"Found at /var/lib/dockd by {kind.code}.") for check in CHECKS for kind in check.kinds),
    left_out=("bays",),
)


def printed(report: Report, width: int, *, is_terminal: bool = False) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=is_terminal, color_system="standard" if is_terminal else None
    )
    console.print(picture(report, width))
    out = console.file
    assert isinstance(out, io.StringIO)
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 80, 109, 110, 200])
def test_every_finding_is_told_in_whole_at_every_width(width: int) -> None:
    text = printed(EVERY, width)
    assert all(len(line) <= width for line in text.splitlines())
    words = "".join(text.split())
    for one in EVERY.findings:
        if one.severity is not Severity.OK:
            assert one.code in words or width >= 110
            if width < 110:  # in columns, a sentence is not in one piece
                assert "".join(one.action.split()) in words
                assert "".join(one.footage.split()) in words


def test_the_severity_is_a_word_and_not_only_a_colour() -> None:
    for width in (60, 160):
        text = printed(EVERY, width)
        for severity in Severity:
            assert f" {severity.name} " in text
        assert "\x1b" not in text
    assert "\x1b[" in printed(EVERY, 160, is_terminal=True)


def test_what_is_worst_is_told_first_and_what_is_well_last() -> None:
    text = printed(EVERY, 80)
    places = [text.index(f" {severity.name} ") for severity in Severity]
    assert places == sorted(places)
    assert [*Severity][:1] == [Severity.PROBLEM]
    assert [*Severity][-1:] == [Severity.OK]


def test_what_the_host_says_cannot_steer_the_terminal_or_the_table() -> None:
    hostile = Finding("code", Severity.WARNING, "Disk \x1b[2J[bold]x[/bold]\r", "Text.", "Do it.")
    for width in (60, 160):
        text = printed(Report((hostile,)), width, is_terminal=True)
        assert "\x1b[2J" not in text
        assert "\r" not in text
        assert "[bold]x[/bold]" in text


def test_the_summary_says_what_to_do_next() -> None:
    fine = Finding("a", Severity.OK, "Well.", "", "")
    unknown = Finding("b", Severity.UNKNOWN, "?", "?", "?")
    wrong = Finding("c", Severity.PROBLEM, "!", "!", "!")
    assert summary(Report((fine,)))[-1] == "No problem was found."
    assert summary(Report((fine, unknown)))[-1] == "No problem was found, but not everything could be asked."
    assert "Mend each PROBLEM" in summary(Report((fine, unknown, wrong)))[-1]
    assert "1 PROBLEM, 0 WARNING, 1 UNKNOWN, 0 NOTE, 1 OK." in summary(Report((fine, unknown, wrong)))
    assert "bays" in summary(Report((fine,), ("bays",)))[1]
    assert [exit_status(Report(of)) for of in ((fine,), (unknown,), (wrong,))] == [0, 0, 1]


def test_json_has_every_finding_and_counts_them(tmp_path: Path) -> None:
    document = json.loads(json.dumps(as_document(EVERY, tmp_path / "dockd.toml")))
    assert [one["code"] for one in document["findings"]] == [one.code for one in EVERY.findings]
    assert set(document["findings"][0]) == {"code", "severity", "found", "footage", "action"}
    assert sum(document["counts"].values()) == len(EVERY.findings)
    assert document["left_out"] == ["bays"]


def test_on_this_very_host_it_ends_with_findings_and_never_with_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = DockHost(tmp_path)  # its configuration is real, the host is the one that the tests run on
    host.write_config()
    status = exit_status_of(["doctor", "--config", str(host.config_file), "--json"])
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert err == ""
    assert status == 1
    told = {one["code"]: one for one in document["findings"]}
    assert told["centre-not-reached"]["found"] == "http://127.0.0.1:1: connection refused."
    assert {"configuration-read", "versions-fit", "drivers-loaded", "staging-disk-keeps"} <= told.keys()
    assert list(host.staging.iterdir()) == []


def test_without_a_configuration_it_says_so_and_leaves_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status_of(["doctor", "--config", str(tmp_path / "none.toml")]) == 1
    out, err = capsys.readouterr()
    assert "configuration-invalid" in out
    assert "checks were left out, because they need the configuration" in " ".join(out.split())
    assert err == ""
