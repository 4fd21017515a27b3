"""Runs every claim of `scenarios.py` under umockdev, where sysfs and udev's events are ours to play.

umockdev is preloaded, so the scenarios need a process of their own: one for all of them, and each is a test here.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

SCENARIOS = Path(__file__).with_name("scenarios.py")
ROOT = SCENARIOS.parents[2]
LIMIT_SECONDS = 240


def scenario_names() -> list[str]:
    tree = ast.parse(SCENARIOS.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef))
    return [node.name for node in functions if node.name.startswith("test_")]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """For each scenario the reports of its failures; empty when it passed."""
    wrapper = shutil.which("umockdev-wrapper")
    if wrapper is None:
        pytest.skip("umockdev is not installed (Debian: umockdev, gir1.2-umockdev-1.0, python3-gi)")
    report = tmp_path_factory.mktemp("umockdev") / "report.xml"
    run = subprocess.run(
        [wrapper, sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", SCENARIOS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert report.exists(), f"the scenarios did not run:\n{run.stdout}\n{run.stderr}"
    found: dict[str, list[str]] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = (case.get("name") or "").partition("[")[0]
        failures = [part.text or "" for part in case if part.tag in ("failure", "error", "skipped")]
        found.setdefault(name, []).extend(failures)
    return found


@pytest.mark.parametrize("name", scenario_names())
def test_at_the_usb_ports(name: str, outcomes: dict[str, list[str]]) -> None:
    assert name in outcomes, f"{name} did not run"
    assert not outcomes[name], "\n".join(outcomes[name])
