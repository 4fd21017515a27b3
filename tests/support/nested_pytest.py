"""Runs a file of test claims in a process of its own, started through another program, and reports each claim."""

from __future__ import annotations

import ast
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 240

Outcomes = dict[str, list[str]]
"""For each claim the reports of its failures, errors and skips; empty when it passed."""


def claims_of(file: Path) -> list[str]:
    """The names of the test functions in `file`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef))
    return [node.name for node in functions if node.name.startswith("test_")]


def run_claims(prefix: Sequence[str], file: Path, report: Path) -> Outcomes:
    """Run pytest on `file` through the program `prefix`."""
    run = subprocess.run(
        [*prefix, sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert report.exists(), f"{file.name} did not run:\n{run.stdout}\n{run.stderr}"
    found: Outcomes = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = (case.get("name") or "").partition("[")[0]
        failures = [part.text or "" for part in case if part.tag in ("failure", "error", "skipped")]
        found.setdefault(name, []).extend(failures)
    return found


def assert_holds(name: str, outcomes: Outcomes) -> None:
    """Fail unless the claim ran and every case of it passed."""
    assert name in outcomes, f"{name} did not run"
    assert not outcomes[name], "\n".join(outcomes[name])
