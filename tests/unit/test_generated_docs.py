"""Threat: a reference that no longer says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockd.errors import Reaction
from dockd.rules.lifecycle import State
from docs import generate


def test_the_references_in_docs_are_not_stale(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_or_missing_reference_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    (tmp_path / "errors.md").write_text("old")
    (tmp_path / "facts.md").unlink()
    assert generate.main(["--check"]) == 1
    assert "errors.md, facts.md" in capsys.readouterr().err


def test_each_state_and_each_reaction_is_told() -> None:
    diagram, errors = generate.lifecycle_diagram(), generate.error_table()
    assert all(f"| `{state.value}` |" in diagram for state in State)
    assert all(reaction.value in errors for reaction in Reaction)
