"""`dockd doctor`: look at this dock host and say in words what to do about each finding.

Knows how findings are shown; what is looked at is in `dockd/dock/doctor`.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from dockd import __version__
from dockd.cli.options import config_option
from dockd.cli.status import printable
from dockd.clock import SystemClock
from dockd.config.dock import load_dock_config
from dockd.dock.doctor import CHECKS, Examination, Finding, Host, Report, Severity, examine
from dockd.errors import ConfigInvalid

EXIT_FINE = 0
EXIT_PROBLEMS = 1
_WIDE_COLUMNS = 110
"""From here on a table is easier to read than paragraphs."""

_INDENT = "  "

_STYLES = {
    Severity.PROBLEM: "bold white on red",
    Severity.WARNING: "bold black on yellow",
    Severity.UNKNOWN: "bold magenta",
    Severity.NOTE: "bold cyan",
    Severity.OK: "bold green",
}
_TO_TELL = tuple(one for one in Severity if one is not Severity.OK)


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(config_file: Path, as_json: bool) -> int:
    """Look at this dock host and say what to do about each finding.

    Reads only; writes one small probe file in the staging folder and removes it. Best run as root. A running
    dock is not disturbed. docs/doctor.md lists every finding. Exit status 0 without a PROBLEM, 1 with any.
    """
    report = examine(CHECKS, examination_of(config_file, Host()))
    if as_json:
        click.echo(json.dumps(as_document(report, config_file), indent=2, ensure_ascii=False))
    else:
        console = Console()
        console.print(picture(report, console.width))
    return exit_status(report)


def examination_of(config_file: Path, host: Host) -> Examination:
    """What the checks are given. A configuration that cannot be read is a finding, not an end."""
    try:
        return Examination(host, config_file, load_dock_config(config_file))
    except ConfigInvalid as error:
        return Examination(host, config_file, None, error.what)


def exit_status(report: Report) -> int:
    """1 when there is any PROBLEM, else 0."""
    return EXIT_PROBLEMS if report.count(Severity.PROBLEM) else EXIT_FINE


def as_document(report: Report, config_file: Path) -> dict[str, Any]:
    """The report for programs; `findings` in the order of the checks."""
    return {
        "version": __version__,
        "at": SystemClock().now().isoformat(timespec="seconds"),
        "config_file": str(config_file),
        "counts": {one.value: report.count(one) for one in Severity},
        "left_out": list(report.left_out),
        "findings": [asdict(finding) for finding in report.findings],
    }


# --- a picture, for people ----------------------------------------------------------------------


def picture(report: Report, width: int) -> Group:
    """What has to be read first; then one line for each thing that is well; then what it comes to."""
    to_tell = [one for severity in _TO_TELL for one in report.findings if one.severity is severity]
    parts: list[RenderableType] = []
    if to_tell:
        parts += [_table(to_tell)] if width >= _WIDE_COLUMNS else [_paragraph(one, width) for one in to_tell]
    parts += [_line(one, width) for one in report.findings if one.severity is Severity.OK]
    return Group(*parts, Text(), *(Text(_wrapped(line, width, "")) for line in summary(report)))


def summary(report: Report) -> tuple[str, ...]:
    """What it comes to, in words."""
    counts = ", ".join(f"{report.count(one)} {_word(one)}" for one in (*_TO_TELL, Severity.OK))
    lines = [counts + "."]
    if report.left_out:
        lines.append(
            f"{len(report.left_out)} checks were left out, because they need the configuration: "
            f"{', '.join(report.left_out)}."
        )
    if report.count(Severity.PROBLEM):
        lines.append("Mend each PROBLEM before cameras are docked, then run the doctor again.")
    elif report.count(Severity.UNKNOWN):
        lines.append("No problem was found, but not everything could be asked.")
    else:
        lines.append("No problem was found.")
    return tuple(lines)


def _word(severity: Severity) -> str:
    """The severity itself, always written out: colour alone tells nothing to some, and nothing on paper."""
    return severity.value.upper()


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, padding=(0, 2, 1, 0), expand=True, pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in ("Found", "What it means for the footage", "What to do"):
        table.add_column(heading, ratio=1, overflow="fold")
    for one in findings:
        found = Text(printable(one.found))
        found.append(f"\n{one.code}", style="dim")
        table.add_row(_badge(one), found, Text(printable(one.footage)), Text(printable(one.action)))
    return table


def _paragraph(finding: Finding, width: int) -> Group:
    head = Text.assemble(_badge(finding), " ", (finding.code, "dim"))
    lines = (finding.found, f"Footage: {finding.footage}", f"To do: {finding.action}")
    return Group(head, *(Text(_wrapped(line, width, _INDENT)) for line in lines), Text())


def _line(finding: Finding, width: int) -> Text:
    """An OK in one line, or a few where it is too long."""
    indent = " " * (len(_badge(finding)) + 1)
    return Text.assemble(_badge(finding), " ", _wrapped(finding.found, width, indent).lstrip())


def _wrapped(text: str, width: int, indent: str) -> str:
    """`text` in lines of at most `width`, without spaces at their ends: it may go to a file."""
    lines = printable(text).splitlines() or [""]
    wrapped = [
        textwrap.wrap(line, max(width, 30), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        for line in lines
    ]
    return "\n".join(one for lines in wrapped for one in lines)


def _badge(finding: Finding) -> Text:
    return Text(f" {_word(finding.severity)} ", style=_STYLES[finding.severity])
