"""Threat: an acceptance list that names tests which are no longer there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(
    set(re.findall(r"`([a-z_/]+/test_\w+\.py)(?:::(test_\w+))?`", (ROOT / "docs/acceptance.md").read_text()))
)


@pytest.mark.parametrize(("file", "test"), NAMED, ids=["::".join(filter(None, one)) for one in NAMED])
def test_a_test_named_in_the_acceptance_list_exists(file: str, test: str) -> None:
    text = (ROOT / "tests" / file).read_text(encoding="utf-8")
    assert f"def {test or 'test_'}" in text or (test == "" and ".TestCase" in text)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-run.lock"])
def test_the_lock_files_have_hashes_and_no_index_address(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "://" in line or line.lstrip().startswith("--index")]
    pins = [place for place, line in enumerate(lines) if "==" in line]
    assert len(pins) > 20
    assert all(lines[place + 1].lstrip().startswith("--hash=sha256:") for place in pins)


def test_what_runs_is_locked_to_the_same_versions_as_what_is_tested() -> None:
    tested = set(re.findall(r"^\S+==\S+", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE))
    runs = set(re.findall(r"^\S+==\S+", (ROOT / "requirements-run.lock").read_text(encoding="utf-8"), re.MULTILINE))
    assert runs <= tested
